"""What the engine remembers of forced exits.

Plain records without rules; `engine.exits` has those.
"""

import msgspec


class ForcedExit(msgspec.Struct, kw_only=True):
    """Money that an owner asked for on chain, as far as it is not paid."""

    subaccount_id: int
    ordinal: int
    token: str  # address
    left: int
    recipient: str
    requested_s: int
    paid: bool = False  # in part


class Exits:
    """Forced exits that are not closed, as their turns come, and whether the venue has ended."""

    __slots__ = ("escaped", "requests")

    def __init__(self) -> None:
        self.requests: dict[int, ForcedExit] = {}  # by subaccount_id
        self.escaped = False

    def state(self) -> tuple[object, ...]:
        """Canonical content."""
        return list(self.requests.values()), self.escaped
