"""Plain objects as bytes and back: numbers, containers, records, and who shares what with whom.

For snapshots (ADR 0032). Nothing here knows what it freezes: it follows containers, structs, named
tuples, enums and plain objects of this package, caches included, so that what is thawed goes on
exactly as the frozen one would. No code is stored and only classes of this package come back. A
class whose fields changed since is `Foreign`: whoever asks replays instead.
"""

import gc
import sys
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import chain
from typing import Any, Final

import msgspec
from sortedcontainers import SortedDict, SortedList

_PLAIN: Final = frozenset({str, bytes, bool, float, type(None)})
_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1  # what msgpack holds
_PACKAGE: Final = "exchange."
_ABSENT: Final = ("absent",)  # a slot that was never set

_AGAIN, _BIG, _LIST, _INTS, _TUPLE, _INT_TUPLE, _DICT, _SET, _DEQUE = range(9)
(
    _SORTED_LIST,
    _SORTED_DICT,
    _COUNTER,
    _ARRAY,
    _ENUM,
    _NAMED,
    _STRUCT,
    _OBJECT,
    _REDUCED,
    _DEFAULT,
) = range(9, 19)
_SORTED_OF: Final = {_SORTED_LIST: SortedList, _SORTED_DICT: SortedDict, _COUNTER: Counter}

Reducer = tuple[Callable[[Any], Any], Callable[[Any], Any]]  # to plain objects, and back
Reducers = Mapping[type, Reducer]


class Foreign(Exception):
    """The bytes were frozen by other code than this."""


def freeze(value: object, reducers: Reducers | None = None) -> bytes:
    """`value` and everything it holds; `reducers` are for classes that look after themselves."""
    writer = _Writer(reducers or {})
    with _uncollected():
        tree = writer.tree(value)
        return msgspec.msgpack.encode((writer.shapes, tree))


def thaw(data: bytes, reducers: Reducers | None = None) -> Any:
    """What was frozen. Raises `Foreign` if this code has other classes."""
    with _uncollected():
        return _thawed(data, reducers or {})


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the collector rest: it would look again and again at millions of objects that stay."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _thawed(data: bytes, reducers: Reducers) -> Any:
    try:
        shapes, tree = msgspec.msgpack.decode(data)
        classes = [_resolve(*shape) for shape in shapes]
        reader = _Reader(classes, reducers)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Foreign(f"these bytes are no frozen object: {error}") from error
    for cls, (*_, fields) in zip(classes, shapes, strict=True):
        if (fields is None) != (cls in reducers):
            raise Foreign(f"{cls.__name__} is frozen in another way now")
    return reader.value(tree)


def _slots(cls: type) -> list[str]:
    """Names that lie beside `__dict__`: slots, and in a class that mypyc compiled all there are."""
    found = chain.from_iterable(
        (*one.__dict__.get("__slots__", ()), *one.__dict__.get("__mypyc_attrs__", ()))
        for one in cls.__mro__
    )
    return [name for name in dict.fromkeys(found) if name not in ("__dict__", "__weakref__")]


def _fields(cls: type) -> list[str]:
    """Names that tell whether a class has changed since."""
    if issubclass(cls, msgspec.Struct):
        return list(cls.__struct_fields__)
    if issubclass(cls, Enum):
        return []
    if issubclass(cls, tuple):
        return list(cls._fields)  # type: ignore[attr-defined]  # a named tuple
    if hasattr(cls, "__mypyc_attrs__"):
        return ["compiled", *_slots(cls)]  # else they lie in `__dict__`
    code = getattr(cls.__init__, "__code__", None)
    return _slots(cls) or sorted(code.co_names if code else ())


def _resolve(module: str, name: str, fields: list[str] | None) -> type:
    cls: Any = sys.modules.get(module) if module.startswith(_PACKAGE) else None
    for part in name.split("."):
        cls = getattr(cls, part, None)
    if not isinstance(cls, type):
        raise Foreign(f"there is no class {module}.{name}")
    if fields is not None and _fields(cls) != fields:
        raise Foreign(f"{module}.{name} has other fields now")
    return cls


