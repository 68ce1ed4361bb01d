"""Quote sheets for tests, in the words of a maker."""

from typing import Any

from tests.venue import Venue, contracts, usdc

from exchange.commands import MassQuote
from exchange.model import Quote, SheetTerms


def quote(instrument_id: int, bid: Any, bid_quantity: Any, ask: Any, ask_quantity: Any) -> Quote:
    """Both sides in one instrument."""
    return Quote(
        instrument_id, usdc(bid), contracts(bid_quantity), usdc(ask), contracts(ask_quantity)
    )


def sheet(venue: Venue, who: int, nonce: int, *lines: Any, **changes: Any) -> MassQuote:
    """Signed by nobody, in its owner's name; leaves have the nonces 1000 * nonce and up."""
    options = {key: changes.pop(key) for key in ("label", "mmp") if key in changes}
    fields = {
        "subaccount_id": who,
        "sheet_nonce": nonce,
        "first_nonce": 1_000 * nonce,
        "max_fee": usdc(1_000),
        "deadline": venue.now_s + 3_600,
        "signer": venue.engine.subaccounts[who].owner,
    } | changes
    quotes = tuple(quote(*line) for line in lines)
    return MassQuote(terms=SheetTerms(**fields), quotes=quotes, signature=b"", **options)
