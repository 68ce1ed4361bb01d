"""Orders that depend on each other: OCO, OTO, OTOCO.

It must never know prices, books or time: it is told what became of a member, it says which others
to activate and which to cancel. The moves are a table; a move that is missing from it is a bug.

- OCO, one cancels the others: all members work; a hit of one cancels the rest.
- OTO, one triggers the others: the first member works, the others sleep until it is hit.
- OTOCO: as OTO, and the others, once awake, are an OCO.

A *hit* is the fill that the group's condition asks for: any fill, or the one that completes the
order. A member that is *gone* (canceled, expired, refused) before that leaves alone: canceling one
of two alternatives must not silently take away the other, which may be somebody's stop-loss. Only a
primary takes its sleeping secondaries along: nothing could wake them any more.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from exchange.model import HitCondition, LinkKind


class Role(IntEnum):
    """PRIMARY wakes the others; MEMBER is everyone else."""

    PRIMARY = 1
    MEMBER = 2


class Fate(IntEnum):
    """What became of a member."""

    HIT = 1
    GONE = 2


class Effect(IntEnum):
    """What the others are to do."""

    NOTHING = 0
    ACTIVATE_OTHERS = 1
    CANCEL_OTHERS = 2


# (kind, role, fate): what the group is afterwards (None: dissolved), and what the others do. The
# member itself always leaves. A sleeping secondary cannot be hit: those keys are missing.
MOVES: Final[dict[tuple[LinkKind, Role, Fate], tuple[LinkKind | None, Effect]]] = {
    (LinkKind.OCO, Role.MEMBER, Fate.HIT): (None, Effect.CANCEL_OTHERS),
    (LinkKind.OCO, Role.MEMBER, Fate.GONE): (LinkKind.OCO, Effect.NOTHING),
    (LinkKind.OTO, Role.PRIMARY, Fate.HIT): (None, Effect.ACTIVATE_OTHERS),
    (LinkKind.OTO, Role.PRIMARY, Fate.GONE): (None, Effect.CANCEL_OTHERS),
    (LinkKind.OTO, Role.MEMBER, Fate.GONE): (LinkKind.OTO, Effect.NOTHING),
    (LinkKind.OTOCO, Role.PRIMARY, Fate.HIT): (LinkKind.OCO, Effect.ACTIVATE_OTHERS),
    (LinkKind.OTOCO, Role.PRIMARY, Fate.GONE): (None, Effect.CANCEL_OTHERS),
    (LinkKind.OTOCO, Role.MEMBER, Fate.GONE): (LinkKind.OTOCO, Effect.NOTHING),
}


class Effects(msgspec.Struct, frozen=True, gc=False):
    """order_ids in the order in which the group names them."""

    activate: tuple[int, ...] = ()
    cancel: tuple[int, ...] = ()


NO_EFFECTS: Final = Effects()


class _Group:
    __slots__ = ("condition", "kind", "members", "primary")

    def __init__(
        self, kind: LinkKind, condition: HitCondition, members: Sequence[int], primary: int
    ) -> None:
        self.kind = kind
        self.condition = condition
        self.members = list(members)
        self.primary = primary  # order_id, 0 if there is none


class LinkTable:
    """All groups of the venue. A group is known by its members: no order is in two."""

    __slots__ = ("_group_of",)

    def __init__(self) -> None:
        self._group_of: dict[int, _Group] = {}

    def link(self, kind: LinkKind, condition: HitCondition, members: Sequence[int]) -> None:
        """Join orders; of an OTO or OTOCO the first is the primary and the others sleep."""
        assert len(members) > 1
        assert len(set(members)) == len(members)
        assert not any(order_id in self._group_of for order_id in members), "in another group"
        primary = 0 if kind is LinkKind.OCO else members[0]
        group = _Group(kind, condition, members, primary)
        for order_id in members:
            self._group_of[order_id] = group

    def on_fill(self, order_id: int, *, complete: bool) -> Effects:
        """An order was filled, `complete` if nothing of it remains. Complexity: O(members)."""
        group = self._group_of.get(order_id)
        if group is None or (group.condition is HitCondition.COMPLETE_FILL and not complete):
            return NO_EFFECTS
        return self._move(group, order_id, Fate.HIT)

    def on_gone(self, order_id: int) -> Effects:
        """An order left without the fill that counts. Canceled members ask again in vain."""
        group = self._group_of.get(order_id)
        return NO_EFFECTS if group is None else self._move(group, order_id, Fate.GONE)

    def is_dormant(self, order_id: int) -> bool:
        """Whether an order sleeps until its primary is hit."""
        group = self._group_of.get(order_id)
        return group is not None and group.primary not in (0, order_id)

    def linked(self, order_id: int) -> tuple[int, ...]:
        """The other members of an order's group."""
        group = self._group_of.get(order_id)
        return () if group is None else _others(group, order_id)

    def __len__(self) -> int:
        return len(self._group_of)

    def state(self) -> tuple[tuple[int, int, int, tuple[int, ...]], ...]:
        """Canonical content: (kind, condition, primary, members) of each group, by lowest id."""
        groups = {min(group.members): group for group in self._group_of.values()}
        return tuple(
            (
                groups[lowest].kind.value,
                groups[lowest].condition.value,
                groups[lowest].primary,
                tuple(groups[lowest].members),
            )
            for lowest in sorted(groups)
        )

    def check(self) -> None:
        """Assert that groups are disjoint, of two or more, and have a primary where one is due."""
        for order_id, group in self._group_of.items():
            assert order_id in group.members
            assert len(group.members) == len(set(group.members)) > 1
            assert all(self._group_of[member] is group for member in group.members)
            assert (group.primary in group.members) is (group.kind is not LinkKind.OCO)

    def _move(self, group: _Group, order_id: int, fate: Fate) -> Effects:
        role = Role.PRIMARY if order_id == group.primary else Role.MEMBER
        kind, effect = MOVES[group.kind, role, fate]
        others = _others(group, order_id)
        del self._group_of[order_id]
        group.members.remove(order_id)
        if role is Role.PRIMARY:
            group.primary = 0
        if kind is None or len(others) == 1:  # one alone depends on nobody
            for member in others:
                del self._group_of[member]
        else:
            group.kind = kind
        if effect is Effect.ACTIVATE_OTHERS:
            return Effects(activate=others)
        return Effects(cancel=others) if effect is Effect.CANCEL_OTHERS else NO_EFFECTS


def _others(group: _Group, order_id: int) -> tuple[int, ...]:
    return tuple(member for member in group.members if member != order_id)
