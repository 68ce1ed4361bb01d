"""A gateway for tests: the real engine behind a fake sequencer, keys, and signed requests."""

import asyncio
import contextlib
import hashlib
import threading
import time
from collections.abc import Awaitable, Coroutine, Iterator
from functools import cache, cached_property
from typing import Any, Final

import jsonschema_rs
import msgspec
import uvicorn
from tests.liquidation_world import rules
from tests.ports import free_port
from tests.venue import (
    CHAIN,
    CLEARING,
    EXPIRY_S,
    FEES,
    FUNDING,
    NS,
    PERP,
    USDC_TOKEN,
    C,
    P,
    Venue,
    contracts,
    usdc,
)

from exchange.api.app import METHODS, app_of, server_config
from exchange.api.dispatch import Dispatcher
from exchange.api.gateway import Gateway
from exchange.api.reading import Reading
from exchange.api.records import Marks
from exchange.api.result_shapes import RESULTS
from exchange.api.settings import GatewaySettings
from exchange.commands import UpdateMarks
from exchange.engine import Engine
from exchange.history.store import HistoryStore
from exchange.journal import Entry
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import load_preset
from exchange.margin.surface import FlatSurface
from exchange.model import (
    OrderTerms,
    PriceSource,
    Side,
    Trigger,
    TriggerKind,
    WithdrawalTerms,
)
from exchange.observations import SessionKeySeen
from exchange.sequencer import Reply
from exchange.signing import (
    Domain,
    address_of,
    order_digest,
    sign_digest,
    trigger_hash,
    withdrawal_digest,
)

MAKER_KEY: Final = bytes(31) + b"\x01"
TAKER_KEY: Final = bytes(31) + b"\x02"
STRANGER_KEY: Final = bytes(31) + b"\x03"
MAKER, TAKER, STRANGER = (address_of(key) for key in (MAKER_KEY, TAKER_KEY, STRANGER_KEY))
MAKER_ID, TAKER_ID = 2, 3
DOMAIN: Final = Domain(31_337, CLEARING)
CALL_NAME: Final = "BTC_USDC-25DEC26-100000-C"
PUT_NAME: Final = "BTC_USDC-25DEC26-100000-P"
PERPETUAL_NAME: Final = "BTC_USDC-PERPETUAL"
WINDOW_S: Final = 1_800  # of the delivery price
NAMES: Final = {CALL_NAME: C, PUT_NAME: P, PERPETUAL_NAME: PERP}


