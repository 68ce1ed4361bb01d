"""A flow with everything switched on, driven by people who wish the venue ill.

Beside what `tests.engine_flow` sends come combos, leverage to the limit, crashes that no scenario
foresaw, keepers that bid for anything, the treasury trading from the fund, parameters that change
under way, and numbers as large as the wire lets through. `finish` also stamps the whole life for
the journal: what cannot be written there would stop the venue.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from tests.engine_flow import BREAKER, LINEAR, LOT, Draw, Events, Flow
from tests.liquidation_world import PERCENT, rules
from tests.venue import COLLATERALS, FEE_ID, MARGIN, NS, usdc

from exchange.commands import (
    ConcentrationTerms,
    Configure,
    DepositSeen,
    ListCombo,
    PlaceOrder,
    PublicationParameters,
    SubaccountSeen,
    SweepLiquidations,
)
from exchange.fixed import RATIO_SCALE
from exchange.journal import EntryEncoder
from exchange.model import Leg, Side, TimeInForce
from exchange.terms import INTEREST_RATE_MAX, InterestParameters, PositionLimit

TICK: Final = 10_000
WIRE_MAX: Final = (1 << 63) - 1
LIQUIDATION: Final = rules(slice_band_rate=10 * PERCENT)
CONCENTRATION: Final = ConcentrationTerms(
    rate=RATIO_SCALE // 20, share=RATIO_SCALE // 5, free_notional=usdc(50_000)
)
HALVED: Final = tuple(
    msgspec.structs.replace(one, total_cap=0, initial_haircut=RATIO_SCALE // 2)
    for one in COLLATERALS
)


# Published bands that marks cross all the time, and narrower ones that an operator may set.
PUBLICATION: Final = PublicationParameters(
    heartbeat_ns=20 * NS,
    move_rate=PERCENT,
    age_max_ns=60 * NS,
    band_rate=3 * PERCENT,
    linear_band_rate=2 * PERCENT,
)
NARROW: Final = msgspec.structs.replace(
    PUBLICATION, move_rate=5 * PERCENT, band_rate=PERCENT, linear_band_rate=PERCENT // 10
)


class HostileFlow(Flow):
    """Seven subaccounts and the venue's own, and what they try."""

    def __init__(self, draw: Draw) -> None:
        super().__init__(draw)
        self.venue.observe(SubaccountSeen(subaccount_id=FEE_ID, owner="treasury"))
        self.venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(50_000)))
        self.accounts.append(FEE_ID)

    def parameters(self) -> dict[str, Any]:
        """Room for positions that ruin somebody, and no breaker before an operator sets one."""
        known = super().parameters()
        return known | {
            "breaker": None,
            "interest": InterestParameters(
                rate=INTEREST_RATE_MAX, interval_ns=NS, debt_max=usdc(30_000)
            ),
            "limits": msgspec.structs.replace(known["limits"], combos_max=4),
            "liquidation": LIQUIDATION,
            "margin": msgspec.structs.replace(MARGIN, concentration=CONCENTRATION),
            "publication": PUBLICATION,
            "position_limits": (
                PositionLimit(
                    underlying_id=1, contracts_max=3_000 * LOT, open_interest_max=9_000 * LOT
                ),
            ),
        }

    def kinds(self) -> tuple[tuple[int, Callable[[], Events]], ...]:
        """The ordinary, and the attacks."""
        return (
            *super().kinds(),
            (3, self.list_combo),
            (24, self.trade_combo),
            (6, self.lever),
            (3, self.crash),
            (8, self.sweep),
            (5, self.bid),
            (1, self.reconfigure),
            (2, self.extreme),
        )

    def finish(self) -> None:
        """A twin agrees, and the journal takes every entry."""
        super().finish()
        encoder = EntryEncoder()
        for seq, time_ns, command, events in self.venue.entries:
            entry, _ = encoder.stamp(time_ns, command, events)
            assert entry.seq == seq

    def list_combo(self) -> Events:
        """Two to four legs, mostly well formed."""
        count = self.draw(1 if self.rarely() else 2, 4)
        legs = tuple(Leg(self.instrument_id(), self.draw(-3, 3)) for _ in range(count))
        return self.venue.send(ListCombo(legs=legs))

    def trade_combo(self) -> Events:
        """An order in a combo around its mark, sometimes with instructions it must not have."""
        combos = sorted(self.venue.engine._venue.combos.by_hash.values())
        if not combos:
            return self.list_combo()
        number = self.pick(combos)
        combo, mark = self.venue.engine.instruments[number], self.venue.engine.mark(number)
        near = (mark.mark_price if mark else 0) // TICK * TICK
        order = self.order(self.pick(self.accounts), None)
        terms = msgspec.structs.replace(
            order.terms,
            instrument_id=number,
            legs_hash=b"" if self.rarely() else combo.legs_hash,
            limit_price=near + self.draw(-9, 9) * usdc(10),
            quantity=self.draw(1, 60) * combo.lot_size,
            reduce_only=self.rarely() and self.rarely(),
        )
        self.terms.append(terms)
        plain = {} if self.rarely() else {"volatility": 0, "worth": 0, "max_show": 0}
        return self.venue.enter(msgspec.structs.replace(order, terms=terms, **plain))

    def lever(self) -> Events:
        """Two accounts trade as much as their margin allows."""
        instrument_id = self.instrument_id()
        mark = self.venue.engine.mark(instrument_id)
        buyer, seller = self.pick(self.accounts), self.pick(self.accounts)
        if mark is None or buyer == seller:
            return self.place()
        near = {"limit_price": mark.mark_price // TICK * TICK, "max_fee": usdc(2_000)}
        for lots in (400, 100, 25):
            for who, side in ((buyer, Side.BUY), (seller, Side.SELL)):
                terms = self.venue.terms(who, side, 1, 1, instrument_id)
                terms = msgspec.structs.replace(terms, quantity=lots * LOT, **near)
                self.note(self.venue.place(terms))
        return ()

    def crash(self) -> Events:
        """The index and every mark jump, and the venue liquidates while others go on."""
        level = self.pick((30_000, 60_000, 100_000, 100_000, 160_000))
        self.note(self.venue.index(level))
        self.note(self.venue.index(level // 30, 2))
        self.note(
            self.venue.mark(
                {
                    key: level if key in LINEAR else self.pick((10, 500, 2_500, 9_000, 40_000))
                    for key in self.venue.marks
                }
            )
        )
        for _ in range(self.draw(0, 12)):
            self.note(self.pick((self.sweep, self.sweep, self.bid, self.place))())
        return ()

    def sweep(self) -> Events:
        """Time passes on fresh prices, then everybody who is due is liquidated a step."""
        self.venue.wait(self.draw(0, 6))
        self.note(self.venue.index(self.venue.engine.index_price(1) // usdc(1)))
        self.note(self.venue.index(self.venue.engine.index_price(2) // usdc(1) or 3_000, 2))
        self.note(self.venue.mark({}))
        return self.venue.send(SweepLiquidations())

    def reconfigure(self) -> Events:
        """The operator changes one part of the parameters, or puts them all back."""
        old = self.venue.engine.parameters
        assert isinstance(old, Configure)
        other_fund = msgspec.structs.replace(LIQUIDATION, fund_subaccount_id=2)
        change = self.pick(
            (
                self.parameters(),
                {"liquidation": None},
                {"liquidation": other_fund},
                {"interest": None},
                {"position_limits": ()},
                {"breaker": BREAKER},
                {"funding": None},
                {"risk_bounds": None},
                {"publication": None},
                {"publication": NARROW},
                {"collaterals": HALVED},
                {"limits": msgspec.structs.replace(old.limits, combos_max=self.draw(0, 4))},
                {"limits": msgspec.structs.replace(old.limits, batch_items_max=self.draw(1, 60))},
                {"underlyings": old.underlyings[: self.draw(1, 2)]},
            )
        )
        fields = {"version": old.version + self.draw(0, 1)} | change
        return self.venue.send(msgspec.structs.replace(old, **fields))

    def extreme(self) -> Events:
        """Numbers at their bounds."""
        terms = self.venue.terms(
            self.pick(self.accounts), self.pick(list(Side)), 1, 1, self.instrument_id()
        )
        terms = msgspec.structs.replace(
            terms,
            quantity=self.pick((LOT, WIRE_MAX // LOT * LOT, 1_000 * 10_000)),
            limit_price=self.pick((TICK, WIRE_MAX // TICK * TICK, usdc(2_500))),
            max_fee=self.pick((usdc(1_000), WIRE_MAX)),
        )
        return self.venue.enter(
            PlaceOrder(
                terms=terms,
                signature=b"",
                market=self.draw(0, 1) == 1,
                time_in_force=self.pick(list(TimeInForce)),
                max_show=self.pick((0, LOT, WIRE_MAX // LOT * LOT)),
                volatility=self.pick((0, 0, 1, (1 << 31) - 1)),
                worth=self.pick((0, TICK, WIRE_MAX // TICK * TICK)),
            )
        )
