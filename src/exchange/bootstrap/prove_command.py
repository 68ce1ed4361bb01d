"""`exchange margin --prove SUBACCOUNT`: the chain's figure and the engine's, side by side."""

import contextlib
import sys

import msgspec
from rich.console import Console
from rich.table import Table

from exchange.bootstrap.deploy_command import chain_of
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader, JournalUnavailable
from exchange.settlement.proving import ProvenMargin, prove_margin


def run_prove(settings: Settings, subaccount_id: int, *, as_json: bool) -> int:
    """Print the proven margin; 0 when chain and engine agree to the last unit."""
    chain = chain_of(settings)
    try:
        reader = JournalReader(settings.journal_location, shard=settings.shard)
        with contextlib.closing(reader):
            found = prove_margin(reader, chain, subaccount_id)
    except JournalUnavailable as error:
        raise StartFailed(str(error)) from error
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        _print(found)
    return 0 if found.agrees else 1


def _print(found: ProvenMargin) -> None:
    console = Console()
    table = Table(
        title=f"margin of subaccount {found.subaccount_id}: {found.positions} positions, epoch "
        f"{found.epoch}, batch {found.batch}, block {found.block}"
    )
    for heading in ("USDC beyond", "on chain", "engine"):
        table.add_column(heading, justify="right")
    for name in ("initial", "maintenance"):
        figures = (getattr(side, name) for side in (found.on_chain, found.engine))
        table.add_row(name, *(f"{units / CASH_SCALE:,.6f}" for units in figures))
    console.print(table)
    agrees = found.agrees
    verdict = "chain and engine agree" if agrees else "chain and engine DIFFER"
    console.print(verdict, style="green" if agrees else "red")
