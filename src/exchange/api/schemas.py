"""The words of the wire: parameters of every method, and decimals to scaled integers and back.

The only place where decimals and scaled integers meet. Numbers keep their text (`msgspec.Raw`)
until `fixed.parse_decimal` has checked it, so no float ever holds a price; what cannot be
represented is refused, never rounded. Unknown fields, wrong types and repeated keys are refused.
"""

import json
import re
from functools import lru_cache
from itertools import accumulate
from typing import Annotated, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from exchange.api.errors import InvalidParams, ParseError
from exchange.fixed import (
    ASSET_SCALE,
    CASH_SCALE,
    QUANTITY_SCALE,
    VOL_SCALE,
    div_exact,
    format_decimal,
    parse_decimal,
)
from exchange.signing import checksum_address

PRICE_MAX: Final = 10**15  # micro-USDC a contract: a thousand million USDC
QUANTITY_LIMIT: Final = 2**48  # the contract stores filled quantities in 48 bits
AMOUNT_MAX: Final = 10**18
DEPTH_MAX: Final = 32
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in _STEPS)
_PARAM_IN_MESSAGE: Final = re.compile(r"at `\$\.?([A-Za-z0-9_.\[\]]*)`|field `([^`]*)`")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2}){0,256}")
_JSON_STRING_LENGTH_MAX: Final = 64  # of a decimal in quotes
_NUMBER_SCHEMA: Final = {
    "oneOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}]
}


def decimal_field(description: str, example: str) -> Meta:
    """How a number that may be text is described."""
    return Meta(description=description, examples=[example], extra_json_schema=dict(_NUMBER_SCHEMA))


Contracts = Annotated[
    msgspec.Raw, decimal_field("Contracts; a number or a string, at most 4 decimals", "0.1")
]
Price = Annotated[
    msgspec.Raw,
    decimal_field("USDC a contract; a number or a string, at most 6 decimals", "1250.5"),
]
Usdc = Annotated[
    msgspec.Raw, decimal_field("USDC; a number or a string, at most 6 decimals", "100")
]

