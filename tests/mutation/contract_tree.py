"""A copy of `contracts/` that forge tests without compiling anything.

Only the contracts that a mutant changes are compiled, by one solc that stays warm, without the
optimiser; their code is put into forge's artifacts.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv/bin"
SERVER = Path(__file__).with_name("solc_server.cjs")
STAGE_SECONDS_MAX = 900
THROUGH_IR = {"Margin", "Settler", "Takeovers"}  # stack too deep without
LEFT_OUT = {"Gas.t"}  # measures what the optimiser makes

# By artifact: what deploys it, and by which forge knows it again.
Code = dict[str, list[str]]
KINDS = ("bytecode", "deployedBytecode")


class Solc:
    """The compiler as a process that answers one request after the other."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"NODE_PATH": str(ROOT / "node_modules")}
        self._process = subprocess.Popen(
            [BIN / "node", SERVER],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._folder = folder

    def ask(self, files: Iterable[str], wanted: dict[str, Any], *, ir: bool = False) -> Any:
        settings = {
            "remappings": ["@openzeppelin/contracts/=node_modules/@openzeppelin/contracts/"],
            "evmVersion": "prague",
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
            "viaIR": ir,
            "optimizer": {"enabled": False},
            "outputSelection": wanted,
        }
        sources = {file: {"content": (self._folder / file).read_text()} for file in files}
        request = {"language": "Solidity", "sources": sources, "settings": settings}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Tree:
    """A copy of `contracts/` whose artifacts hold code that this program compiled."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "contracts", folder / "contracts", symlinks=True)
        for name in ("node_modules", "tests", "package.json"):
            (folder / name).symlink_to(ROOT / name)
        self.folder = folder / "contracts"
        version = subprocess.check_output([self.folder / "solc", "--version"], text=True)
        stub = f"#!/bin/sh\ncase $* in *--version) cat <<'END'\n{version}END\n"
        # forge asks for the version a dozen times; whatever else it asks for, we compiled
        stub += ';; *) cat >/dev/null; echo \'{"sources":{},"contracts":{}}\';; esac\n'
        (self.folder / "solc").write_text(stub)
        self.solc = Solc(self.folder)
        self.files = sorted(
            str(path.relative_to(self.folder))
            for part in ("src", "test")
            for path in (self.folder / part).rglob("*.sol")
        )
        answer = self.solc.ask(self.files, {"*": {"": ["ast"], "*": ["abi"]}})
        self.trees = {file: answer["sources"][file]["ast"] for file in self.files}
        self._imports = {
            file: {
                node["absolutePath"]
                for node in tree["nodes"]
                if node["nodeType"] == "ImportDirective"
            }
            for file, tree in self.trees.items()
        }
        self._deployed = {
            file: set(re.findall(r"new ([A-Z]\w+)\(|\.sol:(\w+)", self.read(file)))
            for file in self.files
        }
        compiled = self.compile(self.files)
        assert compiled is not None, "the tree does not compile"
        self.code = compiled
        tests = {Path(file).name for file in self.files if file.startswith("test/")}
        own = {name: code for name, code in compiled.items() if name.split("/")[0] not in tests}
        self.write(own)
        self._artifacts = {name: self.artifact(name).read_text() for name in compiled}

    def read(self, file: str) -> str:
        return (self.folder / file).read_text()

    def contracts(self) -> Iterator[tuple[str, str]]:
        """Those that can be deployed: the file and the name."""
        for file, tree in self.trees.items():
            for node in tree["nodes"]:
                kind = not node.get("abstract") and node.get("contractKind")
                if kind == "contract" and "/mocks/" not in file:
                    yield file, node["name"]

    def closure(self, file: str, *, inside: tuple[str, ...]) -> set[str]:
        """The files that `file` imports, directly or not, without leaving these folders."""
        seen, new = set[str](), {file}
        while new:
            seen |= new
            new = {f for one in new for f in self._imports.get(one, ()) if f.startswith(inside)}
            new -= seen
        return seen

    def compile(self, changed: list[str]) -> Code | None:
        """The code of all contracts that contain these files, by artifact, if there is any."""
        wanted: dict[bool, dict[str, Any]] = {False: {}, True: {}}
        for file, name in self.contracts():
            # what a test deploys comes from its own artifact; only libraries are part of its code
            inside = ("src/",) if file.startswith("src/") else ("test/", "src/libraries/")
            if not self.closure(file, inside=inside).isdisjoint(changed):
                parts = wanted[name in THROUGH_IR].setdefault(file, {})
                parts[name] = [f"evm.{kind}.object" for kind in KINDS]
        code: Code = {}
        for ir, files in wanted.items():
            answer = self.solc.ask(files, files, ir=ir) if files else {}
            if any(error["severity"] == "error" for error in answer.get("errors", [])):
                return None
            for file, names in files.items():
                for name in names:
                    found = answer["contracts"][file][name]["evm"]
                    code[f"{Path(file).name}/{name}"] = [found[kind]["object"] for kind in KINDS]
        return code

    def write(self, code: Code) -> None:
        for artifact, found in code.items():
            path = self.artifact(artifact)
            content = json.loads(path.read_text())
            for kind, part in zip(KINDS, found, strict=True):
                content[kind]["object"] = "0x" + part
            path.write_text(json.dumps(content))

    def restore(self, artifacts: Iterable[str]) -> None:
        """Undoes `write`; tests get back forge's code, which deploys contracts by name."""
        for name in artifacts:
            self.artifact(name).write_text(self._artifacts[name])

    def artifact(self, name: str) -> Path:
        return self.folder / "out" / f"{name}.json"

    def dependents(self, artifacts: Iterable[str]) -> set[str]:
        """The files of tests, without `.sol`, that contain or deploy one of these."""
        names = {artifact.split("/")[1] for artifact in artifacts}
        holders = {artifact.split("/")[0] for artifact in artifacts}
        found = set()
        for file in self.files:
            if file.endswith(".t.sol"):
                parts = self.closure(file, inside=("test/",))
                deployed = {n for part in parts for pair in self._deployed[part] for n in pair}
                if deployed & names or {Path(part).name for part in parts} & holders:
                    found.add(Path(file).stem)
        return found - LEFT_OUT

    def test(self, suites: set[str], runs: int) -> str:
        """The first test that fails, or nothing."""
        if not suites:
            return ""
        for leftover in ("fuzz", "invariant", "test-failures"):
            shutil.rmtree(self.folder / "cache" / leftover, ignore_errors=True)
        environment = os.environ | {
            "FOUNDRY_FUZZ_RUNS": str(runs),
            "FOUNDRY_INVARIANT_RUNS": str(max(1, runs // 4)),
            "FOUNDRY_LINT_ON_BUILD": "false",
        }
        command = [str(BIN / "forge"), "test", "--fail-fast", "--code-size-limit=1000000"]
        paths = ",".join(sorted(f"test/{suite}.sol" for suite in suites))
        command.append(f"--match-path={{{paths},}}")
        try:
            run = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=STAGE_SECONDS_MAX,
            )
        except subprocess.TimeoutExpired:
            return "time"
        if run.returncode == 0:
            return ""
        failed = run.stdout.find("[FAIL")
        assert failed != -1, run.stdout + run.stderr
        suites_named = re.findall(r"for test/(\w+)", run.stdout[:failed])
        tests_named = re.findall(r"(?:test|invariant)_\w+|setUp", run.stdout[failed:])
        return f"{suites_named[-1]}.{tests_named[0]}"
