"""Signed requests read from their text in one go, by a process that has nothing else to do.

A reading says all that the gateway needs to enter the command. Whatever is not plainly right is
left to the gateway, which reads the text again and answers with the reason.
"""

import re
from typing import Final, Literal

import msgspec

from exchange.api.errors import InvalidRequest, ParseError
from exchange.api.schemas import check_json, decode, param_of
from exchange.api.signed_terms import (
    EntryParams,
    MassQuoteParams,
    Names,
    is_plain,
    plain_order,
    sheet_command,
)
from exchange.commands import MassQuote, PlaceOrder
from exchange.fixed import div_down
from exchange.model import Side
from exchange.signing import recover_address

RequestId = int | str | None

LINES_PER_CREDIT: Final = 8

# A hint by a look at the text. Requests of other forms are as good, and go the gateway's own way.
_METHOD: Final = re.compile(rb'"method"\s*:\s*"private/(buy|sell|mass_quote)"')
_SHEET: Final = b"mass_quote"
_SIGNED: Final = b'"signature"'
_LINE: Final = b'"instrument_name"'
_SIDES: Final = {"private/buy": Side.BUY, "private/sell": Side.SELL}


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON-RPC 2.0 request."""

    method: str
    id: RequestId = None
    jsonrpc: Literal["2.0"] = "2.0"
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request whose signature is its signer's."""

    request_id: RequestId
    method: str
    command: PlaceOrder | MassQuote
    detailed: bool = True  # of a sheet's answer


_envelopes: Final = msgspec.json.Decoder(Envelope)


def envelope_of(text: bytes) -> Envelope:
    """The envelope of a request that `check_json` has passed."""
    try:
        return _envelopes.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error), param_of(str(error))) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ParseError(str(error)) from None


def plain_cost(text: bytes) -> int | None:
    """Matching credits of what looks like a signed order or sheet: a guess, to be confirmed.

    A sheet is hashed before its signature is checked. None for all other requests.
    """
    found = _METHOD.search(text)
    if found is None or _SIGNED not in text or b"\\" in text:
        return None
    return 1 + extra_cost(text.count(_LINE)) if found[1] == _SHEET else 1


def extra_cost(lines: int) -> int:
    """Credits of a sheet of so many lines, beside the one of every call."""
    return div_down(lines, LINES_PER_CREDIT)


def read(text: bytes, names: Names) -> Reading | None:
    """A plain request with its signature checked; None if it is of another kind.

    Raises `ExchangeError` for what the gateway would refuse.
    """
    check_json(text)
    envelope = envelope_of(text)
    detailed = True
    command: PlaceOrder | MassQuote
    if envelope.method in _SIDES:
        order = decode(envelope.params, EntryParams)
        if not is_plain(order):
            return None
        command, digest = plain_order(names, order, _SIDES[envelope.method])
    elif envelope.method == "private/mass_quote":
        sheet = decode(envelope.params, MassQuoteParams)
        detailed = sheet.detailed
        command, digest = sheet_command(names, sheet)
    else:
        return None
    signer = bytes.fromhex(command.terms.signer[2:])
    if recover_address(digest, command.signature) != signer:
        return None
    return Reading(envelope.id, envelope.method, command, detailed)
