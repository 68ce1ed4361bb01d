"""One Valkey for all tests of a module, empty for each; and the way to tell a story."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.ingress_world import World, tell
from tests.valkey import Valkey, valkey

Tell = Callable[[Callable[[World], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def shared() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture
def server(shared: Valkey) -> Valkey:
    shared.kill()  # it keeps nothing
    shared.start()
    return shared


@pytest.fixture
def story(tmp_path: Path, server: Valkey) -> Tell:
    return partial(tell, path=tmp_path / "journal.db", server=server)
