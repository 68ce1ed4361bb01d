"""A venue for tests: configured, listed, marked and funded in a line, checked after every step.

Words of traders in, commands out: prices and cash in USDC, quantities in contracts (ints, or text
for fractions). `send` stamps, applies and asserts what always holds: the engine's own `check()`,
and that cash is what came in less what went out.
"""

import struct
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from exchange.commands import (
    AmendOrder,
    AnyCommand,
    AnyObservation,
    CancelOrder,
    Collateral,
    Configure,
    DepositSeen,
    ExpireInstruments,
    ExpiryRisk,
    FeeSchedule,
    FundingParameters,
    InstrumentListing,
    ListInstruments,
    MarginParameters,
    ObserveBlocks,
    PlaceOrder,
    RevertBlocks,
    StandardRates,
    SubaccountSeen,
    TradingLimits,
    TransferFunds,
    UnderlyingRisk,
    UpdateIndex,
    UpdateMarks,
    Withdraw,
)
from exchange.engine import Engine, OrderView
from exchange.events import (
    ActRefused,
    AnyEvent,
    CancelReason,
    Deposited,
    ExitServed,
    OrderAmended,
    OrderArmed,
    OrderCanceled,
    OrderPlaced,
    Refused,
    RejectReason,
    Traded,
    Withdrawn,
)
from exchange.fixed import ASSET_SCALE, CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE, parse_decimal
from exchange.model import (
    InstrumentTerms,
    Kind,
    OptionKind,
    OrderTerms,
    Side,
    TransferTerms,
    Underlying,
    WithdrawalTerms,
    pack_instrument_id,
)
from exchange.remedies import MoveRefused
from exchange.reversals import DepositReverted
from exchange.signing import trigger_hash

Number = int | str
NS: Final = 10**9
START_S: Final = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
EXPIRY_S: Final = int(datetime(2026, 12, 25, 8, tzinfo=UTC).timestamp())
FEE_ID: Final = 1
USDC_TOKEN: Final = "0x" + "c" * 40
CLEARING: Final = "0x" + "a" * 40
WALLET: Final = "0x" + "b" * 40
INDEX: Final = 100_000

