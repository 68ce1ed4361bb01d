"""Reasons of refusals have stable wire names."""

import pytest

from exchange.events import CancelReason, RejectReason


@pytest.mark.parametrize("reasons", [RejectReason, CancelReason])
def test_reasons_are_words_for_the_wire(reasons):
    """Lower case, snake case, unique."""
    values = [reason.value for reason in reasons]
    assert all(value == value.lower() and value.replace("_", "").isalpha() for value in values)
    assert len(set(values)) == len(values)


def test_reject_reasons_are_named_as_their_members():
    """One word, one meaning, in code and on the wire."""
    assert [reason.value for reason in RejectReason] == [r.name.lower() for r in RejectReason]
