"""Linked orders against a naive reading of the rules, over random lives."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exchange.matching.linked import Effects, LinkTable
from exchange.model import HitCondition, LinkKind


@dataclass
class NaiveGroup:
    kind: LinkKind
    complete_only: bool
    members: list
    asleep: set = field(default_factory=set)


class LinkMachine(RuleBasedStateMachine):
    """Carries effects out as the engine does: canceled orders report that they are gone."""

    def __init__(self):
        super().__init__()
        self.table = LinkTable()
        self.groups = []
        self.next_id = 1
        self.live = set()

    @rule(
        kind=st.sampled_from(LinkKind), condition=st.sampled_from(HitCondition), n=st.integers(2, 4)
    )
    def link(self, kind, condition, n):
        members = list(range(self.next_id, self.next_id + n))
        self.next_id += n
        self.table.link(kind, condition, members)
        asleep = set() if kind is LinkKind.OCO else set(members[1:])
        complete_only = condition is HitCondition.COMPLETE_FILL
        self.groups.append(NaiveGroup(kind, complete_only, members, asleep))
        self.live |= set(members)

    def group_of(self, order_id):
        return next((g for g in self.groups if order_id in g.members), None)

    @rule(at=st.integers(0, 100), complete=st.booleans())
    def fill(self, at, complete):
        awake = sorted(i for i in self.live if not self.table.is_dormant(i))
        if not awake:
            return
        order_id = awake[at % len(awake)]
        group = self.group_of(order_id)
        expected = Effects()
        if group and (complete or not group.complete_only):
            others = tuple(i for i in group.members if i != order_id)
            if group.asleep:
                expected = Effects(activate=others)
                group.members.remove(order_id)
                group.asleep = set()
                if group.kind is LinkKind.OTO or len(others) == 1:
                    self.groups.remove(group)
            else:
                expected = Effects(cancel=others)
                self.groups.remove(group)
        if complete:
            self.live.discard(order_id)
        assert self.table.on_fill(order_id, complete=complete) == expected
        self.carry_out(expected)

    @rule(at=st.integers(0, 100))
    def cancel(self, at):
        if not self.live:
            return
        order_id = sorted(self.live)[at % len(self.live)]
        group = self.group_of(order_id)
        expected = Effects()
        self.live.discard(order_id)
        if group:
            others = tuple(i for i in group.members if i != order_id)
            if group.asleep and order_id not in group.asleep:
                expected = Effects(cancel=others)
                self.groups.remove(group)
            else:
                group.members.remove(order_id)
                group.asleep.discard(order_id)
                if len(others) == 1:
                    self.groups.remove(group)
        assert self.table.on_gone(order_id) == expected
        self.carry_out(expected)

    def carry_out(self, effects):
        for order_id in effects.cancel:
            self.live.discard(order_id)
            assert self.table.on_gone(order_id) == Effects()

    @invariant()
    def same(self):
        self.table.check()
        naive = sorted(tuple(group.members) for group in self.groups)
        assert sorted(state[3] for state in self.table.state()) == naive
        for order_id in self.live:
            asleep = any(order_id in group.asleep for group in self.groups)
            assert self.table.is_dormant(order_id) is asleep


TestLinked = LinkMachine.TestCase
