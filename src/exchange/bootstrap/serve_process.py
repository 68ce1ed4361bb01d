"""`exchange serve`: a gateway in a process of its own, beside the engine that leads.

It restores what a standby restores, follows the journal with a replica, and sends what its clients
want through the stream. There may be any number of them; none of them leads or writes anything.
"""

import asyncio
from typing import Final

import structlog
from fastapi import FastAPI

from exchange import curve
from exchange.api.admin import AdminHooks, create_admin_app
from exchange.api.admin_keys import TOKEN_LENGTH_MIN, parse_admin_keys
from exchange.api.app import create_app
from exchange.bootstrap.engine_process import (
    check_deployment,
    gateway_settings,
    journal_failure,
    key_store,
    stop_by_signal,
    tune_process,
)
from exchange.bootstrap.ingress_parts import TELL_S, Figures, follow_keys, hear_for, seal_of
from exchange.bootstrap.memory import rest_collector
from exchange.bootstrap.processes import StartFailed, require_free_port
from exchange.bootstrap.recovery import Recovered, recover
from exchange.bootstrap.server import Server, listeners, serve_until
from exchange.bootstrap.shards import deployment_of
from exchange.config import Settings
from exchange.history.shared import HistoryReader
from exchange.ingress.replica import SILENCE_S, Replica
from exchange.ingress.stream import Stream
from exchange.journal import JournalReader, JournalTail, create_tables
from exchange.settlement.contract_owners import ContractSignatures

UNHEARD_S: Final = 5 * TELL_S  # of the engine that leads, which speaks that often
STALE_S: Final = 30.0  # older answers are worse than none: a proxy sends clients elsewhere

log = structlog.get_logger(__name__)


async def run_serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    if not curve.FAST:
        raise StartFailed("an exchange needs coincurve: install the extra `fast`")
    if not settings.redis_url:
        raise StartFailed("EXCHANGE_REDIS_URL is not set: nothing leads from here to the engine")
    if len(settings.token()) < TOKEN_LENGTH_MIN:
        raise StartFailed(f"EXCHANGE_ADMIN_TOKEN needs at least {TOKEN_LENGTH_MIN} characters")
    tune_process()
    require_free_port(settings.port, "EXCHANGE_PORT")
    require_free_port(settings.admin_port, "EXCHANGE_ADMIN_PORT")
    deployment = deployment_of(settings)
    recovered = await asyncio.to_thread(_follow_up, settings)
    check_deployment(recovered.engine, deployment)
    log.info("replayed", shard=settings.shard, seq=recovered.seq)
    stream = Stream(settings.redis_url, shard=settings.shard)
    tail = JournalTail(settings.journal_location, shard=settings.shard, after_seq=recovered.seq)
    contracts = ContractSignatures(settings.rpc_url, deployment.clearing)
    past = HistoryReader(settings.history, shard=settings.shard) if settings.history else None
    replica = Replica(recovered.engine, tail, stream, seal_of(settings))
    public = create_app(
        replica,
        gateway_settings(settings, rfq_url=settings.rfq_url or "the engine's own listener"),
        key_store=key_store(settings),
        past=past,
        view=recovered.view,
        ask_contract=contracts.approves,
    )
    replica.on_told = hear_for(public.state.gateway)
    rest_collector()
    try:
        await _serve(settings, replica, public)
    except BaseExceptionGroup as group:
        raise journal_failure(group) or group from None
    finally:
        await stream.close()
        await contracts.close()
        tail.close()
        if past is not None:
            past.close()


def _follow_up(settings: Settings) -> Recovered:
    """What the journal holds by now, from a snapshot where there is one."""
    create_tables(settings.journal_location)
    reader = JournalReader(settings.journal_location, shard=settings.shard)
    try:
        recovered = recover(settings, reader)
        for _ in recovered.follow(reader, trust_hashes=True):  # the replica compares the rest
            pass
    finally:
        reader.close()
    return recovered


async def _serve(settings: Settings, replica: Replica, public: FastAPI) -> None:
    stop = stop_by_signal()
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(replica.run()),
            tasks.create_task(follow_keys(public.state.gateway)),
        ]
        servers = _listeners(settings, replica, public)
        await serve_until(stop, servers, tasks)
        for task in running:
            task.cancel()


def _listeners(settings: Settings, replica: Replica, public: FastAPI) -> list[Server]:
    admin = create_admin_app(
        replica,
        token=settings.token(),
        gateway=public.state.gateway,
        hooks=AdminHooks(
            shard=settings.shard,
            figures=(Figures(lambda: _figures(replica) | {"shard": settings.shard}),),
            reasons=lambda: _reasons(replica),
            follows=lambda: replica.unread_s() < STALE_S,
        ),
        keys=parse_admin_keys(settings.admin_keys),
        acts=False,
    )
    return listeners(settings, public, admin)


def _reasons(replica: Replica) -> dict[str, str]:
    """What keeps orders from the engine; reads go on."""
    found = {}
    if not replica.connected:
        found["ingress"] = "Redis does not answer"
    elif (unheard_s := replica.unheard_s()) > UNHEARD_S:
        found["ingress"] = f"no engine has said anything by Redis for {unheard_s:.0f} s"
    if (unread_s := replica.unread_s()) > SILENCE_S:
        found["journal"] = f"it could not be read for {unread_s:.0f} s: so old is what is shown"
    if (silent_s := replica.leader_silent_s()) > SILENCE_S:
        found["engine"] = f"no sign of one that leads for {silent_s:.0f} s"
    return found


def _figures(replica: Replica) -> dict[str, float]:
    return {
        "ingress_connected": float(replica.connected),
        "leader_silent_seconds": replica.leader_silent_s(),
        "journal_unread_seconds": replica.unread_s(),
    }
