"""`exchange market`: funds demonstration agents on a local chain and lets them trade."""

import asyncio
import signal
from random import Random  # noqa: TID251  seeded from the settings
from typing import Final

import structlog

from exchange.bootstrap import dev_keys
from exchange.bootstrap.dev_keys import Party
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.fixed import CASH_SCALE
from exchange.sdk import AsyncClient, SdkError
from exchange.sdk.agents import MakerSettings, TakerSettings, run_maker, run_taker
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import open_chain, project_artifacts
from exchange.settlement.errors import ChainUnavailable
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


async def run_market(settings: Settings) -> None:
    """Trade until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = f"http://{settings.host}:{settings.port}"
    chain = open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())
    makers = [dev_keys.maker(number) for number in range(MAKERS)]
    takers = [dev_keys.taker(number) for number in range(TAKERS)]
    for party, cash in (
        (dev_keys.person(0), PERSON_CASH),
        *((maker, MAKER_CASH) for maker in makers),
        *((taker, TAKER_CASH) for taker in takers),
    ):
        await _fund(url, chain, party, cash)
    async with asyncio.TaskGroup() as tasks:
        agents = [
            tasks.create_task(run_maker(url, maker.key, _dice(settings, number), _CALM))
            for number, maker in enumerate(makers)
        ]
        agents += [
            tasks.create_task(run_taker(url, taker.key, _dice(settings, -number), TakerSettings()))
            for number, taker in enumerate(takers, start=1)
        ]
        agents.append(tasks.create_task(_fund_people(url, chain)))
        await stop.wait()
        for agent in agents:
            agent.cancel()


async def _fund_people(url: str, chain: Chain) -> None:
    """More accounts to try the venue with, while it trades already."""
    for number in range(1, dev_keys.PEOPLE_FUNDED):
        await _fund(url, chain, dev_keys.person(number), PERSON_CASH)


def _dice(settings: Settings, number: int) -> Random:
    return Random(settings.seed + number)  # noqa: S311  a market to look at, not a secret


async def _fund(url: str, chain: Chain, party: Party, cash: int) -> None:
    """`_fund_once`, as soon as venue and chain answer."""
    while True:
        try:
            return await _fund_once(url, chain, party, cash)
        except (SdkError, ChainUnavailable) as error:
            log.warning("waits_to_fund", owner=party.address, url=url, reason=str(error))
            await asyncio.sleep(_PATIENCE_S)


async def _fund_once(url: str, chain: Chain, party: Party, cash: int) -> None:
    """Open and fund a subaccount unless this address has one with cash, and wait for the venue.

    Whoever was killed between the two has one without.
    """
    async with AsyncClient(url, party.key, transport="http") as client:
        opened = (await client.sign_in()).subaccount_ids
        if opened and (await client.account()).balance:
            return
        wallet = OwnerWallet(chain, party.key)
        subaccount_id = opened[0] if opened else await asyncio.to_thread(wallet.open_subaccount)
        await asyncio.to_thread(wallet.fund, subaccount_id, cash)
        for _ in range(_POLLS_MAX):
            if (await client.sign_in()).subaccount_ids and (await client.account()).balance:
                break
            await asyncio.sleep(_POLL_S)
        else:
            raise StartFailed(f"the deposit of {party.address} did not reach the venue")
        log.info("funded", owner=party.address, subaccount_id=subaccount_id)
