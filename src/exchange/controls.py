"""What owners and the guardian decide on chain, and the engine obeys as soon as it is observed.

Part of `events`, which passes it on.
"""

from exchange.model import KeyScope
from exchange.reasons import Event


class SessionKeySet(Event, frozen=True, kw_only=True):
    """A session key was granted until `deadline`, or revoked (0)."""

    owner: str
    key: str
    deadline: int


class KeyScoped(Event, frozen=True, kw_only=True):
    """A session key, granted with the next event, may trade no more than this.

    None: the chain lost the grant.
    """

    owner: str
    key: str
    scope: KeyScope | None


class NonceFloorRaised(Event, frozen=True, kw_only=True):
    """Nonces below `floor` are void."""

    subaccount_id: int
    floor: int


class NonceVoided(Event, frozen=True, kw_only=True):
    """Nothing signed under this nonce trades any more."""

    subaccount_id: int
    nonce: int
    void: bool = True  # False: the chain lost the cancel


class WithdrawalVoided(Event, frozen=True, kw_only=True):
    """The chain paid nothing: the owner, a contract, did not confirm. The amount is a deposit."""

    subaccount_id: int
    nonce: int
    void: bool = True  # False: the chain lost that


class SheetFloorRaised(Event, frozen=True, kw_only=True):
    """Quote sheets with nonces below `floor` are void."""

    subaccount_id: int
    floor: int


class AccessChanged(Event, frozen=True, kw_only=True):
    """An owner's pass lets it take new risk until this second; 0: no longer."""

    owner: str
    until: int


class RiskPaused(Event, frozen=True, kw_only=True):
    """Trading is halted until this second at least; 0: an operator may resume it."""

    until: int


class PriceBandsChanged(Event, frozen=True, kw_only=True):
    """The chain's bands around published marks: no fill lies beyond them; zeros: it has none."""

    option_rate: int
    linear_rate: int
    age_max_s: int


class BatchMarginChanged(Event, frozen=True, kw_only=True):
    """What batches must prove from now on: 0 nothing, 1 maintenance, 2 initial margin."""

    level: int


class GovernanceChanged(Event, frozen=True, kw_only=True):
    """Governance changed something on chain that operators must know; `lost`: taken back."""

    change: str
    detail: str
    lost: bool = False
