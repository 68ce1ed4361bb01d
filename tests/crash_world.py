"""A day like 2020-03-12 on a venue that liquidates: a population, makers who thin out, keepers.

Everything is seeded, so that a run can be repeated to the last unit. Prices have the shape of that
day, hour by hour with seeded noise between; they are no record of it.
"""

import itertools
import random
from collections import Counter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from tests.liquidation_world import PERCENT
from tests.venue import NS, START_S, USDC_TOKEN, WALLET, configuration, listing, usdc

from exchange.bootstrap.parameters import BREAKER, CONCENTRATION, FEES, LIMITS
from exchange.commands import (
    AnyCommand,
    BidLiquidation,
    Configure,
    DepositSeen,
    LiquidationParameters,
    ListInstruments,
    MassQuote,
    ObserveBlocks,
    PlaceOrder,
    SubaccountSeen,
    SweepLiquidations,
    UpdateIndex,
    Withdraw,
)
from exchange.engine import Engine
from exchange.events import (
    AnyEvent,
    LiquidationStarted,
    LossSocialised,
    PortfolioTransferred,
    Refused,
    Traded,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.remargin import MaintenanceSweep
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import load_preset, margin_parameters
from exchange.model import (
    FEE_SUBACCOUNT_ID,
    BidTerms,
    InstrumentTerms,
    Kind,
    OptionKind,
    OrderTerms,
    Quote,
    SheetTerms,
    Side,
    TimeInForce,
    Underlying,
    WithdrawalTerms,
    pack_instrument_id,
)

PATH: Final = (
    # index, volatility at the money; each an hour after the one before
    (7_935, 0.60), (7_900, 0.60), (7_860, 0.62), (7_820, 0.63), (7_760, 0.65), (7_700, 0.68),
    (7_640, 0.70), (7_600, 0.72), (7_500, 0.75), (7_300, 0.85), (6_450, 1.10), (6_050, 1.35),
    (6_200, 1.30), (6_050, 1.30), (5_900, 1.35), (6_050, 1.30), (6_150, 1.25), (5_850, 1.35),
    (5_750, 1.40), (5_900, 1.35), (5_700, 1.45), (5_350, 1.65), (4_900, 2.00), (4_550, 2.20),
    (3_950, 2.60), (4_700, 2.30), (5_050, 2.00),
)  # fmt: skip
EXPIRIES: Final = tuple(START_S // 86_400 * 86_400 + 8 * 3600 + days * 86_400 for days in (8, 36))
STRIKES: Final = range(3_000, 12_001, 1_500)
PERPETUAL: Final = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))
OPTIONS: Final = tuple(
    pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, expiry, usdc(strike), kind))
    for expiry in EXPIRIES
    for strike in STRIKES
    for kind in OptionKind
)
LIQUIDATION: Final = LiquidationParameters(
    round_ns=NS,
    slice_rate=25 * PERCENT,
    slice_band_rate=2 * PERCENT,
    slicing_ns=60 * NS,
    buffer_rate=15 * PERCENT,
    discount_start=5 * PERCENT,
    discount_end=30 * PERCENT,
    fast_ns=900 * NS,
    slow_ns=3_600 * NS,
    insolvent_ns=900 * NS,
    marks_age_ns_max=7_200 * NS,
    drift_rate_max=2 * PERCENT,
)
SWEEP_S: Final = 5


class Smile:
    """A volatility with a skew to the downside that a crash steepens."""

    def __init__(self, level: float) -> None:
        self.level = level

    def volatilities(self, expiry: int, forward_price: float, strikes: Any) -> Any:
        distance = np.log(np.asarray(strikes) / forward_price)
        return np.maximum(0.2, self.level - 0.25 * self.level * distance + 0.2 * distance**2)


class Case(NamedTuple):
    """What may go wrong besides the price."""

    epoch_s: int = 600  # between two epochs of risk arrays; sweeps go on in between
    depth: float = 1.0  # of the makers' quotes; 0: they are gone
    keepers: int = 4
    whale: int = 0  # contracts of puts that one account is short of
    fund: int = 250_000


CASES: Final = {
    "as it was": Case(),
    "no keepers": Case(keepers=0),
    "no makers": Case(depth=0.0),
    "neither, hourly gaps": Case(epoch_s=3_600, depth=0.0, keepers=0),
    "neither, and no fund": Case(epoch_s=3_600, depth=0.0, keepers=0, fund=0),
    "a whale": Case(whale=2_000),
}


