"""The nouns: instruments and their names, sides, order terms.

Knows arithmetic only. An `instrument_id` describes itself (docs/adr/0001), so that Solidity and
Python decode it without a registry; everything else about an instrument is in `Instrument`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, assert_never

import msgspec

from exchange.fixed import CASH_SCALE, PRICE_QUANTUM, div_down, div_exact, is_multiple

SECONDS_PER_DAY: Final = 86_400
EXPIRY_SECOND_OF_DAY: Final = 8 * 3600  # 08:00 UTC
FEE_SUBACCOUNT_ID: Final = 1  # the venue's own subaccount on chain and in the engine

_MONTHS: Final = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
# An instrument_id, low to high: put 1 bit, strike mantissa 20, strike exponent 4, expiry in UTC
# minutes 26, underlying 9, kind 3. Its 63 bits fit msgpack, SQL and C integers (ADR 0001).
_MANTISSA_BITS: Final = 20
_MANTISSA_SHIFT: Final = 1
_EXPONENT_SHIFT: Final = 21
_EXPONENT_MAX: Final = 15
_EXPIRY_SHIFT: Final = 25
_EXPIRY_BITS: Final = 26
_UNDERLYING_SHIFT: Final = 51
_UNDERLYING_BITS: Final = 9
_KIND_SHIFT: Final = 60
_SECONDS_PER_MINUTE: Final = 60


class Kind(IntEnum):
    """What an instrument is; the top byte of its id."""

    OPTION = 1
    PERPETUAL = 2
    FUTURE = 3
    COMBO = 4  # legs that trade together; its id is `combo_number`


class KeyLimit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session key may trade of one underlying within a UTC day, in 1e-4 contracts."""

    underlying_id: int
    daily_quantity: int


class KeyScope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session key may trade; given with its grant, for ever.

    Underlyings without a limit here are not its to trade. `band_rate` (1e-18 of the index) is how
    far past the mark its orders may go; 0: as far as anybody's.
    """

    kinds: tuple[Kind, ...]
    limits: tuple[KeyLimit, ...]
    band_rate: int = 0


class OptionKind(IntEnum):
    """Call or put; the lowest bit of an option's id."""

    CALL = 0
    PUT = 1


class Side(IntEnum):
    """Side of an order; the numbers are those of the signed struct."""

    BUY = 0
    SELL = 1

    def __init__(self, value: int) -> None:
        self.sign = 1 - 2 * value  # +1 for BUY, -1 for SELL: of the position that a fill adds

    @property
    def opposite(self) -> "Side":
        """The other side."""
        return Side(1 - self.value)


class TimeInForce(IntEnum):
    """How long an order may wait."""

    GTC = 0
    GTD = 1
    IOC = 2
    FOK = 3


class OrderStatus(IntEnum):
    """Life of an order; OPEN is the only status from which fills come."""

    UNTRIGGERED = 0
    OPEN = 1
    FILLED = 2
    CANCELED = 3
    EXPIRED = 4
    REJECTED = 5


class SelfTradePrevention(IntEnum):
    """What happens when an order would trade with another of the same owner."""

    CANCEL_TAKER = 0
    CANCEL_MAKER = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


class InstrumentStatus(IntEnum):
    """Trading phase of an instrument."""

    LIVE = 0
    HALTED = 1
    AUCTION = 2
    EXPIRED = 3


class TriggerKind(IntEnum):
    """A stop buys above and sells below its trigger, a take the other way; a trail is a stop."""

    STOP = 1
    TAKE = 2
    TRAILING = 3


class PriceSource(IntEnum):
    """Which price a trigger watches."""

    MARK = 1
    INDEX = 2
    LAST = 3


class LinkKind(IntEnum):
    """How linked orders depend on each other."""

    OCO = 1
    OTO = 2
    OTOCO = 3


class HitCondition(IntEnum):
    """Which fill of a linked order counts."""

    ANY_FILL = 1
    COMPLETE_FILL = 2


class LiquidationStage(IntEnum):
    """Where the liquidation of a subaccount stands.

    UNWINDING is the fund closing what it took. ON_CHAIN is an auction of the contract's: whoever
    bids there buys, and until it ends nothing else touches the subaccount.
    """

    SLICING = 1
    AUCTION = 2
    INSOLVENT = 3
    UNWINDING = 4
    ON_CHAIN = 5