class FakeSequencer:
    """The sequencer's face over a test venue: no queue, no disk, every command durable at once."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.listeners: list[Any] = []
        self.failure: Exception | None = None
        self.stopped = False
        self.committing_s = 0.0
        self._entries: list[Entry] = []

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    @property
    def last_seq(self) -> int:
        return len(self.venue.entries)

    def queue_length(self) -> int:
        return 0

    def commit_s(self) -> float:
        return self.committing_s

    def now_ns(self) -> int:
        return self.venue.time_ns

    def entries(self) -> list[Entry]:
        for row in self.venue.entries[len(self._entries) :]:
            self._entries.append(_entry(*row))
        return self._entries

    def release(self, since: int) -> None:
        """Tell listeners of what a test sent to the venue directly."""
        entries = self.entries()[since:]
        for listener in tuple(self.listeners):
            listener(entries)

    def enqueue(self, command: Any, told: Any) -> None:
        told.set_result(self._do(command))

    async def submit(self, command: Any, *, note: Any = None) -> Reply:
        return self._do(command, note)

    def _do(self, command: Any, note: Any = None) -> Reply:
        if self.failure is not None:
            raise self.failure
        since = len(self.venue.entries)
        if note is not None:
            self.venue.send(note)
        self.venue.send(command)
        self.release(since)
        entry = self.entries()[-1]
        return Reply(
            seq=entry.seq, time_ns=entry.time_ns, events=entry.events, chain_hash=entry.chain_hash
        )

    async def read(self, query: Any) -> Any:
        return query(self.engine)

    def subscribe(self, listener: Any) -> Any:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)


def _entry(seq: int, time_ns: int, command: Any, events: Any) -> Entry:
    chain_hash = hashlib.sha256(str(seq).encode()).digest()
    return Entry(seq=seq, time_ns=time_ns, command=command, events=events, chain_hash=chain_hash)


class CheckedDispatcher(Dispatcher):
    """Holds every result against its description; one that differs is a bug, 11094 on the wire."""

    async def _call(self, name: str, params: msgspec.Raw, caller: Any, ahead: Any = None) -> object:
        return self._checked(name, await super()._call(name, params, caller, ahead))

    def _answer(self, method: Any, reading: Reading, caller: Any, reply: Any) -> object:
        result = super()._answer(method, reading, caller, reply)
        if isinstance(result, Awaitable):
            return self._checked_later(method.name, result)
        return self._checked(method.name, result)

    async def _checked_later(self, name: str, result: Awaitable[object]) -> object:
        return self._checked(name, await result)

    def _checked(self, name: str, result: object) -> object:
        shown = msgspec.json.decode(msgspec.json.encode(result))
        _description(name).validate(shown)
        return result


@cache
def _description(method: str) -> Any:
    return jsonschema_rs.validator_for(RESULTS[method])


class MemoryStore:
    """A store without a disk; `fails` as a full one does."""

    def __init__(self):
        self.text = b""
        self.fails = False

    def load(self):
        return self.text

    def save(self, text):
        if self.fails:
            raise OSError("no space left")
        self.text = text

    def changed(self):
        return False

    def alone(self):
        return contextlib.nullcontext()


class World:
    """A venue with a chain of options, two funded subaccounts, and a gateway before it."""

    def __init__(self, **settings: Any) -> None:
        self.venue = Venue(fees=FEES, funding=FUNDING, liquidation=rules())
        self.venue.index()
        self.venue.index(3_500, underlying_id=2)
        self.venue.list_instruments(*CHAIN)
        self.venue.mark(dict.fromkeys(CHAIN, 1_000))
        assert (self.venue.fund(MAKER), self.venue.fund(TAKER)) == (MAKER_ID, TAKER_ID)
        self.sequencer = FakeSequencer(self.venue)
        quiet = {"requests_burst": 1e9, "orders_burst": 1e9}
        self.settings = GatewaySettings(**(quiet | settings))
        self.key_store = MemoryStore()
        self.past = HistoryStore("sqlite://")  # in memory: one connection serves its one thread
        self.gateway = Gateway(
            self.sequencer,
            self.settings,
            self.sequencer.entries(),
            key_store=self.key_store,
            past=self.past,
        )
        self.gateway.start()
        self.dispatcher = CheckedDispatcher(self.gateway, METHODS)
        self.nonce = 0

    @cached_property
    def app(self) -> Any:
        """The public application; slow to build."""
        return app_of(self.dispatcher)

    def do(self, action: Any) -> Any:
        """Run `action(venue)` and release what it journaled."""
        since = len(self.venue.entries)
        result = action(self.venue)
        self.sequencer.release(since)
        return result

    def order(
        self, side: str, *, key: bytes = TAKER_KEY, domain: Domain = DOMAIN, **changes: Any
    ) -> dict[str, Any]:
        """Parameters of a signed order; `changes` come before signing, text stays text."""
        self.nonce += 1
        params = {
            "instrument_name": CALL_NAME,
            "amount": "1",
            "price": "1000",
            "subaccount_id": TAKER_ID if key == TAKER_KEY else MAKER_ID,
            "nonce": self.nonce,
            "deadline": self.venue.now_s + 3600,
            "max_fee": "100",
            "signer": address_of(key),
        } | changes
        return params | {"signature": sign_order(params, side, key, domain)}

    def deliver(self) -> None:
        """Let the options expire and fix their delivery price."""

        def pass_time(venue: Venue) -> None:
            for before_s in range(WINDOW_S, -1, -30):
                venue.wait_until(EXPIRY_S - before_s)
                venue.index()
            venue.expire()

        self.do(pass_time)

    def withdrawal(
        self, *, key: bytes = TAKER_KEY, domain: Domain = DOMAIN, **changes: Any
    ) -> dict[str, Any]:
        """Parameters of a signed withdrawal."""
        self.nonce += 1
        params = {
            "amount": "100",
            "address": address_of(key),
            "subaccount_id": TAKER_ID if key == TAKER_KEY else MAKER_ID,
            "nonce": self.nonce,
            "deadline": self.venue.now_s + 3600,
            "signer": address_of(key),
        } | changes
        terms = WithdrawalTerms(
            subaccount_id=params["subaccount_id"],
            token=USDC_TOKEN,
            amount=usdc(params["amount"]),
            recipient=params["address"],
            nonce=params["nonce"],
            deadline=params["deadline"],
            signer=params["signer"],
        )
        return params | {"signature": hexed(sign_digest(withdrawal_digest(domain, terms), key))}


def mark_as_presets_do(world: World) -> UpdateMarks:
    """Rows of 33 scenarios: one of the few that test venues have is as long as two hashes."""
    expiry = ExpiryMarket(expiry=EXPIRY_S, forward_price=100_000.0)
    underlying = UnderlyingMarket(
        underlying_id=1, index_price=100_000.0, surface=FlatSurface(0.6), expiries=(expiry,)
    )
    market = Market(time_ns=world.venue.time_ns, underlyings=(underlying,))
    command = build_update(load_preset("pm33"), market, CHAIN, 9)
    world.gateway.view.marks = Marks(command, world.venue.time_ns)
    return command


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def sign_order(
    params: dict[str, Any], side: str, key: bytes, domain: Domain = DOMAIN, version: int = 0
) -> str:
    terms = OrderTerms(
        subaccount_id=params["subaccount_id"],
        instrument_id=NAMES[params["instrument_name"]],
        side=Side[side.upper()],
        quantity=contracts(params["amount"]),
        limit_price=usdc(params.get("limit_price", params["price"])),
        max_fee=usdc(params["max_fee"]),
        reduce_only=params.get("reduce_only", False),
        trigger_hash=trigger_hash(_trigger(params)),
        nonce=params["nonce"],
        version=params.get("version", version),
        deadline=params["deadline"],
        signer=params["signer"],
    )
    return hexed(sign_digest(order_digest(domain, terms), key))


def _trigger(params: dict[str, Any]) -> Trigger | None:
    """As a client builds it, without the gateway's own table."""
    if "trigger" not in params:
        return None
    kind = {"stop": TriggerKind.STOP, "take": TriggerKind.TAKE}.get(params["type"].split("_")[0])
    return Trigger(
        kind=kind or TriggerKind.TRAILING,
        source=PriceSource[params["trigger"].removesuffix("_price").upper()],
        trigger_price=usdc(params.get("trigger_price", 0)),
        trail_offset=usdc(params.get("trigger_offset", 0)),
    )


