"""What the engine remembers: subaccounts, orders, books, samples.

Plain mutable records without rules; the rules are in the modules beside this one. Everything here
enters `Venue.state()`, which is what the state hash covers.
"""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from mypy_extensions import mypyc_attr

from exchange.commands import Configure
from exchange.engine.chain_memory import AnyAct, Batches, ChainMemory
from exchange.engine.exit_memory import Exits
from exchange.engine.liquidated import Force, Liquidation, Loss
from exchange.engine.records import LegWait, LinkNews, Order, RiskScale, Sheet
from exchange.engine.remembered import EndedOrders, Nonces
from exchange.events import AnyEvent, Refused, RejectReason
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook
from exchange.margin.standard import StandardAccount
from exchange.matching.book import OrderBook
from exchange.matching.breaker import Breaker, BreakerRules
from exchange.matching.linked import LinkTable
from exchange.matching.protection import Protection
from exchange.matching.speed_bump import SpeedBump
from exchange.matching.triggers import TriggerBook
from exchange.model import (
    Instrument,
    InstrumentStatus,
    KeyScope,
    PriceSource,
    numbered,
)

if TYPE_CHECKING:
    from exchange.engine.gates import Gate

_encoder: Final = msgspec.msgpack.Encoder()


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Subaccount:
    """A unit of margin and its orders, by nonce and by id."""

    __slots__ = (
        "account",
        "nonce_floor",
        "open_orders",
        "orders",
        "owner",
        "owner_key",
        "reducing",
        "sheet",
        "sheet_floor",
        "subaccount_id",
        "used_nonces",
    )

    def __init__(
        self, subaccount_id: int, owner: str, owner_key: int, account: MarginAccount
    ) -> None:
        self.subaccount_id = subaccount_id
        self.owner = owner
        self.owner_key = owner_key
        self.account = account
        self.nonce_floor = 0
        self.orders: dict[int, Order] = {}  # by nonce, until some time after the deadline
        self.open_orders: dict[int, Order] = {}  # by order_id, resting and waiting, as entered
        self.reducing: set[int] = set()  # of them those that are reduce-only
        self.sheet: Sheet | None = None
        self.sheet_floor = 0  # lower sheets are void
        # Of forgotten orders that filled, of withdrawals, and those that were canceled on chain.
        self.used_nonces = Nonces()

    @property
    def cash(self) -> int:
        """Cash in micro-USDC; may be negative."""
        return self.account.cash

    def open(self, order: Order) -> None:
        """Know an order that rests or waits; it may be known already."""
        self.open_orders[order.order_id] = order
        if order.terms.reduce_only:
            self.reducing.add(order.order_id)

    def state(self) -> tuple[object, ...]:
        """Canonical content for the state hash, but for its orders."""
        return (
            self.subaccount_id,
            self.owner,
            self.nonce_floor,
            self.account.state(),
            (self.sheet, self.sheet_floor),
            self.used_nonces.state(),
        )


class Samples:
    """Recent index samples of one underlying, oldest first."""

    __slots__ = ("samples",)

    def __init__(self) -> None:
        self.samples: deque[tuple[int, int]] = deque()  # (time_ns, price)

    def add(self, time_ns: int, price: int, needed_since_ns: int) -> None:
        """Append a sample; forget those that no longer held at `needed_since_ns`."""
        self.samples.append((time_ns, price))
        while len(self.samples) > 1 and self.samples[1][0] <= needed_since_ns:
            self.samples.popleft()


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Published:
    """The epoch of marks that the chain was shown last; the root stands for its prices."""

    __slots__ = ("epoch", "prices", "root", "seq", "time_ns")

    def __init__(self, epoch: int, root: bytes, seq: int, time_ns: int) -> None:
        self.epoch = epoch
        self.root = root
        self.seq = seq  # of the command that brought it
        self.time_ns = time_ns
        self.prices: dict[int, int] = {}  # indices and marks, by the chain's ids

    def state(self) -> tuple[object, ...]:
        """Canonical content."""
        return (self.epoch, self.root, self.seq, self.time_ns)


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Funding:
    """What a perpetual's holders owe each other; the index itself is among the marks."""

    __slots__ = ("index_price", "ordinal", "rate", "remainder", "since_ns")

    def __init__(self, since_ns: int) -> None:
        self.ordinal = 0  # of the last move
        self.remainder = 0  # accrued and not moved, in `engine.funding.QUANTUM` parts of 0.01 USDC
        self.since_ns = since_ns  # up to where it accrued
        self.rate = 0  # in force since, in 1e-18 for eight hours ...
        self.index_price = 0  # ... of this

    def state(self) -> tuple[object, ...]:
        """Canonical content; the remainder is longer than 64 bits."""
        return (self.ordinal, str(self.remainder), self.since_ns, self.rate, self.index_price)