Name = Annotated[str, Meta(min_length=1, max_length=64)]
INSTRUMENT_NAME_MAX: Final = 512  # a combo of seventeen legs spells them all out
InstrumentName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=INSTRUMENT_NAME_MAX,
        description="Deribit's linear name, or a combo's",
        examples=["BTC_USDC-25DEC26-100000-C"],
    ),
]
Currency = Annotated[
    str,
    Meta(max_length=16, description="USDC or any (everything), or an underlying", examples=["BTC"]),
]
Label = Annotated[str, Meta(max_length=64, description="Your own words; not signed")]
OrderId = Annotated[str, Meta(max_length=20, pattern="^[0-9]+$", examples=["1042"])]
SubaccountId = Annotated[
    int, Meta(ge=1, le=2**63 - 1, description="Subaccount as the Clearing contract numbered it")
]
Uint63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Nonce = Annotated[
    int, Meta(ge=0, le=2**63 - 1, description="Names the order inside its subaccount; never reused")
]
Version = Annotated[int, Meta(ge=0, lt=2**16, description="0 at first, higher in each edit")]
Deadline = Annotated[
    int, Meta(ge=0, le=2**40, description="UTC second after which the signature is void")
]
Address = Annotated[
    str, Meta(max_length=42, pattern="^0x[0-9a-fA-F]{40}$", description="Ethereum address")
]
Signature = Annotated[
    str,
    Meta(
        max_length=514,
        pattern="^0x([0-9a-fA-F]{2})*$",
        description="65 bytes r, s, v as hex; v is 27 or 28, s is low",
    ),
]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53, description="UTC milliseconds")]
Count = Annotated[int, Meta(ge=1, le=1000, description="How many at most")]
KindName = Literal["option", "future", "spot", "any", "combo", "future_combo", "option_combo"]
OrderType = Literal[
    "all",
    "limit",
    "market",
    "trigger_all",
    "stop_all",
    "stop_limit",
    "stop_market",
    "take_all",
    "take_limit",
    "take_market",
    "trailing_all",
    "trailing_stop",
]
Sorting = Literal["asc", "desc", "default"]
TimeInForceName = Literal[
    "good_til_cancelled", "good_til_day", "fill_or_kill", "immediate_or_cancel"
]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameters: unknown fields are refused."""


P = TypeVar("P", bound=Params)


class Empty(Params, frozen=True, kw_only=True):
    """No parameters."""


class HelloParams(Params, frozen=True, kw_only=True):
    """Who calls."""

    client_name: Annotated[str, Meta(max_length=64)] = ""
    client_version: Annotated[str, Meta(max_length=64)] = ""


class TestParams(Params, frozen=True, kw_only=True):
    """`expected_result: exception` provokes an error."""

    expected_result: Annotated[str, Meta(max_length=64)] = ""


class AuthParams(Params, frozen=True, kw_only=True):
    """Sign in with Ethereum or an API key, or renew a session.

    `signature` is over the message; of client_signature HMAC-SHA256, as hex.
    """

    grant_type: Literal["eip4361", "client_credentials", "client_signature", "refresh_token"]
    message: Annotated[str, Meta(max_length=4096, description="EIP-4361 text")] = ""
    signature: Annotated[str, Meta(max_length=514, pattern="^(0x)?([0-9a-fA-F]{2})*$")] = ""
    client_id: Annotated[str, Meta(max_length=64)] = ""
    client_secret: Annotated[str, Meta(max_length=128)] = ""
    timestamp: Milliseconds = 0
    nonce: Annotated[str, Meta(max_length=128)] = ""
    data: Annotated[str, Meta(max_length=1024)] = ""
    refresh_token: Annotated[str, Meta(max_length=128)] = ""
    scope: Annotated[str, Meta(max_length=256)] = ""
    state: Annotated[str, Meta(max_length=256)] = ""


class HeartbeatParams(Params, frozen=True, kw_only=True):
    """Seconds between heartbeats."""

    interval: Annotated[int, Meta(ge=10, le=3600)]


ChannelName = Annotated[str, Meta(min_length=1, max_length=INSTRUMENT_NAME_MAX + 64)]


class ChannelsParams(Params, frozen=True, kw_only=True):
    """Channel names."""

    channels: Annotated[list[ChannelName], Meta(min_length=1, max_length=500)]
    label: Label = ""


class InstrumentsParams(Params, frozen=True, kw_only=True):
    """Instruments of a currency."""

    currency: Currency = "any"
    kind: KindName = "any"
    expired: bool = False


class InstrumentParams(Params, frozen=True, kw_only=True):
    """One instrument."""

    instrument_name: InstrumentName


class FundingPeriodParams(Params, frozen=True, kw_only=True):
    """A perpetual between two times."""

    instrument_name: InstrumentName
    start_timestamp: Milliseconds
    end_timestamp: Milliseconds


class FundingChartParams(Params, frozen=True, kw_only=True):
    """A perpetual over one of three lengths."""

    instrument_name: InstrumentName
    length: Literal["8h", "24h", "1m"] = "8h"


class BookParams(Params, frozen=True, kw_only=True):
    """A book down to `depth` levels a side."""

    instrument_name: InstrumentName
    depth: Annotated[int, Meta(ge=1, le=10_000)] = 5


class IndexParams(Params, frozen=True, kw_only=True):
    """One index, such as btc_usdc."""

    index_name: Name


class DeliveryParams(Params, frozen=True, kw_only=True):
    """Delivery prices of an index, the newest first."""

    index_name: Name
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    count: Count = 10


class LastTradesParams(Params, frozen=True, kw_only=True):
    """Public trades of an instrument."""

    instrument_name: InstrumentName
    start_seq: Uint63 | None = None
    end_seq: Uint63 | None = None
    include_old: bool = False
    start_timestamp: Milliseconds | None = None
    end_timestamp: Milliseconds | None = None
    count: Count = 10
    sorting: Sorting = "default"


class SummaryParams(Params, frozen=True, kw_only=True):
    """Book summaries of a currency."""

    currency: Currency
    kind: KindName = "any"


class OrderIdParams(Params, frozen=True, kw_only=True):
    """One order."""

    order_id: OrderId


class SubaccountParams(Params, frozen=True, kw_only=True):
    """One of your subaccounts; without it the first."""

    subaccount_id: SubaccountId | None = None


class AccountParams(SubaccountParams, frozen=True, kw_only=True):
    """A subaccount's summary."""

    currency: Currency = "USDC"
    extended: bool = False


