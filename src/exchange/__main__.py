"""The command line: `exchange COMMAND`. Each command is a few lines; the work is in the modules.

Errors that a person can mend end with one line on standard error and exit code 1.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from exchange.bootstrap.admin_app import admin
from exchange.bootstrap.compiled import require_current_code
from exchange.bootstrap.keeper_app import keeper
from exchange.bootstrap.logs import configure_logs
from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.trade_app import trade
from exchange.config import SHARD_MAX, Settings, SettingsInvalid, load_settings

app = typer.Typer(
    help="A hybrid options exchange: matched off chain, cleared on chain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Shard = Annotated[
    int,
    typer.Option(envvar="EXCHANGE_SHARD", min=0, max=SHARD_MAX, help="Which one of the journal."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the result for machines.")]


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level)
    return settings


@app.command()
def dev(
    chain_data: Annotated[
        Path | None, typer.Option(help="Seed the BTC chain from a recorded Deribit file.")
    ] = None,
) -> None:
    """Start a chain, the exchange, its relayer and a simulated market, until Ctrl-C."""
    from exchange.bootstrap.dev import run_dev

    settings = _settings()
    if chain_data is not None:
        settings = msgspec.structs.replace(settings, seed_chain=str(chain_data.absolute()))
    run_dev(settings)


@app.command()
def chain() -> None:
    """Run a local chain alone; it goes on from what EXCHANGE_STATE_DIR holds."""
    from exchange.bootstrap.chain_process import run_chain

    run_chain(_settings())


@app.command()
def demo(
    json_file: JsonFile = None,
    chain_data: Annotated[
        Path | None, typer.Option(help="Seed the BTC chain from a recorded Deribit file.")
    ] = None,
) -> None:
    """Do the main job without a person; exit 0 only if every step is verified."""
    from exchange.demo import run_demo

    sys.exit(run_demo(json_file, chain_data))


@app.command()
def engine(
    standby: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option(help="Follow the engine that leads, and lead when it falls silent.")
    ] = False,
) -> None:
    """Run sequencer, gateway, oracle and clockwork in this process."""
    import uvloop

    from exchange.bootstrap.engine_process import run_engine

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_engine(_settings(), standby=standby))


@app.command()
def serve() -> None:
    """Run a gateway beside the engine: clients here, orders through EXCHANGE_REDIS_URL."""
    import uvloop

    from exchange.bootstrap.serve_process import run_serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_serve(_settings()))


@app.command()
def snapshot() -> None:
    """Write a snapshot of what the journal holds; a running engine does so by itself."""
    from exchange.bootstrap.recovery import run_snapshot

    sys.stdout.write(f"the snapshots reach seq {run_snapshot(_settings())}\n")


@app.command()
def relayer() -> None:
    """Settle batches on chain and watch it, learning only from the journal."""
    from exchange.bootstrap.relayer_process import run_relayer_process

    run_relayer_process(_settings())


@app.command()
def gateway() -> None:
    """Attest what passes between this chain and a second one."""
    from exchange.bootstrap.gateway_process import run_gateway

    run_gateway(_settings())


@app.command()
def deploy(
    beside: Annotated[
        Path | None, typer.Option(help="deployment.json of another shard: take its tokens.")
    ] = None,
) -> None:
    """Deploy the contracts to a local chain that runs already."""
    from exchange.bootstrap.deploy_command import run_deploy

    run_deploy(_settings(), beside)


@app.command()
def market() -> None:
    """Trade with demonstration agents: two makers and some takers."""
    from exchange.bootstrap.market_process import run_market

    asyncio.run(run_market(_settings()))


audits = typer.Typer(help="What a journal says, checked by replay.")
app.add_typer(audits, name="audit")


@audits.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    journal: Annotated[str, typer.Option(help="Path or database URL of the journal.")],
    rpc: Annotated[str, typer.Option(help="URL of a node: compare with the chain too.")] = "",
    json_file: JsonFile = None,
    until: Annotated[int, typer.Option(help="Replay up to this seq; 0: all of it.")] = 0,
    shard: Shard = 0,
) -> None:
    """Replay a journal; name the first difference by seq."""
    from exchange.bootstrap.audit_command import run_audit

    if context.invoked_subcommand is None:
        sys.exit(run_audit(journal, rpc, json_file, until, shard=shard))
    context.obj = (journal, rpc, shard)


@audits.command()
def receipt(
    context: typer.Context,
    answer: Annotated[Path, typer.Argument(help="The venue's answer, or its result, as JSON.")],
    signer: Annotated[str, typer.Option(help="The receipt_signer that you expect.")] = "",
) -> None:
    """Check a receipt against the journal; with --rpc the journal against the chain too."""
    from exchange.bootstrap.audit_command import run_audit_receipt

    journal, rpc, shard = context.obj
    sys.exit(run_audit_receipt(journal, rpc, answer, signer, shard=shard))


@app.command("simulate")
def simulation(
    seed: Annotated[int, typer.Option(help="The run, or the first of --seeds.")] = 0,
    hours: Annotated[float, typer.Option(help="Venue time of each run; 1 if no --steps.")] = 0.0,
    steps: Annotated[int, typer.Option(help="Or so many commands.")] = 0,
    seeds: Annotated[int, typer.Option(help="How many runs.")] = 1,
    check_every: Annotated[int, typer.Option(help="Commands between two full checks.")] = 25,
    json_file: JsonFile = None,
) -> None:
    """Run the whole exchange in one process on virtual time, with faults; exit 1 if it breaks."""
    from exchange.bootstrap.simulate_command import run_simulation

    if not (steps or hours):
        hours = 1.0
    sys.exit(run_simulation(seed, seeds, steps, hours, json_file, check_every))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Such as matching, margin, journal, settle.")],
    json_file: JsonFile = None,
    fills: Annotated[int, typer.Option(help="Of `settle`: how many a day has.")] = 0,
) -> None:
    """Measure one part on this machine."""
    from exchange.bootstrap.bench_command import run_bench

    run_bench(name, json_file, fills)


app.add_typer(keeper, name="keeper")
app.add_typer(trade, name="trade")
app.add_typer(admin, name="admin")


@app.command()
def release(
    watch: Annotated[bool, typer.Option(help="Go on until stopped.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Pay withdrawals that are mature on chain; EXCHANGE_KEEPER_KEY pays the gas."""
    from exchange.bootstrap.release_command import run_release

    run_release(_settings(), watch=watch)