class Trigger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The signed condition. STOP and TAKE give `trigger_price`, TRAILING gives `trail_offset`.

    Both in micro-USDC; the one that does not apply is 0.
    """

    kind: TriggerKind
    source: PriceSource
    trigger_price: int = 0
    trail_offset: int = 0


class Underlying(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One configured underlying; `underlying_id` is its number inside instrument ids."""

    underlying_id: int
    name: str


class Leg(NamedTuple):
    """`ratio` contracts of an instrument in each unit bought; negative: sold."""

    instrument_id: int
    ratio: int


Legs = tuple[Leg, ...]


class Instrument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tradable thing. Prices in micro-USDC a contract, quantities in 1e-4 contracts.

    A combo has legs and is priced and counted by the unit; it ends with its first leg.
    """

    instrument_id: int
    name: str
    kind: Kind
    underlying_id: int
    expiry: int  # UTC second; 0 for a perpetual
    strike: int  # micro-USDC; 0 unless an option
    option_kind: OptionKind
    tick_size: int
    lot_size: int
    min_quantity: int
    legs: Legs = ()
    legs_hash: bytes = b""  # what orders in a combo sign as their instrument

    def payoff(self, delivery_price: int) -> int:
        """What one contract is worth at `delivery_price`, in micro-USDC, >= 0."""
        terms = InstrumentTerms(
            self.kind, self.underlying_id, self.expiry, self.strike, self.option_kind
        )
        return terms.payoff(delivery_price)


class InstrumentTerms(msgspec.Struct, frozen=True, gc=False):
    """What an `instrument_id` says: `expiry` in UTC seconds, `strike` in micro-USDC."""

    kind: Kind
    underlying_id: int
    expiry: int = 0
    strike: int = 0
    option_kind: OptionKind = OptionKind.CALL

    def payoff(self, delivery_price: int) -> int:
        """What one contract is worth at `delivery_price`, in micro-USDC, >= 0."""
        assert self.kind is not Kind.PERPETUAL
        if self.kind is Kind.FUTURE:
            return delivery_price
        difference = delivery_price - self.strike
        return max(0, difference if self.option_kind is OptionKind.CALL else -difference)


def combo_number(seq: int) -> int:
    """The instrument_id of the combo that command `seq` listed; it packs no terms."""
    return Kind.COMBO << _KIND_SHIFT | seq


def combo_seq(instrument_id: int) -> int:
    """The command that listed a combo; 0 for any other instrument."""
    kind, seq = divmod(instrument_id, 1 << _KIND_SHIFT)
    return seq if kind == Kind.COMBO else 0


_PLACE_BITS: Final = 11
_PLACE_SHIFT: Final = 42  # seqs below 4e12 and 2048 places fit integers that JSON keeps exact


def numbered(seq: int, place: int) -> int:
    """The number of the signed order at `place` of command `seq`; the first has the seq itself."""
    return place << _PLACE_SHIFT | seq


def seq_and_place(number: int) -> tuple[int, int]:
    """The inverse of `numbered`."""
    return number & (1 << _PLACE_SHIFT) - 1, number >> _PLACE_SHIFT


def arrival(number: int) -> int:
    """Where the order with this number stands in time: of two the later one has the higher."""
    seq, place = seq_and_place(number)
    return seq << _PLACE_BITS | place


def number_at(arrived: int) -> int:
    """The inverse of `arrival`."""
    return numbered(arrived >> _PLACE_BITS, arrived & (1 << _PLACE_BITS) - 1)


NO_TRIGGER: Final = bytes(32)  # the signed triggerHash of an order without a trigger


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an owner signs (docs/api.md, Signing); prices and fees in micro-USDC a contract.

    In a combo `legs_hash` is signed as the instrument and `instrument_id` is this venue's number
    for it; prices and quantities are those of units, and the price may be negative.
    """

    subaccount_id: int
    instrument_id: int
    legs_hash: bytes = b""
    side: Side
    quantity: int  # 1e-4 contracts
    limit_price: int
    max_fee: int
    reduce_only: bool = False
    trigger_hash: bytes = NO_TRIGGER
    nonce: int
    version: int = 0
    deadline: int  # UTC second
    signer: str  # checksummed address


