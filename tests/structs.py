"""Any value of a struct, for properties that must hold for each command and event."""

from collections.abc import Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

WORDS: Final = st.integers(-(2**63), 2**64 - 1)  # what msgpack holds
PLAIN: Final[dict[object, st.SearchStrategy[Any]]] = {
    int: WORDS,
    bool: st.booleans(),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=70),
    NoneType: st.none(),
}


def any_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type, with integers that fit a journal."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if origin in (Union, UnionType):
        return st.one_of(*map(any_of, inside))
    if origin is tuple and inside[1:] == (...,):
        return st.lists(any_of(inside[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(any_of, inside))
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if issubclass(annotation, tuple):  # a named one
        hints = get_type_hints(annotation)
        return st.builds(annotation, **{name: any_of(hint) for name, hint in hints.items()})
    fields: Sequence[msgspec.structs.FieldInfo] = msgspec.structs.fields(annotation)
    return st.builds(annotation, **{field.name: any_of(field.type) for field in fields})
