"""`exchange bench wire`: signed orders over sockets to the durable answer, and its fan-out.

Server, load and yardstick share the same two pinned cores in one run: the yardstick is how many
signatures those cores recover if they do nothing else. Everything is signed before the clock runs.
No chain follows, so no settlement batch is cut; with these few accounts each would add 1 ms.
"""

import asyncio
import contextlib
import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from tests.bench.margin import machine
from tests.bench.wire_server import QUOTED, QUOTER_ID, QUOTERS
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER_ID,
    TAKER_KEY,
    free_port,
    hexed,
    sign_order,
)
from tests.venue import START_S, contracts, usdc

from exchange.merkle import merkle_root
from exchange.model import Quote, SheetTerms, instrument_name, unpack_instrument_id
from exchange.settlement.deploy import REPOSITORY
from exchange.signing import (
    address_of,
    recover_signer,
    sheet_digest,
    sheet_leaves,
    sign_digest,
)

CORES: Final = 2
ORDERS: Final = 20_000
PACED: Final = 10_000  # orders at half of the peak
REST_ORDERS: Final = 1_000
REST_CONNECTIONS: Final = 16
SHEETS: Final = 40  # of each of twelve makers, who wait for each answer
EDITED: Final = 500  # orders, more than are under way: versions of one never overtake each other
EDITS: Final = 4  # of each
CONNECTIONS: Final = 8
WINDOW: Final = 128  # requests under way on a connection
SUBSCRIBERS: Final = 1_000
SYNCS: Final = 500
RECOVERED: Final = 20_000
READY_S: Final = 60.0
SIGNERS: Final = {key: address_of(key) for key in (MAKER_KEY, TAKER_KEY)}


class Orders:
    """Signed orders, half of which take what the other half leaves."""

    def __init__(self) -> None:
        self.nonce = 0

    def request(self, **changes: Any) -> tuple[str, dict[str, Any]]:
        self.nonce += 1
        buys = self.nonce % 2 == 0
        side, key = ("buy", TAKER_KEY) if buys else ("sell", MAKER_KEY)
        params = {
            "instrument_name": CALL_NAME,
            "amount": "0.1",
            "price": "1000",
            "subaccount_id": TAKER_ID if buys else MAKER_ID,
            "nonce": self.nonce,
            "deadline": START_S + 86_400,
            "max_fee": "100",
            "signer": SIGNERS[key],
        } | changes
        return f"private/{side}", params | {"signature": sign_order(params, side, key)}

    def texts(self, count: int, **changes: Any) -> list[bytes]:
        return [message(number, *self.request(**changes)) for number in range(count)]


def message(number: int, method: str, params: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


@contextlib.contextmanager
def serving() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.wire_server", str(port), folder]
        server = subprocess.Popen(command, cwd=REPOSITORY)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{url}/api/v2/public/get_time", trust_env=False)
            return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


class Answer(msgspec.Struct):
    """A reply that is no error."""

    id: int
    result: msgspec.Raw


answers: Final = msgspec.json.Decoder(Answer)


class Line(WSListener):
    """A client as cheap as one can be: it shares the cores with what it measures."""

    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self.hear: Callable[[memoryview], None] = lambda _: None
        self.over: asyncio.Future[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.over is None or self.over.done():
            return
        try:
            assert frame.msg_type is WSMsgType.TEXT, frame
            self.hear(frame.get_payload_as_memoryview())
        except (AssertionError, msgspec.DecodeError) as error:
            self.over.set_exception(error)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.over is not None and not self.over.done():
            self.over.set_exception(ConnectionError("the venue hung up"))

    def send(self, text: bytes) -> None:
        self.transport.send(WSMsgType.TEXT, text)

    def heard(self, count: int, hear: Callable[[memoryview], None]) -> asyncio.Future[None]:
        """Done when `hear` took so many messages; a bad one is raised."""
        left = itertools.count(count - 1, -1)

        def take(text: memoryview) -> None:
            hear(text)
            if next(left) == 0:
                self.over.set_result(None)

        self.over = asyncio.get_running_loop().create_future()
        self.hear = take
        return self.over


@contextlib.asynccontextmanager
async def line_to(host: str) -> AsyncIterator[Line]:
    transport, line = await ws_connect(
        Line, f"ws://{host}/ws/api/v2", enable_auto_ping=False, proxy=None
    )
    try:
        yield line
    finally:
        transport.disconnect()


async def pump(line: Line, texts: list[bytes], under_way: int = WINDOW) -> None:
    """Send all with a bounded number under way, and see that each is answered well."""
    rest = iter(texts)

    def hear(text: memoryview) -> None:
        answers.decode(text)
        send(1)

    def send(count: int) -> None:
        for text in itertools.islice(rest, count):
            line.send(text)

    send(under_way)
    await line.heard(len(texts), hear)


async def peak(host: str, batches: list[list[bytes]]) -> float:
    """Answers a second over as many connections as there are batches."""
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(host)) for _ in batches]
        started = time.perf_counter()
        await asyncio.gather(*(pump(line, b) for line, b in zip(lines, batches, strict=True)))
        return sum(map(len, batches)) / (time.perf_counter() - started)


