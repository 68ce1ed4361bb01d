"""Transactions of keepers: in once, outbid while stuck, given up at the cap."""

import asyncio

import httpx
import pytest
from eth_account import Account
from tests.unit.keepers.node import GWEI, KEY, FakeNode

from exchange.keepers.ethereum import CallRefused, Ethereum, NodeUnavailable, calldata
from exchange.signing import address_of

TO = "0x" + "11" * 20


def run(work):
    return asyncio.run(work)


def test_calldata_is_selector_and_arguments() -> None:
    """Tuples and arrays count as one argument each."""
    data = calldata("realise(uint64,uint64[])", 5, [7])
    assert len(data) == 4 + 4 * 32
    assert len(calldata("f((uint64,uint64),bytes[])", (1, 2), [])) == 4 + 4 * 32
    assert len(calldata("g()")) == 4


def test_a_call_that_gets_in_is_paid_for() -> None:
    """Gas and its price come from the receipt."""
    node = FakeNode()
    paid = run(node.send(TO, b"\x01"))
    assert (paid.succeeded, paid.gas_used, paid.wei) == (True, 90_000, 90_000 * 2 * GWEI)
    assert len(node.sent) == 1
    assert Account.recover_transaction(node.sent[0]) == address_of(KEY)


def test_a_stuck_transaction_is_outbid_on_its_nonce() -> None:
    """Both fees rise by an eighth and more; whichever is mined counts."""
    node = FakeNode()
    node.mines_at = 3
    assert run(node.send(TO, b"")).succeeded
    assert len(set(node.sent)) == 3


def test_the_fee_cap_ends_it() -> None:
    """A keeper does not pay any price."""
    node = FakeNode(fee_cap=4 * GWEI)
    node.mines_at = 99
    with pytest.raises(NodeUnavailable, match="did not get in"):
        run(node.send(TO, b""))
    assert 1 <= len(node.sent) <= 3


def test_a_node_that_knows_it_already_is_fine_and_another_refusal_is_told() -> None:
    """A lost answer is no loss."""
    node = FakeNode()
    node.refusals = [CallRefused("already known")]
    assert run(node.send(TO, b"")).succeeded
    node.refusals = [CallRefused("insufficient funds")]
    with pytest.raises(CallRefused, match="insufficient funds"):
        run(node.send(TO, b""))


def test_views_and_prices() -> None:
    """One value comes alone, several as a tuple; a refusal has its data."""
    node = FakeNode()
    node.answer("a()", ["uint64"], 5)
    node.answer("b(uint64)", ["uint64", "address"], 6, TO, to=(3,))
    node.answers[calldata("c()")] = CallRefused("reverted", b"\x01")
    assert run(node.call(TO, "a()", ["uint64"])) == 5
    assert run(node.call(TO, "b(uint64)", ["uint64", "address"], 3)) == (6, TO)
    with pytest.raises(CallRefused) as refusal:
        run(node.call(TO, "c()", ["uint64"]))
    assert refusal.value.data == b"\x01"
    assert run(node.price(TO, b"")) == 100_000 * 3 * GWEI
    assert run(node.block_time()) == node.now


def transport(answer):
    return httpx.MockTransport(lambda _: answer)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (httpx.Response(200, text="no json"), NodeUnavailable, "eth_chainId"),
        (
            httpx.Response(200, json={"error": {"message": "no", "data": "0x01"}}),
            CallRefused,
            "no",
        ),
        (httpx.Response(200, json={"error": {"message": "no"}}), CallRefused, "no"),
    ],
)
def test_answers_that_are_none(answer: httpx.Response, error: type[Exception], text: str) -> None:
    """Nonsense is waited out; an error is a refusal."""

    async def ask() -> None:
        node = Ethereum("http://node")
        node._client = httpx.AsyncClient(base_url="http://node", transport=transport(answer))
        try:
            await node.rpc("eth_chainId")
        finally:
            await node.stop()

    with pytest.raises(error, match=text):
        run(ask())


def test_a_silent_node_is_unavailable() -> None:
    """Nothing listens there."""
    with pytest.raises(NodeUnavailable, match="eth_chainId"):
        run(Ethereum("http://127.0.0.1:1").rpc("eth_chainId"))
