"""Threads that wait for the interpreter get it soon."""

import sys

import pytest

from exchange.bootstrap.threads import TURN_S, take_short_turns


def test_turns_are_short():
    before = sys.getswitchinterval()
    assert before > TURN_S
    try:
        take_short_turns()
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    finally:
        sys.setswitchinterval(before)
