"""`exchange engine`: sequencer, gateway, oracle and clockwork in one process, two listeners.

Every part runs as a task of one group: the first that fails ends the process, and restart replays
the journal.
"""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from fastapi import FastAPI
from prometheus_client.registry import Collector

from exchange import curve
from exchange.api.admin import AdminHooks, create_admin_app
from exchange.api.admin_keys import TOKEN_LENGTH_MIN, parse_admin_keys
from exchange.api.app import create_app
from exchange.api.contract_owners import AskContract
from exchange.api.dispatch import Dispatcher, Method
from exchange.api.gateway import Gateway
from exchange.api.key_store import KeyStore, SealedFile, StoreBroken, sealing_key
from exchange.api.settings import SIGNATURE_WORKERS, GatewaySettings
from exchange.bootstrap.ingress_parts import Figures, LeadersEnd
from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.market_feed import MarketFeed, simulated_underlyings, stress_rules
from exchange.bootstrap.memory import look_seldom, rest_collector
from exchange.bootstrap.parameters import PRESET, first_parameters
from exchange.bootstrap.processes import StartFailed, require_free_port
from exchange.bootstrap.recovery import snapshot_for_ever
from exchange.bootstrap.server import Server, listeners, serve_until
from exchange.bootstrap.shards import deployment_of, require_underlyings, shard_market
from exchange.bootstrap.side_process import market_executor, replay_aside
from exchange.bootstrap.stage_times import stage_times
from exchange.bootstrap.standby import Follower, beat_for_ever, beating_aside, open_past
from exchange.bootstrap.threads import take_short_turns
from exchange.clockwork import Clockwork
from exchange.config import Settings
from exchange.engine import Engine
from exchange.history.store import HistoryStore
from exchange.journal import Journal, JournalCorrupt, JournalUnavailable
from exchange.liquidator import Liquidator
from exchange.margin.scenarios import load_preset
from exchange.oracle.loop import MarksLoop, Timing
from exchange.oracle.smile_follower import SmileFollower
from exchange.oracle.steward import Steward
from exchange.sequencer import Sequencer, SequencerBusy
from exchange.settlement.contract_owners import ContractSignatures
from exchange.settlement.deployment import Deployment

if TYPE_CHECKING:
    from exchange.bootstrap.tracing import Tracing

LISTING_INTERVAL_S: Final = 60.0
FILES_MAX: Final = 20_000  # open at once: both listeners full, and room to spare

log = structlog.get_logger(__name__)


class Leader(NamedTuple):
    """What the process that leads consists of, below its listeners."""

    journal: Journal
    sequencer: Sequencer
    follower: Follower  # what it knew when it began to lead
    past: HistoryStore  # which it writes
    figures: Collector
    executor: Executor  # beside the loop, for smiles and chains
    dispatch: Callable[[Gateway, Sequence[Method[Any]]], Dispatcher] = Dispatcher


