"""What a day like 2020-03-12 costs whom: 1,000 seeded accounts, in the cases of `crash_world`.

Not a race: the figures are of money and the same on every machine, but for `seconds`.
"""

import platform
import time
from typing import Any

from tests.crash_world import CASES, Crash

ACCOUNTS = 1_000


def run() -> dict[str, Any]:
    """Every case, its figures named `case / figure`."""
    figures: dict[str, float] = {}
    for name, case in CASES.items():
        started = time.perf_counter()
        found = Crash(ACCOUNTS, case).play()
        figures |= {f"{name} / {figure}": value for figure, value in found.items()}
        figures[f"{name} / seconds"] = round(time.perf_counter() - started, 1)
    return {"machine": {"python": platform.python_version()}, "figures": figures}
