"""The command line of keepers: options to `keeper_command`.

What every keeper has, its options and their defaults, is the signature of `_settings`.
"""

import inspect
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the books for machines.")]
MinProfit = Annotated[float, typer.Option(help="USDC below which nothing is done.")]
Subaccount = Annotated[int, typer.Option("--subaccount", help="A subaccount's number.")]
Patience = Annotated[int, typer.Option(help="Seconds that the venue's relayer may take.")]

Work = Callable[..., None]


def _settings(  # noqa: PLR0913  options of the command line
    *,
    url: Url = "http://127.0.0.1:8080",
    rpc: Rpc = "http://127.0.0.1:8545",
    dry_run: DryRun = False,
    rounds: Rounds = 0,
    interval: Interval = 2.0,
    budget: Budget = 0.1,
    fee_cap: FeeCap = 200,
    json_file: JsonFile = None,
) -> "KeeperSettings":
    from exchange.bootstrap.keeper_command import KeeperSettings
    from exchange.bootstrap.logs import configure_logs
    from exchange.keepers.runner import WEI, Limits

    configure_logs("info")
    return KeeperSettings(
        url=url,
        rpc_url=rpc,
        fee_cap_gwei=fee_cap,
        json_file=json_file,
        limits=Limits(
            dry_run=dry_run,
            rounds=rounds,
            interval_s=interval,
            budget_wei=int(Decimal(str(budget)) * WEI),
        ),
    )


def _command(name: str, *, interval: float) -> Callable[[Work], Work]:
    """Make `work(settings, own options)` a command that takes the common options too."""

    def register(work: Work) -> Work:
        _, *own = inspect.signature(work).parameters.values()
        common = dict(inspect.signature(_settings).parameters)
        common["interval"] = common["interval"].replace(default=interval)

        def run(**given: Any) -> None:
            settings = _settings(**{option: given.pop(option) for option in common})
            work(settings, **given)

        run.__doc__ = work.__doc__
        kind = inspect.Parameter.KEYWORD_ONLY
        options = [one.replace(kind=kind) for one in (*own, *common.values())]
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # typer reads it
        keeper.command(name)(run)
        return work

    return register


@_command("settle", interval=2.0)
def settle(settings: "KeeperSettings", patience: Patience = 30) -> None:
    """Put batches and risk roots on chain that wait there; batches need the relayer's role."""
    from exchange.bootstrap.keeper_command import run_posts

    run_posts(settings, "settle", patience)


@_command("expire", interval=30.0)
def expire(settings: "KeeperSettings", patience: Patience = 30, subaccount: Subaccount = 0) -> None:
    """Post delivery prices that wait, and pay off positions that no batch can reach any more."""
    from exchange.bootstrap.keeper_command import run_posts

    settings = msgspec.structs.replace(settings, subaccount_id=subaccount)
    run_posts(settings, "expire", patience)


@_command("funding", interval=5.0)
def funding(settings: "KeeperSettings", patience: Patience = 30) -> None:
    """Post funding indices that wait, so that batches of perpetuals can follow."""
    from exchange.bootstrap.keeper_command import run_posts

    run_posts(settings, "funding", patience)


@_command("liquidate", interval=1.0)
def liquidate(  # noqa: PLR0913  options of the command line
    settings: "KeeperSettings",
    subaccount: Subaccount = 0,
    risk_rate: Annotated[
        float, typer.Option(help="Of the maintenance margin that comes with a bid: what it costs.")
    ] = 0.05,
    price_max: Annotated[float, typer.Option(help="The most to pay for one bid, USDC.")] = 1e6,
    min_profit: MinProfit = 0.0,
    on_chain: Annotated[
        str, typer.Option(help="A journal to make proofs of: auction without the operator.")
    ] = "",
    deployment: Annotated[Path, typer.Option(help="The venue's deployment.json.")] = Path(
        "var/deployment.json"
    ),
) -> None:
    """Bid in liquidation auctions where the discount pays for the risk."""
    from exchange.bootstrap.keeper_command import run_auctions, run_liquidate
    from exchange.keepers.liquidate import BidRules

    profit_min = Decimal(str(min_profit))
    limits = msgspec.structs.replace(settings.limits, profit_min=profit_min)
    settings = msgspec.structs.replace(settings, subaccount_id=subaccount, limits=limits)
    rules = BidRules(risk_rate=Decimal(str(risk_rate)), price_max=Decimal(str(price_max)))
    if on_chain:
        run_auctions(settings, rules, on_chain, deployment)
    else:
        run_liquidate(settings, rules)


@_command("force-exit", interval=30.0)
def force_exit(  # noqa: PLR0913  options of the command line
    settings: "KeeperSettings",
    subaccount: Subaccount,
    amount: Annotated[int, typer.Option(help="Ledger units: 1e-6 USDC, 1e-8 of a token.")],
    coin: Annotated[str, typer.Option(help="USDC, or a token's name.")] = "USDC",
    recipient: Annotated[str, typer.Option(help="An address; none: the wallet's.")] = "",
    deployment: Annotated[
        Path | None,
        typer.Option(help="The venue's deployment.json; without it the venue itself is asked."),
    ] = None,
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Ask although an earlier request was closed.")
    ] = False,
) -> None:
    """Ask for money on chain without the operator, and start the escape where nobody pays."""
    from exchange.bootstrap.keeper_command import Leaving, run_force_exit

    settings = msgspec.structs.replace(settings, subaccount_id=subaccount)
    run_force_exit(settings, Leaving(coin, amount, recipient, again), deployment)


@_command("serve-exits", interval=30.0)
def serve_exits(
    settings: "KeeperSettings",
    journal: Annotated[str, typer.Option(help="Path or database URL of the venue's journal.")],
    deployment: Annotated[Path, typer.Option(help="The venue's deployment.json.")] = Path(
        "var/deployment.json"
    ),
) -> None:
    """Pay forced exits that no batch can any more, as far as a margin proof allows."""
    from exchange.bootstrap.keeper_command import run_serve_exits

    run_serve_exits(settings, journal, deployment)


@_command("strategy", interval=1.0)
def strategy(
    settings: "KeeperSettings",
    file: Annotated[Path, typer.Argument(help="TOML, or Python with step(client).")],
) -> None:
    """Trade by your own triggers and hedges with a session key (docs/keepers.md)."""
    from exchange.bootstrap.keeper_command import run_strategy

    run_strategy(settings, file)
