"""Sources are collected by their imports; what was compiled once is not compiled again."""

import stat
from pathlib import Path

import pytest

from exchange.settlement.compiler import Artifact, compile_contracts
from exchange.settlement.deploy import CLEARING_MODULES
from exchange.settlement.errors import ToolMissing

SETTINGS = """
[profile.default]
optimizer = true
optimizer_runs = 7
evm_version = "prague"
via_ir = false
bytecode_hash = "none"
cbor_metadata = false
"""
# A compiler that writes down each call and answers with four empty contracts.
COMPILER = """#!/usr/bin/env python3
import json, pathlib, sys
if "--version" in sys.argv:
    print("solc, the solidity compiler commandline interface\\nVersion: 0.8.37+commit.0")
    sys.exit()
request = json.load(sys.stdin)
here = pathlib.Path(__file__).parent
(here / "calls").open("a").write("x")
(here / "request.json").write_text(json.dumps(request))
empty = {"abi": [], "evm": {"bytecode": {"object": "60"}}}
wanted = request["settings"]["outputSelection"]
print(json.dumps({"contracts": {p: {n: empty for n in names} for p, names in wanted.items()}}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    contracts = tmp_path / "contracts"
    package = tmp_path / "node_modules/@openzeppelin/contracts/access/manager"
    for folder in (
        contracts / "src/mocks",
        contracts / "src/libraries",
        contracts / "src/gateway",
        package,
    ):
        folder.mkdir(parents=True)
    (contracts / "foundry.toml").write_text(SETTINGS)
    (contracts / "src/Clearing.sol").write_text(
        'import {A} from "./libraries/A.sol";\nimport {\n  B,\n  C\n} from "./libraries/B.sol";\n'
    )
    (contracts / "src/libraries/A.sol").write_text('import "../Oracle.sol";')
    (contracts / "src/libraries/B.sol").write_text("// no imports")
    (contracts / "src/Oracle.sol").write_text("// nothing")
    for name in (
        "AccessPass",
        "InsuranceVault",
        "Custody",
        "Margin",
        "Liquidations",
        *CLEARING_MODULES,
    ):
        (contracts / f"src/{name}.sol").write_text("// nothing")
    for name in ("Gateway", "GatewayHub"):
        (contracts / f"src/gateway/{name}.sol").write_text("// nothing")
    for name in ("MockUSDC", "MockToken", "MockWallet"):
        (contracts / f"src/mocks/{name}.sol").write_text("// nothing")
    (package / "AccessManager.sol").write_text('import {I} from "./IAccessManager.sol";')
    (package / "IAccessManager.sol").write_text("// nothing")
    solc = tmp_path / "solc"
    solc.write_text(COMPILER)
    solc.chmod(solc.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def test_sources_are_found_through_imports(project: Path) -> None:
    """Relative imports, imports over several lines and imports inside a package."""
    artifacts = compile_contracts(project / "contracts", project / "solc")
    assert artifacts["Clearing"] == Artifact(abi=[], bytecode="0x60")
    request = (project / "request.json").read_text()
    for name in ("src/libraries/A.sol", "src/libraries/B.sol", "src/Oracle.sol"):
        assert f'"{name}"' in request
    assert '"@openzeppelin/contracts/access/manager/IAccessManager.sol"' in request
    assert '"runs": 7' in request


def test_a_second_start_compiles_nothing_and_a_change_does(project: Path) -> None:
    """The key is the hash of everything that went in."""
    for _ in range(2):
        compile_contracts(project / "contracts", project / "solc")
    assert (project / "calls").read_text() == "x"
    (project / "contracts/src/libraries/B.sol").write_text("// changed")
    compile_contracts(project / "contracts", project / "solc")
    assert (project / "calls").read_text() == "xx"


def test_missing_parts_are_named(project: Path) -> None:
    """No compiler, no source, no project: one line each."""
    with pytest.raises(ToolMissing, match="no Solidity compiler"):
        compile_contracts(project / "contracts", project / "nothing")
    (project / "contracts/src/Oracle.sol").unlink()
    with pytest.raises(ToolMissing, match=r"Oracle\.sol cannot be read"):
        compile_contracts(project / "contracts", project / "solc")
    with pytest.raises(ToolMissing, match="run from a checkout"):
        compile_contracts(project, project / "solc")
