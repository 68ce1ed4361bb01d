"""The engine's process may open as many sockets as its listeners may hold."""

import resource
from collections.abc import Iterator

import pytest

from exchange.bootstrap.engine_process import FILES_MAX, raise_file_limit

UNLIMITED = resource.RLIM_INFINITY


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1_024, UNLIMITED), [(FILES_MAX, UNLIMITED)]),
        ((1_024, 4_096), [(4_096, 4_096)]),
        ((1_024, 100_000), [(FILES_MAX, 100_000)]),
        ((50_000, 100_000), []),
        ((UNLIMITED, UNLIMITED), []),
        ((4_096, 4_096), []),
    ],
)
def test_the_limit_rises_as_far_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[int, int],
    after: list[tuple[int, int]],
) -> None:
    """Never down, and never beyond the hard limit."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    raise_file_limit()
    monkeypatch.undo()
    assert given == after
