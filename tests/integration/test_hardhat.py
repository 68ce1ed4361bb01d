"""Settlement on a node that is not Anvil: Hardhat's, from npm, with the same contracts."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.settlement_world import World

from exchange.journal.outbox import JobState
from exchange.settlement.anvil import chain_id
from exchange.settlement.chain import Node
from exchange.settlement.deploy import REPOSITORY
from exchange.settlement.reconcile import reconcile

pytestmark = pytest.mark.integration

FOLDER: Final = Path(__file__).parents[1] / "hardhat"
BIN: Final = REPOSITORY / ".venv" / "bin"
CLI: Final = FOLDER / "node_modules" / "hardhat" / "internal" / "cli" / "bootstrap.js"
INSTALL_TIMEOUT_S: Final = 300
START_TIMEOUT_S: Final = 60


class HardhatNode:
    """`hardhat node` as a child process; answers from the moment the constructor returns."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [BIN / "node", CLI, "node", "--hostname", "127.0.0.1", "--port", str(port)],
                cwd=FOLDER,
                env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while chain_id(self.url) is None:
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"no Hardhat node: {log.read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


class HardhatWorld(World):
    def _copy_first(self) -> bool:
        return False  # it keeps no state

    def _keep_first(self) -> None:
        pass

    def _start_node(self) -> HardhatNode:
        return HardhatNode(self.port, self.folder / "hardhat.log")

    def _give_ether(self, address: str) -> None:
        Node(self.node.url).rpc("hardhat_setBalance", address, hex(10**20))


@pytest.fixture(scope="module", autouse=True)
def hardhat() -> None:
    """Hardhat by its lock file; its stamp says that an earlier run finished."""
    stamp = FOLDER / "node_modules" / ".package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime > (FOLDER / "package-lock.json").stat().st_mtime:
        return
    npm = ["npm", "ci", "--ignore-scripts", "--loglevel=error"]
    path = f"{BIN}:{os.environ.get('PATH', '')}"
    found = subprocess.run(
        npm,
        cwd=FOLDER,
        env={**os.environ, "PATH": path, "NODE_USE_SYSTEM_CA": "1"},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[HardhatWorld]:
    world = HardhatWorld(tmp_path)
    yield world
    world.close()


def test_a_batch_settles_on_a_hardhat_node(world: HardhatWorld) -> None:
    """Deposits, trades and a batch: chain and journal agree, as they do on Anvil."""
    world.watch()
    world.script.trade()
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    for _ in range(4):
        relayer.step()
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED]
    world.watch()
    found = reconcile(world.reader, world.chain)
    assert (found.batch, found.differences) == (1, ())
    assert found.accounts >= 3
    outbox.close()
