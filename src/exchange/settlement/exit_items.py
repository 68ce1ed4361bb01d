"""Forced exits on their way: from the chain's logs to the journal, thence into a batch. Pure."""

from collections.abc import Callable
from typing import Any, Final

from exchange.events import Withdrawn
from exchange.model import WithdrawalTerms
from exchange.observations import AnyObservation, EscapeSeen, ExitSeen, ExitServedSeen

NOBODY: Final = "0x" + "0" * 40

# By the event's name; each takes the decoded log.
EXIT_OBSERVERS: Final[dict[str, Callable[[Any], AnyObservation]]] = {
    "ExitRequested": lambda data: ExitSeen(
        subaccount_id=data["args"]["subaccountId"],
        ordinal=data["args"]["ordinal"],
        token=data["args"]["token"],
        amount=data["args"]["amount"],
        recipient=data["args"]["recipient"],
        requested_s=data["args"]["requestedAt"],
    ),
    "ExitServed": lambda data: ExitServedSeen(
        subaccount_id=data["args"]["subaccountId"],
        ordinal=data["args"]["ordinal"],
        token=data["args"]["token"],
        amount=data["args"]["amount"],
    ),
    "EscapeStarted": lambda data: EscapeSeen(block=int(data["blockNumber"])),
}


def exit_terms(event: Withdrawn) -> WithdrawalTerms:
    """What pays a forced exit: its owner's request on chain stands for the signature."""
    return WithdrawalTerms(
        subaccount_id=event.subaccount_id,
        token=event.exit_token,
        amount=event.amount,
        recipient=event.recipient,
        nonce=event.nonce,
        deadline=0,
        signer=NOBODY,
    )
