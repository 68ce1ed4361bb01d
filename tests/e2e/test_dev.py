"""`exchange dev` serves until stopped, leaves nothing behind, and resumes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"
START_S = 180
PORTS = (8080, 8081, 8545)  # those that the README prints


class Venue:
    """A running `exchange dev`."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.output = state.parent / f"dev-{time.monotonic_ns()}.txt"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "exchange", "dev"],
                env={**os.environ, "EXCHANGE_STATE_DIR": str(state)},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while "Ctrl-C stops everything" not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)

    def children(self) -> list[int]:
        return [
            int(pid)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    for port in PORTS:
        assert is_free(port), f"port {port} is in use: stop what listens there"
    running = Venue(tmp_path / "var")
    try:
        running.wait_until_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.interrupt()


def test_a_venue_serves_is_stopped_whole_and_resumes(venue: Venue) -> None:
    """The README's example runs at once, an audit too; Ctrl-C leaves no child; a start goes on."""
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    told = subprocess.run(
        [sys.executable, "-c", example[1]], capture_output=True, text=True, timeout=180, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "confirmed" in told.stdout
    seq = int(re.search(r"seq (\d+)", told.stdout)[1])

    where = ("--journal", str(venue.state / "journal.db"), "--rpc", "http://127.0.0.1:8545")
    audited = subprocess.run(
        [sys.executable, "-m", "exchange", "audit", *where],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert audited.returncode == 0, audited.stdout

    children = venue.children()
    assert len(children) == 4
    assert venue.interrupt() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert all(is_free(port) for port in PORTS)

    again = Venue(venue.state)
    try:
        again.wait_until_ready()
        assert "resumed from the journal" in again.output.read_text()
        token = (venue.state / "admin.token").read_text().strip()
        status = httpx.get(
            "http://127.0.0.1:8081/admin/status", headers={"Authorization": f"Bearer {token}"}
        ).json()
        assert status["seq"] >= seq
    finally:
        assert again.interrupt() == 0


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    """Nothing is started, and the line says which port and what to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = subprocess.run(
            [sys.executable, "-m", "exchange", "dev"],
            env={
                **os.environ,
                "EXCHANGE_STATE_DIR": str(tmp_path),
                "EXCHANGE_PORT": str(port),
                "EXCHANGE_CHAIN_PORT": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert finished.returncode == 1
    line = f"port {port} is in use; stop what listens there or set EXCHANGE_PORT to another"
    assert finished.stderr.strip().splitlines() == [f"exchange: {line}"]
