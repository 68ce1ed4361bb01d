"""Quote sheets on the wire: many two-sided quotes under one signature, replaced in one call."""

from typing import Any, Final

from exchange.api import results
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import REJECTIONS
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_private import asked_subaccounts, count_canceled
from exchange.api.ports import Reply
from exchange.api.reading import Reading, extra_cost
from exchange.api.results import Result
from exchange.api.schemas import (
    SubaccountParams,
)
from exchange.api.signed_terms import MassQuoteParams, sheet_command
from exchange.commands import CancelAll, MassQuote
from exchange.events import QuoteRefused, QuotesReplaced
from exchange.model import SheetTerms


async def mass_quote(gateway: Gateway, caller: Caller, params: MassQuoteParams) -> Result:
    """Replaces a subaccount's sheet of post-only quotes; needs no session, since it is signed."""
    gateway.limits.take(caller.payer, matching=True, cost=extra_cost(len(params.quotes)))
    command, digest = sheet_command(gateway, params)
    await gateway.check_signature(digest, command.signature, command.terms.signer)
    reply = await gateway.submit(command)
    return _answer(gateway, caller, command.terms, reply, detailed=params.detailed)


def answer_read(gateway: Gateway, caller: Caller, reading: Reading, reply: Reply) -> Result:
    """Answer to a sheet that another process read and checked."""
    assert isinstance(reading.command, MassQuote)
    return _answer(gateway, caller, reading.command.terms, reply, detailed=reading.detailed)


def _answer(
    gateway: Gateway, caller: Caller, terms: SheetTerms, reply: Reply, *, detailed: bool
) -> Result:
    """Counts of what the sheet did (none for a repeated one), refusals by side, what stands now."""
    if caller.connection is not None:
        caller.connection.quoted.add(terms.subaccount_id)
    backwards = reversed(reply.events)  # it stands behind those of all the quotes
    replaced = next((event for event in backwards if isinstance(event, QuotesReplaced)), None)
    counts = ("canceled", "kept", "placed", "refused")
    told = reply.events if replaced is not None and replaced.refused else ()
    standing = gateway.view.open_orders.get(terms.subaccount_id, {}) if detailed else {}
    return {
        "sheet_nonce": terms.sheet_nonce,
        **{name: getattr(replaced, name) if replaced else 0 for name in counts},
        "quotes": [
            results.order_result(gateway.view, order)
            for order in standing.values()
            if order.is_quote
        ],
        "errors": [_error(gateway, event) for event in told if isinstance(event, QuoteRefused)],
    } | gateway.receipt(reply)


def _error(gateway: Gateway, event: QuoteRefused) -> Result:
    code, message, _ = REJECTIONS[event.reason]
    return {
        "instrument_name": gateway.view.instruments[event.instrument_id].name,
        "side": event.side.name.lower(),
        "code": code,
        "message": message,
        "reject_reason": event.reason.value,
        "reason": event.detail,
    }


async def cancel_quotes(gateway: Gateway, caller: Caller, params: SubaccountParams) -> int:
    """Cancels the quotes of one subaccount, or of all yours; returns how many."""
    count = 0
    for subaccount_id in asked_subaccounts(gateway, caller, params.subaccount_id):
        command = CancelAll(subaccount_id=subaccount_id, quotes_only=True)
        count += await count_canceled(gateway, command)
    return count


QUOTES: Final[list[Method[Any]]] = [
    private_method(mass_quote, MassQuoteParams, matching=True, answer=answer_read),
    private_method(cancel_quotes, SubaccountParams, matching=True),
]
