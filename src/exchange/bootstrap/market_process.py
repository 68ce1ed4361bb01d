"""`exchange market`: funds demonstration agents on a local chain and lets them trade."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from random import Random  # noqa: TID251  seeded from the settings
from typing import Final, TypeVar

import structlog

from exchange.bootstrap import dev_keys
from exchange.bootstrap.dev_keys import Party
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.fixed import CASH_SCALE
from exchange.sdk import AsyncClient, ConnectionLost
from exchange.sdk.agents import MakerSettings, TakerSettings, run_maker, run_taker
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import open_chain, project_artifacts
from exchange.settlement.wallet import OwnerWallet

MAKERS: Final = 2
TAKERS: Final = 3
MAKER_CASH: Final = 20_000_000 * CASH_SCALE
TAKER_CASH: Final = 2_000_000 * CASH_SCALE
PERSON_CASH: Final = 250_000 * CASH_SCALE
_POLL_S: Final = 0.2
_POLLS_MAX: Final = 150
_PATIENCE_S: Final = 5.0
_CALM: Final = MakerSettings(expiries=2, strikes=5, requote_s=10.0)

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def run_market(settings: Settings) -> None:
    """Trade until SIGTERM or SIGINT."""
    chain = open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())
    trading = asyncio.create_task(_trade(settings, chain))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, trading.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await trading


async def _trade(settings: Settings, chain: Chain) -> None:
    url = f"http://{settings.host}:{settings.port}"
    makers = [dev_keys.maker(number) for number in range(MAKERS)]
    takers = [dev_keys.taker(number) for number in range(TAKERS)]
    for party, cash in (
        (dev_keys.person(0), PERSON_CASH),
        *((maker, MAKER_CASH) for maker in makers),
        *((taker, TAKER_CASH) for taker in takers),
    ):
        await _fund_once(url, chain, party, cash)
    async with asyncio.TaskGroup() as tasks:
        for number, maker in enumerate(makers):
            tasks.create_task(run_maker(url, maker.key, _dice(settings, number), _CALM))
        for number, taker in enumerate(takers, start=1):
            tasks.create_task(run_taker(url, taker.key, _dice(settings, -number), TakerSettings()))
        tasks.create_task(_fund_people(url, chain))


async def _fund_people(url: str, chain: Chain) -> None:
    """More accounts to try the venue with, while it trades already."""
    for number in range(1, dev_keys.PEOPLE_FUNDED):
        await _fund_once(url, chain, dev_keys.person(number), PERSON_CASH)


def _dice(settings: Settings, number: int) -> Random:
    return Random(settings.seed + number)  # noqa: S311  a market to look at, not a secret


async def _fund_once(url: str, chain: Chain, party: Party, cash: int) -> None:
    """Open and fund a subaccount unless this address has one with cash, and wait for the venue.

    Whoever was killed between the two has one without.
    """
    client = AsyncClient(url, party.key, transport="http")
    try:
        await _patiently(client.start)
        opened, balance = await _patiently(partial(_holdings, client))
        if balance:
            return
        wallet = OwnerWallet(chain, party.key)
        subaccount_id = opened[0] if opened else await asyncio.to_thread(wallet.open_subaccount)
        await asyncio.to_thread(wallet.fund, subaccount_id, cash)
        for _ in range(_POLLS_MAX):
            _, balance = await _patiently(partial(_holdings, client))
            if balance:
                break
            await asyncio.sleep(_POLL_S)
        else:
            raise StartFailed(f"the deposit of {party.address} did not reach the venue")
        log.info("funded", owner=party.address, subaccount_id=subaccount_id)
    finally:
        await client.stop()


async def _holdings(client: AsyncClient) -> tuple[Sequence[int], Decimal]:
    """Subaccounts and cash of whoever asks."""
    opened = (await client.sign_in()).subaccount_ids
    return opened, (await client.account()).balance if opened else Decimal(0)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, as soon as the venue gives one; a refusal is one."""
    while True:
        try:
            return await ask()
        except ConnectionLost as error:
            log.warning("waits_for_the_venue", reason=str(error))
            await asyncio.sleep(_PATIENCE_S)
