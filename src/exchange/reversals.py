"""Events of blocks that were acted on and are gone: the chain was reorganised too deep.

Parts of `events`, which passes them on. What such blocks brought is undone, the newest first, and
`BlocksReverted` ends the list; the withdrawals of whoever lost a deposit are held besides.
"""

from exchange.reasons import Event


class BlocksReverted(Event, frozen=True, kw_only=True):
    """`last_block` is the newest block that is still there, `lost_block` the newest that was."""

    last_block: int
    lost_block: int


class DepositReverted(Event, frozen=True, kw_only=True):
    """A deposit never was: debited again, cash below zero if it must be; units as in `Deposited`.

    `missing` is what of a token is not there to debit; the next deposits of it pay that first.
    """

    subaccount_id: int
    amount: int
    token: str = ""
    missing: int = 0


class SubaccountReverted(Event, frozen=True, kw_only=True):
    """A subaccount was never opened: nobody owns it until the chain opens it again."""

    subaccount_id: int
    owner: str  # who was thought to


class NonceFloorReverted(Event, frozen=True, kw_only=True):
    """A floor was never raised; `floor` is in force again."""

    subaccount_id: int
    floor: int


class BatchReverted(Event, frozen=True, kw_only=True):
    """A settlement batch is not on chain any more; it settles again as it was."""

    number: int


ReversalEvent = (
    BlocksReverted | DepositReverted | SubaccountReverted | NonceFloorReverted | BatchReverted
)
