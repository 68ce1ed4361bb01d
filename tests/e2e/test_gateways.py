"""Two gateways, two engines, PostgreSQL and Redis: whatever dies, nothing acknowledged is lost.

One shape for all tests of this module, in their order: each leaves it running.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.grown import GATEWAYS, Grown
from tests.haproxy import PROGRAM, Proxy, proxy_before
from tests.live_venue import eventually
from tests.order_load import Orders, require_all, require_none_twice
from tests.postgres import Postgres, postgres_server
from tests.valkey import Valkey, valkey
from websockets.sync.client import ClientConnection, connect

from exchange.bootstrap import dev_keys
from exchange.sdk import ApiError, Client, SdkError
from exchange.sdk.types import Receipt

pytestmark = pytest.mark.e2e

ORDERS = 30  # acknowledged before and after each fault
BOUGHT, SOLD = 0, 1  # people
TIME = "/api/v2/public/get_time"
LINES_MAX = 300  # of one address, in deploy/haproxy.cfg


class Shape:
    """The processes, and all that was acknowledged so far."""

    def __init__(self, venue: Grown, server: Valkey, store: Postgres) -> None:
        self.venue = venue
        self.server = server
        self.store = store
        self.leads, self.waits = "leader", "standby"
        self.receipts: list[Receipt] = []

    @property
    def journal(self) -> str:
        return self.venue.settings["leader"].journal_location

    def take_turns(self) -> None:
        """Once the one that stood by leads, and the other ended: it stands by now."""
        eventually(lambda: self.venue.leads(self.waits), "the standby leads")
        self.leads, self.waits = self.waits, self.leads
        self.venue.children[self.waits].wait(60.0)
        self.venue.start(self.waits, "--standby")

    @contextmanager
    def load(self) -> Iterator[list[Orders]]:
        """Somebody sends orders through each gateway, and goes on doing so."""
        loads = [
            Orders(self.venue.client(name, number), f"{name}-{time.monotonic_ns()}-")
            for number, name in enumerate(("one", "two"))
        ]
        try:
            for load in loads:
                load.wait(ORDERS)
            yield loads
        finally:
            for load in loads:
                self.receipts += load.end()

    @contextmanager
    def watching(self, gateway: str, name: str) -> Iterator["Watcher"]:
        """One line to a gateway, from the beginning of the block to its end."""
        url = f"ws://127.0.0.1:{self.venue.settings[gateway].port}/ws/api/v2"
        with connect(url, proxy=None, ping_timeout=60) as line:
            yield Watcher(line, name)

    def option(self) -> tuple[str, Decimal]:
        """One that is worth something, and a price on its grid near the mark."""
        with self.venue.client("one", BOUGHT) as client:
            rows = [row for row in client.summaries("BTC") if row.mark_price]
            found = max(rows, key=lambda row: row.mark_price or 0)
            tick = client.instrument(found.instrument_name).tick_size
            assert found.mark_price is not None
            return found.instrument_name, found.mark_price // tick * tick


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shape]:
    folder: Path = tmp_path_factory.mktemp("grown")
    with postgres_server() as store, valkey() as server:
        venue = Grown(folder, store.url, server)
        try:
            venue.open(people=2)
            yield Shape(venue, server, store)
        finally:
            venue.close()


class Watcher:
    """A line to a gateway that joined a raw book, and never another one."""

    def __init__(self, line: ClientConnection, name: str) -> None:
        self._line = line
        self._ask("public/subscribe", {"channels": [f"book.{name}.raw"]})

    def _ask(self, method: str, params: dict[str, Any]) -> None:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._line.send(msgspec.json.encode(request).decode())

    def hears(self, tells: Callable[[dict[str, Any]], bool]) -> None:
        """Until a change of the book is what is waited for; an end of the line fails."""
        for _ in range(10_000):
            message = msgspec.json.decode(self._line.recv(timeout=60))
            if message.get("method") == "subscription" and tells(message["params"]["data"]):
                return
        raise AssertionError("other changes without end")

    def answers(self) -> dict[str, Any]:
        """What the gateway says to a question by the same line, past what it hears."""
        self._ask("public/get_time", {})
        while "id" not in (found := msgspec.json.decode(self._line.recv(timeout=60))):
            pass
        answer: dict[str, Any] = found
        return answer


def bid_of(price: Decimal) -> Callable[[dict[str, Any]], bool]:
    return lambda data: any(Decimal(str(row[1])) == price for row in data["bids"])


def test_gateways_trade_with_each_other(shape: Shape) -> None:
    """An ask by one, a bid by the other; both show the same book, the same trade, the same past."""
    name, price = shape.option()
    with shape.venue.client("one", BOUGHT) as buyer, shape.venue.client("two", SOLD) as seller:
        seller.sell(name, "0.3", price)
        bought = buyer.buy(name, "0.1", price)
        shape.receipts.append(bought)
        trade_id = bought.trades[0].trade_id
        eventually(lambda: seller.my_trades(name), "the seller's gateway heard of the trade")
        assert [trade.trade_id for trade in seller.my_trades(name)] == [trade_id]
        eventually(
            lambda: seller.order_book(name).change_id == buyer.order_book(name).change_id,
            "one book",
        )
        books = [client.order_book(name) for client in (buyer, seller)]
        assert books[0].asks == books[1].asks == [(price, Decimal("0.2"))]
        assert buyer.positions()[0].size == -seller.positions()[0].size == Decimal("0.1")
        for client in (buyer, seller):  # the engine writes it, gateways read it
            rows = eventually(lambda client=client: client.history("trades"), "the read model")
            assert [row["trade_id"] for row in rows] == [trade_id]
        seller.cancel_all()


def test_requests_for_quote_stay_with_the_engine(shape: Shape) -> None:
    """A gateway says so by name, and where."""
    with shape.venue.client("one", BOUGHT) as client, pytest.raises(ApiError) as refused:
        client.requests()
    assert refused.value.message == "temporarily_unavailable"
    assert "requests for quote are served at" in refused.value.reason


def test_what_only_the_leader_was_told_reaches_gateways(shape: Shape) -> None:
    """Posts that keepers may help with; an API key that another gateway made."""
    post = {"key": "k", "kind": "root", "to": "0x" + "11" * 20, "data": "0x", "waiting_s": 9}
    settings = shape.venue.settings[shape.leads]
    httpx.post(
        f"http://127.0.0.1:{settings.admin_port}/admin/pending_posts",
        json={"posts": [post]},
        headers={"Authorization": f"Bearer {settings.token()}"},
        timeout=30.0,
    ).raise_for_status()
    with shape.venue.client("one", BOUGHT) as one, shape.venue.client("two", BOUGHT) as two:
        eventually(lambda: two.call("public/get_pending_posts") == [post], "the post")
        made = one.call("private/create_api_key", {"name": "bot", "max_scope": "trade:read"})
        keys = eventually(lambda: two.call("private/list_api_keys"), "the key")
        assert [key["client_id"] for key in keys] == [made["client_id"]]
        two.call("private/remove_api_key", {"id": made["id"]})
        eventually(lambda: one.call("private/list_api_keys") == [], "its end")


def test_a_gateway_dies(shape: Shape) -> None:
    """The other goes on; its clients go there, and what was acknowledged is there too."""
    with shape.load() as (one, two):
        shape.venue.kill("one")
        two.wait_more(ORDERS)
    assert not two.errors
    with shape.venue.client("two", 0) as client:
        open_ids = {order.order_id for order in client.open_orders()}
        assert {receipt.order.order_id for receipt in one.receipts} <= open_ids
    shape.venue.start_gateway("one")
    eventually(lambda: shape.venue.leads("one"), "the gateway is back")
    with shape.venue.client("one", 0) as client:
        assert open_ids <= {order.order_id for order in client.open_orders()}


@pytest.fixture
def proxy(shape: Shape, tmp_path: Path) -> Iterator[Proxy]:
    """A real one; only where a machine has it."""
    if PROGRAM is None:
        pytest.skip("no HAProxy on this machine: apt-get install haproxy")
    named = {
        f"{kind}-{number}": shape.venue.settings[name]
        for kind, names in (("gateway", GATEWAYS), ("engine", ("leader", "standby")))
        for number, name in zip(GATEWAYS, names, strict=True)
    }
    with proxy_before(named, tmp_path) as found:
        yield found


def served_by(proxy: Proxy, **options: Any) -> str | None:
    """The gateway that the proxy chose for a client without a past."""
    reply = httpx.get(f"http://{proxy.gateways}{TIME}", timeout=10.0, **options)
    assert reply.status_code == 200
    return reply.cookies.get("GATEWAY")


def test_a_proxy_leads_to_gateways_that_live(shape: Shape, proxy: Proxy) -> None:
    """Clients stay where they are, and go elsewhere when that is no more; orders go through."""
    eventually(lambda: {served_by(proxy) for _ in range(8)} == set(GATEWAYS), "both serve")
    assert {served_by(proxy, cookies={"GATEWAY": "two"}) for _ in range(8)} == {None}, "it stays"
    name, price = shape.option()
    person = dev_keys.person(BOUGHT)
    with Client(f"http://{proxy.gateways}", person.key, subaccount_id=BOUGHT + 1) as client:
        tick = client.instrument(name).tick_size
        price = price / 2 // tick * tick
        shape.receipts.append(client.buy(name, "0.1", price, post_only=True))
        with httpx.Client(base_url=f"http://{proxy.gateways}", timeout=10.0) as browser:
            first = browser.get(TIME).cookies["GATEWAY"]
            assert all(not browser.get(TIME).cookies for _ in range(4))
            shape.venue.kill(first)
            moved = eventually(lambda: _moved(browser, first), "the browser is led elsewhere")
            assert moved in set(GATEWAYS) - {first}
        eventually(lambda: _bought(client, shape, name, price), "the client comes back by itself")
    shape.venue.start_gateway(first)
    eventually(lambda: served_by(proxy) == first, "the gateway is used again")


def _moved(browser: httpx.Client, first: str) -> str | None:
    reply = browser.get(TIME)
    found = reply.cookies.get("GATEWAY")
    return found if reply.status_code == 200 and found != first else None


def _bought(client: Client, shape: Shape, name: str, price: Decimal) -> bool:
    with suppress(SdkError):
        shape.receipts.append(client.buy(name, "0.1", price, post_only=True))
        return True
    return False


def test_a_proxy_leads_to_the_engine_that_leads(shape: Shape, proxy: Proxy) -> None:
    """For what gateways do not serve."""

    def answers() -> bool:
        return httpx.get(f"http://{proxy.engine}{TIME}", timeout=10.0).status_code == 200

    eventually(answers, "the leader answers by the proxy")
    shape.venue.kill(shape.leads)
    eventually(lambda: not answers(), "it is away")
    shape.take_turns()
    eventually(answers, "the other one answers")


def test_a_proxy_bounds_the_lines_of_an_address(shape: Shape, proxy: Proxy) -> None:
    """Beyond 300 it hangs up at once; those that are there stay, and room comes back."""
    with ExitStack() as held:
        lines = [held.enter_context(_line_to(proxy)) for _ in range(LINES_MAX + 20)]
        eventually(lambda: _ended(lines) >= 20, "twenty are refused")
        assert served_by_or_none(proxy) is None, "while it is full, nobody of this address gets in"
        assert _ended(lines) == 20, "the others stay"
    eventually(lambda: served_by_or_none(proxy) is not None, "there is room again")
    assert shape.venue.leads("one")


def _line_to(proxy: Proxy) -> socket.socket:
    """A line that may have been hung up before its client heard that it was open."""
    host, port = proxy.gateways.split(":")
    line = socket.socket()
    line.settimeout(10.0)
    with suppress(ConnectionResetError):
        line.connect((host, int(port)))
    return line


def _ended(lines: list[socket.socket]) -> int:
    """How many were hung up by the other side."""
    readable, _, _ = select.select(lines, [], [], 0)
    return sum(not _peeked(line) for line in readable)


def _peeked(line: socket.socket) -> bytes:
    with suppress(OSError):  # reset, or so early that it was never connected
        return line.recv(1, socket.MSG_PEEK)
    return b""


def served_by_or_none(proxy: Proxy) -> str | None:
    with suppress(httpx.TransportError):
        return served_by(proxy)
    return None


def test_redis_restarts_under_load(shape: Shape) -> None:
    """Orders are refused by name meanwhile and work again; reads never stop."""
    name, _ = shape.option()
    with shape.watching("one", name) as watcher, shape.load() as loads:
        shape.server.kill()
        for load in loads:
            eventually(lambda load=load: load.errors["temporarily_unavailable"] >= 3, "a refusal")
        assert shape.venue.health("one")["reasons"] == {"ingress": "Redis does not answer"}
        with shape.venue.client("one", 0) as client:  # to sign in is to read
            before = client.index_price("btc_usdc")
            eventually(lambda: client.index_price("btc_usdc") != before, "the index moves on")
            assert client.open_orders()
        shape.server.start()
        for load in loads:
            load.wait_more(ORDERS)
        assert "result" in watcher.answers()
    for load in loads:
        assert set(load.errors) <= {"temporarily_unavailable", "timed_out"}


def test_the_store_restarts_under_load(shape: Shape) -> None:
    """The engine ends; gateways wait with what they know, and go on with whoever leads then."""
    name, _ = shape.option()
    with shape.watching("two", name) as watcher, shape.load() as loads:
        shape.store.kill()
        with shape.venue.client("one", 0) as client:
            assert client.open_orders()
            with pytest.raises(ApiError, match="temporarily_unavailable"):
                client.history("trades")
        shape.store.start()
        shape.take_turns()
        for load in loads:
            load.wait_more(ORDERS)
        assert "result" in watcher.answers()
    for load in loads:
        assert set(load.errors) <= {"temporarily_unavailable", "timed_out"}


def test_the_leader_dies_under_load(shape: Shape) -> None:
    """The standby takes over; clients of gateways keep their lines and see only a pause."""
    name, price = shape.option()
    with shape.watching("one", name) as one, shape.watching("two", name) as two:
        with shape.load() as loads:
            shape.venue.kill(shape.leads)
            shape.take_turns()
            for load in loads:
                load.wait_more(ORDERS)
        for load in loads:
            assert set(load.errors) <= {"temporarily_unavailable", "timed_out"}
        with shape.venue.client("two", BOUGHT) as client:
            price -= 10 * client.instrument(name).tick_size
            shape.receipts.append(client.buy(name, "0.1", price, post_only=True))
        one.hears(bid_of(price))
        two.hears(bid_of(price))
    with shape.venue.client("one", SOLD) as seller, shape.venue.client("two", BOUGHT) as buyer:
        trade_id = seller.sell(name, "0.1", price).trades[0].trade_id
        for client in (seller, buyer):  # whoever leads now writes the read model, all of it
            rows = eventually(
                lambda client=client: (
                    len(client.history("trades")) > 1 and client.history("trades")
                ),
                "the read model",
            )
            assert rows[0]["trade_id"] == trade_id
            assert len(rows) == 2


def test_nothing_was_lost_or_doubled(shape: Shape) -> None:
    """Every acknowledged order stands where its answer said; the journal replays to its hashes."""
    for name in shape.venue.NAMES:
        shape.venue.children[name].stop()
    require_all(shape.journal, shape.receipts)
    assert require_none_twice(shape.journal) >= len(shape.receipts) > 8 * ORDERS
