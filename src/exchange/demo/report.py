"""What the demo verified, step by step: a table for people, JSON for machines."""

import json
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class CheckFailed(Exception):
    """A step did not hold; the text says what was expected and what was found."""


def require(condition: object, text: str) -> None:
    """Go on only if `condition` holds."""
    if not condition:
        raise CheckFailed(text)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked."""

    step: str
    checked: str
    figure: str
    seconds: float  # since the row before


class Report:
    """Rows in order, shown as they come."""

    def __init__(self, console: Console) -> None:
        self.rows: list[Row] = []
        self.failure = ""
        self._console = console
        self._since = self._start = time.monotonic()

    def add(self, step: str, checked: str, figure: object) -> None:
        """Note a verified fact."""
        now = time.monotonic()
        row = Row(
            step=step, checked=checked, figure=str(figure), seconds=round(now - self._since, 2)
        )
        self._since = now
        self.rows.append(row)
        self._console.print(f"[green]ok[/] {step:<9} {checked}: {figure}", highlight=False)

    @property
    def seconds(self) -> float:
        """Time since the first step began."""
        return round(time.monotonic() - self._start, 1)

    def print_table(self) -> None:
        """The closing table."""
        table = Table(title=f"the main job, verified in {self.seconds} s")
        for heading in ("step", "what was checked", "figure"):
            table.add_column(heading, justify="right" if heading == "figure" else "left")
        last = ""
        for row in self.rows:
            table.add_row(row.step if row.step != last else "", row.checked, row.figure)
            last = row.step
        self._console.print(table)

    def write_json(self, file: Path) -> None:
        """The same for machines."""
        document = {
            "passed": not self.failure,
            "failure": self.failure,
            "seconds": self.seconds,
            "rows": [msgspec.to_builtins(row) for row in self.rows],
        }
        file.write_text(json.dumps(document, indent=2) + "\n")
