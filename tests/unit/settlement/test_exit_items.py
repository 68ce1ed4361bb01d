"""Logs of exits as observations, and payments as items of a batch."""

from exchange.events import Withdrawn
from exchange.observations import EscapeSeen, ExitSeen, ExitServedSeen
from exchange.settlement.exit_items import EXIT_OBSERVERS, NOBODY, exit_terms

ARGUMENTS = {
    "subaccountId": 2,
    "ordinal": 3,
    "token": "0xT",
    "amount": 4,
    "recipient": "0xR",
    "requestedAt": 5,
}


def test_logs_become_observations():
    """Field by field; an escape is known by its block."""
    found = {
        name: observe({"args": ARGUMENTS, "blockNumber": 9})
        for name, observe in EXIT_OBSERVERS.items()
    }
    assert found == {
        "ExitRequested": ExitSeen(
            subaccount_id=2, ordinal=3, token="0xT", amount=4, recipient="0xR", requested_s=5
        ),
        "ExitServed": ExitServedSeen(subaccount_id=2, ordinal=3, token="0xT", amount=4),
        "EscapeStarted": EscapeSeen(block=9),
    }


def test_a_payment_has_no_signer():
    """The contract then looks for the request."""
    event = Withdrawn(subaccount_id=2, amount=4, recipient="0xR", nonce=3, exit_token="0xT")
    terms = exit_terms(event)
    assert (terms.signer, terms.nonce, terms.token, terms.deadline) == (NOBODY, 3, "0xT", 0)
