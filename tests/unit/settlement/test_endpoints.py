"""Several endpoints, some of which fail: real HTTP servers on loopback that answer by a table."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from exchange.settlement.chain import Node
from exchange.settlement.endpoints import EndpointsInvalid, split_urls
from exchange.settlement.errors import ChainUnavailable, NodeRefused

CHAIN_ID = 31_337
DEAD = "http://127.0.0.1:1"


class Endpoint:
    """A node that tells its height; `status` other than 200 is a broken gateway."""

    def __init__(self, *, height: int, chain_id: int = CHAIN_ID) -> None:
        self.height = height
        self.chain_id = chain_id
        self.status = 200
        self.error: dict[str, Any] | None = None
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str) -> dict[str, Any]:
        self.asked.append(method)
        if self.error is not None:
            return {"error": self.error}
        return {"result": hex(self.chain_id if method == "eth_chainId" else self.height)}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint

    def do_POST(self) -> None:  # the name that http.server calls
        length = int(self.headers["Content-Length"])
        question = json.loads(self.rfile.read(length))
        method = question["method"]
        assert (question["jsonrpc"], question["params"]) == ("2.0", [])
        assert question["id"] is not None
        assert self.headers["Content-Type"] == "application/json"
        assert self.headers["Host"] == f"127.0.0.1:{self.server.server_port}"
        answer = {"jsonrpc": "2.0", "id": 0} | self.endpoint.answer(method)
        body = json.dumps(answer).encode()
        self.send_response(self.endpoint.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  its name there
        """Say nothing."""


@pytest.fixture
def endpoints() -> Iterator[list[Endpoint]]:
    made = [Endpoint(height=10), Endpoint(height=10), Endpoint(height=10)]
    yield made
    for endpoint in made:
        endpoint.close()


def node_of(*urls: str) -> Node:
    return Node(",".join(urls))


def test_urls_are_a_comma_separated_list() -> None:
    """Spaces do not matter; nothing and a repetition are refused."""
    assert split_urls(" http://a, http://b ,") == ("http://a", "http://b")
    for wrong in ("", " , ", "http://a,http://a"):
        with pytest.raises(EndpointsInvalid, match="one or more different"):
            split_urls(wrong)


def test_the_first_endpoint_serves_while_it_answers(endpoints: list[Endpoint]) -> None:
    """The second one is not even asked."""
    first, second, _ = endpoints
    node = node_of(first.url, second.url)
    assert node.head() == 10
    assert node.url == first.url
    assert second.asked == []


def test_a_dead_endpoint_is_left_for_the_next(endpoints: list[Endpoint]) -> None:
    """The request that met the failure is answered by the other endpoint, and so are the next."""
    node = node_of(DEAD, endpoints[0].url)
    assert node.head() == 10
    assert node.url == endpoints[0].url
    assert endpoints[0].asked == ["eth_chainId", "eth_blockNumber", "eth_blockNumber"]
    node.head()
    assert len(endpoints[0].asked) == 4, "once in use, it is asked nothing more"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_gateway_that_fails_is_left_for_the_next(endpoints: list[Endpoint], status: int) -> None:
    """Too many requests, or a server behind it that is gone."""
    first, second, _ = endpoints
    first.status = status
    node = node_of(first.url, second.url)
    assert node.head() == 10
    assert node.url == second.url


def test_a_refusal_is_an_answer(endpoints: list[Endpoint]) -> None:
    """What a node refuses the next one would refuse too: nobody else is asked."""
    first, second, _ = endpoints
    first.error = {"code": -32000, "message": "nonce too high"}
    with pytest.raises(NodeRefused, match="nonce too high"):
        node_of(first.url, second.url).head()
    assert second.asked == []


def test_an_endpoint_that_lags_behind_does_not_take_over(endpoints: list[Endpoint]) -> None:
    """Its missing blocks would look like a reorganisation."""
    first, second, third = endpoints
    node = node_of(first.url, second.url, third.url)
    first.height = third.height = 12
    assert node.head() == 12
    first.close()
    assert node.head() == 12
    assert node.url == third.url


def test_an_endpoint_of_another_chain_never_takes_over(endpoints: list[Endpoint]) -> None:
    """Whatever its height; so the relayer waits for its own chain."""
    first, second, _ = endpoints
    node = node_of(first.url, second.url)
    node._failover.expect(CHAIN_ID)
    second.chain_id, second.height = 1, 10**9
    first.status = 503
    with pytest.raises(ChainUnavailable, match="503"):
        node.head()
    assert node.url == first.url
    assert second.asked == ["eth_chainId", "eth_blockNumber"]


def test_all_dead_is_unavailable_and_heals(endpoints: list[Endpoint]) -> None:
    """As soon as any of them answers again, it serves."""
    first, second, _ = endpoints
    node = node_of(first.url, second.url)
    first.status = second.status = 503
    with pytest.raises(ChainUnavailable):
        node.head()
    second.status = 200
    assert node.head() == 10
    assert node.url == second.url


def test_nonsense_from_a_candidate_is_a_failure(endpoints: list[Endpoint]) -> None:
    """A page of HTML, or an error, does not say which chain it is on."""
    first, second, third = endpoints
    first.status = 500
    second.error = {"code": -32601, "message": "no such method"}
    node = node_of(first.url, second.url, third.url)
    assert node.head() == 10
    assert node.url == third.url


def test_one_endpoint_alone_is_asked_again_at_once(endpoints: list[Endpoint]) -> None:
    """There is nobody to rest for."""
    only = endpoints[0]
    node = node_of(only.url)
    only.status = 503
    with pytest.raises(ChainUnavailable, match="503"):
        node.head()
    only.status = 200
    assert node.head() == 10


def test_a_failure_is_the_last_one_met() -> None:
    """With nobody listening the caller learns why."""
    with pytest.raises(ChainUnavailable) as caught:
        node_of(DEAD, "http://127.0.0.1:2").head()
    assert isinstance(caught.value.__cause__, requests.ConnectionError)
