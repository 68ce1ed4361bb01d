"""A margin report as tables for a person."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_margin(report: dict[str, Any]) -> None:
    """Totals, then each scenario with the worst one marked."""
    console = Console()
    totals = Table(title=f"margin, preset {report['preset']}, USDC", show_header=False)
    for name, value in report.items():
        if isinstance(value, int | float):
            totals.add_row(name.replace("_", " "), f"{value:,.2f}")
    console.print(totals)
    for group in report["groups"]:
        results = group["scenarios"]
        table = Table(title=" + ".join(group["underlyings"]))
        for heading in ("scenario", "spot", "volatility", "weight", "result"):
            table.add_column(heading, justify="right")
        for number, (scenario, result) in enumerate(zip(report["scenarios"], results, strict=True)):
            style = "bold red" if result == min(results) else ""
            cells = (scenario["spot"], scenario["volatility"], scenario["weight"])
            table.add_row(str(number), *map(str, cells), f"{result:,.2f}", style=style)
        console.print(table)
        console.print(f"basis contingency {group['basis_contingency']:,.2f}")