class CancelAllParams(SubaccountParams, frozen=True, kw_only=True):
    """Cancel in one subaccount, or in all of yours."""


class CancelByInstrumentParams(SubaccountParams, frozen=True, kw_only=True):
    """Cancel in one instrument."""

    instrument_name: InstrumentName
    type: OrderType = "all"


class CancelByCurrencyParams(SubaccountParams, frozen=True, kw_only=True):
    """Cancel in one currency."""

    currency: Currency
    kind: KindName = "any"
    type: OrderType = "all"


class OpenOrdersParams(SubaccountParams, frozen=True, kw_only=True):
    """Open orders."""

    kind: KindName = "any"
    type: OrderType = "all"


class OpenByCurrencyParams(OpenOrdersParams, frozen=True, kw_only=True):
    """Open orders in a currency."""

    currency: Currency


class OpenByInstrumentParams(SubaccountParams, frozen=True, kw_only=True):
    """Open orders in an instrument."""

    instrument_name: InstrumentName
    type: OrderType = "all"


class OrderByLabelParams(SubaccountParams, frozen=True, kw_only=True):
    """Orders with a label."""

    label: Label
    currency: Currency = "any"


class OrderByNonceParams(Params, frozen=True, kw_only=True):
    """The order of a nonce: the final state after any time-out."""

    subaccount_id: SubaccountId
    nonce: Nonce


class PositionParams(SubaccountParams, frozen=True, kw_only=True):
    """A position."""

    instrument_name: InstrumentName


class PositionsParams(SubaccountParams, frozen=True, kw_only=True):
    """Positions."""

    currency: Currency = "any"
    kind: KindName = "any"


class UserTradesParams(SubaccountParams, frozen=True, kw_only=True):
    """Your trades, the newest first unless sorted otherwise."""

    include_old: bool = False
    historical: bool = False
    start_timestamp: Milliseconds | None = None
    end_timestamp: Milliseconds | None = None
    count: Count = 10
    sorting: Sorting = "default"


class UserTradesByInstrumentParams(UserTradesParams, frozen=True, kw_only=True):
    """Your trades in an instrument."""

    instrument_name: InstrumentName


class UserTradesByCurrencyParams(UserTradesParams, frozen=True, kw_only=True):
    """Your trades in a currency."""

    currency: Currency
    kind: KindName = "any"


class SettlementParams(Params, frozen=True, kw_only=True):
    """A trade or a withdrawal on its way to the chain; exactly one of the two forms."""

    trade_id: OrderId | None = None
    subaccount_id: SubaccountId | None = None
    nonce: Nonce | None = None


class LogoutParams(Params, frozen=True, kw_only=True):
    """Ends the session."""

    invalidate_token: bool = True


# -- decoding -----------------------------------------------------------------------------------


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidParams("the same field twice", name[:64])
            seen.add(name)
    return names


def _refuse_constant(text: str) -> NoReturn:
    raise ParseError(f"{text} is not JSON")


_STRICT_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_float=str,
    parse_int=str,
    parse_constant=_refuse_constant,
)


