"""The deployment file."""

from pathlib import Path

import msgspec
import pytest
import rlp
from eth_hash.auto import keccak

from exchange.settlement.deployment import Deployment, load_deployment, save_deployment
from exchange.settlement.errors import ChainError

DEPLOYMENT = Deployment(
    chain_id=31_337,
    clearing="0x01",
    oracle="0x02",
    usdc="0x03",
    access_manager="0x04",
    genesis_hash="0x05",
    block=6,
)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """The folder is made, and no partial file stays behind."""
    path = tmp_path / "var" / "deployment.json"
    save_deployment(path, DEPLOYMENT)
    assert load_deployment(path) == DEPLOYMENT
    assert [file.name for file in path.parent.iterdir()] == ["deployment.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b'{"chain_id": "x"}', b"\xff"])
def test_a_broken_file_gives_one_line(tmp_path: Path, content: bytes) -> None:
    """Whatever is in it, the path is named."""
    path = tmp_path / "deployment.json"
    path.write_bytes(content)
    with pytest.raises(ChainError, match=r"deployment\.json cannot be read"):
        load_deployment(path)


def test_the_custody_is_what_clearing_created_first() -> None:
    """The address of its first creation, by the general encoding."""
    clearing = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
    deployed = msgspec.structs.replace(DEPLOYMENT, clearing=clearing)
    created = keccak(rlp.encode([bytes.fromhex(clearing[2:]), 1]))[-20:]
    assert deployed.custody.lower() == "0x" + created.hex()


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """There is nothing to load before the contracts are deployed."""
    with pytest.raises(ChainError, match="deploy the contracts first"):
        load_deployment(tmp_path / "deployment.json")
