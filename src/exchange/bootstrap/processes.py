"""Children of `exchange dev` and the demo: started, watched, and stopped by their own id.

Each child writes to its own log in the state directory. Nothing here kills by name.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

STOP_WAIT_S: Final = 10.0
_POLL_S: Final = 0.05


class StartFailed(Exception):
    """Something could not be started; the text is the one line that a person needs."""


def require_free_port(port: int, purpose: str) -> None:
    """Refuse to start where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StartFailed(
                f"port {port} ({purpose}) is in use; stop what listens there or choose another"
            ) from None


class Child:
    """One process and its log."""

    def __init__(self, name: str, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    def start(
        cls, name: str, arguments: list[str], *, log: Path, environment: Mapping[str, str]
    ) -> "Child":
        """Start `exchange ARGUMENTS` in a session of its own, so that Ctrl-C reaches only us."""
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603  our own program with our own arguments
                [sys.executable, "-m", "exchange", *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return cls(name, log, process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end; after `STOP_WAIT_S` insist."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def last_line(self) -> str:
        """The last line of its log that says something."""
        lines = (
            self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        )
        return lines[-1] if lines else "(its log is empty)"


def wait_until(
    ready: Callable[[], bool], *, what: str, timeout_s: float, child: Child | None = None
) -> None:
    """Poll `ready` until it holds; a dead child or a passed time is `StartFailed`."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if child is not None and child.exit_code() is not None:
            raise StartFailed(f"{child.name} ended: {child.last_line()} (log: {child.log})")
        if time.monotonic() > deadline:
            where = f" (log: {child.log})" if child else ""
            raise StartFailed(f"{what} took longer than {timeout_s:.0f} s{where}")
        time.sleep(_POLL_S)


def answers(url: str) -> Callable[[], bool]:
    """A check that `url` answers 200."""

    def check() -> bool:
        try:
            return httpx.get(url, timeout=2.0).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return check
