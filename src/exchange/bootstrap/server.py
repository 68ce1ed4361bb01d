"""A listener of a process that has several parts."""

import contextlib
from collections.abc import Iterator

import uvicorn


class Server(uvicorn.Server):
    """A listener that leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the process handles signals for all its parts."""
        yield