class _Writer:
    """Turns objects into lists and numbers; whatever it met already is a reference."""

    def __init__(self, reducers: Reducers) -> None:
        self.shapes: list[tuple[str, str, list[str] | None]] = []
        self._numbers: dict[type, int] = {}
        self._reducers = reducers
        self._met: dict[int, int] = {}  # by id()
        self._alive: list[object] = []  # whose ids must not be given again
        self._count = 0

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            return value if _INT_MIN <= value <= _INT_MAX else (_BIG, str(value))
        if id(value) in self._met:
            return (_AGAIN, self._met[id(value)])
        self._alive.append(value)
        if issubclass(kind, tuple) or isinstance(value, Enum | msgspec.Struct):
            made = self._value(kind, value)  # holds no reference to itself: numbered when done
            self._number(value)
            return made
        self._number(value)
        return self._holder(kind, value)

    def _number(self, value: object) -> None:
        self._met[id(value)] = self._count
        self._count += 1

    def _class(self, kind: type) -> int:
        if kind not in self._numbers:
            assert kind.__module__.startswith(_PACKAGE), f"{kind} cannot be frozen"
            fields = None if kind in self._reducers else _fields(kind)
            self._numbers[kind] = len(self.shapes)
            self.shapes.append((kind.__module__, kind.__qualname__, fields))
        return self._numbers[kind]

    def _value(self, kind: type, value: Any) -> Any:
        if isinstance(value, Enum):
            return (_ENUM, self._class(kind), value.value)
        if isinstance(value, msgspec.Struct):
            names = kind.__struct_fields__  # type: ignore[attr-defined]  # `kind` is a struct
            parts = [self.tree(getattr(value, name)) for name in names]
            return (_STRUCT, self._class(kind), parts)
        if kind is tuple:
            if _all_ints(value):
                return (_INT_TUPLE, value)
            return (_TUPLE, [self.tree(item) for item in value])
        return (_NAMED, self._class(kind), [self.tree(item) for item in value])

    def _holder(self, kind: type, value: Any) -> Any:
        if kind is list:
            if _all_ints(value):
                return (_INTS, value)
            return (_LIST, [self.tree(item) for item in value])
        if kind in (dict, SortedDict, Counter):
            parts = [self.tree(part) for item in value.items() for part in item]
            tag = {dict: _DICT, SortedDict: _SORTED_DICT, Counter: _COUNTER}[kind]
            return (tag, parts)
        if kind is defaultdict:
            parts = [self.tree(part) for item in value.items() for part in item]
            return (_DEFAULT, self._class(value.default_factory), parts)
        if kind is set:
            return (_SET, [self.tree(item) for item in sorted(value)])
        if kind is deque:
            return (_DEQUE, value.maxlen, [self.tree(item) for item in value])
        if kind is SortedList:
            return (_SORTED_LIST, [self.tree(item) for item in value])
        if kind is array:
            return (_ARRAY, value.typecode, value.tobytes())
        if kind in self._reducers:
            plain = self._reducers[kind][0](value)
            return (_REDUCED, self._class(kind), self.tree(plain))
        number = self._class(kind)
        slots = [self.tree(getattr(value, name, _ABSENT)) for name in _slots(kind)]
        rest = {name: self.tree(part) for name, part in getattr(value, "__dict__", {}).items()}
        return (_OBJECT, number, slots, rest)


def _all_ints(values: Sequence[Any]) -> bool:
    if not values or set(map(type, values)) != {int}:
        return False
    return bool(min(values) >= _INT_MIN and max(values) <= _INT_MAX)


class _Reader:
    """Turns them back; numbers what it makes in the order in which the writer did."""

    def __init__(self, classes: list[type], reducers: Reducers) -> None:
        self._classes = classes
        self._reducers = reducers
        self._made: list[Any] = []

    def value(self, tree: Any) -> Any:
        if type(tree) is not list:
            return tree
        tag = tree[0]
        if tag == _AGAIN:
            return self._made[tree[1]]
        if tag == _BIG:
            return int(tree[1])
        if tag in (_TUPLE, _INT_TUPLE, _NAMED, _STRUCT, _ENUM):
            made = self._value(tree)
            self._made.append(made)
            return made
        return self._holder(tree)

    def _value(self, tree: list[Any]) -> Any:
        tag = tree[0]
        if tag == _INT_TUPLE:
            return tuple(tree[1])
        if tag == _TUPLE:
            return tuple(self.value(part) for part in tree[1])
        cls: Any = self._classes[tree[1]]
        if tag == _ENUM:
            return cls(tree[2])
        parts = [self.value(part) for part in tree[2]]
        if tag == _NAMED:
            return cls._make(parts)
        return cls(**dict(zip(cls.__struct_fields__, parts, strict=True)))

    def _holder(self, tree: list[Any]) -> Any:
        tag = tree[0]
        at = len(self._made)
        if tag == _OBJECT:
            return self._object(tree)
        if tag == _INTS:
            self._made.append(tree[1])
            return tree[1]
        made: Any = self._empty(tree)
        self._made.append(made)
        if tag == _REDUCED:
            self._made[at] = made = self._reducers[self._classes[tree[1]]][1](self.value(tree[2]))
        elif tag in (_DICT, _SORTED_DICT, _COUNTER, _DEFAULT):
            parts = iter(tree[-1])
            for part in parts:
                key = self.value(part)  # before its value: so they were numbered
                made[key] = self.value(next(parts))
        elif tag in (_SET, _SORTED_LIST):
            made.update(self.value(part) for part in tree[1])
        elif tag != _ARRAY:
            made.extend(self.value(part) for part in tree[-1])
        return made

    def _empty(self, tree: list[Any]) -> Any:
        tag = tree[0]
        if tag == _DEFAULT:
            return defaultdict(self._classes[tree[1]])
        if tag == _DEQUE:
            return deque(maxlen=tree[1])
        if tag == _ARRAY:
            return array(tree[1], tree[2])
        empty: dict[int, Callable[[], Any]] = {_LIST: list, _DICT: dict, _SET: set, _REDUCED: list}
        return (empty | _SORTED_OF)[tag]()

    def _object(self, tree: list[Any]) -> Any:
        _, number, slots, rest = tree
        cls = self._classes[number]
        made: Any = cls.__new__(cls)
        self._made.append(made)
        for name, part in zip(_slots(cls), slots, strict=True):
            value = self.value(part)
            if value != _ABSENT:
                object.__setattr__(made, name, value)
        for name, part in rest.items():
            made.__dict__[name] = self.value(part)
        return made
