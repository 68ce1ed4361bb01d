"""Children of `exchange dev` and the demo: started, watched, and stopped by their own id.

Each child writes to its own log in the state directory. Nothing here kills by name.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

STOP_WAIT_S: Final = 10.0
_POLL_S: Final = 0.05


class StartFailed(Exception):
    """Something could not be started; the text is the one line that a person needs."""


def require_free_port(port: int, variable: str) -> None:
    """Refuse to start where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StartFailed(
                f"port {port} is in use; stop what listens there or set {variable} to another"
            ) from None


class Child:
    """One process of ours and its log."""

    def __init__(self, name: str, *options: str, log: Path, environment: Mapping[str, str]) -> None:
        """Start `exchange NAME` in a session of its own, so that Ctrl-C reaches only us."""
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "exchange", name, *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def require_alive(self) -> None:
        """`StartFailed` if it ended by itself."""
        if self._process.poll() is not None:
            raise StartFailed(f"{self.name} ended: {self._last_line()} (log: {self.log})")

    def kill(self) -> None:
        """SIGKILL, as a crash would; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send it any signal."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Its exit code once it ended by itself; raises `subprocess.TimeoutExpired`."""
        return self._process.wait(timeout_s)

    def stop(self) -> None:
        """Ask it to end; after `STOP_WAIT_S` insist."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def _last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "(its log is empty)"


def wait_for_answer(child: Child, url: str, *, timeout_s: float) -> None:
    """Poll until `url` answers 200; a dead child or a passed time is `StartFailed`."""
    deadline = time.monotonic() + timeout_s
    while not _answers(url):
        child.require_alive()
        if time.monotonic() > deadline:
            raise StartFailed(
                f"the {child.name} took longer than {timeout_s:.0f} s (log: {child.log})"
            )
        time.sleep(_POLL_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
