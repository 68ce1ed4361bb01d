"""Solidity sources to ABI and bytecode, by py-solc-x with the settings of `contracts/foundry.toml`.

Knows files and the compiler, no chain. What came out is kept beside the sources under the hash of
everything that went in, so a second start compiles nothing.
"""

import hashlib
import posixpath
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import solcx
from solcx.exceptions import SolcError

from exchange.settlement.errors import ToolMissing

_ROOTS: Final = {
    "Clearing": "src/Clearing.sol",
    "Settler": "src/Settler.sol",
    "Payments": "src/Payments.sol",
    "Takeovers": "src/Takeovers.sol",
    "Liquidations": "src/Liquidations.sol",
    "Releases": "src/Releases.sol",
    "Solvency": "src/Solvency.sol",
    "Exits": "src/Exits.sol",
    "Escapes": "src/Escapes.sol",
    "Auctions": "src/Auctions.sol",
    "AccessPass": "src/AccessPass.sol",
    "InsuranceVault": "src/InsuranceVault.sol",
    "Custody": "src/Custody.sol",
    "Gateway": "src/gateway/Gateway.sol",
    "GatewayHub": "src/gateway/GatewayHub.sol",
    "Oracle": "src/Oracle.sol",
    "Margin": "src/Margin.sol",
    "MockUSDC": "src/mocks/MockUSDC.sol",
    "MockToken": "src/mocks/MockToken.sol",
    "MockWallet": "src/mocks/MockWallet.sol",
    "AccessManager": "@openzeppelin/contracts/access/manager/AccessManager.sol",
}
_IMPORT: Final = re.compile(r'^\s*(?:import|\})[^;"]*"([^"]+)"\s*;', re.MULTILINE)
_PACKAGE: Final = "@"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled contract."""

    abi: list[dict[str, Any]]
    bytecode: str  # hex, for deployment, without constructor arguments


Artifacts = dict[str, Artifact]


def compile_contracts(contracts: Path, solc: Path) -> Artifacts:
    """Artifacts of every contract that a deployment needs, by contract name.

    Args:
        contracts: the folder that holds `foundry.toml` and `src`.
        solc: executable that answers `--version` and `--standard-json`.
    """
    if not (contracts / "foundry.toml").exists():
        raise ToolMissing(f"no contracts at {contracts}: run from a checkout of the project")
    requests = _requests(contracts)
    key = hashlib.sha256(msgspec.json.encode(requests)).hexdigest()
    kept = contracts / "cache" / "artifacts" / f"{key}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Artifacts)
    artifacts: Artifacts = {}
    for request in requests:
        artifacts |= _compile(request, solc)
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(artifacts))
    partial.replace(kept)  # never half a file under the final name
    return artifacts


def _requests(contracts: Path) -> list[dict[str, Any]]:
    """One for the contracts that go through the IR, one for the others, as forge does it."""
    with (contracts / "foundry.toml").open("rb") as file:
        profile = tomllib.load(file)["profile"]["default"]
    restricted = {
        path: rule["via_ir"]
        for rule in profile.get("compilation_restrictions", [])
        for path in ([rule["paths"]] if isinstance(rule["paths"], str) else rule["paths"])
    }
    groups: dict[bool, dict[str, str]] = {}
    for name, path in _ROOTS.items():
        groups.setdefault(restricted.get(path, profile["via_ir"]), {})[name] = path
    return [_request(contracts, profile, roots, via_ir=via_ir) for via_ir, roots in groups.items()]


def _request(
    contracts: Path, profile: dict[str, Any], roots: dict[str, str], *, via_ir: bool
) -> dict[str, Any]:
    outputs = ["abi", "evm.bytecode.object"]
    return {
        "language": "Solidity",
        "sources": _sources(contracts, roots.values()),
        "settings": {
            "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
            "evmVersion": profile["evm_version"],
            "viaIR": via_ir,
            "metadata": {
                "bytecodeHash": profile["bytecode_hash"],
                "appendCBOR": profile["cbor_metadata"],
            },
            "outputSelection": {path: {name: outputs} for name, path in roots.items()},
        },
    }


def _sources(contracts: Path, roots: Iterable[str]) -> dict[str, dict[str, str]]:
    """Every source that the roots reach, by its name in import statements."""
    found: dict[str, dict[str, str]] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        text = _read_source(contracts, name)
        found[name] = {"content": text}
        for target in _IMPORT.findall(text):
            relative = posixpath.join(posixpath.dirname(name), target)
            waiting.append(target if target.startswith(_PACKAGE) else posixpath.normpath(relative))
    return dict(sorted(found.items()))


def _read_source(contracts: Path, name: str) -> str:
    folder = contracts.parent / "node_modules" if name.startswith(_PACKAGE) else contracts
    try:
        return (folder / name).read_text()
    except OSError as error:
        raise ToolMissing(f"the contract source {folder / name} cannot be read") from error


def _compile(request: dict[str, Any], solc: Path) -> Artifacts:
    if not solc.exists():
        raise ToolMissing(f"there is no Solidity compiler at {solc}: run scripts/setup")
    try:
        answer = solcx.compile_standard(request, solc_binary=solc)
    except SolcError as error:
        raise ToolMissing(f"the contracts do not compile: {error}") from error
    return {
        name: Artifact(
            abi=answer["contracts"][path][name]["abi"],
            bytecode="0x" + answer["contracts"][path][name]["evm"]["bytecode"]["object"],
        )
        for path, selected in request["settings"]["outputSelection"].items()
        for name in selected
    }
