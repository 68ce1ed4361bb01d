"""scripts/setup where something is missing: one clear line, and no half-made tree in use."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ["python3", "python3.11", "python3.12", "python3.13", "python3.14"]
SYSTEM_TOOLS = ["bash", "cat", "cksum", "dirname", "flock", "grep", "rm", "uname", "env"]

pytestmark = pytest.mark.e2e


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The repository's scripts and locks in a fresh folder, without .venv and node_modules."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for name in ["pyproject.toml", "requirements.lock", "requirements-node.lock"]:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with the few system tools that the script uses, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SYSTEM_TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


def run_setup(checkout: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(tools), "HOME": os.environ.get("HOME", "")}
    command = [str(tools / "bash"), str(checkout / "scripts" / "setup")]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def put(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def test_no_python_is_one_line(checkout: Path, tools: Path) -> None:
    result = run_setup(checkout, tools)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "setup: needs Python 3.11 or newer, found none; set PYTHON to the path of one"
    ]


def test_an_old_python_is_one_line(checkout: Path, tools: Path) -> None:
    for name in PYTHONS:
        put(tools, name, 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    result = run_setup(checkout, tools)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "setup: needs Python 3.11 or newer, found Python 3.9.2; set PYTHON to the path of one"
    ]


def test_a_python_without_venv_is_named_last(checkout: Path, tools: Path) -> None:
    put(tools, "python3", 'if [ "$1" = -m ]; then exit 1; fi')
    result = run_setup(checkout, tools)
    assert result.returncode == 1
    assert "install python3-venv" in result.stderr.splitlines()[-1]


def test_a_half_made_environment_is_begun_anew(checkout: Path, tools: Path) -> None:
    """Without its stamp a .venv is not trusted: the script makes it again before anything else."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    put(checkout / ".venv" / "bin", "exchange", "exit 0")
    put(checkout / ".venv" / "bin", "python", "exit 0")
    put(tools, "python3", 'if [ "$1" = -m ]; then echo "made: $*" >&2; exit 1; fi')
    result = run_setup(checkout, tools)
    assert "made: -m venv --clear .venv" in result.stderr
