"""A relayer with several endpoints in front of one Anvil: they die, and swallow what they took."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from tests.settlement_world import World

from exchange.journal.outbox import JobState
from exchange.settlement import chain as chain_module
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.reconcile import reconcile

pytestmark = pytest.mark.integration

DEAD = "http://127.0.0.1:1"


class Gateway:
    """Passes requests on to a node; `swallows` are methods whose answer never comes back."""

    def __init__(self, node_url: str) -> None:
        self.swallows: set[str] = set()
        self.passed: list[str] = []
        self.released = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                method = json.loads(body)["method"]
                answer = httpx.post(
                    node_url, content=body, headers={"Content-Type": "application/json"}
                ).content
                gateway.passed.append(method)
                if method in gateway.swallows:
                    gateway.released.wait(30)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  its name there
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def gateway(world: World) -> Iterator[Gateway]:
    gateway = Gateway(world.node.url)
    yield gateway
    gateway.close()


def settle_over(world: World, *urls: str) -> Chain:
    """Settle one batch with a relayer that knows these endpoints, and require it to be right."""
    world.watch()
    world.script.trade()
    world.script.cut()
    chain = Chain(",".join(urls), world.chain.deployment, project_artifacts())
    chain.verify()
    _, relayer, outbox = world.relayer(chain)
    for _ in range(4):
        relayer.step()
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED]
    assert [log.number for log in world.chain.all_settled()] == [1]
    world.watch()
    assert reconcile(world.reader, world.chain).differences == ()
    outbox.close()
    return chain


def test_a_dead_endpoint_stops_nothing(world: World) -> None:
    """The first endpoint never answers; the second does the work."""
    assert settle_over(world, DEAD, world.node.url).url == world.node.url


def test_a_transaction_whose_answer_is_lost_settles_once(
    world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint takes the batch and says nothing more; the other one shows the receipt."""
    monkeypatch.setattr(chain_module, "_RPC_TIMEOUT_S", 1.0)
    gateway.swallows.add("eth_sendRawTransaction")
    chain = settle_over(world, gateway.url, world.node.url)
    assert chain.url == world.node.url
    assert gateway.passed.count("eth_sendRawTransaction") == 1


def test_an_endpoint_that_dies_in_mid_flow_is_left(world: World, gateway: Gateway) -> None:
    """Batch after batch, while the preferred endpoint goes away for good."""
    settle_over(world, gateway.url, world.node.url)
    chain = Chain(f"{gateway.url},{world.node.url}", world.chain.deployment, project_artifacts())
    _, relayer, outbox = world.relayer(chain)
    assert chain.url == gateway.url
    gateway.close()
    for _ in range(3):
        world.script.trade()
        world.script.cut()
        relayer.step()
    assert chain.url == world.node.url
    assert {job.state for job in outbox.jobs()} == {JobState.CONFIRMED}
    assert world.chain.last_batch().number == 4
    outbox.close()