class Quote(NamedTuple):
    """One line of a quote sheet. A quantity of 0 leaves that side empty; its price is ignored."""

    instrument_id: int
    bid_price: int
    bid_quantity: int
    ask_price: int
    ask_quantity: int


class SheetTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a maker decides for a whole sheet of quotes; `max_fee` in micro-USDC a contract."""

    subaccount_id: int
    sheet_nonce: int  # from 1; a higher one replaces the sheet
    first_nonce: int  # of the sheet's first order; the others count on from it
    max_fee: int
    deadline: int  # UTC second
    signer: str  # checksummed address


class WithdrawalTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an owner signs to take cash or a token out; `amount` in ledger units.

    Those are 1e-6 USDC, and 1e-8 of any other token.
    """

    subaccount_id: int
    token: str
    amount: int
    recipient: str
    nonce: int
    deadline: int
    signer: str


class BidTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a keeper signs to take over a fraction of a subaccount in its liquidation auction."""

    subaccount_id: int  # the keeper's
    liquidated_id: int
    fraction: int  # of every position, in 1e-18; the auction may offer less
    price_limit: int  # the most that it pays, micro-USDC; negative: the least that it receives
    expected_step: int  # of the liquidation: after one more step the positions are others
    nonce: int
    deadline: int  # UTC second
    signer: str  # checksummed address


class TransferTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an owner signs to move cash or a token to another own subaccount; ledger units."""

    subaccount_id: int
    to_subaccount_id: int
    token: str
    amount: int
    nonce: int
    deadline: int
    signer: str


def sheet_orders(terms: SheetTerms, quotes: Sequence[Quote]) -> tuple[OrderTerms, ...]:
    """The orders that a sheet signs: its lines in order, the bid before the ask, no empty side.

    Each is an order like any other: subaccount, fee, deadline and signer are the sheet's, the nonce
    is `first_nonce` plus its place; version 0, not reduce-only, no trigger.
    """
    buy, sell = Side.BUY, Side.SELL
    sides = (
        side
        for instrument_id, bid_price, bid_quantity, ask_price, ask_quantity in quotes
        for side in (
            (instrument_id, buy, bid_price, bid_quantity),
            (instrument_id, sell, ask_price, ask_quantity),
        )
        if side[3]
    )
    return tuple(
        OrderTerms(
            subaccount_id=terms.subaccount_id,
            instrument_id=instrument_id,
            side=side,
            quantity=quantity,
            limit_price=price,
            max_fee=terms.max_fee,
            nonce=terms.first_nonce + place,
            deadline=terms.deadline,
            signer=terms.signer,
        )
        for place, (instrument_id, side, price, quantity) in enumerate(sides)
    )


def representable_strike(strike: int) -> bool:
    """Whether `strike` (micro-USDC) fits an id: 20 bits times a power of ten of 0.01 USDC."""
    if strike < 0 or not is_multiple(strike, PRICE_QUANTUM):
        return False
    mantissa, exponent = _split_strike(div_exact(strike, PRICE_QUANTUM))
    return mantissa >> _MANTISSA_BITS == 0 and exponent <= _EXPONENT_MAX


def _split_strike(cents: int) -> tuple[int, int]:
    exponent = 0
    while cents >> _MANTISSA_BITS and is_multiple(cents, 10):
        cents = div_exact(cents, 10)
        exponent += 1
    return cents, exponent


def pack_instrument_id(terms: InstrumentTerms) -> int:
    """The one id of these terms; the strike keeps the smallest exponent that makes it fit."""
    assert terms.kind is not Kind.COMBO
    assert representable_strike(terms.strike), "ask representable_strike first"
    assert 0 < terms.underlying_id < 1 << _UNDERLYING_BITS
    minutes = div_exact(terms.expiry, _SECONDS_PER_MINUTE)
    assert 0 <= minutes < 1 << _EXPIRY_BITS
    mantissa, exponent = _split_strike(div_exact(terms.strike, PRICE_QUANTUM))
    return (
        terms.kind << _KIND_SHIFT
        | terms.underlying_id << _UNDERLYING_SHIFT
        | minutes << _EXPIRY_SHIFT
        | exponent << _EXPONENT_SHIFT
        | mantissa << _MANTISSA_SHIFT
        | terms.option_kind
    )


