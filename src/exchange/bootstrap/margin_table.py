"""Margin reports and back-tests as tables for a person."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from exchange.bootstrap.processes import StartFailed
from exchange.margin.forecast import backtest, read_prices
from exchange.oracle.sources import MarketModel, SimulatedMarket

_HOURS: Final = 365 * 24
_HOUR_NS: Final = 3600 * 10**9


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


def run_backtest(input_file: Path | None, json_file: Path | None) -> None:
    """Score every forecast on recorded prices, or on a simulated year where none are given."""
    try:
        prices = read_prices(input_file.read_text()) if input_file else _simulated()
        scores = backtest(prices)
    except (OSError, ValueError) as error:
        raise StartFailed(f"{input_file or 'simulated prices'}: {error}") from error
    if json_file is not None:
        rows = [asdict(score) for score in scores]
        json_file.write_text(json.dumps(rows, indent=2) + "\n")
    source = str(input_file) if input_file else "a simulated year"
    table = Table(title=f"volatility of the next day, {scores[0].days} days of {source}")
    for heading in ("model", "QLIKE", "error", "moves beyond 2 deviations"):
        table.add_column(heading, justify="right")
    for score in scores:
        figures = (f"{score.qlike:.4f}", f"{score.error:.1%}", f"{score.exceeded:.1%}")
        table.add_row(score.model, *figures)
    Console().print(table)


def _simulated() -> list[float]:
    market = SimulatedMarket(MarketModel(volatility=0.6), seed=1, start_price=100_000.0, start_ns=0)
    return [market.price(hour * _HOUR_NS) for hour in range(_HOURS)]
