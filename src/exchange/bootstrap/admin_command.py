"""`exchange admin`: questions to the operator's listener, and actions with their reasons."""

import json
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings

_TIMEOUT_S: Final = 120.0


def read(settings: Settings, path: str) -> Any:
    """What a route of the operator's listener shows."""
    return _answer(settings, "GET", path, None, "")


def act(settings: Settings, path: str, body: dict[str, Any], why: str) -> Any:
    """What came of an action; the journal says who did it and why."""
    return _answer(settings, "POST", path, body, why)


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


def read_change(file: Path) -> dict[str, Any]:
    """A change of parameters from a file."""
    try:
        change = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise StartFailed(f"{file}: {error}") from error
    if not isinstance(change, dict):
        raise StartFailed(f"{file}: a change is a JSON object")
    return change


def _answer(settings: Settings, verb: str, path: str, body: dict[str, Any] | None, why: str) -> Any:
    """Of the listener that leads: a standby has none of these routes, and says so in plain text."""
    urls = settings.admin_url or f"http://{settings.host}:{settings.admin_port}"
    headers = {"Authorization": f"Bearer {settings.token()}", "X-Reason": why}
    failure = ""
    for url in urls.split(","):
        try:
            reply = httpx.request(
                verb, f"{url}/admin/{path}", json=body, headers=headers, timeout=_TIMEOUT_S
            )
        except httpx.HTTPError as error:
            failure = f"no answer from the operator's listener at {url}: {error}"
            continue
        if reply.headers.get("content-type") != "application/json":
            failure = f"the listener at {url} does not lead: {reply.status_code}"
            continue
        answer = reply.json()
        if reply.is_error:
            said = answer["error"]
            raise StartFailed(f"{said['message']}: {said['data']['reason']}")
        return answer
    raise StartFailed(failure)
