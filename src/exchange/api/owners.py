"""Who owns which subaccount, and whose keys may act for them; a part of the gateway's view."""

from exchange.events import (
    KeyScoped,
    MoveRefused,
    SessionKeySet,
    SubaccountOpened,
    WithdrawalVoided,
)
from exchange.fixed import to_seconds_down
from exchange.model import KeyScope
from exchange.reversals import SubaccountReverted


class Owners:
    """As the chain says; a subaccount that the chain lost is nobody's."""

    def __init__(self) -> None:
        self.owners: dict[int, str] = {}
        self.refused: set[tuple[int, int]] = set()  # (subaccount, nonce) of moves that are undone
        self.owned: dict[str, set[int]] = {}  # subaccounts by owner
        self.session_keys: dict[str, dict[str, int]] = {}  # key: owner: deadline
        self.key_scopes: dict[tuple[str, str], KeyScope] = {}  # by owner and key

    def on_move_refused(self, event: MoveRefused) -> None:
        """The chain let no money go: it is back."""
        self.refused.add((event.subaccount_id, event.nonce))

    def on_withdrawal_voided(self, event: WithdrawalVoided) -> None:
        """A contract did not confirm its withdrawal: it is back. Or the chain lost that."""
        if event.void:
            self.refused.add((event.subaccount_id, event.nonce))
        else:
            self.refused.discard((event.subaccount_id, event.nonce))

    def may_access(self, subaccount_id: int, address: str, time_ns: int) -> bool:
        """Whether `address` owns the subaccount or holds a live session key of its owner."""
        owner = self.owners.get(subaccount_id)
        if not owner:
            return False
        deadline = self.session_keys.get(address, {}).get(owner, 0)
        return owner == address or deadline > to_seconds_down(time_ns)

    def subaccounts_of(self, address: str, time_ns: int) -> list[int]:
        """Subaccounts that `address` may touch, ascending."""
        owners = {address} | {
            owner
            for owner, deadline in self.session_keys.get(address, {}).items()
            if deadline > to_seconds_down(time_ns)
        }
        return sorted(number for owner in owners for number in self.owned.get(owner, ()))

    def on_subaccount(self, event: SubaccountOpened) -> None:
        """The chain opened one, or named the owner of the venue's own."""
        self.owners[event.subaccount_id] = event.owner
        self.owned.setdefault(event.owner, set()).add(event.subaccount_id)

    def on_reverted(self, event: SubaccountReverted) -> None:
        """The chain lost the block that opened it."""
        self.owners[event.subaccount_id] = ""
        self.owned[event.owner].discard(event.subaccount_id)

    def on_key_scoped(self, event: KeyScoped) -> None:
        """An owner bounded a key before granting it, or the chain lost that."""
        if event.scope is not None:
            self.key_scopes[event.owner, event.key] = event.scope
        else:
            self.key_scopes.pop((event.owner, event.key), None)

    def on_session_key(self, event: SessionKeySet) -> None:
        """An owner granted a key, or revoked it."""
        if event.deadline:
            self.session_keys.setdefault(event.key, {})[event.owner] = event.deadline
        else:
            self.session_keys.get(event.key, {}).pop(event.owner, None)
