"""On the integration machine a skipped test fails the run; elsewhere it is a plain message."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parent / "conftest.py"
SKIPS_IN_A_TEST = "import pytest\ndef test_a(): pytest.skip('no browser')\n"
SKIPS_A_MODULE = "import pytest\npytest.skip('no browser', allow_module_level=True)\n"
SKIPS_NOTHING = "def test_a(): pass\n"


@pytest.mark.parametrize(
    ("source", "no_skips", "exit_code"),
    [
        (SKIPS_IN_A_TEST, "1", pytest.ExitCode.TESTS_FAILED),
        (SKIPS_A_MODULE, "1", pytest.ExitCode.TESTS_FAILED),
        (SKIPS_NOTHING, "1", pytest.ExitCode.OK),
        (SKIPS_IN_A_TEST, "", pytest.ExitCode.OK),
    ],
)
def test_a_skip_counts(tmp_path: Path, source: str, no_skips: str, exit_code: int) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"EXCHANGE_NO_SKIPS": no_skips}
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == exit_code, result.stdout
    assert ("EXCHANGE_NO_SKIPS=1" in result.stdout) == (exit_code != pytest.ExitCode.OK)