# Half up, half down, one that counts for its distance from zero, and two mild ones: the fewest that
# the chain takes.
MARGIN: Final = MarginParameters(
    preset="test",
    weights=(RATIO_SCALE, RATIO_SCALE, RATIO_SCALE // 10, RATIO_SCALE, RATIO_SCALE),
    absolute=(False, False, True, False, False),
    basis_up=0,
    basis_down=1,
    initial_factor=RATIO_SCALE,
    maintenance_factor=RATIO_SCALE * 8 // 10,
    short_option_initial_rate=RATIO_SCALE // 100,
    short_option_maintenance_rate=RATIO_SCALE // 200,
    perpetual_initial_rate=0,
    perpetual_maintenance_rate=0,
    confidence_floor=0,
    spots=tuple(RATIO_SCALE * tenths // 10 for tenths in (15, 5, 11, 8, 12)),
    standard=StandardRates(
        option_initial=15 * 10**16,
        option_initial_min=10 * 10**16,
        option_maintenance=75 * 10**15,
        perpetual_initial=10 * 10**16,
        perpetual_maintenance=65 * 10**15,
    ),
)
WETH, WBTC = 1, 2
COLLATERALS: Final = tuple(
    Collateral(
        asset_id=asset_id,
        token="0x" + digit * 40,
        name=name,
        decimals=decimals,
        underlying_id=underlying_id,
        initial_haircut=RATIO_SCALE * 3 // 100,
        maintenance_haircut=RATIO_SCALE * 2 // 100,
        account_cap=10**12,
        total_cap=10**13,
    )
    for asset_id, name, digit, decimals, underlying_id in (
        (WETH, "WETH", "e", 18, 2),
        (WBTC, "WBTC", "d", 8, 1),
    )
)
FEES: Final = FeeSchedule(
    maker_rate=3 * 10**14,
    taker_rate=3 * 10**14,
    premium_cap=125 * 10**15,
    linear_taker_rate=5 * 10**14,
)
NO_FEES: Final = FeeSchedule(maker_rate=0, taker_rate=0, premium_cap=0)
# No damping, at most 0.5 % in eight hours: a premium of 0.1 % costs 100 USDC in eight hours.
FUNDING: Final = FundingParameters(damping_rate=0, rate_max=RATIO_SCALE // 200, interval_ns=60 * NS)
LIMITS: Final = TradingLimits(
    band_rate=RATIO_SCALE // 10,
    open_orders_max=20,
    quantity_max=1_000 * QUANTITY_SCALE,
    deadline_seconds_max=30 * 86_400,
    index_age_ns_max=30 * NS,
)


def usdc(amount: Number) -> int:
    """Micro-USDC of an amount in words."""
    return _scaled(amount, CASH_SCALE)


def contracts(quantity: Number) -> int:
    """1e-4 contracts of a quantity in words."""
    return _scaled(quantity, QUANTITY_SCALE)


def tokens(amount: Number) -> int:
    """1e-8 of a token of an amount in words."""
    return _scaled(amount, ASSET_SCALE)


def _scaled(number: Number, scale: int) -> int:
    value = parse_decimal(str(number), scale)
    assert value is not None, number
    return value


def option(
    kind: OptionKind, strike: Number, *, expiry: int = EXPIRY_S, underlying_id: int = 1
) -> int:
    """The id of an option."""
    return pack_instrument_id(
        InstrumentTerms(Kind.OPTION, underlying_id, expiry, usdc(strike), kind)
    )


def call(strike: Number, **where: int) -> int:
    """The id of a call."""
    return option(OptionKind.CALL, strike, **where)


def put(strike: Number, **where: int) -> int:
    """The id of a put."""
    return option(OptionKind.PUT, strike, **where)


def perpetual(underlying_id: int = 1) -> int:
    """The id of a perpetual."""
    return pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, underlying_id))


def future(expiry: int = EXPIRY_S, underlying_id: int = 1) -> int:
    """The id of a dated future."""
    return pack_instrument_id(InstrumentTerms(Kind.FUTURE, underlying_id, expiry))


STRIKES: Final = (90_000, 100_000, 110_000)
CHAIN: Final = tuple(sorted(make(strike) for strike in STRIKES for make in (call, put)))
C = call(100_000)
P = put(100_000)
PERP = perpetual()
FUTURE = future()


def listing(instrument_id: int, **grid: int) -> InstrumentListing:
    """One listing on a grid of 0.01 USDC ticks and lots of 0.01 contracts."""
    sizes = {"tick_size": 10_000, "lot_size": 100, "min_quantity": 100} | grid
    return InstrumentListing(instrument_id=instrument_id, **sizes)


def configuration(**changes: Any) -> Configure:
    """The first command of a test's journal."""
    parameters = {
        "version": 1,
        "chain_id": 31_337,
        "clearing": CLEARING,
        "collateral": USDC_TOKEN,
        "genesis_hash": "0x" + "0" * 64,
        "underlyings": (
            Underlying(underlying_id=1, name="BTC"),
            Underlying(underlying_id=2, name="ETH"),
        ),
        "fees": NO_FEES,
        "margin": MARGIN,
        "limits": LIMITS,
        "delivery_window_s": 1800,
    }
    return Configure(**(parameters | changes))


def limits(**changes: int) -> TradingLimits:
    """The trading limits of tests, with changes."""
    return msgspec.structs.replace(LIMITS, **changes)


def refusals(events: Iterable[AnyEvent]) -> list[RejectReason]:
    """The reasons among `events`."""
    return [event.reason for event in events if isinstance(event, Refused)]


def fills(events: Iterable[AnyEvent]) -> list[tuple[int, int]]:
    """(price, quantity) of each match, in units."""
    return [(event.price, event.quantity) for event in events if isinstance(event, Traded)]


def canceled(events: Iterable[AnyEvent]) -> list[tuple[int, CancelReason]]:
    """(quantity, reason) of each cancellation."""
    return [(e.canceled_quantity, e.reason) for e in events if isinstance(e, OrderCanceled)]


def names(events: Iterable[AnyEvent]) -> list[str]:
    """The kinds of events, in order."""
    return [type(event).__name__ for event in events]


def risk_rows(marks: dict[int, int]) -> bytes:
    """Rows of the five scenarios: half as much again, half, a tenth up, a fifth down and up."""
    rows = b""
    for instrument_id in sorted(marks):
        price = marks[instrument_id]
        shocked = (price * tenths // 10 for tenths in (15, 5, 11, 8, 12))
        rows += struct.pack("<9q", price, 650_000, 500_000, 100_000_000, *shocked)
    return rows


class Venue:
    """An engine, its clock, and the bookkeeping of a test."""

    def __init__(self, **parameters: Any) -> None:
        self.engine = Engine()
        self.time_ns = START_S * NS
        self.entries: list[tuple[int, int, AnyCommand, tuple[AnyEvent, ...]]] = []
        self.external: Counter[str] = Counter()  # deposits less withdrawals, by token; "": cash
        self.signed: dict[tuple[int, int], OrderTerms] = {}
        self.marks: dict[int, int] = {}
        self.epoch = 0
        self.next_nonce = 1
        self.checking = True
        self.send(configuration(**parameters))

    # --- time and the outside world ---

    @property
    def now_s(self) -> int:
        return self.time_ns // NS

    def wait(self, seconds: int) -> None:
        """Let time pass; nothing happens until the next command."""
        self.time_ns += seconds * NS

    def wait_until(self, second: int) -> None:
        """Let time pass until a UTC second."""
        assert second >= self.now_s
        self.time_ns = second * NS

    def send(self, command: AnyCommand) -> tuple[AnyEvent, ...]:
        """Apply a command and assert what always holds."""
        seq = len(self.entries) + 1
        events = self.engine.apply(seq, self.time_ns, command)
        self.entries.append((seq, self.time_ns, command, events))
        for event in events:
            inside = getattr(event, "to_subaccount_id", 0)  # it never left the venue
            if isinstance(event, Deposited | MoveRefused) and not inside:
                self.external[event.token] += event.amount
            elif isinstance(event, ActRefused) and isinstance(event.act, Withdrawn):
                self.external[event.act.token] += event.act.amount
            elif isinstance(event, Withdrawn | DepositReverted | ExitServed):
                self.external[event.token] -= event.amount
        if self.checking:
            self.engine.check()
            assert self.engine.total_cash() == self.external[""]
            tokens = {token: held for token, held in self.external.items() if token and held}
            assert self.engine.total_tokens() == tokens
        return events

    def twin(self) -> Engine:
        """A second engine that lived through the same commands, with the same events."""
        engine = Engine()
        for seq, time_ns, command, events in self.entries:
            assert engine.apply(seq, time_ns, command) == events
        return engine

    def index(self, price: Number = INDEX, underlying_id: int = 1) -> tuple[AnyEvent, ...]:
        """An index sample, now."""
        return self.send(
            UpdateIndex(
                underlying_id=underlying_id, index_price=usdc(price), confidence=RATIO_SCALE
            )
        )

    def mark(self, marks: dict[int, Number], **changes: Any) -> tuple[AnyEvent, ...]:
        """An epoch of risk arrays: new mark prices, all others stay."""
        self.marks |= {instrument_id: usdc(price) for instrument_id, price in marks.items()}
        return self.send(self.marks_update(**changes))

    def marks_update(self, **changes: Any) -> UpdateMarks:
        self.epoch += 1
        ids = tuple(sorted(self.marks))
        expiries = {(id_ >> 51 & 511, (id_ >> 25 & (1 << 26) - 1) * 60) for id_ in ids}
        fields = {
            "epoch": self.epoch,
            "root": bytes(31) + bytes([self.epoch % 256]),
            "underlyings": tuple(
                UnderlyingRisk(
                    underlying_id=number, index_price=usdc(INDEX), confidence=RATIO_SCALE
                )
                for number in (1, 2)
            ),
            "expiries": tuple(
                ExpiryRisk(
                    underlying_id=underlying_id,
                    expiry=expiry,
                    forward_price=usdc(INDEX),
                    discount_long=RATIO_SCALE,
                    discount_short=RATIO_SCALE,
                    basis_weight=0,
                )
                for underlying_id, expiry in sorted(expiries)
            ),
            "instrument_ids": ids,
            "rows": risk_rows(self.marks),
        }
        return UpdateMarks(**(fields | changes))

    def list_instruments(self, *instrument_ids: int, **grid: int) -> tuple[AnyEvent, ...]:
        """List instruments."""
        listings = tuple(listing(instrument_id, **grid) for instrument_id in instrument_ids)
        return self.send(ListInstruments(listings=listings))

    def observe(self, *observations: AnyObservation) -> tuple[AnyEvent, ...]:
        """The next confirmed block, with these logs."""
        block = self.engine.last_block + 1
        return self.send(
            ObserveBlocks(
                first_block=block,
                last_block=block,
                last_hash=f"0x{block:064x}",
                observations=observations,
            )
        )

    def block(self) -> tuple[int, str]:
        """The newest block that was observed, and its hash: where a reorganisation goes back to."""
        block = self.engine.last_block
        return block, f"0x{block:064x}"

    def revert(self, to: tuple[int, str]) -> tuple[AnyEvent, ...]:
        """The chain has lost every block after this one."""
        return self.send(RevertBlocks(last_block=to[0], last_hash=to[1]))

    def fund(self, owner: str, cash: Number = 1_000_000, *, standard: bool = False) -> int:
        """A new subaccount of `owner` with cash; returns its id."""
        subaccount_id = max(self.engine.subaccounts) + 1
        self.observe(
            SubaccountSeen(subaccount_id=subaccount_id, owner=owner, standard=standard),
            DepositSeen(subaccount_id=subaccount_id, amount=usdc(cash)),
        )
        return subaccount_id

    # --- orders ---

    def terms(
        self,
        subaccount_id: int,
        side: Side,
        quantity: Number,
        price: Number,
        instrument_id: int = C,
        **changes: Any,
    ) -> OrderTerms:
        """What an owner signs; a new nonce unless one is given."""
        fields = {
            "subaccount_id": subaccount_id,
            "instrument_id": instrument_id,
            "side": side,
            "quantity": contracts(quantity),
            "limit_price": usdc(price),
            "max_fee": usdc(1_000),
            "nonce": self.next_nonce,
            "deadline": self.now_s + 3600,
            "signer": "",
        } | changes
        self.next_nonce = max(self.next_nonce, fields["nonce"]) + 1
        if not fields["signer"] and subaccount_id in self.engine.subaccounts:
            fields["signer"] = self.engine.subaccounts[subaccount_id].owner
        return OrderTerms(**fields)

    def place(self, terms: OrderTerms, **options: Any) -> tuple[AnyEvent, ...]:
        """Enter signed terms."""
        return self.enter(PlaceOrder(terms=terms, signature=b"", **options))

    def enter(self, command: PlaceOrder) -> tuple[AnyEvent, ...]:
        """Send a signed order."""
        events = self.send(command)
        if any(isinstance(event, OrderPlaced | OrderArmed) for event in events):
            self.signed[command.terms.subaccount_id, command.terms.nonce] = command.terms
        return events

    def order(
        self,
        subaccount_id: int,
        side: Side,
        quantity: Number,
        price: Number,
        instrument_id: int = C,
        **changes: Any,
    ) -> tuple[AnyEvent, ...]:
        """Place an order; keyword arguments change its terms or its instructions."""
        command = self.sign(subaccount_id, side, quantity, price, instrument_id, **changes)
        return self.enter(command)

    def sign(
        self,
        subaccount_id: int,
        side: Side,
        quantity: Number,
        price: Number,
        instrument_id: int = C,
        **changes: Any,
    ) -> PlaceOrder:
        """The command that places an order, with the hash of its trigger; see `order`."""
        options = {key: changes.pop(key) for key in _OPTIONS & set(changes)}
        changes = {"trigger_hash": trigger_hash(options.get("trigger"))} | changes
        terms = self.terms(subaccount_id, side, quantity, price, instrument_id, **changes)
        return PlaceOrder(terms=terms, signature=b"", **options)

    def buy(self, subaccount_id: int, quantity: Number, price: Number, **changes: Any) -> Any:
        """Bid; see `order`."""
        return self.order(subaccount_id, Side.BUY, quantity, price, **changes)

    def sell(self, subaccount_id: int, quantity: Number, price: Number, **changes: Any) -> Any:
        """Offer; see `order`."""
        return self.order(subaccount_id, Side.SELL, quantity, price, **changes)

    def amend(self, events: Iterable[AnyEvent], **changes: Any) -> tuple[AnyEvent, ...]:
        """Sign other terms for the order that `events` placed, with the next version."""
        old = self.terms_of(events)
        fields = {"version": old.version + 1} | changes
        terms = msgspec.structs.replace(old, **fields)
        amended = self.send(AmendOrder(terms=terms, signature=b""))
        if any(isinstance(event, OrderAmended) for event in amended):
            self.signed[terms.subaccount_id, terms.nonce] = terms
        return amended

    def cancel(self, events: Iterable[AnyEvent]) -> tuple[AnyEvent, ...]:
        """Cancel the order that `events` placed."""
        placed = placed_in(events)
        return self.send(CancelOrder(subaccount_id=placed.subaccount_id, order_id=placed.order_id))

    def terms_of(self, events: Iterable[AnyEvent]) -> OrderTerms:
        """The terms in force of the order that `events` placed."""
        placed = placed_in(events)
        return self.signed[placed.subaccount_id, placed.nonce]

    def view(self, events: Iterable[AnyEvent]) -> OrderView:
        """The order that `events` placed, as it stands."""
        order = self.engine.order(placed_in(events).order_id)
        assert order is not None
        return order

    def withdrawal(self, subaccount_id: int, amount: Number, **changes: Any) -> Withdraw:
        """A signed withdrawal."""
        fields = {
            "subaccount_id": subaccount_id,
            "token": USDC_TOKEN,
            "amount": usdc(amount),
            "recipient": WALLET,
            "nonce": self.next_nonce,
            "deadline": self.now_s + 3600,
            "signer": "",
        } | changes
        self.next_nonce = max(self.next_nonce, fields["nonce"]) + 1
        if not fields["signer"] and subaccount_id in self.engine.subaccounts:
            fields["signer"] = self.engine.subaccounts[subaccount_id].owner
        return Withdraw(terms=WithdrawalTerms(**fields), signature=b"")

    def withdraw(self, subaccount_id: int, amount: Number, **changes: Any) -> tuple[AnyEvent, ...]:
        """Take cash out."""
        return self.send(self.withdrawal(subaccount_id, amount, **changes))

    def give(self, subaccount_id: int, asset_id: int, amount: Number) -> tuple[AnyEvent, ...]:
        """Tokens arrive from the chain."""
        token = COLLATERALS[asset_id - 1].token
        seen = DepositSeen(subaccount_id=subaccount_id, amount=tokens(amount), token=token)
        return self.observe(seen)

    def move(
        self, subaccount_id: int, to_subaccount_id: int, amount: int, **changes: Any
    ) -> tuple[AnyEvent, ...]:
        """Sign a transfer; `amount` in units."""
        fields = {
            "subaccount_id": subaccount_id,
            "to_subaccount_id": to_subaccount_id,
            "token": USDC_TOKEN,
            "amount": amount,
            "nonce": self.next_nonce,
            "deadline": self.now_s + 3600,
            "signer": self.engine.subaccounts[subaccount_id].owner,
        } | changes
        self.next_nonce = max(self.next_nonce, fields["nonce"]) + 1
        return self.send(TransferFunds(terms=TransferTerms(**fields), signature=b""))

    def expire(self, expiry: int = EXPIRY_S, underlying_id: int = 1) -> tuple[AnyEvent, ...]:
        """Deliver an expiry."""
        return self.send(ExpireInstruments(underlying_id=underlying_id, expiry=expiry))

    def position(self, subaccount_id: int, instrument_id: int = C) -> int:
        """Signed quantity held."""
        return self.engine.positions(subaccount_id).get(instrument_id, 0)

    def cash(self, subaccount_id: int) -> int:
        """Cash in micro-USDC."""
        return self.engine.subaccounts[subaccount_id].cash

    def book(self, instrument_id: int = C) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks, best first."""
        return (
            self.engine.levels(instrument_id, Side.BUY, 0),
            self.engine.levels(instrument_id, Side.SELL, 0),
        )


_OPTIONS: Final = {
    "time_in_force",
    "post_only",
    "reject_post_only",
    "self_trade_prevention",
    "max_show",
    "label",
    "mmp",
    "trigger",
    "market",
    "volatility",
    "worth",
}


def placed_in(events: Iterable[AnyEvent]) -> OrderPlaced | OrderArmed:
    """The one order that was placed, or that waits."""
    (placed,) = [event for event in events if isinstance(event, OrderPlaced | OrderArmed)]
    return placed


def linear_venue(**parameters: Any) -> Venue:
    """An open venue with a perpetual and a future, both marked at the index."""
    venue = open_venue(**({"funding": FUNDING} | parameters))
    venue.list_instruments(PERP, FUTURE)
    venue.mark({PERP: INDEX, FUTURE: INDEX})
    return venue


def open_venue(**parameters: Any) -> Venue:
    """A configured venue with the chain listed, an index of 100,000 and marks of 2,500."""
    venue = Venue(**parameters)
    venue.list_instruments(*CHAIN)
    venue.index()
    venue.mark(dict.fromkeys(CHAIN, 2_500))
    return venue