class Combos:
    """Combos that are listed, by what finds them, and what they have to follow."""

    __slots__ = ("by_hash", "by_leg", "noted", "stirred", "tries", "turn", "waits")

    def __init__(self) -> None:
        self.by_hash: dict[bytes, int] = {}  # instrument_id by legs_hash
        self.by_leg: dict[int, list[int]] = {}  # as they were listed
        self.stirred: set[int] = set()  # whose resting orders may trade with their legs now
        self.turn = 0  # of stirred combos those with higher numbers are next; 0: the lowest
        self.noted = 0  # events of this command that `combo_trading` has seen
        self.tries = 0  # of resting orders in this command
        self.waits: dict[int, dict[int, LegWait]] = {}  # by combo, then order_id; none empty

    def add(self, combo: Instrument) -> None:
        """Find a combo."""
        self.by_hash[combo.legs_hash] = combo.instrument_id
        for leg in combo.legs:
            self.by_leg.setdefault(leg.instrument_id, []).append(combo.instrument_id)

    def next_stirred(self) -> int:
        """Which stirred combo has its turn."""
        lowest = min(self.stirred)
        return min((one for one in self.stirred if one > self.turn), default=lowest)

    def drop(self, combo: Instrument) -> None:
        """Find a combo no more."""
        self.stirred.discard(combo.instrument_id)
        self.waits.pop(combo.instrument_id, None)
        del self.by_hash[combo.legs_hash]
        for leg in combo.legs:
            self.by_leg[leg.instrument_id].remove(combo.instrument_id)
            if not self.by_leg[leg.instrument_id]:
                del self.by_leg[leg.instrument_id]

    def due_times_ns(self) -> list[int]:
        """When resting orders may take from their legs."""
        return [wait.due_ns for waits in self.waits.values() for wait in waits.values()]

    def stir_due(self, time_ns: int) -> bool:
        """Stir the combos in which some wait is over; whether any."""
        due = {
            number
            for number, waits in self.waits.items()
            if any(wait.due_ns <= time_ns for wait in waits.values())
        }
        self.stirred |= due
        return bool(due)

    def state(self) -> tuple[object, ...]:
        """Canonical content: what waits for room, and what waits at a speed bump."""
        waits = [(number, sorted(self.waits[number].items())) for number in sorted(self.waits)]
        return sorted(self.stirred), self.turn, waits