def unpack_instrument_id(instrument_id: int) -> InstrumentTerms:
    """Decode an id made by `pack_instrument_id`."""
    exponent = instrument_id >> _EXPONENT_SHIFT & _EXPONENT_MAX
    mantissa = instrument_id >> _MANTISSA_SHIFT & (1 << _MANTISSA_BITS) - 1
    return InstrumentTerms(
        Kind(instrument_id >> _KIND_SHIFT),
        instrument_id >> _UNDERLYING_SHIFT & (1 << _UNDERLYING_BITS) - 1,
        (instrument_id >> _EXPIRY_SHIFT & (1 << _EXPIRY_BITS) - 1) * _SECONDS_PER_MINUTE,
        mantissa * 10**exponent * PRICE_QUANTUM,
        OptionKind(instrument_id & 1),
    )


def index_id(underlying_id: int) -> int:
    """The id under which packed marks keep an underlying's index: of kind 0, so no instrument's."""
    assert 0 < underlying_id < 1 << _UNDERLYING_BITS
    return underlying_id << _UNDERLYING_SHIFT


def is_instrument_id(value: int) -> bool:
    """Whether `pack_instrument_id` can give `value`: one id for one instrument."""
    if not (Kind.OPTION <= value >> _KIND_SHIFT <= Kind.FUTURE):
        return False
    terms = unpack_instrument_id(value)
    if terms.underlying_id == 0 or not representable_strike(terms.strike):
        return False
    return pack_instrument_id(terms) == value


def civil_date(day: int) -> tuple[int, int, int]:
    """(year, month, day of month) of a day counted from 1970-01-01, in the Gregorian calendar.

    Written out because the core may not import the clock's module. Source: H. Hinnant,
    "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    """
    era, day_of_era = divmod(day + 719_468, 146_097)
    leaps = (
        div_down(day_of_era, 1460) - div_down(day_of_era, 36_524) + div_down(day_of_era, 146_096)
    )
    year_of_era = div_down(day_of_era - leaps, 365)
    leap_days = div_down(year_of_era, 4) - div_down(year_of_era, 100)
    day_of_year = day_of_era - (365 * year_of_era + leap_days)
    month_from_march = div_down(5 * day_of_year + 2, 153)
    day_of_month = day_of_year - div_down(153 * month_from_march + 2, 5) + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_month


def expiry_code(expiry: int) -> str:
    """Deribit's date in a name, such as `25DEC26`; times other than 08:00 append `T` and HHMMSS."""
    day, second = divmod(expiry, SECONDS_PER_DAY)
    year, month, day_of_month = civil_date(day)
    code = f"{day_of_month}{_MONTHS[month - 1]}{year % 100:02d}"
    if second == EXPIRY_SECOND_OF_DAY:
        return code
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{code}T{hours:02d}{minutes:02d}{seconds:02d}"


def strike_code(strike: int) -> str:
    """A strike in a name: whole USDC, or with `d` for the decimal point (`0d55`)."""
    whole, fraction = divmod(strike, CASH_SCALE)
    if fraction == 0:
        return str(whole)
    return f"{whole}d{fraction:06d}".rstrip("0")


def instrument_name(underlying: str, terms: InstrumentTerms) -> str:
    """Deribit's linear name, such as `BTC_USDC-25DEC26-100000-C`."""
    assert terms.kind is not Kind.COMBO, "its legs name it"
    stem = f"{underlying}_USDC"
    match terms.kind:
        case Kind.PERPETUAL:
            return f"{stem}-PERPETUAL"
        case Kind.FUTURE:
            return f"{stem}-{expiry_code(terms.expiry)}"
        case Kind.OPTION:
            letter = "CP"[terms.option_kind]
            return f"{stem}-{expiry_code(terms.expiry)}-{strike_code(terms.strike)}-{letter}"
        case _:
            assert_never(terms.kind)
