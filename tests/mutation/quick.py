"""A pytest plugin for runs on mutants: the quick tests first, and no shrinking of what was found.

Nor may a test see what an unchanged function computed: mutmut forks after a clean run, and what
that left in a `functools.cache` would hide the mutant. The examples stay the same.
"""

import sys
from collections.abc import Callable

import pytest
from hypothesis import Phase, settings

_FORGETS: list[Callable[[], None]] = []


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """The profile of tests/conftest.py, which is loaded by now, without what follows a failure."""
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile("mutants", settings.default, phases=phases, database=None)
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests come first; every module that they need has been imported by now."""
    items.sort(key=lambda item: "properties" in item.path.parts)
    ours = [
        module for name, module in sys.modules.items() if name.startswith(("tests", "exchange"))
    ]
    values = [value for module in ours for value in vars(module).values()]
    _FORGETS[:] = [value.cache_clear for value in values if hasattr(value, "cache_clear")]


def pytest_runtest_setup() -> None:
    for forget in _FORGETS:
        forget()
