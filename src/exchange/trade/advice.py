"""What to do about a refusal: one sentence beside the venue's own."""

import difflib
from typing import Final

from exchange.sdk import ApiError, BadArgument, Client, ConnectionLost, SdkError

_UNKNOWN_INSTRUMENT: Final = 10020
_NEXT: Final = {
    "insufficient_margin": "`exchange trade risk` shows what is used; deposit, or trade less",
    "insufficient_cash": "`exchange trade positions` shows what is available",
    "price_outside_band": "`exchange trade book NAME` shows the mark that the band lies around",
    "post_only_would_trade": "leave --post-only away, or bid lower (offer higher)",
    "reduce_only_increases": "`exchange trade positions` shows what there is to reduce",
    "unknown_order": "`exchange trade order list` shows open orders",
    "unknown_subaccount": "open one and deposit first: README, Ten lines",
    "unauthorized_signer": "the key must own the subaccount, or be its live session key",
    "stale_index": "prices are away; try again in a few seconds",
    "stale_marks": "prices are away; try again in a few seconds",
    "no_mark": "it was just listed; try again in a few seconds",
    "instrument_halted": "`exchange trade book NAME` shows its state; cancels work meanwhile",
    "max_fee_too_low": "leave --max-fee away: twice the schedule is signed then",
    "in_liquidation": "the subaccount is being liquidated; cancels and deposits still work",
}
_BY_MESSAGE: Final = {
    "order_not_found": "`exchange trade order list` shows open orders",
    "too_many_requests": "wait a second",
    "forbidden": "another --subaccount, or another key",
}


def explain(error: SdkError, url: str, client: Client | None = None) -> str:
    """What happened, why, and what to do next."""
    if isinstance(error, ConnectionLost):
        return (
            f"no answer from the venue at {url} ({error}); "
            "start one with scripts/run, or name another with --url"
        )
    if isinstance(error, ApiError):
        said = f"refused: {error.reject_reason or error.message}"
        if error.reason and error.reason != error.message:
            said += f" ({error.reason.removeprefix(error.reject_reason + ': ')})"
        return "; ".join(part for part in (said, _next(error, client)) if part)
    text = str(error)
    if isinstance(error, BadArgument) and "no subaccount" in text:
        text += "; README, Ten lines, shows how, or take --person 0 on a local venue"
    return text


def _next(error: ApiError, client: Client | None) -> str:
    if error.code == _UNKNOWN_INSTRUMENT:
        return _similar(error, client)
    return _NEXT.get(error.reject_reason) or _BY_MESSAGE.get(error.message, "")


def _similar(error: ApiError, client: Client | None) -> str:
    """Names that the unknown one may mean."""
    if client is None:
        return "`exchange trade chain BTC` shows what is listed"
    names = [one.instrument_name for one in client.instruments()]
    asked = next((word for word in error.reason.replace(",", " ").split() if "-" in word), "")
    close = difflib.get_close_matches(asked.upper(), names, n=3)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "`exchange trade chain BTC` shows what is listed"
