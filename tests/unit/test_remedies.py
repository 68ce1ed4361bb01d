"""What a novation names."""

from tests.unit.test_commands import TERMS

from exchange.remedies import NovatedFill


def test_each_side_of_a_trade_is_replaced_for_itself():
    """Two sides of one trade have two keys."""
    fill = NovatedFill(
        trade_id=5, maker=True, subaccount_id=2, fee=0, terms=TERMS, signature=bytes(65)
    )
    assert fill.key == (5, True)