def _is_deep(text: bytes) -> bool:
    """Whether brackets nest beyond `DEPTH_MAX`; the decoders' own limit is the interpreter's."""
    if text.count(b"[") + text.count(b"{") <= DEPTH_MAX:
        return False
    # Without escapes every second part between quotes is a string's.
    parts = text.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
    brackets = b"".join(parts[::2]).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_MAX


def check_json(text: bytes) -> None:
    """Refuse what is not one JSON text without repeated keys; msgspec keeps the last of two."""
    if _is_deep(text):
        raise ParseError("nested too deeply")
    try:
        _STRICT_JSON.decode(text.decode())
    except UnicodeDecodeError:
        raise ParseError("the text is not UTF-8") from None
    except ValueError as error:
        raise ParseError(str(error)) from None


def decode(text: bytes | msgspec.Raw, kind: type[P]) -> P:
    """Parameters of a method from JSON text that `check_json` has passed."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(str(error), param_of(str(error))) from None
    except msgspec.DecodeError as error:
        raise ParseError(str(error)) from None
    except RecursionError:
        raise InvalidParams("nested too deeply") from None


def param_of(message: str) -> str:
    """The field that a msgspec message names, or nothing."""
    found = _PARAM_IN_MESSAGE.search(message)
    return (found[1] or found[2] or "") if found else ""


def query_to_json(pairs: list[tuple[str, str]], kind: type[Params]) -> bytes:
    """JSON text of a query string: bare where the field is an integer or a flag, else quoted."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise InvalidParams("the same parameter twice", name[:64])
        members[name] = _query_value(fields.get(name), name, value)
    return msgspec.json.encode(members)


def _query_value(field_type: object, name: str, value: str) -> object:
    text = str(field_type)
    if "list" in text:
        return _query_list(name, value)
    if "int" in text and re.fullmatch(r"-?(0|[1-9][0-9]{0,19})", value):
        return msgspec.Raw(value.encode())
    return value == "true" if field_type is bool and value in ("true", "false") else value


def _query_list(name: str, value: str) -> object:
    if not value.startswith("["):
        return value.split(",")
    try:
        return msgspec.json.decode(value.encode())
    except (msgspec.MsgspecError, RecursionError):
        raise InvalidParams("not a JSON array", name) from None


# -- decimals in --------------------------------------------------------------------------------


@lru_cache(maxsize=8_192)  # prices and amounts come again and again
def _decimal(text: bytes, scale: int) -> int | None:
    inner = text[1:-1] if text[:1] == b'"' else text
    return parse_decimal(inner.decode("utf-8", "replace"), scale)


def _scaled(raw: msgspec.Raw, scale: int, param: str, maximum: int) -> int:
    text = bytes(raw)
    value = _decimal(text, scale) if len(text) <= _JSON_STRING_LENGTH_MAX else None
    if value is not None:
        if abs(value) <= maximum:
            return value
        raise InvalidParams(f"larger than {format_decimal(maximum, scale)}", param)
    decimals = len(str(scale)) - 1
    shown = text[:40].decode("utf-8", "replace")
    raise InvalidParams(f"{shown} is not a plain decimal of at most {decimals} decimals", param)


def parse_price(raw: msgspec.Raw, param: str = "price") -> int:
    """Micro-USDC a contract; may be negative or zero, which the engine refuses by name."""
    return _scaled(raw, CASH_SCALE, param, PRICE_MAX)


def parse_percent(raw: msgspec.Raw, maximum: int, param: str = "price") -> int:
    """A volatility in percent as 1e-6, > 0."""
    value = _scaled(raw, div_exact(VOL_SCALE, 100), param, maximum)
    if value <= 0:
        raise InvalidParams("must be positive", param)
    return value


def parse_fee(raw: msgspec.Raw) -> int:
    """A fee limit in micro-USDC a contract, >= 0."""
    fee = _scaled(raw, CASH_SCALE, "max_fee", PRICE_MAX)
    if fee < 0:
        raise InvalidParams("must not be negative", "max_fee")
    return fee


