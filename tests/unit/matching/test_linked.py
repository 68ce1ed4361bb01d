"""What happens to the others when one of several linked orders is filled or leaves."""

import pytest

from exchange.matching.linked import (
    MOVES,
    NO_EFFECTS,
    Effects,
    Fate,
    LinkTable,
    Role,
)
from exchange.model import HitCondition, LinkKind

OCO, OTO, OTOCO = LinkKind.OCO, LinkKind.OTO, LinkKind.OTOCO
ANY, COMPLETE = HitCondition.ANY_FILL, HitCondition.COMPLETE_FILL


def linked(kind, *members, condition=ANY):
    table = LinkTable()
    table.link(kind, condition, members)
    table.check()
    return table


def test_one_cancels_the_others():
    table = linked(OCO, 3, 1, 2)
    assert not any(table.is_dormant(order_id) for order_id in (1, 2, 3))
    assert table.linked(1) == (3, 2)
    assert table.on_fill(1, complete=False) == Effects(cancel=(3, 2))
    assert len(table) == 0
    assert table.on_gone(3) == NO_EFFECTS


def test_canceling_one_alternative_leaves_the_others():
    table = linked(OCO, 1, 2, 3)
    assert table.on_gone(2) == NO_EFFECTS
    table.check()
    assert table.on_fill(3, complete=True) == Effects(cancel=(1,))


def test_one_alternative_alone_is_free():
    table = linked(OCO, 1, 2)
    assert table.on_gone(2) == NO_EFFECTS
    assert len(table) == 0
    assert table.on_fill(1, complete=True) == NO_EFFECTS


def test_one_triggers_the_others():
    table = linked(OTO, 5, 1, 2)
    assert [table.is_dormant(order_id) for order_id in (5, 1, 2)] == [False, True, True]
    assert table.on_fill(5, complete=False) == Effects(activate=(1, 2))
    assert len(table) == 0
    assert not table.is_dormant(1)


def test_one_triggers_one_cancels_the_other():
    table = linked(OTOCO, 5, 1, 2)
    assert table.on_fill(5, complete=False) == Effects(activate=(1, 2))
    table.check()
    assert not table.is_dormant(1)
    assert table.on_fill(5, complete=True) == NO_EFFECTS
    assert table.on_fill(2, complete=False) == Effects(cancel=(1,))
    assert len(table) == 0


def test_a_single_secondary_is_free_once_it_is_awake():
    table = linked(OTOCO, 5, 1)
    assert table.on_fill(5, complete=True) == Effects(activate=(1,))
    assert len(table) == 0


@pytest.mark.parametrize("kind", [OTO, OTOCO])
def test_a_primary_that_leaves_takes_its_sleepers_along(kind):
    table = linked(kind, 5, 1, 2)
    assert table.on_gone(5) == Effects(cancel=(1, 2))
    assert len(table) == 0


@pytest.mark.parametrize("kind", [OTO, OTOCO])
def test_a_sleeper_may_leave(kind):
    table = linked(kind, 5, 1, 2)
    assert table.on_gone(1) == NO_EFFECTS
    table.check()
    assert table.on_fill(5, complete=True) == Effects(activate=(2,))


def test_only_a_complete_fill_counts_where_the_group_says_so():
    table = linked(OTOCO, 5, 1, 2, condition=COMPLETE)
    assert table.on_fill(5, complete=False) == NO_EFFECTS
    assert table.is_dormant(1)
    assert table.on_fill(5, complete=True) == Effects(activate=(1, 2))
    assert table.on_fill(1, complete=False) == NO_EFFECTS
    assert table.on_fill(1, complete=True) == Effects(cancel=(2,))


def test_a_primary_that_leaves_after_a_part_never_completes():
    table = linked(OTO, 5, 1, condition=COMPLETE)
    table.on_fill(5, complete=False)
    assert table.on_gone(5) == Effects(cancel=(1,))


def test_orders_without_a_group_have_no_effects():
    table = LinkTable()
    assert table.on_fill(1, complete=True) == NO_EFFECTS
    assert table.on_gone(1) == NO_EFFECTS
    assert table.linked(1) == ()
    assert not table.is_dormant(1)
    assert table.state() == ()


def test_state_lists_groups_by_their_lowest_member():
    table = linked(OTO, 9, 4)
    table.link(OCO, COMPLETE, (8, 2))
    assert table.state() == ((OCO, COMPLETE, 0, (8, 2)), (OTO, ANY, 9, (9, 4)))


@pytest.mark.parametrize("members", [(1,), (2, 2), (1, 3)])
def test_groups_are_of_two_or_more_and_apart(members):
    table = linked(OCO, 3, 4)
    with pytest.raises(AssertionError):
        table.link(OCO, ANY, members)


def test_a_sleeper_cannot_be_hit():
    assert (OTO, Role.MEMBER, Fate.HIT) not in MOVES
    with pytest.raises(KeyError):
        linked(OTO, 5, 1).on_fill(1, complete=True)
