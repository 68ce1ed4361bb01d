"""Random commands for the engine, by a choice of numbers: Hypothesis and a seed both drive it.

A `Flow` holds a venue and turns draws into commands that are mostly good and sometimes bad. After
every step the venue checks itself (`tests.venue.Venue.send`); `finish` compares a twin's replay.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from tests.block_flow import trade_block
from tests.chain_flow import follow_chain
from tests.liquidation_world import bid, rules
from tests.venue import (
    COLLATERALS,
    EXPIRY_S,
    FEES,
    NS,
    PERP,
    WBTC,
    WETH,
    C,
    Venue,
    call,
    contracts,
    future,
    limits,
    linear_venue,
    put,
    tokens,
    usdc,
)

from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    AdjustRisk,
    AdvanceClock,
    AmendOrder,
    BatchSeen,
    BreakerParameters,
    CancelAll,
    CancelOrder,
    CutBatch,
    DepositSeen,
    Halt,
    InterestParameters,
    KeyScopeSeen,
    MassQuote,
    NonceFloorSeen,
    NonceVoidSeen,
    PlaceLinked,
    PlaceOrder,
    PositionLimit,
    PricedOrder,
    ProtectionParameters,
    ReleaseOrders,
    Reprice,
    ResetProtection,
    Resume,
    RiskBounds,
    SessionKeySeen,
    SetProtection,
    SetSpeedBump,
    SheetFloorSeen,
    SweepLiquidations,
)
from exchange.events import AnyEvent, OrderArmed, OrderPlaced, Refused
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    HitCondition,
    InstrumentStatus,
    KeyLimit,
    KeyScope,
    Kind,
    LinkKind,
    OrderTerms,
    PriceSource,
    Quote,
    SelfTradePrevention,
    SheetTerms,
    Side,
    TimeInForce,
    Trigger,
    TriggerKind,
)
from exchange.signing import trigger_hash
from exchange.terms import INTEREST_RATE_MAX

Draw = Callable[[int, int], int]  # an integer between two bounds, both possible
Events = tuple[AnyEvent, ...]

OWNERS: Final = ("ann", "bob", "carol")
DAY: Final = 86_400
FIRST_EXPIRY: Final = EXPIRY_S - 32 * DAY  # the second day at 08:00
NEAR_FUTURE: Final = future(FIRST_EXPIRY)
NEAR_OPTIONS: Final = (call(100_000, expiry=FIRST_EXPIRY), put(100_000, expiry=FIRST_EXPIRY))
NEAR: Final = (*NEAR_OPTIONS, NEAR_FUTURE)
LINEAR: Final = (PERP, NEAR_FUTURE)
TRADED: Final = (*NEAR, C, PERP)
LOT: Final = 100
BREAKER: Final = BreakerParameters(
    move_rate=RATIO_SCALE * 3 // 100,
    window_ns=60 * NS,
    cool_off_ns=5 * NS,
    auction_ns=5 * NS,
    mark_move_rate=RATIO_SCALE * 3 // 100,
)


RISK_BOUNDS: Final = RiskBounds(
    scan_min=RATIO_SCALE,
    scan_max=RATIO_SCALE * 2,
    volatility_min=RATIO_SCALE,
    volatility_max=RATIO_SCALE * 2,
    rise_max=RATIO_SCALE // 2,
    fall_max=RATIO_SCALE // 4,
    interval_ns=NS,
)


# A cap that a few deposits reach, a dear loan that soon runs out, and limits that are met.
MONEY: Final = {
    "collaterals": tuple(
        msgspec.structs.replace(asset, total_cap=tokens(4)) for asset in COLLATERALS
    ),
    "transfers": True,
    "interest": InterestParameters(rate=INTEREST_RATE_MAX, interval_ns=NS, debt_max=usdc(4_000)),
    "position_limits": (
        PositionLimit(underlying_id=1, contracts_max=contracts(9), open_interest_max=contracts(8)),
    ),
}


class Flow:
    """A venue with six subaccounts of three owners, and what may happen to it."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.venue: Venue = linear_venue(**self.parameters())
        self.venue.list_instruments(*NEAR)
        self.venue.mark(dict.fromkeys(NEAR_OPTIONS, 2_500) | {NEAR_FUTURE: 100_000})
        self.accounts = [
            self.venue.fund(owner, cash, standard=owner == OWNERS[2])
            for owner in OWNERS
            for cash in (15_000, 400_000)
        ]
        self.borrow()
        self.terms: list[OrderTerms] = []  # everything signed, also what was refused
        self.orders: list[tuple[int, int]] = []  # (subaccount_id, order_id)
        self.sheets: list[MassQuote] = []
        self.bounded: set[str] = set()  # owners whose second key has a scope
        self.seen: Counter[str] = Counter()
        self.asked = 0  # forced exits

    def borrow(self) -> None:
        """One more account: it owes for an option that tokens back."""
        self.accounts.append(self.venue.fund(OWNERS[0], 1_000))
        self.venue.give(self.accounts[-1], WBTC, 2)
        self.venue.sell(self.accounts[3], 1, 2_500)
        self.venue.buy(self.accounts[-1], 1, 2_500)

    def parameters(self) -> dict[str, Any]:
        """What the venue is configured with."""
        return {
            "fees": FEES,
            "limits": limits(open_orders_max=5, batch_items_max=12),
            "breaker": BREAKER,
            "liquidation": rules(slicing_ns=3 * NS, fast_ns=4 * NS, slow_ns=8 * NS),
            "risk_bounds": RISK_BOUNDS,
            **MONEY,
        }

    def step(self) -> None:
        """One command, or a moment of silence."""
        choices = [kind for weight, kind in self.kinds() for _ in range(weight)]
        self.note(self.pick(choices)())

    def kinds(self) -> tuple[tuple[int, Callable[[], Events]], ...]:
        """What may happen, and how often."""
        return (
            (30, self.place),
            (12, self.meet),
            (4, self.link),
            (3, lambda: trade_block(self)),
            (4, self.amend),
            (2, self.quote),
            (2, self.reprice),
            (1, self.bump),
            (2, self.cancel),
            (4, self.index),
            (1, self.mark),
            (1, self.fund),
            (1, self.withdraw),
            (1, self.chain),
            (1, lambda: follow_chain(self)),
            (1, self.batch),
            (1, self.repeat),
            (1, self.pass_time),
            (1, self.expire),
            (4, self.protect),
            (1, self.halt),
            (2, self.resume),
            (2, self.liquidate),
            (1, self.bid),
            (1, self.adjust),
            (2, self.token),
            (2, self.money),
        )

    def finish(self) -> None:
        """The same commands give the same events and the same state."""
        twin = self.venue.twin()
        twin.check()
        assert twin.state_hash() == self.venue.engine.state_hash()

    def note(self, events: Events) -> None:
        """Count what happened, and remember orders."""
        for event in events:
            name = event.reason.value if isinstance(event, Refused) else type(event).__name__
            self.seen[name] += 1
            if isinstance(event, OrderPlaced | OrderArmed):
                self.orders.append((event.subaccount_id, event.order_id))

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[self.draw(0, len(choices) - 1)]

    def instrument_id(self) -> int:
        """Mostly one that trades."""
        live = [key for key in TRADED if key in self.venue.marks]
        return self.pick(TRADED if self.rarely() else live)

    def rarely(self) -> bool:
        return self.draw(0, 9) == 9

    # --- what may happen ---

    def adjust(self) -> Events:
        """A step of the scan ranges."""
        underlying_id = self.draw(1, 3)
        known = self.venue.engine.risk_scale(underlying_id)
        return self.venue.send(
            AdjustRisk(
                version=known.version + self.draw(0, 1),
                underlying_id=underlying_id,
                scan=known.scan + self.draw(-4, 6) * RATIO_SCALE // 10,
                volatility=known.volatility,
                reason="drawn",
            )
        )

    def place(self) -> Events:
        """One order; some wait for a price."""
        trigger = self.trigger() if self.draw(0, 5) == 0 else None
        return self.venue.enter(self.order(self.pick(self.accounts), trigger))

    def meet(self) -> Events:
        """A plain order at the best price of the other side, if anything rests there."""
        instrument_id, side = self.instrument_id(), self.pick(list(Side))
        best = self.venue.engine.levels(instrument_id, side.opposite, 1)
        if not best:
            return self.place()
        terms = self.venue.terms(self.pick(self.accounts), side, 1, 1, instrument_id)
        quantity = self.draw(1, 40) * LOT
        terms = msgspec.structs.replace(terms, quantity=quantity, limit_price=best[0][0])
        return self.venue.enter(PlaceOrder(terms=terms, signature=b"", mmp=self.draw(0, 1) == 0))

    def link(self) -> Events:
        """Two or three orders of one subaccount that depend on each other."""
        kind, who = self.pick(list(LinkKind)), self.pick(self.accounts)
        count = 2 + (kind is LinkKind.OTOCO or self.rarely())
        triggers = [self.trigger() if self.draw(0, 2) == 0 else None for _ in range(count)]
        command = PlaceLinked(
            kind=kind,
            condition=self.pick(list(HitCondition)),
            orders=tuple(self.order(who, trigger) for trigger in triggers),
        )
        return self.venue.send(command)

    def trigger(self) -> Trigger:
        """Near the prices of now, so that many fire."""
        kind = self.pick((*TriggerKind, TriggerKind.STOP))
        source = self.pick(list(PriceSource))
        near = 100_000 if source is PriceSource.INDEX else 2_500
        if kind is TriggerKind.TRAILING:
            return Trigger(kind=kind, source=source, trail_offset=self.draw(0, 9) * usdc(10))
        price = usdc(near) + self.draw(-10, 10) * usdc(near // 250)
        return Trigger(kind=kind, source=source, trigger_price=price)

    def order(self, who: int, trigger: Trigger | None) -> PlaceOrder:
        """Around the mark, so that many trade; instructions of all kinds."""
        side = self.pick(list(Side))
        terms = self.venue.terms(
            who,
            side,
            1,
            1,
            self.instrument_id(),
            max_fee=usdc(29 if self.rarely() else 1_000),
            reduce_only=self.draw(0, 4) == 0,
            deadline=self.venue.now_s + self.pick((5, 600, DAY, DAY, DAY)),
            trigger_hash=trigger_hash(trigger),
        )
        if self.rarely():
            change = self.pick(
                (
                    {"signer": "key"},
                    {"signer": "key"},
                    {"signer": "bounded"},
                    {"signer": "mallory"},
                    {"nonce": self.draw(1, self.venue.next_nonce)},
                    {"deadline": self.venue.now_s + self.pick((0, 10**7))},
                )
            )
            terms = msgspec.structs.replace(terms, **change)
        linear = terms.instrument_id in LINEAR
        quantity = self.draw(1, 40 if linear else 400) * LOT
        price = self.near_price(usdc(99_900) if linear else usdc(2_400))
        terms = msgspec.structs.replace(terms, quantity=quantity, limit_price=price)
        self.terms.append(terms)
        time_in_force = self.pick((TimeInForce.GTC, TimeInForce.GTC, *TimeInForce))
        follows = trigger is None and self.draw(0, 4) == 0
        return PlaceOrder(
            terms=terms,
            signature=b"",
            market=time_in_force in (TimeInForce.IOC, TimeInForce.FOK) and self.draw(0, 1) == 1,
            volatility=600_000 if follows else 0,
            worth=self.near_price() if follows else 0,
            trigger=None if self.rarely() else trigger,
            time_in_force=time_in_force,
            post_only=self.rarely(),
            reject_post_only=self.draw(0, 1) == 1,
            self_trade_prevention=self.pick(list(SelfTradePrevention)),
            max_show=self.pick((0, 0, LOT, 50 * LOT)),
            mmp=self.draw(0, 3) == 0,
        )

    def near_price(self, low: int = usdc(2_400)) -> int:
        return low + self.draw(0, 20) * usdc(10) + int(self.rarely())

    def bump(self) -> Events:
        """Takers of an instrument wait for seconds, or no more; or time passes for those who do."""
        if self.draw(0, 1):
            self.venue.wait(self.draw(0, 3))
            return self.venue.send(ReleaseOrders())
        delay_ns = self.pick((0, 0, 0, NS))
        return self.venue.send(SetSpeedBump(instrument_id=self.instrument_id(), delay_ns=delay_ns))

    def reprice(self) -> Events:
        """The marks loop moves volatility orders; rarely it names another order."""
        orders = [view.order_id for view in self.venue.engine.volatility_orders()]
        if self.orders and self.rarely():
            orders.append(self.pick(self.orders)[1])
        priced = tuple(PricedOrder(order_id=id_, price=self.near_price()) for id_ in orders)
        return self.venue.send(Reprice(orders=priced))

    def protect(self) -> Events:
        """A maker sets limits that a few fills exceed, takes them away, or ends a freeze."""
        key = {"subaccount_id": self.pick(self.accounts), "underlying_id": 1}
        if self.rarely():
            return self.venue.send(ResetProtection(**key))
        limits = ProtectionParameters(
            interval_ns=60 * NS, frozen_ns=self.pick((0, 10 * NS)), quantity_limit=50 * LOT
        )
        return self.venue.send(SetProtection(limits=self.pick((limits, limits, None)), **key))

    def halt(self) -> Events:
        """An operator halts an instrument, an underlying, or all."""
        if self.draw(0, 2):
            return self.place()
        instrument_id = self.pick((*TRADED, 0))
        return self.venue.send(Halt(instrument_id=instrument_id, underlying_id=self.draw(0, 1)))

    def resume(self) -> Events:
        """An operator resumes; orders that cross are collected, and meet when the time is over."""
        status = self.venue.engine.status
        halted = [key for key in TRADED if status(key) is InstrumentStatus.HALTED]
        if not halted:
            return self.place()
        for scope in {"instrument_id": self.pick(halted)}, {"underlying_id": 1}:
            self.note(self.venue.send(Resume(**scope)))
        for _ in range(self.draw(0, 6)):
            self.note(self.place())
        self.venue.wait(6)
        return self.index()

    def amend(self) -> Events:
        """Terms once signed, with a higher version and other numbers."""
        orders = self.venue.engine.open_orders(self.pick(self.accounts))
        if orders and self.draw(0, 4):
            old = self.venue.engine._venue.orders[self.pick(orders).order_id].terms
        elif self.terms:
            old = self.pick(self.terms[-20:])
        else:
            return ()
        known = self.venue.engine.order_by_nonce(old.subaccount_id, old.nonce)
        follows = bool(known and known.volatility) is not self.rarely()
        terms = msgspec.structs.replace(
            old,
            version=old.version + (0 if self.rarely() else self.draw(1, 2)),
            quantity=self.draw(0, 400) * LOT,
            # no further than the wire reaches
            limit_price=min(old.limit_price + self.draw(-3, 3) * usdc(10), (1 << 63) - 1),
            side=old.side.opposite if self.rarely() else old.side,
            deadline=self.venue.now_s + self.pick((5, 600)),
        )
        self.terms.append(terms)
        return self.venue.send(
            AmendOrder(
                terms=terms,
                signature=b"",
                volatility=500_000 if follows else 0,
                worth=self.near_price() if follows else 0,
                max_show=self.pick((None, None, 0, LOT, 50 * LOT)),
            )
        )

    def quote(self) -> Events:
        """A sheet around the mark, mostly under the next nonces, or a recent one again."""
        if self.sheets and self.rarely():
            return self.venue.send(self.pick(self.sheets[-4:]))
        who = self.pick(self.accounts)
        nonce = self.venue.next_nonce
        signer = "key" if self.rarely() else self.venue.engine.subaccounts[who].owner
        terms = SheetTerms(
            subaccount_id=who,
            sheet_nonce=nonce - self.draw(0, 30) * int(self.rarely()),
            first_nonce=nonce - self.draw(0, 9) * int(self.rarely()),
            max_fee=usdc(29 if self.rarely() else 1_000),
            deadline=self.venue.now_s + self.pick((5, 600, DAY)),
            signer=signer,
        )
        self.venue.next_nonce += 2 * len(TRADED)
        lines = tuple(self.quote_line(id_) for id_ in TRADED if self.draw(0, 3))
        mmp = self.rarely()
        command = MassQuote(terms=terms, quotes=lines, signature=b"", mmp=mmp)
        self.sheets.append(command)
        return self.venue.send(command)

    def quote_line(self, instrument_id: int) -> Quote:
        linear = instrument_id in LINEAR
        low, lots = (usdc(99_900), 5 * LOT) if linear else (usdc(2_400), 50 * LOT)
        return Quote(
            instrument_id,
            low + self.draw(0, 8) * usdc(10),
            self.draw(0, 3) * lots,
            low + self.draw(7, 15) * usdc(10),
            self.draw(0, 3) * lots,
        )

    def cancel(self) -> Events:
        """One order, of whoever, or all orders of somebody."""
        if self.orders and self.draw(0, 2):
            owner, order_id = self.pick(self.orders[-20:])
            return self.venue.send(CancelOrder(subaccount_id=owner, order_id=order_id))
        scope = {"subaccount_id": self.pick((*self.accounts, 99))}
        filters = (
            {},
            {"instrument_id": self.pick(TRADED)},
            {"nonce_below": self.draw(0, self.venue.next_nonce)},
            {"underlying_id": 2},
            {"quotes_only": True},
        )
        return self.venue.send(CancelAll(**scope, **self.pick(filters)))

    def repeat(self) -> Events:
        """A command of the past comes again, whole."""
        command = self.pick(self.venue.entries[-30:])[2]
        return self.venue.send(command)

    def index(self) -> Events:
        """A sample near the last one, sometimes one that halts."""
        reach = 2_000 if self.rarely() else 700
        return self.venue.index(100_000 + self.draw(-reach, reach))

    def mark(self) -> Events:
        """One instrument's mark moves, sometimes far."""
        instrument_id = self.pick([key for key in TRADED if key in self.venue.marks])
        if instrument_id in LINEAR:
            return self.venue.mark({instrument_id: 100_000 + self.draw(-5, 5) * 50})
        return self.venue.mark(
            {instrument_id: self.pick((6_000, 500) if self.rarely() else range(2_400, 2_600, 20))}
        )

    def fund(self) -> Events:
        """A premium or a discount for a while, funding moves, and somebody realises it."""
        self.note(self.venue.mark({PERP: 100_000 + self.draw(-5, 5) * 50}))
        self.venue.wait(self.pick((1, 5, 9)))
        self.note(self.index())
        self.note(self.venue.send(AccrueFunding()))
        buyer, seller = self.pick(self.accounts), self.pick(self.accounts)
        self.note(self.venue.sell(seller, "0.1", 100_000, instrument_id=PERP))
        return self.venue.buy(buyer, "0.1", 100_000, instrument_id=PERP)

    def liquidate(self) -> Events:
        """Sweeps in a row, each on fresh prices, of everybody or of some."""
        some = (self.pick(self.accounts), 99)
        hurt = self.pick([key for key in TRADED if key in self.venue.marks])
        self.note(self.venue.mark({hurt: self.pick((20_000, 9_000, 4_000, 100))}))
        for _ in range(self.draw(1, 6)):
            self.venue.wait(1)
            self.note(self.index())
            self.note(self.venue.mark({}))
            self.note(self.venue.send(SweepLiquidations(suspects=self.pick((None, some)))))
        return self.venue.send(SweepLiquidations())

    def bid(self) -> Events:
        """For whoever is in an auction, mostly well meant."""
        running = self.venue.engine.liquidations()
        whom = self.pick(running).subaccount_id if running else self.pick(self.accounts)
        fraction = self.pick((10**18, 10**17, 1, 0))
        return bid(self.venue, self.pick(self.accounts), whom, fraction, self.draw(-9_000, 9_000))

    def withdraw(self) -> Events:
        """Some cash leaves, or too much is asked."""
        return self.venue.withdraw(self.pick(self.accounts), self.draw(0, 100_000))

    def token(self) -> Events:
        """A token arrives, is asked for, or goes to another subaccount."""
        who, asset = self.pick(self.accounts), self.pick((WETH, WBTC))
        amount = self.draw(1, tokens(2))
        kind = self.draw(0, 2)
        if kind == 0:
            seen = DepositSeen(subaccount_id=who, amount=amount, token=COLLATERALS[asset - 1].token)
            return self.venue.observe(seen)
        token = COLLATERALS[asset - 1].token
        if kind == 1:
            leaving = self.venue.withdrawal(who, 0)
            terms = msgspec.structs.replace(leaving.terms, amount=amount, token=token)
            return self.venue.send(msgspec.structs.replace(leaving, terms=terms))
        return self.venue.move(who, self.pick(self.accounts), amount, token=token)

    def money(self) -> Events:
        """Cash goes to another subaccount, or debts pay their interest."""
        if self.draw(0, 1):
            return self.venue.send(AccrueInterest())
        who, to = self.pick(self.accounts), self.pick(self.accounts)
        return self.venue.move(who, to, self.draw(0, usdc(5_000)))

    def chain(self) -> Events:
        """Logs: cash, keys, floors, cancels, confirmations."""
        who = self.pick(self.accounts)
        owner = self.venue.engine.subaccounts[who].owner
        deadline = self.pick((0, self.venue.now_s + 600, self.venue.now_s + 10**6))
        floor = max(0, self.venue.next_nonce - self.draw(0, 40))
        seen = self.pick(
            (
                DepositSeen(subaccount_id=who, amount=self.draw(1, 10**9)),
                SessionKeySeen(owner=owner, key="key", deadline=deadline),
                SessionKeySeen(owner=owner, key="key", deadline=deadline),
                SessionKeySeen(owner=owner, key="bounded", deadline=deadline),
                SessionKeySeen(owner=owner, key="bounded", deadline=deadline),
                NonceFloorSeen(subaccount_id=who, floor=floor),
                NonceVoidSeen(subaccount_id=who, nonce=floor + self.draw(0, 40)),
                SheetFloorSeen(subaccount_id=who, floor=floor),
                BatchSeen(
                    number=self.venue.engine.batch_number,
                    batch_hash=bytes(32),
                    block=1,
                    transaction="",
                ),
            )
        )
        if getattr(seen, "key", "") == "bounded" and owner not in self.bounded:
            self.bounded.add(owner)  # the chain scopes a key once, before its first grant
            scope = KeyScopeSeen(owner=owner, key="bounded", scope=self.key_scope())
            return self.venue.observe(scope, seen)
        return self.venue.observe(seen)

    def key_scope(self) -> KeyScope:
        """Options on BTC, a few contracts a day, near the mark or not."""
        limit = KeyLimit(underlying_id=1, daily_quantity=contracts(self.draw(0, 30)))
        band = (0, RATIO_SCALE // 50)[self.draw(0, 1)]
        return KeyScope(kinds=(Kind.OPTION,), limits=(limit,), band_rate=band)

    def batch(self) -> Events:
        """A settlement batch is cut."""
        return self.venue.send(CutBatch())

    def pass_time(self) -> Events:
        """A while, with or without an index at its end."""
        self.venue.wait(self.pick((1, 10, 31, 600, 7_200)))
        if self.draw(0, 3):
            return self.venue.index()
        return self.venue.send(AdvanceClock(by_ns=self.draw(0, NS)))

    def expire(self) -> Events:
        """The near expiry is asked for; rarely does its time come, at once or after a hole."""
        delivered = (1, FIRST_EXPIRY) in self.venue.engine.delivery_prices
        if not delivered and self.rarely() and self.venue.now_s < FIRST_EXPIRY:
            self.venue.wait_until(FIRST_EXPIRY - 1_800)
            for _ in range(61):
                self.note(self.index())
                self.venue.wait(30)
        events = self.venue.expire(FIRST_EXPIRY)
        if (1, FIRST_EXPIRY) in self.venue.engine.delivery_prices:
            for instrument_id in NEAR:
                self.venue.marks.pop(instrument_id, None)
        return events