def sign_in_text(world: World, address: str, nonce: str, **changes: Any) -> str:
    """An EIP-4361 text that the gateway accepts, unless `changes` spoil it."""
    issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(world.venue.time_ns // NS))
    parts = {
        "domain": "127.0.0.1:8080",
        "address": address,
        "chain_id": 31_337,
        "nonce": nonce,
        "issued": issued,
        "tail": "",
    } | changes
    return (
        f"{parts['domain']} wants you to sign in with your Ethereum account:\n"
        f"{parts['address']}\n\n"
        f"Sign in.\n\nURI: http://127.0.0.1:8080\nVersion: 1\nChain ID: {parts['chain_id']}\n"
        f"Nonce: {parts['nonce']}\nIssued At: {parts['issued']}{parts['tail']}"
    )


def session_of(world: World, key: bytes = TAKER_KEY) -> Any:
    """A session of a key's address."""
    from exchange.api.auth import personal_digest

    text = sign_in_text(world, address_of(key), world.gateway.sessions.issue_nonce())
    signature = hexed(sign_digest(personal_digest(text), key))
    time_s = world.venue.time_ns / NS
    return world.gateway.sessions.sign_in(text, signature, 31_337, time_s)


def api_key(world: World, key: bytes = TAKER_KEY, **terms: Any) -> Any:
    """An API key of an address, allowed on chain for an hour."""
    owner = address_of(key)
    scope = terms.pop("scope", "account:read trade:read_write")
    made = world.gateway.keys.create(owner, "bot", scope, world.gateway.now_ms(), **terms)
    allow(world, made.signer, world.venue.now_s + 3600, owner)
    return made


def allow(world: World, key: str, deadline: int, owner: str = TAKER) -> None:
    """The owner lets a session key trade until `deadline` on chain; 0 revokes it."""
    seen = SessionKeySeen(owner=owner, key=key, deadline=deadline)
    world.do(lambda venue: venue.observe(seen))


async def call(
    world: World, method: str, params: dict[str, Any] | None = None, *, session: Any = None
) -> dict[str, Any]:
    """One call through the dispatcher; the decoded reply."""
    from exchange.api.gateway import Caller

    text = msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    )
    outcome = await world.dispatcher.call_text(text, Caller(address="test", session=session))
    return msgspec.json.decode(outcome.body)


@contextlib.contextmanager
def serving(app: Any, port: int = 0) -> Iterator[str]:
    """The application on a free port, in a thread; yields its URL."""
    port = port or free_port()
    config = server_config(app, "127.0.0.1", port)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def served(**settings: Any) -> Iterator[tuple[World, str]]:
    """A world on a free port, for clients that sign in."""
    port = free_port()
    world = World(public_url=f"http://127.0.0.1:{port}", **settings)
    with serving(world.app, port) as url:
        yield world, url


def run(steps: Coroutine[Any, Any, Any]) -> Any:
    """What a client's steps come to, in half a minute at most."""

    async def bounded() -> Any:
        async with asyncio.timeout(30):
            return await steps

    return asyncio.run(bounded())
