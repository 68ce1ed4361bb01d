"""The command line of operators: options to the routes of the operator's listener.

`EXCHANGE_ADMIN_TOKEN` is the venue's token, or the key of who acts; `--why` goes to the journal.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.bootstrap import admin_command
from exchange.config import Settings, load_settings

admin = typer.Typer(help="An operator's actions on a running venue.", no_args_is_help=True)
parameters = typer.Typer(help="Parameters as one versioned object.", no_args_is_help=True)
admin.add_typer(parameters, name="parameters")

ChangeFile = Annotated[Path, typer.Argument(help="The change as JSON; docs/api.md has its form.")]
OptionalFile = Annotated[
    Path | None, typer.Argument(help="A change as JSON; none: show what is in force.")
]
Confirm = Annotated[int, typer.Option(help="How many liquidations you accept.")]
Why = Annotated[str, typer.Option("--why", help="Why, in 1 to 200 bytes; the journal keeps it.")]
Number = Annotated[int, typer.Argument(help="A subaccount.")]
Underlying = Annotated[int, typer.Option(help="All of this underlying_id.")]
Instrument = Annotated[int, typer.Option(help="This instrument_id alone.")]


@parameters.command()
def preview(change: ChangeFile) -> None:
    """Name the live accounts that a change would liquidate or restrict."""
    body = admin_command.read_change(change)
    found = admin_command.act(_settings(), "parameters/preview", body, "a preview")
    admin_command.print_report(found)


@parameters.command()
def apply(change: ChangeFile, why: Why, confirm: Confirm = 0) -> None:
    """Make a change, if it liquidates exactly the confirmed number of accounts."""
    body = {"change": admin_command.read_change(change), "confirm": confirm}
    admin_command.print_report(admin_command.act(_settings(), "parameters/apply", body, why))


@admin.command()
def fees(change: OptionalFile = None, why: Why = "", confirm: Confirm = 0) -> None:
    """The fees in force; or change them, as `parameters apply` does, and nothing else."""
    _section("fees", change, why, confirm)


@admin.command()
def limits(change: OptionalFile = None, why: Why = "", confirm: Confirm = 0) -> None:
    """The bounds of orders, prices and positions; or change them, and nothing else."""
    _section("limits", change, why, confirm)


@admin.command()
def status() -> None:
    """Where the venue stands."""
    _show("status")


@admin.command()
def liquidations() -> None:
    """Every liquidation that runs, with all figures."""
    _show("liquidations")


@admin.command()
def account(subaccount: Number) -> None:
    """One subaccount whole; money in micro-USDC, quantities in 1e-4 contracts."""
    _show(f"accounts/{subaccount}")


@admin.command()
def hold(subaccount: Number, why: Why) -> None:
    """Let no money leave a subaccount."""
    _act("hold_withdrawals", {"subaccount_id": subaccount, "held": True, "detail": why}, why)


@admin.command()
def release(subaccount: Number, why: Why) -> None:
    """Let money leave a subaccount again."""
    _act("hold_withdrawals", {"subaccount_id": subaccount, "held": False, "detail": why}, why)


@admin.command()
def suspend(subaccount: Number, why: Why) -> None:
    """Freeze a subaccount's trading: its orders go, new ones only reduce, its money stays free."""
    _act("suspend_trading", {"subaccount_id": subaccount, "suspended": True, "detail": why}, why)


@admin.command()
def reinstate(subaccount: Number, why: Why) -> None:
    """Let a suspended subaccount trade again."""
    _act("suspend_trading", {"subaccount_id": subaccount, "suspended": False, "detail": why}, why)


@admin.command()
def halt(why: Why, underlying: Underlying = 0, instrument: Instrument = 0) -> None:
    """Stop trading in an instrument, in an underlying, or everywhere. Orders stay."""
    _act("halt", {"underlying_id": underlying, "instrument_id": instrument, "reason": why}, why)


@admin.command()
def resume(why: Why, underlying: Underlying = 0, instrument: Instrument = 0) -> None:
    """End a halt of the same scope, into a call auction."""
    _act("resume", {"underlying_id": underlying, "instrument_id": instrument, "reason": why}, why)


@admin.command()
def replay(
    why: Why, until: Annotated[int, typer.Option(help="The last seq; 0: the newest.")] = 0
) -> None:
    """Replay the journal beside the venue, as `exchange audit` does; `replays` shows the result."""
    _act("replays", {"until_seq": until}, why)


@admin.command()
def replays() -> None:
    """What replays found, the newest first: figures, state hash, or the first difference."""
    _show("replays")


@admin.command("hand-over")
def hand_over(
    admin: Annotated[str, typer.Option(help="Who governs, after the delay; an address.")],
    guardian: Annotated[str, typer.Option(help="Who pauses new risk, at once.")],
    risk: Annotated[str, typer.Option(help="Who sets parameters, after the delay.")],
    issuer: Annotated[str, typer.Option(help="Who issues access passes; none: admin.")] = "",
    delay_days: Annotated[float, typer.Option(help="How long before it acts.")] = 2.0,
) -> None:
    """Give every role on chain away and keep none; EXCHANGE_DEPLOYER_KEY signs. For good."""
    from exchange.bootstrap.deploy_command import run_hand_over
    from exchange.model import SECONDS_PER_DAY
    from exchange.settlement.governance import Officers

    delay_s = int(delay_days * SECONDS_PER_DAY)
    officers = Officers(admin=admin, guardian=guardian, risk=risk, issuer=issuer, delay_s=delay_s)
    run_hand_over(_settings(), officers)


def _section(name: str, change: Path | None, why: str, confirm: int) -> None:
    if change is None:
        _show(name)
    else:
        _act(name, {"change": admin_command.read_change(change), "confirm": confirm}, why)


def _show(path: str) -> None:
    _print(admin_command.read(_settings(), path))


def _act(path: str, body: dict[str, Any], why: str) -> None:
    if not why:
        raise typer.BadParameter("say why", param_hint="--why")
    _print(admin_command.act(_settings(), path, body, why))


def _print(answer: object) -> None:
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")


def _settings() -> Settings:
    from exchange.bootstrap.logs import configure_logs

    settings = load_settings()
    configure_logs(settings.log_level)
    return settings
