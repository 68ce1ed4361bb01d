"""The collector rests, and still finds cycles that are made later."""

import gc
import weakref

import pytest

from exchange.bootstrap import engine_process, recovery
from exchange.bootstrap.memory import OBJECTS, rest_collector
from exchange.config import Settings


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
    assert gc.get_freeze_count() > 1_000
    node = weakref.ref(Node())
    gc.collect()
    assert node() is None


def test_a_venues_processes_look_seldom(collector, monkeypatch):
    """Before they replay; nothing is frozen then, so what a start made is still looked at."""
    frozen, others = gc.get_freeze_count(), []
    monkeypatch.setattr(engine_process, "raise_file_limit", lambda: others.append("files"))
    monkeypatch.setattr(engine_process, "take_short_turns", lambda: others.append("turns"))
    engine_process.tune_process()
    assert others == ["files", "turns"]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (OBJECTS, frozen)


def test_a_snapshots_process_looks_seldom(collector, monkeypatch):
    """And lets everybody else go first."""
    found = []
    monkeypatch.setattr(recovery.os, "nice", found.append)
    monkeypatch.setattr(recovery, "take_snapshot", lambda _: gc.get_threshold())
    assert recovery.run_snapshot(Settings()) == OBJECTS
    assert found == [10]
