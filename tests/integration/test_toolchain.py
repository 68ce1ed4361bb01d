"""The executable around the npm compiler answers its two callers as a native solc would."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import solcx

ROOT = Path(__file__).resolve().parents[2]
SOLC = ROOT / "contracts" / "solc"
PINNED = json.loads((ROOT / "package.json").read_text())["dependencies"]["solc"]
CONTRACT = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.0;\ncontract A {}\n"
OBJECT_CODE = {"outputSelection": {"*": {"*": ["evm.bytecode.object"]}}}

pytestmark = pytest.mark.integration


def standard_input(source: dict[str, object]) -> dict[str, object]:
    return {"language": "Solidity", "sources": {"A.sol": source}, "settings": OBJECT_CODE}


def test_it_is_the_pinned_version() -> None:
    said = subprocess.run([SOLC, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].startswith(f"Version: {PINNED}+commit.")


def test_it_compiles_for_py_solc_x() -> None:
    answer = solcx.compile_standard(standard_input({"content": CONTRACT}), solc_binary=SOLC)
    assert answer["contracts"]["A.sol"]["A"]["evm"]["bytecode"]["object"]


def test_it_reads_sources_below_the_base_path(tmp_path: Path) -> None:
    (tmp_path / "A.sol").write_text(CONTRACT)
    answer = solcx.compile_standard(
        standard_input({"urls": ["A.sol"]}), solc_binary=SOLC, base_path=tmp_path, allow_paths=["/"]
    )
    assert answer["contracts"]["A.sol"]["A"]["evm"]["bytecode"]["object"]


def test_a_missing_source_is_named() -> None:
    wrong = {"content": 'import "./Missing.sol";'}
    with pytest.raises(solcx.exceptions.SolcError, match=r"Missing\.sol"):
        solcx.compile_standard(standard_input(wrong), solc_binary=SOLC)


def test_other_commands_are_refused() -> None:
    assert subprocess.run([SOLC, "--gas"], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(("version", "used"), [(PINNED, True), ("0.8.1", False)])
def test_a_native_compiler_of_the_pinned_version_is_used(
    tmp_path: Path, version: str, *, used: bool
) -> None:
    native = tmp_path / "solc"
    native.write_text(f"#!/bin/sh\necho 'native'\necho 'Version: {version}+commit.0.Linux.g++'\n")
    native.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = subprocess.run([SOLC, "--version"], env=environment, capture_output=True, check=True)
    assert (b"native" in said.stdout) == used