async def paced(host: str, texts: list[bytes], per_s: float) -> list[float]:
    """Seconds to each answer at a steady rate, ascending; late senders count as slow answers.

    Over as many connections as the peak.
    """
    delays: list[float] = []

    def hear(text: memoryview) -> None:
        delays.append(time.perf_counter() - (started + answers.decode(text).id / per_s))

    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(host)) for _ in range(CONNECTIONS)]
        hearing = [line.heard(len(texts[at::CONNECTIONS]), hear) for at, line in enumerate(lines)]
        started = time.perf_counter()
        for number, text in enumerate(texts):
            await asyncio.sleep(max(0.0, started + number / per_s - time.perf_counter()))
            lines[number % CONNECTIONS].send(text)
        await asyncio.gather(*hearing)
    return sorted(delays)


async def rest(host: str, orders: Orders) -> float:
    """Answers a second over kept HTTP connections, one request under way on each.

    By bare sockets: a client library costs more than the server.
    """
    requests = [orders.request() for _ in range(REST_ORDERS)]
    texts = iter([post(host, *request) for request in requests])
    lines = [await asyncio.open_connection(*host.split(":")) for _ in range(REST_CONNECTIONS)]

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in texts:  # the next of all, whoever comes first
            writer.write(text)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            assert b'"result"' in await reader.readexactly(length)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(send(*line) for line in lines))
    return REST_ORDERS / (time.perf_counter() - started)


def post(host: str, method: str, params: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(params)
    head = f"POST /api/v2/{method} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def sheet(key: bytes, subaccount_id: int, number: int) -> bytes:
    """A request that quotes every instrument, at other prices than the sheet before."""
    bid, ask = str(900 + number % 2), str(1_100 + number % 2)
    terms = SheetTerms(
        subaccount_id=subaccount_id,
        sheet_nonce=number,
        first_nonce=10**9 + 1_000 * number,
        max_fee=usdc(100),
        deadline=START_S + 86_400,
        signer=address_of(key),
    )
    size = contracts(1)
    quotes = [Quote(one, usdc(bid), size, usdc(ask), size) for one in QUOTED]
    digest = sheet_digest(DOMAIN, terms, merkle_root(sheet_leaves(terms, quotes)))
    sides = {"bid": {"price": bid, "amount": "1"}, "ask": {"price": ask, "amount": "1"}}
    params = msgspec.structs.asdict(terms) | {
        "max_fee": "100",
        "detailed": False,  # as a maker that keeps its own books asks
        "signature": hexed(sign_digest(digest, key)),
        "quotes": [
            {"instrument_name": instrument_name("BTC", unpack_instrument_id(one))} | sides
            for one in QUOTED
        ],
    }
    return message(number - 1, "private/mass_quote", params)


async def quotes_per_s(host: str) -> float:
    """Two-sided quotes a second of all makers, in sheets that move every price."""

    async def make(key: bytes, subaccount_id: int) -> None:
        texts = [sheet(key, subaccount_id, number) for number in range(1, SHEETS + 1)]
        async with line_to(host) as line:
            ready.release()
            await start.wait()
            await pump(line, texts, under_way=1)  # a later sheet would overtake an earlier one

    ready, start = asyncio.Semaphore(0), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        makers = [
            tasks.create_task(make(key, subaccount_id))
            for subaccount_id, key in enumerate(QUOTERS, QUOTER_ID)
        ]
        for _ in makers:
            await ready.acquire()
        started = time.perf_counter()
        start.set()
    return len(makers) * SHEETS * len(QUOTED) / (time.perf_counter() - started)


async def edits_per_s(host: str, orders: Orders) -> float:
    """Orders canceled and replaced in one step: every edit moves the price."""
    async with line_to(host) as line:
        placed: list[tuple[dict[str, Any], str]] = []

        def hear(text: memoryview) -> None:
            answer = msgspec.json.decode(text)["result"]
            placed.append((params, answer["order"]["order_id"]))

        while len(placed) < EDITED:
            method, params = orders.request(price="500", instrument_name=PUT_NAME)
            if method == "private/buy":
                line.send(message(0, method, params))
                await line.heard(1, hear)
        texts = [
            message(number, "private/edit", edited(params, order_id, version))
            for version in range(1, EDITS + 1)
            for number, (params, order_id) in enumerate(placed)
        ]
        started = time.perf_counter()
        await pump(line, texts)
        return len(texts) / (time.perf_counter() - started)


def edited(params: dict[str, Any], order_id: str, version: int) -> dict[str, Any]:
    terms = params | {"price": str(500 + version), "version": version}
    return {
        "order_id": order_id,
        "signature": sign_order(terms, "buy", TAKER_KEY),
    } | {
        name: terms[name]
        for name in ("amount", "price", "max_fee", "deadline", "signer", "version")
    }


async def fan_out(host: str, orders: Orders) -> tuple[float, float]:
    """Messages a second to all subscribers of a raw book, and seconds until the last heard one."""
    changes = 50
    async with contextlib.AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(line_to(host)) for _ in range(SUBSCRIBERS)]
        wish = {"channels": [f"book.{PUT_NAME}.raw"]}
        for line in lines:
            line.send(message(0, "public/subscribe", wish))
            await line.heard(2, msgspec.json.decode)  # the reply, and the snapshot
        sender = await stack.enter_async_context(line_to(host))
        texts = orders.texts(changes, instrument_name=PUT_NAME, price="800", amount="0.1")
        buys = [text for text in texts if b"private/buy" in text]
        started = time.perf_counter()
        hearing = [line.heard(len(buys), len) for line in lines]
        for text in buys:
            sender.send(text)
        await asyncio.gather(*hearing)
        elapsed = time.perf_counter() - started
    return SUBSCRIBERS * len(buys) / elapsed, elapsed / len(buys)


