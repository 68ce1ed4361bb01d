"""What the engine says of forced exits and of the escape.

Part of `events`, which passes it on; what the watcher reads of them is in `observations`.
"""

from typing import Final

from exchange.reasons import Event

# After a request; the contract lets nobody else serve it before what was paid until then settled.
PAID_WITHIN_S: Final = 3600


class ExitRequested(Event, frozen=True, kw_only=True):
    """An owner asked on chain for money; units and `token` as in `Deposited`."""

    subaccount_id: int
    ordinal: int  # of the subaccount's requests, from 1
    amount: int
    recipient: str
    token: str = ""


class ExitServed(Event, frozen=True, kw_only=True):
    """The chain paid of a request what it could, by proof; the request is closed.

    What a batch pays is `Withdrawn`. Below zero where the chain lost the payment again.
    """

    subaccount_id: int
    ordinal: int
    amount: int
    token: str = ""


class EscapeStarted(Event, frozen=True, kw_only=True):
    """The venue has ended: nothing settles any more, and the chain pays everybody out."""

    block: int


ExitEvent = ExitRequested | ExitServed | EscapeStarted
