"""What the engine says of exits."""

from exchange.exits import PAID_WITHIN_S, ExitServed


def test_a_request_is_paid_within_what_the_contract_allows():
    """`PAID_WITHIN` of Requests.sol."""
    assert PAID_WITHIN_S == 60 * 60


def test_an_exit_is_of_cash_unless_it_names_a_token():
    """As deposits are."""
    assert ExitServed(subaccount_id=2, ordinal=1, amount=5).token == ""
