"""What is remembered of forced exits."""

from exchange.engine.exit_memory import Exits, ForcedExit


def test_requests_are_remembered_in_order_and_enter_the_state():
    """The oldest first, whatever their subaccounts."""
    exits = Exits()
    assert exits.state() == ([], False)
    for subaccount_id in (9, 2):
        exits.requests[subaccount_id] = ForcedExit(
            subaccount_id=subaccount_id, ordinal=1, token="0x", left=5, recipient="", requested_s=1
        )
    exits.escaped = True
    requests, escaped = exits.state()
    assert [request.subaccount_id for request in requests] == [9, 2]
    assert escaped