class Treasury:
    """Tokens besides USDC, in 1e-8 of each, and the interest that debts pay."""

    __slots__ = (
        "charged_id",
        "charged_s",
        "counted",
        "debt",
        "debt_seq",
        "fees_owed",
        "fees_since_ns",
        "held",
        "idle",
        "interest_growth",
        "interest_index",
        "interest_ns",
        "interest_remainder",
    )

    def __init__(self) -> None:
        self.interest_index = 0  # what a unit of debt has been charged since the start, 1e-18
        self.interest_ns = 0  # up to when the remainder accrued
        self.interest_remainder = 0  # 1e-18 of a year's rate times nanoseconds, not charged yet
        self.charged_s = 0  # UTC second of the last accrual
        # While that is under way: its growth, and the last who was charged; else 0.
        self.interest_growth, self.charged_id = 0, 0
        self.held: set[int] = set()  # subaccounts that no money may leave
        # Of trading fees, to the insurance fund: 1e-18 micro-USDC, below zero once more fees went
        # back than came since. When the first of them came; 0: none did.
        self.fees_owed = self.fees_since_ns = 0
        self.debt, self.debt_seq = 0, 0  # of all subaccounts, when that command came
        # What counts nothing yet, by token and subaccount, the longest idle first.
        self.idle: dict[tuple[str, int], int] = {}
        self.counted: dict[int, int] = {}  # of all subaccounts, by asset_id

    def state(self) -> tuple[object, ...]:
        """Canonical content; what counts and the debts follow from the accounts."""
        shares = self.fees_owed or self.fees_since_ns
        shared = (str(self.fees_owed), self.fees_since_ns) if shares else ()
        idle = [(*key, amount) for key, amount in self.idle.items()]
        return (
            idle,
            self.interest_index,
            self.interest_ns,
            str(self.interest_remainder),
            self.charged_s,
            str(self.interest_growth),
            self.charged_id,
            sorted(self.held),
            *shared,
        )

    def owe_fund(self, owed: int, time_ns: int) -> None:
        """Owe the insurance fund more of the trading fees, or less."""
        if owed:
            self.fees_owed += owed
            self.fees_since_ns = self.fees_since_ns or time_ns


class Access:
    """Who may act for whom and within which bounds, as the chain and operators have it."""

    __slots__ = ("bands", "keys", "passes", "paused_until", "scopes", "suspended", "used")

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], int] = {}  # (owner, key): deadline
        self.scopes: dict[tuple[str, str], KeyScope] = {}
        # (owner, key, underlying_id): UTC day and what traded in it, of scoped keys
        self.used: dict[tuple[str, str, int], tuple[int, int]] = {}
        self.passes: dict[str, int] = {}  # owner: until
        self.paused_until = 0
        self.suspended: set[int] = set()  # subaccounts that an operator lets only reduce
        # Option rate, linear rate and age in seconds that governance set, the newest last.
        self.bands: list[tuple[int, int, int]] = []

    def state(self) -> tuple[object, ...]:
        """Canonical content."""
        return (
            sorted((*key, deadline) for key, deadline in self.keys.items()),
            [(*key, self.scopes[key]) for key in sorted(self.scopes)],
            sorted((*key, *used) for key, used in self.used.items()),
            sorted(self.passes.items()),
            self.paused_until,
            *self.bands,
        )


NEVER_NS: Final = 1 << 63


