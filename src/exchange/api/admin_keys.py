"""Who may do what on the operator's listener: keys with a name and a role, and what a role reaches.

A key is compared in constant time. Persons say why they act; the relayer is a program and need not.
"""

import hmac
import re
from collections.abc import Iterable
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

import msgspec

from exchange.commands import NoteAction

TOKEN_LENGTH_MIN: Final = 16
_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_TOKEN: Final = re.compile(rf"[A-Za-z0-9._~+/=-]{{{TOKEN_LENGTH_MIN},256}}")


class Role(StrEnum):
    """What a key is for; each may read everything."""

    OBSERVER = "observer"  # nothing else
    OPERATOR = "operator"  # trading: instruments, halts, bumps, batches, holds, suspensions, …
    RISK = "risk"  # parameters, fees and limits among them
    RELAYER = "relayer"  # what comes from the chain
    ADMIN = "admin"  # everything


_TRADING: Final = frozenset(
    {"list_instruments", "halt", "resume", "set_speed_bump", "reset_index", "cut_batch", "replays"}
)
_CHAIN: Final = frozenset({"observe_blocks", "revert_blocks", "novate", "relayer", "pending_posts"})
ACTIONS: Final[dict[Role, frozenset[str]]] = {
    Role.OBSERVER: frozenset(),
    Role.OPERATOR: _TRADING | {"hold_withdrawals", "suspend_trading"},
    Role.RISK: frozenset({"parameters/preview", "parameters/apply", "fees", "limits"}),
    Role.RELAYER: _CHAIN | {"hold_withdrawals", "cut_batch"},
}
# What the relayer's loop posts every second or so, whatever happens: the journal has what of it
# matters, and the log of who did what would drown in the rest.
BOOKKEEPING: Final = frozenset({"observe_blocks", "relayer", "pending_posts"})

# Who acts in the request at hand and why, for the journal; None where a program gave no reason.
acting: ContextVar[NoteAction | None] = ContextVar("acting", default=None)


class AdminKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key."""

    name: str
    role: Role
    token: str
    own: bool = False  # the venue's own, which its processes share

    @property
    def explains(self) -> bool:
        """Whether its holder must say why he acts."""
        return not self.own and self.role is not Role.RELAYER

    def keeps_books(self, path: str, why: str) -> bool:
        """Whether a program only does its round here; whoever says why is a person."""
        return not self.explains and not why and path.removeprefix("/admin/") in BOOKKEEPING

    def may(self, verb: str, path: str) -> bool:
        """Whether it reaches a route."""
        if self.role is Role.ADMIN or verb == "GET":
            return True
        return path.removeprefix("/admin/") in ACTIONS[self.role]


def parse_admin_keys(text: str) -> tuple[AdminKey, ...]:
    """`alice:operator:TOKEN,bob:risk:TOKEN`; a wrong form or a name twice raises ValueError."""
    found: dict[str, AdminKey] = {}
    for part in filter(None, text.split(",")):
        name, _, rest = part.partition(":")
        role, _, token = rest.partition(":")
        if not _NAME.fullmatch(name) or role not in list(Role) or not _TOKEN.fullmatch(token):
            words = f"of {TOKEN_LENGTH_MIN} characters or more"
            raise ValueError(f"an admin key is NAME:ROLE:TOKEN, the token {words}")
        if name in found:
            raise ValueError(f"two admin keys are named {name}")
        found[name] = AdminKey(name=name, role=Role(role), token=token)
    return tuple(found.values())


def key_of(header: str, keys: Iterable[AdminKey]) -> AdminKey | None:
    """The key that an `Authorization` header shows; every key is compared, whichever it is."""
    given, found = header.encode(), None
    for key in keys:
        if hmac.compare_digest(given, f"Bearer {key.token}".encode()):
            found = key
    return found