def parse_quantity(raw: msgspec.Raw, param: str = "amount") -> int:
    """1e-4 contracts, >= 0; zero is refused by the engine by name."""
    quantity = _scaled(raw, QUANTITY_SCALE, param, QUANTITY_LIMIT - 1)
    if quantity < 0:
        raise InvalidParams("must not be negative", param)
    return quantity


def parse_delta(raw: msgspec.Raw, param: str) -> int:
    """A delta limit in 1e-6 of the underlying, > 0."""
    return parse_usdc(raw, param)  # the same scale, and the same bounds


def parse_usdc(raw: msgspec.Raw, param: str = "amount") -> int:
    """Micro-USDC, > 0."""
    amount = _scaled(raw, CASH_SCALE, param, AMOUNT_MAX)
    if amount <= 0:
        raise InvalidParams("must be positive", param)
    return amount


def parse_token(raw: msgspec.Raw, param: str = "amount", *, signed: bool = False) -> int:
    """1e-8 of a collateral token, > 0 unless `signed`."""
    amount = _scaled(raw, ASSET_SCALE, param, AMOUNT_MAX)
    if amount <= 0 and not signed:
        raise InvalidParams("must be positive", param)
    return amount


def parse_signed_usdc(raw: msgspec.Raw, param: str) -> int:
    """Micro-USDC of either sign."""
    return _scaled(raw, CASH_SCALE, param, AMOUNT_MAX)


def parse_signed_quantity(raw: msgspec.Raw, param: str) -> int:
    """1e-4 contracts of either sign."""
    return _scaled(raw, QUANTITY_SCALE, param, QUANTITY_LIMIT - 1)


@lru_cache(maxsize=8_192)  # the same signers come again and again, and a hash is dear
def _checksummed(text: str) -> str:
    return checksum_address(bytes.fromhex(text[2:]))


def parse_address(text: str, param: str) -> str:
    """Checksummed address; mixed case must carry the right EIP-55 checksum."""
    if not _ADDRESS.fullmatch(text):
        raise InvalidParams("not an address: 0x and 40 hex digits", param)
    checksummed = _checksummed(text)
    digits = text[2:]
    if text != checksummed and digits not in (digits.lower(), digits.upper()):
        raise InvalidParams("the mixed case breaks the EIP-55 checksum", param)
    return checksummed


def parse_hex(text: str, param: str) -> bytes:
    """Bytes of 0x-prefixed hex."""
    if not _HEX.fullmatch(text):
        raise InvalidParams("not 0x-prefixed hex", param)
    return bytes.fromhex(text[2:])


# -- decimals out: exact JSON numbers -------------------------------------------------------------


@lru_cache(maxsize=8_192)
def cash_number(value: int) -> msgspec.Raw:
    """Micro-USDC as a JSON number in USDC."""
    return msgspec.Raw(format_decimal(value, CASH_SCALE).encode())


@lru_cache(maxsize=8_192)
def quantity_number(value: int) -> msgspec.Raw:
    """1e-4 contracts as a JSON number of contracts."""
    return msgspec.Raw(format_decimal(value, QUANTITY_SCALE).encode())


def token_number(value: int) -> msgspec.Raw:
    """1e-8 of a token as a JSON number of tokens."""
    return ratio_number(value, ASSET_SCALE)


def vol_percent_number(value: int) -> msgspec.Raw:
    """A volatility or rate in 1e-6 as percent, as Deribit shows `mark_iv`."""
    return msgspec.Raw(format_decimal(value * 100, VOL_SCALE).encode())


def ratio_number(value: int, scale: int = VOL_SCALE) -> msgspec.Raw:
    """A scaled ratio as a JSON number."""
    return msgspec.Raw(format_decimal(value, scale).encode())
