"""`exchange admin parameters`: an operator's change of parameters, looked at before it is made."""

import json
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings

_TIMEOUT_S: Final = 120.0


def preview_parameters(settings: Settings, file: Path) -> dict[str, Any]:
    """What the change in `file` would do to live accounts."""
    return _post(settings, "/admin/parameters/preview", _change(file))


def apply_parameters(settings: Settings, file: Path, confirm: int) -> dict[str, Any]:
    """Make the change, if it liquidates exactly `confirm` accounts."""
    body = {"change": _change(file), "confirm": confirm}
    return _post(settings, "/admin/parameters/apply", body)


def print_report(report: dict[str, Any]) -> None:
    """Counts, then a row for each account concerned."""
    console = Console()
    liquidated, restricted = report["liquidated"], report["restricted"]
    console.print(
        f"{report['accounts']} accounts: {len(liquidated)} liquidated, {len(restricted)} restricted"
    )
    if not liquidated and not restricted:
        return
    table = Table(title="excess in USDC")
    for heading in ("account", "becomes", "maintenance", "then", "initial", "then"):
        table.add_column(heading, justify="right")
    for becomes, rows in (("liquidatable", liquidated), ("restricted", restricted)):
        for row in rows:
            excesses = [
                f"{row[name]:,.2f}"
                for name in (
                    "maintenance_before",
                    "maintenance_after",
                    "initial_before",
                    "initial_after",
                )
            ]
            table.add_row(str(row["subaccount_id"]), becomes, *excesses)
    console.print(table)


def _change(file: Path) -> dict[str, Any]:
    try:
        change = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise StartFailed(f"{file}: {error}") from error
    if not isinstance(change, dict):
        raise StartFailed(f"{file}: a change is a JSON object")
    return change


def _post(settings: Settings, path: str, body: dict[str, Any]) -> dict[str, Any]:
    url = settings.admin_url or f"http://{settings.host}:{settings.admin_port}"
    headers = {"Authorization": f"Bearer {settings.token()}"}
    try:
        reply = httpx.post(url + path, json=body, headers=headers, timeout=_TIMEOUT_S)
    except httpx.HTTPError as error:
        raise StartFailed(f"no answer from the operator's listener at {url}: {error}") from error
    answer: dict[str, Any] = reply.json()
    if reply.is_error:
        said = answer["error"]
        raise StartFailed(f"{said['message']}: {said['data']['reason']}")
    return answer
