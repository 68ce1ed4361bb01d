"""Where the contracts are: the file that ties a state directory to one chain."""

from pathlib import Path

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.model import FEE_SUBACCOUNT_ID
from exchange.settlement.errors import ChainError
from exchange.signing import checksum_address


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, the chain they are on, and the first block that can hold their logs."""

    chain_id: int
    clearing: str
    oracle: str
    usdc: str
    access_manager: str
    genesis_hash: str
    block: int
    shard: int = 0  # whose contracts: two journals never settle in one Clearing
    margin: str = ""
    liquidations: str = ""
    access_pass: str = ""  # empty: nobody needs one
    insurance: str = ""  # InsuranceVault; empty: the fund is the venue's own and takes no deposits
    fund_subaccount_id: int = FEE_SUBACCOUNT_ID
    tokens: dict[str, str] = {}  # collateral besides USDC: address by its name

    @property
    def custody(self) -> str:
        """Where all tokens are: what Clearing's constructor created, so its nonce was 1."""
        clearing = bytes.fromhex(self.clearing[2:])
        created = keccak(b"\xd6\x94" + clearing + b"\x01")  # RLP of (clearing, 1)
        return checksum_address(created[-20:])


def save_deployment(path: Path, deployment: Deployment) -> None:
    """Write the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(deployment)) + b"\n")
    partial.replace(path)


def load_deployment(path: Path) -> Deployment:
    """Read the file; a missing or malformed one is a `ChainError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Deployment)
    except FileNotFoundError:
        raise ChainError(f"there is no deployment at {path}: deploy the contracts first") from None
    except msgspec.MsgspecError as error:
        raise ChainError(f"the deployment at {path} cannot be read: {error}") from error