def recover_many(count: int) -> int:
    digest = bytes(range(32))
    signature = sign_digest(digest, MAKER_KEY)
    for _ in range(count):
        assert recover_signer(digest, signature)
    return count


def recover_per_s() -> float:
    """Bare recoveries on all the cores at once."""
    with ProcessPoolExecutor(CORES) as pool:
        list(pool.map(recover_many, [100] * CORES))
        started = time.perf_counter()
        done = sum(pool.map(recover_many, [RECOVERED] * CORES))
        return done / (time.perf_counter() - started)


def syncs_ms() -> dict[str, float]:
    """How long the disk takes to make a page durable while nothing else runs here."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "pages").open("wb") as file:
        for _ in range(SYNCS):
            file.write(bytes(4_096))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    seconds.sort()
    return {
        "fsync_p50_ms": seconds[SYNCS // 2] * 1e3,
        "fsync_p99_ms": seconds[SYNCS * 99 // 100] * 1e3,
    }


def say(words: str) -> None:
    """Progress, where it does not mix with figures."""
    sys.stderr.write(f"wire: {words}\n")


def measured(host: str) -> dict[str, float]:
    say(f"signing {ORDERS:,} orders")
    orders = Orders()
    share = ORDERS // CONNECTIONS
    batches = [orders.texts(share) for _ in range(CONNECTIONS)]
    steady = orders.texts(PACED)
    gc.collect()
    gc.freeze()  # the load's own looks for cycles took a tenth of a second each
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say("peak")
        per_s = runner.run(peak(host, batches))
        say(f"answers at half of {per_s:,.0f} orders a second")
        delays = runner.run(paced(host, steady, per_s / 2))
        figures = {"signed_orders_per_s": per_s} | {
            name: delays[len(delays) * thousandths // 1_000] * 1e3
            for name, thousandths in (
                ("ack_p50_ms", 500),
                ("ack_p99_ms", 990),
                ("ack_p999_ms", 999),
            )
        }
        say(f"{REST_ORDERS:,} orders by HTTP")
        figures["rest_orders_per_s"] = runner.run(rest(host, orders))
        say(f"{len(QUOTERS) * SHEETS} sheets of {len(QUOTED)} quotes")
        figures["mass_quotes_per_s"] = runner.run(quotes_per_s(host))
        say(f"{EDITED * EDITS:,} edits")
        figures["cancel_replaces_per_s"] = runner.run(edits_per_s(host, orders))
        say(f"fan-out to {SUBSCRIBERS:,} subscribers")
        figures["fanout_messages_per_s"], fan_out_s = runner.run(fan_out(host, orders))
        figures["fanout_round_ms"] = fan_out_s * 1e3
    return figures


def run() -> dict[str, Any]:
    """The figures of one run; the budgets are in the README."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(everywhere)[:CORES]))
    try:
        with serving() as host:
            figures = measured(host)
        say("the yardsticks: bare recovery, and the disk")
        figures["recover_per_s"] = recover_per_s()
        figures |= syncs_ms()
    finally:
        os.sched_setaffinity(0, everywhere)
    figures["share_of_yardstick"] = figures["signed_orders_per_s"] / figures["recover_per_s"]
    assert DOMAIN.chain_id == 31_337, "what the server is configured with"
    return {"machine": machine() | {"pinned_cores": CORES}, "figures": figures}


if __name__ == "__main__":
    Path("wire.json").write_text(json.dumps(run(), indent=2))