class Crash:
    """One run; `play` returns the figures."""

    def __init__(self, accounts: int, case: Case, *, seed: int = 20_200_312) -> None:
        self.case = case
        self.random = random.Random(seed)
        self.engine = Engine()
        self.time_ns = START_S * NS
        self.seq = 0
        self.block = 0
        self.nonce = 0
        self.external = 0
        self.seen: Counter[str] = Counter()
        self.figures: dict[str, int] = Counter()
        self.begun: set[int] = set()
        self.preset = load_preset("pm33")
        self.epoch = 0
        self.level = PATH[0][1]
        self.index = float(PATH[0][0])
        self._open_venue()
        self.makers = [self.fund(f"maker{n}", 200_000_000) for n in range(4)]
        self.keepers = [self.fund(f"keeper{n}", 3_000_000) for n in range(case.keepers)]
        self.observe(DepositSeen(subaccount_id=FEE_SUBACCOUNT_ID, amount=usdc(case.fund)))
        self.people = [self._person(n) for n in range(accounts)]
        if case.whale:
            self.people.append(self._whale(case.whale))
        self.fund_before = self.engine.margin(FEE_SUBACCOUNT_ID).equity
        self.sweep = MaintenanceSweep(self.engine.marks)

    # -- the venue ------------------------------------------------------------------------------

    def send(self, command: AnyCommand) -> tuple[AnyEvent, ...]:
        self.seq += 1
        events = self.engine.apply(self.seq, self.time_ns, command)
        for event in events:
            self.seen[type(event).__name__] += 1
        return events

    def observe(self, *observations: Any) -> None:
        self.block += 1
        self.external += sum(one.amount for one in observations if isinstance(one, DepositSeen))
        self.send(
            ObserveBlocks(
                first_block=self.block,
                last_block=self.block,
                last_hash=f"0x{self.block:064x}",
                observations=observations,
            )
        )

    def fund(self, owner: str, cash: int) -> int:
        subaccount_id = max(self.engine.subaccounts) + 1
        self.observe(
            SubaccountSeen(subaccount_id=subaccount_id, owner=owner),
            DepositSeen(subaccount_id=subaccount_id, amount=usdc(cash)),
        )
        return subaccount_id

    def _open_venue(self) -> None:
        margin = msgspec.structs.replace(
            margin_parameters(self.preset), concentration=CONCENTRATION
        )
        parameters: Configure = configuration(
            underlyings=(Underlying(underlying_id=1, name="BTC"),),
            fees=FEES,
            margin=margin,
            limits=msgspec.structs.replace(
                LIMITS, marks_age_ns_max=7_200 * NS, index_age_ns_max=7_200 * NS
            ),
            breaker=BREAKER,
            liquidation=LIQUIDATION,
        )
        self.send(parameters)
        grid = {"tick_size": 10_000, "lot_size": 100, "min_quantity": 100}
        listings = tuple(listing(key, **grid) for key in (*OPTIONS, PERPETUAL))
        self.send(ListInstruments(listings=listings))
        self.mark()

    def mark(self) -> None:
        """An index sample and an epoch of risk arrays."""
        self.epoch += 1
        self._tick()
        market = Market(
            time_ns=self.time_ns,
            underlyings=(
                UnderlyingMarket(
                    underlying_id=1,
                    index_price=round(self.index, 2),
                    surface=Smile(self.level),
                    expiries=tuple(
                        ExpiryMarket(expiry=expiry, forward_price=self.index) for expiry in EXPIRIES
                    ),
                    perpetual_price=self.index,
                ),
            ),
        )
        self.send(build_update(self.preset, market, (*OPTIONS, PERPETUAL), self.epoch))

    def terms(self, who: int, side: Side, key: int, quantity: int, price: int) -> OrderTerms:
        self.nonce += 1
        return OrderTerms(
            subaccount_id=who,
            instrument_id=key,
            side=side,
            quantity=quantity,
            limit_price=price,
            max_fee=usdc(100),
            nonce=self.nonce,
            deadline=self.time_ns // NS + 86_400,
            signer=self.engine.subaccounts[who].owner,
        )

    # -- the population ---------------------------------------------------------------------------

    def _person(self, number: int) -> int:
        """Somebody with a portfolio of a kind, and as much cash as they dare to leave."""
        draw = self.random
        who = self.fund(f"person{number}", 50_000_000)
        size = max(1, int(draw.lognormvariate(0.0, 1.0) * 100)) * 100  # around one contract
        for key, sign in self._portfolio(draw):
            self._trade(who, key, sign, size)
        self._leave(who, draw.uniform(0.35, 0.98))
        return who

    def _whale(self, size: int) -> int:
        """One account short of puts that nobody could buy back in an hour."""
        who = self.fund("whale", 50_000_000)
        strike = usdc(6_000)
        for expiry in EXPIRIES:
            terms = InstrumentTerms(Kind.OPTION, 1, expiry, strike, OptionKind.PUT)
            for _ in range(size // 2 // 100):
                self._trade(who, pack_instrument_id(terms), -1, 100 * QUANTITY_SCALE)
        self._leave(who, 0.9)
        return who

    def _leave(self, who: int, used: float) -> None:
        """Take cash out until this part of what is left is needed as initial margin."""
        margin = self.engine.margin(who)
        keep = int(margin.initial_margin / used) - margin.equity + margin.cash
        self._withdraw(who, max(0, margin.cash - max(keep, usdc(50))))

    def _portfolio(self, draw: random.Random) -> list[tuple[int, int]]:
        """(instrument, sign) of each leg."""

        def option(kind: OptionKind, low: float, high: float) -> int:
            wanted = self.index * draw.uniform(low, high)
            strike = min(STRIKES, key=lambda one: abs(one - wanted))
            expiry = draw.choice(EXPIRIES)
            return pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, expiry, usdc(strike), kind))

        call, put = OptionKind.CALL, OptionKind.PUT
        return draw.choice(
            (
                [(option(put, 0.75, 0.98), -1)],
                [(option(put, 0.75, 0.98), -1), (option(call, 1.02, 1.3), -1)],
                [(option(put, 0.85, 1.0), -1), (option(put, 0.6, 0.75), 1)],
                [(option(call, 0.95, 1.2), 1)],
                [(option(put, 0.8, 1.0), 1)],
                [(PERPETUAL, 1)],
                [(PERPETUAL, -1), (option(call, 1.0, 1.2), 1)],
                [(PERPETUAL, 1), (option(put, 0.8, 0.95), 1)],
            )
        )

    def _trade(self, who: int, key: int, sign: int, quantity: int) -> None:
        """A fill at the mark with a maker; nothing happens where margin forbids it."""
        mark = self.engine.mark(key)
        assert mark is not None
        price = max(10_000, mark.mark_price // 10_000 * 10_000)
        maker = self.random.choice(self.makers)
        side = Side.BUY if sign > 0 else Side.SELL
        for one, its_side in ((maker, side.opposite), (who, side)):
            terms = self.terms(one, its_side, key, quantity, price)
            self.send(PlaceOrder(terms=terms, signature=b"", time_in_force=TimeInForce.GTC))

    def _withdraw(self, who: int, amount: int) -> None:
        self.nonce += 1
        owner = self.engine.subaccounts[who].owner
        terms = WithdrawalTerms(
            subaccount_id=who,
            token=USDC_TOKEN,
            amount=amount,
            recipient=WALLET,
            nonce=self.nonce,
            deadline=self.time_ns // NS + 60,
            signer=owner,
        )
        events = self.send(Withdraw(terms=terms, signature=b""))
        assert not any(isinstance(event, Refused) for event in events)
        self.external -= amount

    # -- the day ----------------------------------------------------------------------------------

    def play(self) -> dict[str, int]:
        """The whole day; conservation is asserted after each epoch."""
        parts = 3_600 // self.case.epoch_s
        for hour, (start, end) in enumerate(itertools.pairwise(PATH)):
            for part in range(parts):
                self._move(start, end, (part + 1) / parts)
                self.mark()
                self._quote()
                self._liquidate()
                assert self.engine.total_cash() == self.external, f"hour {hour}"
        self.engine.check()
        return self._report()

    def _move(self, start: tuple[int, float], end: tuple[int, float], share: float) -> None:
        noise = self.random.gauss(0.0, 0.002 * self.level) if share < 1 else 0.0
        self.index = start[0] * (end[0] / start[0]) ** share * (1 + noise)
        self.level = start[1] + (end[1] - start[1]) * share

    def _quote(self) -> None:
        """A maker quotes every instrument; spreads grow and sizes shrink with volatility."""
        half = 0.004 * self.level  # of the mark, and of the index for cheap options
        size = int(self.case.depth * 24 / self.level**2) * 1_000
        if size == 0:
            return
        maker = self.makers[0]
        lines = []
        for key in (*OPTIONS, PERPETUAL):
            mark = self.engine.mark(key)
            assert mark is not None
            edge = int(mark.mark_price * 2 * half + self.index * CASH_SCALE * half / 10)
            bid = max(10_000, (mark.mark_price - edge) // 10_000 * 10_000)
            ask = (mark.mark_price + edge) // 10_000 * 10_000 + 20_000
            lines.append(Quote(key, bid, size, ask, size))
        self.nonce += 2 * len(lines)
        terms = SheetTerms(
            subaccount_id=maker,
            sheet_nonce=self.epoch,
            first_nonce=self.nonce - 2 * len(lines) + 1,
            max_fee=usdc(100),
            deadline=self.time_ns // NS + 86_400,
            signer=self.engine.subaccounts[maker].owner,
        )
        self.send(MassQuote(terms=terms, quotes=tuple(lines), signature=b""))

    def _liquidate(self) -> None:
        """Sweeps until the next epoch; keepers bid where the discount pays for the risk."""
        until = self.time_ns + self.case.epoch_s * NS
        accounts = [
            one.account
            for key, one in self.engine.subaccounts.items()
            if key not in self.engine.liquidated
        ]
        suspects = tuple(self.sweep.liquidatable(accounts))
        at = 0
        while (suspects or self.engine.liquidated) and self.time_ns + SWEEP_S * NS < until:
            self._count(self.send(SweepLiquidations(suspects=suspects)))
            suspects = ()
            at += 1
            if at % 6 == 0:
                self._bid()
                self._tick()
            self.time_ns += SWEEP_S * NS
        self.time_ns = until

    def _tick(self) -> None:
        """The index goes on between epochs: the same price, as fresh as the rules ask."""
        self.send(
            UpdateIndex(
                underlying_id=1,
                index_price=round(self.index * 100) * 10_000,
                confidence=RATIO_SCALE,
            )
        )

    def _bid(self) -> None:
        """Each keeper takes what is offered for a discount of 8 % of the requirement it carries."""
        for view in self.engine.liquidations():
            sale = view.for_sale
            carried = view.maintenance_margin * (sale.fraction if sale else 0)
            if sale is None or not self.keepers or sale.discount * RATIO_SCALE * 100 < 8 * carried:
                continue
            keeper = self.random.choice(self.keepers)
            self.nonce += 1
            terms = BidTerms(
                subaccount_id=keeper,
                liquidated_id=view.subaccount_id,
                fraction=sale.fraction,
                price_limit=sale.price,
                expected_step=view.step,
                nonce=self.nonce,
                deadline=self.time_ns // NS + 60,
                signer=self.engine.subaccounts[keeper].owner,
            )
            self._count(self.send(BidLiquidation(terms=terms, signature=b"")))

    def _count(self, events: tuple[AnyEvent, ...]) -> None:
        figures = self.figures
        for event in events:
            if isinstance(event, LiquidationStarted):
                self.begun.add(event.subaccount_id)
            elif isinstance(event, Traded) and event.liquidation:
                figures["sliced_contracts"] += event.quantity
            elif isinstance(event, PortfolioTransferred):
                by_keeper = event.taker_subaccount_id in self.keepers
                figures["sold_to_keepers" if by_keeper else "taken_over_by_fund"] += 1
                if event.by_fund:
                    figures["insolvent_transfers"] += 1
                    figures["discounts_of_fund"] += event.discount
                else:
                    figures["discounts_of_accounts"] += event.discount
            elif isinstance(event, LossSocialised):
                figures["socialised"] += event.amount
                figures["largest_share"] = max(
                    [figures["largest_share"], *(amount for _, amount in event.shares)]
                )

    def _report(self) -> dict[str, int]:
        """Counts, and amounts in whole USDC."""
        fund = self.engine.margin(FEE_SUBACCOUNT_ID)
        begun = self.seen["LiquidationStarted"]
        below = [who for who in self.people if self.engine.margin(who).equity < 0]
        amounts = ("discounts_of_accounts", "discounts_of_fund", "socialised", "largest_share")
        return {
            "accounts": len(self.people),
            "accounts_liquidated": len(self.begun & set(self.people)),
            "liquidations": begun,
            "slices": self.seen["LiquidationSliced"],
            "sliced_contracts": self.figures["sliced_contracts"] // QUANTITY_SCALE,
            "sold_to_keepers": self.figures["sold_to_keepers"],
            "taken_over_by_fund": self.figures["taken_over_by_fund"],
            "insolvent_transfers": self.figures["insolvent_transfers"],
            "still_running": len(self.engine.liquidated),
            "accounts_below_zero_at_the_end": len(below),
            "fund_before_usdc": self.fund_before // CASH_SCALE,
            "fund_after_usdc": fund.equity // CASH_SCALE,
            "insurance_payments": self.seen["InsuranceUsed"],
            **{f"{name}_usdc": self.figures[name] // CASH_SCALE for name in amounts},
        }
