"""Positions by subaccount and instrument, and the sum of the long ones."""

from exchange.api.holdings import Holdings
from exchange.events import FundingPaid, PositionExpired
from exchange.model import Side


def test_open_interest_is_the_sum_of_long_positions() -> None:
    """Whoever trades with whom; what turns from long to short counts as far as it was long."""
    held = Holdings()
    for subaccount_id, side, quantity in ((2, Side.SELL, 30_000), (3, Side.BUY, 30_000)):
        held.trade(subaccount_id, 7, side, 5_000_000, quantity)
    assert held.open_interest == {7: 30_000}
    for subaccount_id, side in ((3, Side.SELL), (2, Side.BUY)):
        held.trade(subaccount_id, 7, side, 6_000_000, 50_000)
    assert held.open_interest == {7: 20_000}
    assert (held.of(2, 7).quantity, held.of(3, 7).quantity) == (20_000, -20_000)
    assert held.of(3, 7).realized == 3_000_000


def test_what_expires_is_cash() -> None:
    """The payoff less what it cost; funding stands apart."""
    held = Holdings()
    held.trade(2, 7, Side.BUY, 5_000_000, 10_000)
    held.on_funding_paid(FundingPaid(subaccount_id=2, instrument_id=7, amount=-40))
    held.on_expired(
        PositionExpired(subaccount_id=2, instrument_id=7, quantity=10_000, payoff=8_000_000)
    )
    position = held.of(2, 7)
    assert (position.quantity, position.cost) == (0, 0)
    assert (position.realized, position.realized_funding) == (3_000_000, -40)
    assert held.open_interest == {7: 0}
