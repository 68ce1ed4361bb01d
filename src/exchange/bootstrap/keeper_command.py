"""`exchange keeper ...`: reads what a keeper needs, runs it, prints its books.

Nothing here knows the venue from inside: a URL, a node, a key from EXCHANGE_KEEPER_KEY. Only who
serves exits reads the journal too, which margin proofs are made of.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from rich.console import Console
from rich.table import Table

from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed
from exchange.journal import JournalReader, JournalUnavailable
from exchange.keepers.auctions import AuctionCall, AuctionKeeper
from exchange.keepers.ethereum import Ethereum, GasLimits, NodeUnavailable
from exchange.keepers.force_exit import ExitOrder, ForceExitKeeper
from exchange.keepers.liquidate import BidRules, LiquidateKeeper
from exchange.keepers.posts import ExitKeeper, ExitPayment, PostKeeper, RealiseKeeper
from exchange.keepers.runner import Books, Limits, Runner, Several
from exchange.keepers.runner import Keeper as AnyKeeper
from exchange.keepers.strategy import StepKeeper, StrategyKeeper, read_step, read_strategy
from exchange.sdk import AsyncClient, Keeper, SdkError
from exchange.settlement.auctions import ChainAuctions
from exchange.settlement.deploy import open_chain, project_artifacts
from exchange.settlement.deployment import load_deployment
from exchange.settlement.errors import ChainError
from exchange.settlement.exit_service import due_exits
from exchange.settlement.proving import margin_proof

KEY_VARIABLE: Final = "EXCHANGE_KEEPER_KEY"
_NOBODY: Final = "0x" + "0" * 39 + "1"  # looks without a wallet


class KeeperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the venue and the node are, whose key signs, and what bounds the run."""

    url: str
    rpc_url: str
    limits: Limits
    fee_cap_gwei: int = 200
    subaccount_id: int = 0
    json_file: Path | None = None


T = TypeVar("T")
Build = Callable[[KeeperSettings, AsyncClient, Ethereum], Awaitable[AnyKeeper]]


def run_posts(settings: KeeperSettings, name: str, patience_s: int) -> int:
    """Put on chain what waits: `settle`, `funding`, `expire` (which pays positions off too)."""

    async def build(_: KeeperSettings, client: AsyncClient, chain: Ethereum) -> AnyKeeper:
        posts = PostKeeper(name, client, patience_s=patience_s)
        if name != "expire":
            return posts
        only = (settings.subaccount_id,) if settings.subaccount_id else ()
        return Several("expire", (posts, RealiseKeeper(client, chain, subaccount_ids=only)))

    return run_keeper(settings, build, signs_in=False)


def run_liquidate(settings: KeeperSettings, rules: BidRules) -> int:
    """Bid in liquidation auctions."""

    async def build(_: KeeperSettings, client: AsyncClient, __: Ethereum) -> AnyKeeper:
        assert isinstance(client, Keeper)
        return LiquidateKeeper(client, rules)

    return run_keeper(settings, build)


def run_auctions(settings: KeeperSettings, rules: BidRules, journal: str, deployment: Path) -> int:
    """Bring the contract's auctions on without the operator, and bid in them."""
    venue = open_chain(settings.rpc_url, deployment, project_artifacts())
    only = (settings.subaccount_id,) if settings.subaccount_id else ()

    async def build(_: KeeperSettings, __: AsyncClient, chain: Ethereum) -> AnyKeeper:
        def prove(subaccount_id: int) -> tuple[object, ...]:
            return margin_proof(reader, venue, subaccount_id)

        auctions = ChainAuctions(venue, prove, chain.address or _NOBODY)
        return AuctionKeeper(_patient(lambda: _auction_calls(auctions, only)), rules)

    try:
        with contextlib.closing(JournalReader(journal, shard=venue.deployment.shard)) as reader:
            return run_keeper(settings, build, signs_in=False, alone=True)
    except JournalUnavailable as error:
        raise StartFailed(str(error)) from error


def _patient(due: Callable[[], list[T]]) -> Callable[[], list[T]]:
    """Asks again later where node and journal do not tell enough yet, such as marks to prove by."""

    def asked() -> list[T]:
        try:
            return due()
        except ChainError as error:
            raise NodeUnavailable(str(error)) from error

    return asked


def _auction_calls(auctions: ChainAuctions, only: tuple[int, ...]) -> list[AuctionCall]:
    """What is due for these subaccounts; for none: for all that are flagged."""
    calls = []
    for subaccount_id in only or auctions.flagged():
        step, offer = auctions.step(subaccount_id), auctions.offer(subaccount_id)
        found = [(step, (0, 0, 0))] if step else []
        if offer is not None:
            figures = (offer.discount, offer.requirement, offer.deposit)
            found.append((auctions.purchase(offer), figures))
        for one, (discount, requirement, deposit) in found:
            call = AuctionCall(
                name=one.name,
                subaccount_id=subaccount_id,
                to=one.to,
                data=one.data,
                discount=discount,
                requirement=requirement,
                deposit=deposit,
            )
            calls.append(call)
    return calls


