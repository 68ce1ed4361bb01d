"""The command line of keepers: options to `keeper_command`."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from exchange.bootstrap.keeper_command import KeeperSettings

keeper = typer.Typer(
    help="Programs that anybody runs beside the exchange; EXCHANGE_KEEPER_KEY signs.",
    no_args_is_help=True,
)

Url = Annotated[str, typer.Option(help="The exchange's public listener.")]
Rpc = Annotated[str, typer.Option(help="A node.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Look and tell, send nothing.")]
Rounds = Annotated[int, typer.Option(help="How often to look; 0: until it is stopped.")]
Interval = Annotated[float, typer.Option(help="Seconds between two looks.")]
Budget = Annotated[float, typer.Option(help="Ether that gas may cost in all.")]
FeeCap = Annotated[int, typer.Option(help="The most that a unit of gas may cost, in gwei.")]
MinProfit = Annotated[float, typer.Option(help="USDC below which nothing is done.")]
Subaccount = Annotated[int, typer.Option("--subaccount", help="A subaccount's number.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the books for machines.")]
Patience = Annotated[int, typer.Option(help="Seconds that the venue's relayer may take.")]

URL = "http://127.0.0.1:8080"
RPC = "http://127.0.0.1:8545"


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Options that every keeper has."""

    dry_run: bool
    rounds: int
    interval: float
    budget: float = 0.0
    fee_cap: int = 0
    min_profit: float = 0.0
    subaccount: int = 0
    json_file: Path | None = None


def _settings(url: str, rpc: str, bounds: Bounds) -> "KeeperSettings":
    from exchange.bootstrap.keeper_command import KeeperSettings
    from exchange.bootstrap.logs import configure_logs
    from exchange.keepers.runner import WEI, Limits

    configure_logs("info")
    return KeeperSettings(
        url=url,
        rpc_url=rpc,
        subaccount_id=bounds.subaccount,
        fee_cap_gwei=bounds.fee_cap,
        json_file=bounds.json_file,
        limits=Limits(
            dry_run=bounds.dry_run,
            rounds=bounds.rounds,
            interval_s=bounds.interval,
            budget_wei=int(Decimal(str(bounds.budget)) * WEI),
            profit_min=Decimal(str(bounds.min_profit)),
        ),
    )


def _posts(name: str, settings: "KeeperSettings", patience: int) -> None:
    from exchange.bootstrap.keeper_command import run_posts

    run_posts(settings, name, patience)


@keeper.command()
def settle(  # noqa: PLR0913  options of the command line
    url: Url = URL,
    rpc: Rpc = RPC,
    patience: Patience = 30,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 2.0,
    budget: Budget = 0.1,
    fee_cap: FeeCap = 200,
    json_file: JsonFile = None,
) -> None:
    """Put batches and risk roots on chain that wait there; batches need the relayer's role."""
    bounds = Bounds(
        dry_run=dry_run,
        rounds=rounds,
        interval=interval,
        budget=budget,
        fee_cap=fee_cap,
        json_file=json_file,
    )
    settings = _settings(url, rpc, bounds)
    _posts("settle", settings, patience)


@keeper.command()
def expire(  # noqa: PLR0913  options of the command line
    url: Url = URL,
    rpc: Rpc = RPC,
    patience: Patience = 30,
    subaccount: Subaccount = 0,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 30.0,
    budget: Budget = 0.1,
    fee_cap: FeeCap = 200,
    json_file: JsonFile = None,
) -> None:
    """Post delivery prices that wait, and pay off positions that no batch can reach any more."""
    bounds = Bounds(
        dry_run=dry_run,
        rounds=rounds,
        interval=interval,
        budget=budget,
        fee_cap=fee_cap,
        subaccount=subaccount,
        json_file=json_file,
    )
    settings = _settings(url, rpc, bounds)
    _posts("expire", settings, patience)


@keeper.command()
def funding(  # noqa: PLR0913  options of the command line
    url: Url = URL,
    rpc: Rpc = RPC,
    patience: Patience = 30,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 5.0,
    budget: Budget = 0.1,
    fee_cap: FeeCap = 200,
    json_file: JsonFile = None,
) -> None:
    """Post funding indices that wait, so that batches of perpetuals can follow."""
    bounds = Bounds(
        dry_run=dry_run,
        rounds=rounds,
        interval=interval,
        budget=budget,
        fee_cap=fee_cap,
        json_file=json_file,
    )
    settings = _settings(url, rpc, bounds)
    _posts("funding", settings, patience)


@keeper.command()
def liquidate(  # noqa: PLR0913  options of the command line
    url: Url = URL,
    rpc: Rpc = RPC,
    subaccount: Subaccount = 0,
    risk_rate: Annotated[
        float, typer.Option(help="Of the maintenance margin that comes with a bid: what it costs.")
    ] = 0.05,
    price_max: Annotated[float, typer.Option(help="The most to pay for one bid, USDC.")] = 1e6,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 1.0,
    min_profit: MinProfit = 0.0,
    json_file: JsonFile = None,
) -> None:
    """Bid in liquidation auctions where the discount pays for the risk."""
    from exchange.bootstrap.keeper_command import run_liquidate
    from exchange.keepers.liquidate import BidRules

    bounds = Bounds(
        dry_run=dry_run,
        rounds=rounds,
        interval=interval,
        min_profit=min_profit,
        subaccount=subaccount,
        json_file=json_file,
    )
    rules = BidRules(risk_rate=Decimal(str(risk_rate)), price_max=Decimal(str(price_max)))
    run_liquidate(_settings(url, rpc, bounds), rules)


@keeper.command("force-exit")
def force_exit(  # noqa: PLR0913  options of the command line
    subaccount: Subaccount,
    amount: Annotated[int, typer.Option(help="Ledger units: 1e-6 USDC, 1e-8 of a token.")],
    coin: Annotated[str, typer.Option(help="USDC, or a token's name.")] = "USDC",
    recipient: Annotated[str, typer.Option(help="An address; none: the wallet's.")] = "",
    url: Url = URL,
    rpc: Rpc = RPC,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 30.0,
    budget: Budget = 0.1,
    fee_cap: FeeCap = 200,
    json_file: JsonFile = None,
) -> None:
    """Ask for money on chain without the operator, and start the escape where nobody pays."""
    from exchange.bootstrap.keeper_command import run_force_exit

    bounds = Bounds(
        dry_run=dry_run,
        rounds=rounds,
        interval=interval,
        budget=budget,
        fee_cap=fee_cap,
        subaccount=subaccount,
        json_file=json_file,
    )
    settings = _settings(url, rpc, bounds)
    run_force_exit(settings, coin, amount, recipient)


@keeper.command()
def strategy(  # noqa: PLR0913  options of the command line
    file: Annotated[Path, typer.Argument(help="TOML, or Python with step(client).")],
    url: Url = URL,
    rpc: Rpc = RPC,
    dry_run: DryRun = False,  # noqa: FBT002  a flag of the command line
    rounds: Rounds = 0,
    interval: Interval = 1.0,
    json_file: JsonFile = None,
) -> None:
    """Trade by your own triggers and hedges with a session key (docs/keepers.md)."""
    from exchange.bootstrap.keeper_command import run_strategy

    bounds = Bounds(dry_run=dry_run, rounds=rounds, interval=interval, json_file=json_file)
    run_strategy(_settings(url, rpc, bounds), file)
