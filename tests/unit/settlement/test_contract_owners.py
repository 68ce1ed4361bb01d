"""What a node's answers mean: a contract's yes, its no, or no answer at all."""

import asyncio
import json

import httpx
import pytest
from eth_abi.abi import decode
from eth_hash.auto import keccak

from exchange.settlement.contract_owners import ContractSignatures

CLEARING, WALLET = "0x" + "11" * 20, "0x" + "22" * 20
DIGEST, SIGNATURE = b"\x07" * 32, b"\x00" * 3 + b"\x01" * 62
MAGIC = "0x1626ba7e" + "00" * 28


def asked(handler, urls="http://one, http://two"):
    """What `approves` makes of a node that answers so, and what it was asked."""
    requests = []

    def answer(request):
        requests.append((str(request.url), json.loads(request.content)))
        return handler(str(request.url))

    async def run():
        signatures = ContractSignatures(urls, CLEARING)
        await signatures.close()
        signatures._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        try:
            return await signatures.approves(WALLET, DIGEST, SIGNATURE)
        finally:
            await signatures.close()

    return asyncio.run(run()), requests


def test_it_is_asked_as_clearing_asks():
    """By Clearing, with 100,000 gas beyond what the call itself costs."""
    yes, [(url, body)] = asked(lambda _: httpx.Response(200, json={"result": MAGIC}))
    assert yes
    assert url == "http://one"
    assert (body["jsonrpc"], body["id"], body["method"]) == ("2.0", 1, "eth_call")
    request, block = body["params"]
    data = bytes.fromhex(request["data"][2:])
    assert (request["from"], request["to"], block) == (CLEARING, WALLET, "latest")
    assert data[:4] == keccak(b"isValidSignature(bytes32,bytes)")[:4]
    assert decode(["bytes32", "bytes"], data[4:]) == (DIGEST, SIGNATURE)
    intrinsic = 21_000 + sum(16 if byte else 4 for byte in data)
    assert int(request["gas"], 16) == intrinsic + 100_000


@pytest.mark.parametrize(
    "answer",
    [
        {"result": "0x"},  # no code
        {"result": "0x1626ba7e"},  # too short: Clearing reads a word
        {"result": "0x" + "00" * 32},
        {"result": "0xffffffff" + "00" * 28},
        {"error": {"code": 3, "message": "execution reverted: no"}},
        {"error": {"code": -32603, "message": "EVM error OutOfGas"}},
    ],
)
def test_all_else_is_no(answer):
    """Whatever the chain would take for a no."""
    yes, requests = asked(lambda _: httpx.Response(200, json=answer))
    assert not yes
    assert len(requests) == 1


def away(_url):
    raise httpx.ConnectError("away")


def page(_url):
    return httpx.Response(200, text="hello")


@pytest.mark.parametrize(
    "answer", [[], {}, {"error": "no"}, {"error": {"code": -32005, "message": "rate limit"}}]
)
def test_an_answer_to_another_question_is_none(answer):
    """Nobody is refused for what a node does not say of the contract."""
    with pytest.raises(ConnectionError, match="no endpoint"):
        asked(lambda _: httpx.Response(200, json=answer))


@pytest.mark.parametrize("handler", [away, page])
def test_a_node_that_says_nothing_of_the_contract_is_no_answer(handler):
    """The next one is asked; where none answers that is said."""
    with pytest.raises(ConnectionError, match="no endpoint"):
        asked(handler)
    yes, requests = asked(
        lambda url: (
            handler(url) if url == "http://one" else httpx.Response(200, json={"result": MAGIC})
        )
    )
    assert yes
    assert [url for url, _ in requests] == ["http://one", "http://two"]