margins = typer.Typer(help="Margin of a portfolio; how volatility would have been forecast.")
app.add_typer(margins, name="margin")


@margins.callback(invoke_without_command=True)
def margin(
    context: typer.Context,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Portfolio, preset and market.")
    ] = None,
    prove: Annotated[
        int | None, typer.Option(help="A subaccount: prove its margin on the venue's chain.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Margin of a portfolio, with every intermediate figure; or of a subaccount, on chain."""
    from exchange.bootstrap.margin_table import print_margin
    from exchange.margin.report import margin_report

    if context.invoked_subcommand is not None:
        return
    if prove is not None:
        from exchange.bootstrap.prove_command import run_prove

        sys.exit(run_prove(_settings(), prove, as_json=as_json))
    if input_file is None:
        raise StartFailed("--input FILE names the portfolio, its preset and its market")
    try:
        report = margin_report(input_file.read_bytes())
    except (OSError, ValueError) as error:
        raise StartFailed(f"{input_file}: {error}") from error
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        print_margin(report)


@margins.command()
def backtest(
    input_file: Annotated[
        Path | None, typer.Option("--input", help="CSV of time,price; none: a simulated year.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Compare volatility forecasts on recorded prices, the best first."""
    from exchange.bootstrap.margin_table import run_backtest

    run_backtest(input_file, json_file)


escape = typer.Typer(
    help="Your money out of the venue, with a wallet (EXCHANGE_WALLET_KEY) and a node alone.",
    no_args_is_help=True,
)
app.add_typer(escape, name="escape")

Subaccount = Annotated[int, typer.Argument(help="A subaccount of the wallet.")]
Recipient = Annotated[str, typer.Option("--to", help="Another address than the wallet's own.")]


@escape.command("status")
def escape_status() -> None:
    """What this wallet asked for, and where an escape stands."""
    from exchange.bootstrap.escape_command import open_way, show_status

    show_status(open_way(_settings()))


@escape.command("request")
def escape_request(
    subaccount: Subaccount,
    amount: Annotated[str, typer.Argument(help="Such as 1000.50.")],
    coin: Annotated[str, typer.Option(help="USDC or a token of the venue.")] = "USDC",
    to: Recipient = "",
) -> None:
    """Ask on chain for money that the operator must pay."""
    from exchange.bootstrap.escape_command import open_way, request

    request(open_way(_settings()), subaccount, amount, coin, to)


@escape.command("serve")
def escape_serve(subaccount: Subaccount) -> None:
    """Pay an open request of a subaccount without positions, once batches cannot any more."""
    from exchange.bootstrap.escape_command import open_way

    open_way(_settings()).serve(subaccount)


@escape.command("start")
def escape_start(subaccount: Subaccount) -> None:
    """End the venue: this subaccount's request was not answered in time."""
    from exchange.bootstrap.escape_command import open_way

    open_way(_settings()).start(subaccount)


@escape.command("value")
def escape_value() -> None:
    """Fix prices and value everybody's account, as far as is possible now."""
    from exchange.bootstrap.escape_command import open_way, value_all

    value_all(open_way(_settings()))


@escape.command("claim")
def escape_claim(subaccount: Subaccount, to: Recipient = "") -> None:
    """Claim everything of every token."""
    from exchange.bootstrap.escape_command import claim, open_way

    claim(open_way(_settings()), subaccount, to)


fund = typer.Typer(
    help="The insurance fund: deposits, and how they leave (EXCHANGE_WALLET_KEY).",
    no_args_is_help=True,
)
app.add_typer(fund, name="fund")


@fund.command("status")
def fund_status() -> None:
    """What the fund has, and what of it is this wallet's."""
    from exchange.bootstrap.fund_command import open_fund, show_status

    show_status(open_fund(_settings()))


@fund.command("deposit")
def fund_deposit(amount: Annotated[str, typer.Argument(help="USDC, such as 1000.50.")]) -> None:
    """Put dollars in, for shares at the price of now."""
    from exchange.bootstrap.fund_command import deposit, open_fund

    deposit(open_fund(_settings()), amount)


@fund.command("request")
def fund_request(shares: Annotated[str, typer.Argument(help="Shares, or: all.")]) -> None:
    """Ask for the worth of shares; it is priced when it is paid, and cannot be taken back."""
    from exchange.bootstrap.fund_command import open_fund, request

    request(open_fund(_settings()), shares)


@fund.command("claim")
def fund_claim() -> None:
    """Take what a paid round owes this wallet."""
    from exchange.bootstrap.fund_command import claim, open_fund

    claim(open_fund(_settings()))


@fund.command("settle")
def fund_settle(
    watch: Annotated[bool, typer.Option(help="Go on until stopped.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Draw and pay rounds whose notice is over; for anybody who pays the gas."""
    from exchange.bootstrap.fund_command import open_fund, settle

    settle(open_fund(_settings()), watch=watch)


def main() -> None:
    """Entry point of the console script."""
    from exchange.journal import JournalCorrupt, JournalUnavailable
    from exchange.sdk.errors import SdkError
    from exchange.settlement.errors import ChainError
    from exchange.trade.desk import TradeFailed

    try:
        require_current_code()
        app()
    except (
        StartFailed,
        SettingsInvalid,
        ChainError,
        JournalCorrupt,
        JournalUnavailable,
        TradeFailed,
        SdkError,
    ) as error:
        sys.stderr.write(f"exchange: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