class Leaving(NamedTuple):
    """What leaves, in ledger units of a coin, and whither; `again` after an earlier exit."""

    coin: str
    amount: int
    recipient: str = ""  # none: the wallet's own address
    again: bool = False


def run_force_exit(settings: KeeperSettings, leaving: Leaving, deployment: Path | None) -> int:
    """Ask for money on chain, and end the venue where nobody pays it."""
    found = load_deployment(deployment) if deployment is not None else None

    async def build(_: KeeperSettings, client: AsyncClient, chain: Ethereum) -> AnyKeeper:
        if found is None:
            domain = await client.domain()
            clearing, tokens = domain.verifying_contract, domain.collaterals
            tokens = {"USDC": domain.collateral, **tokens}
        else:
            clearing, tokens = found.clearing, {"USDC": found.usdc, **found.tokens}
        if leaving.coin not in tokens:
            raise StartFailed(f"no token {leaving.coin}: there are {', '.join(tokens)}")
        order = ExitOrder(
            clearing=clearing,
            subaccount_id=settings.subaccount_id,
            token=tokens[leaving.coin],
            amount=leaving.amount,
            recipient=leaving.recipient or chain.address,
        )
        return ForceExitKeeper(chain, order, again=leaving.again)

    return run_keeper(settings, build, signs_in=False, alone=found is not None)


def run_serve_exits(settings: KeeperSettings, journal: str, deployment: Path) -> int:
    """Pay forced exits that no batch can pay any more."""
    venue = open_chain(settings.rpc_url, deployment, project_artifacts())

    async def build(_: KeeperSettings, __: AsyncClient, ___: Ethereum) -> AnyKeeper:
        def due() -> list[ExitPayment]:
            return [
                ExitPayment(subaccount_id=one.subaccount_id, paid=one.paid, data=one.data)
                for one in due_exits(venue, reader)
            ]

        return ExitKeeper(venue.deployment.clearing, _patient(due))

    try:
        with contextlib.closing(JournalReader(journal, shard=venue.deployment.shard)) as reader:
            return run_keeper(settings, build, signs_in=False, alone=True)
    except JournalUnavailable as error:
        raise StartFailed(str(error)) from error


def run_strategy(settings: KeeperSettings, file: Path) -> int:
    """Trade by a user's own strategy."""
    python = file.suffix == ".py"
    strategy = None if python else read_strategy(file)
    if strategy is not None:
        settings = msgspec.structs.replace(settings, subaccount_id=strategy.subaccount_id)

    async def build(_: KeeperSettings, client: AsyncClient, __: Ethereum) -> AnyKeeper:
        if strategy is None:
            return StepKeeper(client, read_step(file))
        return StrategyKeeper(client, strategy, file.with_suffix(".fired.json"))

    return run_keeper(settings, build)


def run_keeper(
    settings: KeeperSettings, build: Build, *, signs_in: bool = True, alone: bool = False
) -> int:
    """Run until its limits or SIGTERM end it; 0 unless it cannot even start.

    One that works `alone` starts without the venue too, which it asks for the price of ether only.
    """
    try:
        books = asyncio.run(_run(settings, build, signs_in=signs_in, alone=alone))
    except SdkError as error:
        raise StartFailed(str(error)) from error
    _show(books, settings.json_file)
    return 0


async def _run(settings: KeeperSettings, build: Build, *, signs_in: bool, alone: bool) -> Books:
    key = _key(needed=signs_in or not settings.limits.dry_run)
    limits = GasLimits(fee_cap=settings.fee_cap_gwei * 10**9)
    chain = Ethereum(settings.rpc_url, key, limits)
    client = Keeper(
        settings.url,
        key if signs_in else None,
        subaccount_id=settings.subaccount_id or None,
        transport="http",
    )

    async def ether_price() -> Decimal:
        return await client.index_price("eth_usdc")

    if not alone:
        await client.start()
    runner = Runner(await build(settings, client, chain), settings.limits, chain, ether_price)
    running = asyncio.create_task(runner.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass
    finally:
        await client.stop()
        await chain.stop()
    return runner.books


def _key(*, needed: bool) -> bytes:
    text = os.environ.get(KEY_VARIABLE, "")
    return key_from_hex(text, KEY_VARIABLE) if text or needed else b""


def _show(books: Books, json_file: Path | None) -> None:
    figures: dict[str, Any] = msgspec.to_builtins(books) | {"profit": str(books.profit)}
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    table = Table(title="keeper", show_header=False)
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)
