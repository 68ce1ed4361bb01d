"""Freezing: what comes back is equal, shares what was shared, and is refused where code changed."""

import gc
import sys
from array import array
from collections import Counter, defaultdict, deque
from enum import StrEnum
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sortedcontainers import SortedDict, SortedList

from exchange import freeze as module
from exchange.freeze import Foreign, freeze, thaw
from exchange.model import Side


class Point(NamedTuple):
    x: int
    y: object


class Colour(StrEnum):
    RED = "red"


class Plain:
    def __init__(self, first: object) -> None:
        self.first = first


class Empty:
    """Nothing in it."""


class Base:
    __slots__ = ("one",)


class Slotted(Base):
    __slots__ = ("two",)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    parts: tuple[object, ...]


CLASSES = (Empty, Point, Colour, Plain, Base, Slotted, Record)


@pytest.fixture(autouse=True)
def _of_the_package(monkeypatch):
    """The classes above, as if they lay in the package."""
    for cls in CLASSES:
        monkeypatch.setattr(cls, "__module__", module.__name__)
        monkeypatch.setattr(module, cls.__qualname__, cls, raising=False)


NUMBERS = st.booleans() | st.integers() | st.floats(allow_nan=False)
SCALARS = st.none() | NUMBERS | st.text() | st.binary()
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.text())
TREES = st.recursive(
    SCALARS | st.sampled_from(Side),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.sets(st.integers())
        | st.lists(st.integers())
    ),
    max_leaves=20,
)


@given(TREES)
def test_what_comes_back_is_equal(value):
    """Any nesting of containers, numbers of any size; the same bytes again."""
    data = freeze(value)
    again = thaw(data)
    assert again == value
    assert freeze(again) == data


@pytest.mark.parametrize(
    "value",
    [
        deque([1, (2, 3)], maxlen=5),
        deque(),
        SortedList([(3, 1), (1, 2)]),
        SortedDict({(2, 1): "b", (1, 1): "a"}),
        Counter({"a": 2, "b": -1}),
        array("q", [1, -2, 3]),
        [1 << 80, -(1 << 80), 1 << 63, -(1 << 63) - 1, (1 << 64) - 1],
        (1 << 80,),
        {Side.BUY: Colour.RED, Side.SELL: Point(1, [Point(2, None)])},
        Record(name="x", parts=(Record(name="y", parts=()), 2.5)),
        set(),
        (),
        {(2, "b")},  # of two the order differs from process to process
    ],
    ids=repr,
)
def test_every_kind_of_holder_comes_back(value):
    """Its type, its content and its order."""
    again = thaw(freeze(value))
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)


def test_what_was_shared_is_shared():
    """One list in two places is one list again, whichever came first; keys and values too."""
    shared, point = [1, "a"], Point(1, [2])
    value = {"a": shared, "b": (shared, point), point.x: point, "c": {"d": [shared]}}
    again = thaw(freeze(value))
    assert again == value
    assert again["a"] is again["b"][0] is again["c"]["d"][0]
    assert again["b"][1] is again[1]


def test_a_default_comes_back():
    """What makes the missing ones is a class of ours."""
    value = defaultdict(Empty)
    made = value["a"]
    again = thaw(freeze(value))
    assert list(again) == ["a"]
    assert type(again["a"]) is type(again["b"]) is type(made) is Empty


def test_objects_may_hold_each_other():
    """A circle, and slots of a base class; a slot that was never set stays so."""
    first, second, slotted = Plain(None), Plain(None), Slotted()
    first.first, second.first, second.extra = second, first, slotted
    slotted.one = second
    again = thaw(freeze(first))
    assert again.first.first is again
    assert again.first.extra.one is again.first
    assert not hasattr(again.first.extra, "two")
    assert type(again.first.extra) is Slotted


def test_a_reducer_speaks_for_its_class():
    """In both directions, also where it is met twice."""
    reducers = {Plain: (lambda plain: [plain.first], lambda parts: Plain(parts[0]))}
    one = Plain((1, 2))
    again = thaw(freeze([one, one, "end"], reducers), reducers)
    assert again[0] is again[1]
    assert (again[0].first, again[2]) == ((1, 2), "end")


def test_what_looked_after_itself_does_not_come_back_as_a_plain_object():
    """Nor the other way round: bytes of before are for replay to replace."""
    reducers = {Plain: (lambda plain: [plain.first], lambda parts: Plain(parts[0]))}
    for data, readers in ((freeze(Plain(1)), reducers), (freeze(Plain(1), reducers), {})):
        with pytest.raises(Foreign, match="Plain is frozen in another way now"):
            thaw(data, readers)


@pytest.mark.parametrize("value", [object(), print, 1j, {1: [lambda: 0]}, sys])
def test_what_is_not_ours_is_a_bug(value):
    """Code and objects of other packages never enter a snapshot."""
    with pytest.raises(AssertionError, match="cannot be frozen"):
        freeze(value)


def test_a_class_that_changed_is_foreign(monkeypatch):
    """A field more, a field less, or the class gone."""
    frozen = {cls: freeze(value) for cls, value in ((Record, Record(name="", parts=())),
              (Plain, Plain(1)), (Slotted, Slotted()), (Point, Point(1, 2)))}  # fmt: skip

    class Other:
        def __init__(self) -> None:
            self.second = 1

    for cls, data in frozen.items():
        monkeypatch.setattr(Other, "__module__", module.__name__)
        monkeypatch.setattr(module, cls.__qualname__, Other)
        with pytest.raises(Foreign, match=f"{cls.__qualname__} has other fields now"):
            thaw(data)
        monkeypatch.delattr(module, cls.__qualname__)
        with pytest.raises(Foreign, match=f"there is no class .*{cls.__qualname__}"):
            thaw(data)
        monkeypatch.setattr(module, cls.__qualname__, cls, raising=False)
        thaw(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        msgspec.msgpack.encode(1),
        msgspec.msgpack.encode(([[1]], 1)),
        msgspec.msgpack.encode(([["os", "system", None]], [17, 0, "true"])),
        msgspec.msgpack.encode(([["exchange.freeze", "freeze", None]], 1)),
    ],
)
def test_other_bytes_are_foreign(data):
    """Nothing outside the package is ever looked up."""
    with pytest.raises(Foreign):
        thaw(data)


@pytest.mark.parametrize("collected", [True, False])
def test_the_collector_is_left_as_it_was(collected):
    """Also where the bytes are foreign."""
    before = gc.isenabled()
    (gc.enable if collected else gc.disable)()
    try:
        thaw(freeze([1]))
        with pytest.raises(Foreign):
            thaw(b"\xc1")
        assert gc.isenabled() is collected
    finally:
        (gc.enable if before else gc.disable)()
