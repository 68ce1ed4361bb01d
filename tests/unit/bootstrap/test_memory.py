"""The collector rests, and still finds cycles that are made later."""

import gc
import weakref

import pytest

from exchange.bootstrap.memory import OBJECTS, look_seldom, rest_collector


class Node:
    """Something that can be part of a cycle."""

    def __init__(self):
        self.me = self


@pytest.fixture
def collector():
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_is_left_alone_and_new_cycles_are_found(collector):
    rest_collector()
    assert gc.get_threshold() == OBJECTS
    assert gc.get_freeze_count() > 1_000
    node = weakref.ref(Node())
    gc.collect()
    assert node() is None


def test_a_replay_begins_with_fewer_looks(collector):
    """Nothing is frozen: what a start made is still looked at."""
    frozen = gc.get_freeze_count()
    look_seldom()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (OBJECTS, frozen)
