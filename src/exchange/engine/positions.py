"""The one way in which a position changes: a fill, a delivery, a liquidation, all at a price."""

from exchange.engine.state import Venue
from exchange.events import FundingPaid
from exchange.model import Instrument


def move_position(
    venue: Venue, subaccount_id: int, instrument: Instrument, signed_quantity: int, price: int
) -> None:
    """Funding first, then cash or entry cost, then the open interest; fees are the caller's."""
    account = venue.subaccounts[subaccount_id].account
    instrument_id = instrument.instrument_id
    before = account.position(instrument_id)
    paid = account.trade(instrument_id, signed_quantity, price)
    venue.count_open_interest(instrument.underlying_id, before, before + signed_quantity)
    if paid:
        venue.emit(
            FundingPaid(subaccount_id=subaccount_id, instrument_id=instrument_id, amount=paid)
        )