async def run_engine(settings: Settings, *, standby: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; a standby first waits until nobody else does."""
    if not curve.FAST:
        raise StartFailed("an exchange needs coincurve: install the extra `fast`")
    tune_process()
    require_free_port(settings.port, "EXCHANGE_PORT")
    require_free_port(settings.admin_port, "EXCHANGE_ADMIN_PORT")
    if len(settings.token()) < TOKEN_LENGTH_MIN:
        raise StartFailed(f"EXCHANGE_ADMIN_TOKEN needs at least {TOKEN_LENGTH_MIN} characters")
    deployment = deployment_of(settings)
    follower = Follower(settings, open_past(settings))
    await asyncio.to_thread(follower.catch_up)
    tracing = _tracing(settings)
    rest_collector()  # a standby has time now; when it leads, everybody waits
    with contextlib.ExitStack() as held:
        executor = held.enter_context(market_executor())
        journal = held.enter_context(await follower.stand_by() if standby else follower.lead())
        starting = held.enter_context(contextlib.ExitStack())
        starting.enter_context(beating_aside(journal))
        past = follower.inherit()
        engine = follower.recovered.engine
        figures, measure = stage_times()
        sequencer = Sequencer(
            engine,
            journal,
            trust_hashes=settings.trust_state_hashes,
            measure=measure,
            trace=tracing,
            in_loop=journal.is_local,
        )
        log.info(
            "replayed",
            shard=settings.shard,
            seq=sequencer.last_seq,
            snapshot_seq=follower.snapshot_seq,
            state_hash=engine.state_hash().hex(),
        )
        check_deployment(engine, deployment)
        require_underlyings(engine, settings)
        leader = Leader(journal, sequencer, follower, past, figures, executor)
        if tracing is not None:
            leader = leader._replace(dispatch=tracing.dispatcher)
        try:
            await _serve(settings, deployment, leader, starting)
        except BaseExceptionGroup as group:
            raise journal_failure(group) or group from None
        finally:
            if tracing is not None:
                await asyncio.to_thread(tracing.close)


def _tracing(settings: Settings) -> "Tracing | None":
    """What makes traces, if they are asked for: its libraries are loaded only then."""
    if not settings.traces:
        return None
    from exchange.bootstrap.tracing import Tracing

    return Tracing()


def journal_failure(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The journal's own words among what ended the parts of this process; None if it is well."""
    found: BaseException | None = group.subgroup((JournalUnavailable, JournalCorrupt))
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def tune_process() -> None:
    """What the system and Python allow by default is for other programs."""
    raise_file_limit()
    take_short_turns()
    look_seldom()


def raise_file_limit() -> None:
    """Let this process open as many sockets as its listeners may hold, if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_deployment(engine: Engine, deployment: Deployment) -> None:
    """Refuse a journal of another chain."""
    parameters = engine.parameters
    if parameters is None:
        return
    if (parameters.clearing, parameters.genesis_hash) != (
        deployment.clearing,
        deployment.genesis_hash,
    ):
        raise StartFailed(
            "the journal belongs to another chain than deployment.json: start with an empty "
            "state directory, or bring the old chain back"
        )


async def _serve(
    settings: Settings, deployment: Deployment, leader: Leader, starting: contextlib.ExitStack
) -> None:
    sequencer, follower = leader.sequencer, leader.follower
    stop, market = stop_by_signal(), shard_market(settings)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(sequencer.run())
        beating = tasks.create_task(beat_for_ever(leader.journal))
        if await sequencer.read(lambda engine: engine.parameters) is None:
            await sequencer.submit(first_parameters(deployment, simulated_underlyings(market)))
        feed = MarketFeed(settings, sequencer, leader.journal.reader.entry(1).time_ns)
        steward = Steward(sequencer, stress_rules(market), follower.recovered.steward)
        contracts = ContractSignatures(settings.rpc_url, deployment.clearing)
        public = _public_app(settings, leader, contracts.approves)
        marks = await _open_market(settings, leader, feed, steward)
        ingress = leaders_end(settings, leader, public)
        clockwork = Clockwork(sequencer, batch_interval_s=settings.batch_interval_s)
        running = [
            tasks.create_task(part)
            for part in (
                marks.run(),
                clockwork.run(),
                Liquidator(sequencer).run(),
                _list_for_ever(feed),
                snapshot_for_ever(settings, sequencer, follower.snapshot_seq),
                *(source.run() for source in feed.polled),
                *(end.run() for end in ingress),
            )
        ]
        shown = Figures(lambda: {"shard": settings.shard})
        figures = (leader.figures, shown, *(Figures(end.figures) for end in ingress))
        servers = _listeners(settings, leader, public, marks, figures)
        starting.close()  # from now on the loop beats: one that hangs shall lose its role
        await serve_until(stop, servers, tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await feed.close()
        await contracts.close()
        await sequencer.read(lambda _: None)  # no commit is under way when the writer ends
        leader.past.close()  # which hears of every commit
        writing.cancel()
        beating.cancel()


def stop_by_signal() -> asyncio.Event:
    """Set once somebody asks this process to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _open_market(
    settings: Settings, leader: Leader, feed: MarketFeed, steward: Steward
) -> MarksLoop:
    """List the chains and mark them once, so that the first client finds a market."""
    sequencer = leader.sequencer
    await feed.list_chains()
    marks = MarksLoop(
        sequencer,
        await feed.feeds(),
        load_preset(PRESET),
        timing=Timing(
            index_interval_s=settings.index_interval_s,
            epoch_interval_ns=int(settings.marks_interval_s * 1e9),
        ),
        follower=SmileFollower(sequencer, executor=leader.executor),
        steward=steward,
    )
    await marks.sample_now()
    rest_collector()  # what lives as long as this process is there by now
    return marks


def _public_app(settings: Settings, leader: Leader, ask_contract: AskContract) -> FastAPI:
    own, recovered, past = gateway_settings(settings), leader.follower.recovered, leader.past
    history = recovered.steward.follow(leader.journal.reader.entries(recovered.view.seq))
    store, view = key_store(settings), recovered.view
    return create_app(
        leader.sequencer,
        own,
        history,
        store,
        past,
        view,
        ask_contract=ask_contract,
        dispatch=leader.dispatch,
    )


def leaders_end(settings: Settings, leader: Leader, public: FastAPI) -> list[LeadersEnd]:
    """The stream of gateways in other processes, where there is one."""
    if not settings.redis_url:
        return []
    return [LeadersEnd(settings, leader.sequencer, leader.journal, public.state.gateway)]


def gateway_settings(settings: Settings, *, rfq_url: str = "") -> GatewaySettings:
    """Of a gateway, in the engine's process or beside it."""
    return GatewaySettings(
        public_url=settings.public_url or f"http://{settings.host}:{settings.port}",
        rfq_url=rfq_url,
        receipt_key=_receipt_key(settings),
        signature_workers=SIGNATURE_WORKERS,
        terminal_dir=settings.terminal_dir,
        local_keys=tuple(key for key in settings.local_keys.split(",") if key),
        local_node=settings.rpc_url,
    )


def _receipt_key(settings: Settings) -> bytes:
    text = settings.receipt_key
    return key_from_hex(text, "EXCHANGE_RECEIPT_KEY") if text else b""


def _listeners(
    settings: Settings,
    leader: Leader,
    public: FastAPI,
    marks: MarksLoop,
    figures: tuple[Collector, ...],
) -> list[Server]:
    admin = create_admin_app(
        leader.sequencer,
        token=settings.token(),
        gateway=public.state.gateway,
        hooks=AdminHooks(
            shard=settings.shard,
            after_clock=marks.sample_now,
            reset_index=marks.reset_breaker,
            draw_marks=marks.draw,
            replay=partial(replay_aside, settings.journal_location, settings.shard),
            figures=figures,
        ),
        keys=parse_admin_keys(settings.admin_keys),
    )
    return listeners(settings, public, admin)


def key_store(settings: Settings) -> KeyStore | None:
    """Where API keys are kept; None where nothing seals them."""
    if not settings.api_keys_secret:
        return None
    try:
        store = SealedFile(settings.api_keys_file, sealing_key(settings.api_keys_secret))
        store.load()
    except ValueError:
        raise StartFailed("EXCHANGE_API_KEYS_SECRET needs 64 hex digits") from None
    except StoreBroken as error:
        raise StartFailed(f"{error}: give the EXCHANGE_API_KEYS_SECRET that sealed it") from None
    return store


async def _list_for_ever(feed: MarketFeed) -> None:
    while True:
        await asyncio.sleep(LISTING_INTERVAL_S)
        try:
            added = await feed.list_chains()
        except SequencerBusy:  # what is missing is listed the next time
            log.warning("listing skipped: the sequencer is busy")
            continue
        if added:
            log.info("listed", instruments=added)
