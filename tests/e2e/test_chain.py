"""The local chain in a process of its own, as docker-compose.yml starts it."""

from pathlib import Path

import httpx
import pytest
from tests.live_venue import eventually
from tests.ports import free_port

from exchange.bootstrap.processes import Child
from exchange.settlement.anvil import chain_id

pytestmark = pytest.mark.e2e


def _first_block(url: str) -> str:
    question = {
        "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", False],
    }  # fmt: skip
    return httpx.post(url, json=question).json()["result"]["hash"]


def test_a_chain_is_the_same_after_restarts(tmp_path: Path) -> None:
    """Its first block is what deployment.json and the journal know it by."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"EXCHANGE_CHAIN_PORT": str(port), "EXCHANGE_STATE_DIR": str(tmp_path)}
    found = set()
    for _ in range(6):  # Anvil alone takes another one after two or three
        child = Child("chain", log=tmp_path / "chain.log", environment=environment)
        try:
            eventually(lambda: chain_id(url) is not None, "the chain answers")
            found.add(_first_block(url))
        finally:
            child.stop()
    assert len(found) == 1
