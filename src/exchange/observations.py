"""What the watcher reads from confirmed logs; `commands.ObserveBlocks` carries it to the engine.

Parts of `commands` and `events`, which pass them on.
"""

import msgspec

from exchange.model import KeyScope
from exchange.reasons import Event


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Base of what the watcher reads from confirmed logs."""


class SubaccountSeen(Observation, frozen=True, kw_only=True):
    """The chain opened a subaccount."""

    subaccount_id: int
    owner: str
    standard: bool = False  # margined position by position, for good


class SubaccountOpened(Event, frozen=True, kw_only=True):
    """A subaccount can trade; a `standard` one is margined position by position."""

    subaccount_id: int
    owner: str
    standard: bool = False


class DepositSeen(Observation, frozen=True, kw_only=True):
    """The chain credited cash, or a token in its ledger units (1e-8 of it)."""

    subaccount_id: int
    amount: int
    token: str = ""  # address; none: USDC


class SessionKeySeen(Observation, frozen=True, kw_only=True):
    """An owner granted a key until `deadline`, or revoked it (0)."""

    owner: str
    key: str
    deadline: int


class KeyScopeSeen(Observation, frozen=True, kw_only=True):
    """An owner bounds what a key may trade, just before granting it."""

    owner: str
    key: str
    scope: KeyScope


class NonceFloorSeen(Observation, frozen=True, kw_only=True):
    """An owner voided every nonce below `floor`."""

    subaccount_id: int
    floor: int


class NonceVoidSeen(Observation, frozen=True, kw_only=True):
    """An owner canceled whatever is signed under this nonce, for ever."""

    subaccount_id: int
    nonce: int


class WithdrawalVoidSeen(Observation, frozen=True, kw_only=True):
    """An owner, a contract, did not confirm this withdrawal; a `DepositSeen` gives it back."""

    subaccount_id: int
    nonce: int


class SheetFloorSeen(Observation, frozen=True, kw_only=True):
    """An owner voided every quote sheet whose nonce is below `floor`."""

    subaccount_id: int
    floor: int


class AccessSeen(Observation, frozen=True, kw_only=True):
    """An owner may take new risk until this second; 0: not any more."""

    owner: str
    until: int


class PauseSeen(Observation, frozen=True, kw_only=True):
    """The guardian stopped new risk until this second; 0: no longer."""

    until: int


class PriceBandsSeen(Observation, frozen=True, kw_only=True):
    """Governance bounds prices of fills around the published marks: the contract does at once."""

    option_rate: int  # 1e-18 of the index
    linear_rate: int
    age_max_s: int  # between an epoch and the last fill by it


class BatchMarginSeen(Observation, frozen=True, kw_only=True):
    """Governance asks batches to prove margin: 0 none, 1 maintenance, 2 initial."""

    level: int


class GovernanceSeen(Observation, frozen=True, kw_only=True):
    """Governance changed something that binds the contracts alone: the log's name and content."""

    change: str
    detail: str


class BatchSeen(Observation, frozen=True, kw_only=True):
    """A settlement batch is final on chain."""

    number: int
    batch_hash: bytes
    block: int
    transaction: str


class ForceSeen(Observation, frozen=True, kw_only=True):
    """Somebody proved on chain that a subaccount is below maintenance: it may be liquidated."""

    subaccount_id: int
    until: int  # UTC second: the last one of a forced fill
    contracts: int  # 1e-4: no hedge may be larger
    budget: int  # micro-USDC: what takers may get off in all, since the first proof ever


class ExitSeen(Observation, frozen=True, kw_only=True):
    """An owner asks for money that the venue must pay, in ledger units of a token."""

    subaccount_id: int
    ordinal: int
    token: str  # address, of USDC too
    amount: int
    recipient: str
    requested_s: int  # UTC second of the block


class ExitServedSeen(Observation, frozen=True, kw_only=True):
    """Somebody served a request on chain by proof, with `amount` or with nothing."""

    subaccount_id: int
    ordinal: int
    token: str
    amount: int


class AuctionStartedSeen(Observation, frozen=True, kw_only=True):
    """Somebody started the auction of a subaccount on chain: nothing else may touch it now."""

    subaccount_id: int
    frozen_from: int  # UTC second from which the contract refuses what touches it


class AuctionEndedSeen(Observation, frozen=True, kw_only=True):
    """The auction of a subaccount is over."""

    subaccount_id: int


class SoldLeg(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part of a position sold on chain, signed as held; the seller paid funding up to the index."""

    instrument_id: int
    quantity: int
    price: int
    funding_index: int = 0


class SoldToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some of a token sold on chain, in ledger units, at `value` micro-USDC."""

    token: str
    amount: int
    value: int


class AuctionTakenSeen(Observation, frozen=True, kw_only=True):
    """Somebody bought a fraction of a subaccount, into one that the bid had opened."""

    subaccount_id: int
    taker_id: int
    fraction: int
    legs: tuple[SoldLeg, ...]
    tokens: tuple[SoldToken, ...]
    discount: int


class EscapeSeen(Observation, frozen=True, kw_only=True):
    """Somebody ended the venue on chain."""

    block: int


AnyObservation = (
    SubaccountSeen
    | DepositSeen
    | SessionKeySeen
    | KeyScopeSeen
    | NonceFloorSeen
    | NonceVoidSeen
    | WithdrawalVoidSeen
    | SheetFloorSeen
    | AccessSeen
    | PauseSeen
    | PriceBandsSeen
    | BatchMarginSeen
    | GovernanceSeen
    | BatchSeen
    | ForceSeen
    | ExitSeen
    | ExitServedSeen
    | EscapeSeen
    | AuctionStartedSeen
    | AuctionEndedSeen
    | AuctionTakenSeen
)


class BlocksObserved(Event, frozen=True, kw_only=True):
    """The chain was read up to this block."""

    last_block: int