class Venue:
    """The whole state. One instance per shard; only the engine's modules mutate it."""

    marks: MarksBook  # risk arrays in force; exists once the venue is configured

    def __init__(self) -> None:
        self.seq = self.time_ns = self.clock_offset_ns = 0
        self.parameters: Configure | None = None
        self.instruments: dict[int, Instrument] = {}
        self.statuses: dict[int, InstrumentStatus] = {}
        self.books: dict[int, OrderBook] = {}
        self.combos = Combos()
        self.index_breakers: dict[int, Breaker] = {}  # by underlying_id
        self.mark_breakers: dict[int, Breaker] = {}  # by instrument_id, once it was needed
        self.subaccounts: dict[int, Subaccount] = {}
        self.owner_keys: dict[str, int] = {}
        self.owned: dict[str, set[int]] = {}  # subaccounts by owner
        self.access = Access()
        self.treasury = Treasury()
        self.orders, self.ended = dict[int, Order](), EndedOrders()  # by order_id
        self.deadlines: list[tuple[int, int]] = []  # heap of (UTC second, order_id)
        self.sheet_deadlines: list[tuple[int, int]] = []  # heap of (UTC second, subaccount_id)
        self.index_times_ns: dict[int, int] = {}
        self.open_interest: dict[int, int] = {}  # by underlying_id: sum of long positions
        self.risk_scales: dict[int, RiskScale] = {}  # by underlying_id, once adjusted
        self.published: Published | None = None
        # When the epoch of risk arrays in force came; what follows from it, by instrument_id.
        self.marks_time_ns, self.gates = 0, dict[int, "Gate"]()
        self.samples: dict[int, Samples] = {}
        self.delivery_prices: dict[tuple[int, int], int] = {}  # (underlying_id, expiry)
        self.last_trade_id = 0
        self.last_prices: dict[int, int] = {}
        self.liquidations: dict[int, Liquidation] = {}  # by subaccount_id
        # What proofs on chain allow, by subaccount_id; losses that are being shared, oldest first.
        self.forces, self.losses = dict[int, Force](), list[Loss]()
        self.fundings: dict[int, Funding] = {}  # by perpetual
        self.batches, self.exits = Batches(), Exits()
        self.protection = Protection()
        self.triggers, self.links, self.bump = TriggerBook(), LinkTable(), SpeedBump()
        self.ready: list[int] = []  # orders whose wait is over, until their instrument is live
        # Volatility orders that entered: who prices them asks. Follows from `orders`.
        self.volatility_orders: dict[int, None] = {}
        # What this command did and nobody has followed up yet; empty between commands.
        self.new_prices = deque[tuple[PriceSource, int, int]]()
        self.link_news = deque[tuple[int, LinkNews]]()
        # Makers that it froze; those whom it gave as many positions as one may have.
        self.tripped, self.filled_up = list[tuple[int, int]](), list[int]()
        # Whether some auction has more to trade than its batch had room for; follows from the rest.
        self.uncrossing = False
        self.phase_due_ns = NEVER_NS  # no breaker's phase ends before; follows from the breakers
        self.chain = ChainMemory()
        # Of the command being applied; whether it is known to be accepted, so that `checks` do not
        # look: it is replayed.
        self.events, self.accepted = list[AnyEvent](), False

    def configure(self, parameters: Configure) -> None:
        """Put `parameters` in force."""
        if self.parameters is None:
            self.marks = MarksBook(parameters.margin)
        else:
            self.marks.configure(parameters.margin)
        self.parameters = parameters
        self.gates.clear()
        if parameters.publication is None:
            self.published = None
        self.marks.set_collaterals(parameters.collaterals)
        for underlying in parameters.underlyings:
            self.samples.setdefault(underlying.underlying_id, Samples())
            breaker = self.index_breakers.setdefault(
                underlying.underlying_id, Breaker(breaker_rules(parameters))
            )
            breaker.rules = breaker_rules(parameters)
        for breaker in self.mark_breakers.values():
            breaker.rules = breaker_rules(parameters, of_mark=True)

    def open_subaccount(
        self, subaccount_id: int, owner: str, *, standard: bool = False
    ) -> Subaccount:
        """Create a subaccount, or name the owner of the venue's own one."""
        kind = StandardAccount if standard else MarginAccount
        subaccount = self.subaccounts.get(subaccount_id)
        if subaccount is None:
            account = kind(subaccount_id, self.marks)
            subaccount = Subaccount(subaccount_id, owner, self.owner_key(owner), account)
            self.subaccounts[subaccount_id] = subaccount
        elif subaccount.account.standard is not standard:  # the chain opened it anew
            subaccount.account = subaccount.account.under(self.marks, kind)
        assert subaccount.owner in ("", owner), "a subaccount never changes hands"
        if owner:
            self.owned.setdefault(owner, set()).add(subaccount_id)
        subaccount.owner = owner
        subaccount.owner_key = self.owner_key(owner)
        return subaccount

    def close_order(self, order: Order) -> None:
        """Forget an order among those that rest or wait, if it is there."""
        subaccount = self.subaccounts[order.terms.subaccount_id]
        subaccount.open_orders.pop(order.order_id, None)
        subaccount.reducing.discard(order.order_id)
        if self.volatility_orders:
            self.volatility_orders.pop(order.order_id, None)

    def count_open_interest(self, underlying_id: int, before: int, after: int) -> None:
        """Note that one position of an underlying changed, both signed."""
        known = self.open_interest.get(underlying_id, 0)
        self.open_interest[underlying_id] = known + max(0, after) - max(0, before)

    def add_combo(self, combo: Instrument) -> None:
        """Find a combo by its hash and by its legs, and margin its orders."""
        self.combos.add(combo)
        self.marks.add_package(combo.instrument_id, combo.legs)

    def drop_combo(self, combo: Instrument) -> None:
        """Forget a combo that ended; no order is left in it."""
        self.combos.drop(combo)
        self.marks.drop_package(combo.instrument_id)

    def emit(self, event: AnyEvent) -> None:
        """Add an event of the command being applied."""
        self.events.append(event)

    def emit_act(self, act: AnyAct, payer_id: int = 0) -> None:
        """Emit what the next batch moves though nobody signed for it; the chain may refuse it.

        `payer_id` pays the discount of a takeover.
        """
        self.batches.remember(numbered(self.seq, len(self.events)), act, payer_id)
        self.emit(act)

    def refuse(
        self, reason: RejectReason, detail: str = "", *, subaccount_id: int = 0, nonce: int = 0
    ) -> None:
        """Emit a refusal; the caller has changed nothing."""
        self.emit(Refused(reason=reason, detail=detail, subaccount_id=subaccount_id, nonce=nonce))

    def owner_key(self, owner: str) -> int:
        """A small number for an owner; books compare it to prevent self-trades."""
        return self.owner_keys.setdefault(owner, len(self.owner_keys) + 1)

    def live_instruments(self) -> Iterator[Instrument]:
        """Instruments that have not expired, by id."""
        for instrument_id in sorted(self.instruments):
            if self.statuses[instrument_id] is not InstrumentStatus.EXPIRED:
                yield self.instruments[instrument_id]

    def encoded(self) -> bytes:
        """Canonical bytes of the state: the same on every machine and in every process."""
        return _encoder.encode(
            (
                (self.seq, self.time_ns, self.clock_offset_ns, self.parameters),
                self.marks.state() if self.parameters else (),
                [self.instruments[key] for key in sorted(self.instruments)],
                sorted(self.statuses.items()),
                [(key, self.index_breakers[key].state()) for key in sorted(self.index_breakers)],
                [(key, self.mark_breakers[key].state()) for key in sorted(self.mark_breakers)],
                self.protection.state(),
                (
                    self.triggers.state(),
                    self.links.state(),
                    self.ready,
                    self.bump.state(),
                    self.combos.state(),
                ),
                [(key, _book_state(self.books[key])) for key in sorted(self.books)],
                [self.subaccounts[key].state() for key in sorted(self.subaccounts)],
                self.ended.state(),
                self.treasury.state(),
                self.access.state(),
                [(key, tuple(self.samples[key].samples)) for key in sorted(self.samples)],
                (sorted(self.index_times_ns.items()), self.marks_time_ns),
                self.published.state() if self.published else (),
                sorted(self.open_interest.items()),
                sorted(self.risk_scales.items()),
                sorted((*key, price) for key, price in self.delivery_prices.items()),
                [(key, self.fundings[key].state()) for key in sorted(self.fundings)],
                (self.last_trade_id, sorted(self.last_prices.items())),
                self.batches.state(),
                self.chain.state(),
                [self.liquidations[key] for key in sorted(self.liquidations)],
                [(key, self.forces[key]) for key in sorted(self.forces)],
                self.losses,
                self.exits.state(),
                *([sorted(self.access.suspended)] if self.access.suspended else []),
            )
        )


def _book_state(book: OrderBook) -> list[tuple[int, int, int]]:
    """Resting orders in priority order: what decides the next match."""
    return [
        (order.order_id, order.remaining_quantity, order.displayed_quantity)
        for side in (0, 1)
        for order in book.orders(side)
    ]


_SECOND_NS: Final = 10**9
_NEVER: Final = 1 << 200  # no price moves that far
_OPERATORS_ONLY: Final = BreakerRules(
    move_rate=_NEVER,
    window_ns=_SECOND_NS,
    cool_off_ns=60 * _SECOND_NS,
    auction_ns=60 * _SECOND_NS,
)


def breaker_rules(parameters: Configure, *, of_mark: bool = False) -> BreakerRules:
    """The configured rules; without them only operators halt, and an auction takes a minute."""
    given = parameters.breaker
    if given is None:
        return _OPERATORS_ONLY
    return BreakerRules(
        move_rate=(given.mark_move_rate or _NEVER) if of_mark else given.move_rate,
        window_ns=given.window_ns,
        cool_off_ns=given.cool_off_ns,
        auction_ns=given.auction_ns,
    )
