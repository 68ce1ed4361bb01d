"""The one way in which a position changes: a fill, a delivery, a liquidation, all at a price."""

from exchange.engine.limits import is_full
from exchange.engine.state import Subaccount, Venue
from exchange.events import FundingPaid, PositionExpired
from exchange.fixed import notional
from exchange.model import Instrument, Kind


def move_position(
    venue: Venue, subaccount_id: int, instrument: Instrument, signed_quantity: int, price: int
) -> None:
    """Funding first, then cash or entry cost, then the open interest; fees are the caller's."""
    account = venue.subaccounts[subaccount_id].account
    instrument_id = instrument.instrument_id
    before = account.position(instrument_id)
    paid = account.trade(instrument_id, signed_quantity, price)
    venue.count_open_interest(instrument.underlying_id, before, before + signed_quantity)
    if not before and is_full(venue, account):
        venue.filled_up.append(subaccount_id)
    if paid:
        venue.emit(
            FundingPaid(subaccount_id=subaccount_id, instrument_id=instrument_id, amount=paid)
        )


def move_delivered(
    venue: Venue,
    instrument: Instrument,
    giver: Subaccount,
    taker: Subaccount,
    quantity: int,
    price: int,
) -> None:
    """Of an expired instrument all is cash here; the next batch pays the taker's position off."""
    delivery_price = venue.delivery_prices[instrument.underlying_id, instrument.expiry]
    value = notional(instrument.payoff(delivery_price), quantity)
    paid = notional(price, quantity)
    giver.account.add_cash(paid - value)
    taker.account.add_cash(value - paid)
    venue.batches.pending += 1
    venue.emit(
        PositionExpired(
            subaccount_id=taker.subaccount_id,
            instrument_id=instrument.instrument_id,
            quantity=quantity,
            payoff=value if instrument.kind is Kind.OPTION else value - paid,
        )
    )
