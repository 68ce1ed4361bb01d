"""Compiled code that is older than its sources is found, and what must not be compiled."""

import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from exchange.bootstrap import compiled
from exchange.bootstrap.processes import StartFailed

ROOT: Final = Path(__file__).parents[3]


@pytest.fixture
def package(tmp_path):
    """Some sources, compiled a second after they were written."""
    for name in ("fixed.py", "sequencer.py", "engine/entry.py", "engine/state.py", "api/app.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        os.utime(path, (100, 100))
    for name in ("fixed.cpython-311.so", "engine/entry.cpython-311.so"):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (101, 101))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (None, None),
        ("engine/entry.py", "entry.py"),
        ("engine/state.py", "state.py"),  # its constants may be in what was compiled
        ("sequencer.py", None),
        ("api/app.py", None),
    ],
)
def test_a_change_of_what_was_compiled_is_seen(package, changed, found):
    if changed:
        os.utime(package / changed, (102, 102))
    assert compiled.outdated(package) == found


def test_a_source_that_is_gone_is_seen(package):
    (package / "engine/entry.py").unlink()
    assert compiled.outdated(package) == "entry.py"


def test_where_nothing_was_compiled_nothing_is_old(package):
    for path in package.rglob("*.so"):
        path.unlink()
    os.utime(package / "fixed.py", (102, 102))
    assert compiled.outdated(package) is None


def test_a_start_beside_old_code_says_what_to_do(monkeypatch):
    monkeypatch.setattr(compiled, "outdated", lambda: "entry.py")
    with pytest.raises(StartFailed, match=r"entry\.py changed .* run scripts/compile"):
        compiled.require_current_code()


def test_no_compiled_module_holds_structs():
    """Mypyc drops their options without a word: they would be neither frozen nor keyword-only."""
    script = (ROOT / "scripts/compile").read_text()
    (listed,) = re.findall(r"^typed=\((.*?)\)$", script, re.DOTALL | re.MULTILINE)
    words = f"printf '%s\\n' {' '.join(listed.split())}"
    expanded = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True)
    paths = [ROOT / "src" / name for name in expanded.stdout.split()]
    assert len(paths) > 20
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            bases = map(ast.unparse, node.bases) if isinstance(node, ast.ClassDef) else ()
            assert not {"Struct", "msgspec.Struct"} & set(bases), f"{path.name} holds a struct"
