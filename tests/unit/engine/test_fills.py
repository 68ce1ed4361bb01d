"""What a match does to accounts, in order; which side of it is a leg of a combo."""

from typing import Any

from tests.venue import C, Venue, contracts, names, placed_in, usdc

from exchange.engine.fills import Party, Price, book_match, note_fill
from exchange.events import Traded
from exchange.model import Side


def test_a_match_moves_cash_positions_and_fees(venue: Venue, ann: int, bob: int) -> None:
    """Both sides at one price; the venue's account takes both fees."""
    events = venue.sell(ann, 2, 2_500)
    before = venue.cash(ann), venue.cash(bob), venue.cash(1)
    bought = venue.buy(bob, 1, 2_500)
    assert names(events) == ["OrderPlaced"]
    assert names(bought) == ["OrderPlaced", "Traded"]
    assert (venue.position(ann), venue.position(bob)) == (-contracts(1), contracts(1))
    assert venue.cash(ann) - before[0] == usdc(2_500)
    assert before[1] - venue.cash(bob) == usdc(2_500)
    assert venue.cash(1) == before[2]
    traded = bought[1]
    assert isinstance(traded, Traded)
    assert (traded.maker_combo, traded.taker_combo, traded.combo_id) == (False, False, 0)


def test_an_order_of_another_instrument_is_a_leg(venue: Venue, ann: int, bob: int) -> None:
    """It is filled when all its legs are, by `note_fill`."""
    state: Any = venue.engine._venue
    maker = state.orders[placed_in(venue.sell(ann, 2, 2_500)).order_id]
    taker = state.orders[placed_in(venue.buy(bob, 1, 2_400, instrument_id=C + 1)).order_id]
    state.events = []
    parties = (Party(maker, Side.SELL, 3), Party(taker, Side.BUY, 4))
    book_match(state, parties, Price(C, usdc(2_500), contracts(1)), combo_trade_id=9)
    (traded,) = state.events
    assert (traded.maker_combo, traded.taker_combo) == (False, True)
    assert (traded.combo_id, traded.combo_trade_id) == (C + 1, 9)
    assert (maker.filled_quantity, taker.filled_quantity) == (contracts(1), 0)
    note_fill(state, taker, contracts(1), -5)
    assert (taker.filled_quantity, taker.fill_value) == (contracts(1), -5)
