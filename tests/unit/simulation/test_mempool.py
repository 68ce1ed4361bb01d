"""The pool of a node: what it takes, keeps and refuses."""

import pytest

from exchange.settlement.chain import Call, Fees
from exchange.settlement.errors import NodeRefused
from exchange.signing import address_of
from exchange.simulation.mempool import Pool, enter, signed

KEY = bytes(31) + b"\x07"
CALL = Call(to="0x" + "a" * 40, data=b"batch", gas=100_000)


def offer(pool: Pool, nonce: int, fee: int, *, count: int = 0) -> bool:
    sent = signed(KEY, CALL, nonce, Fees(max_fee=fee, priority_fee=fee))
    return enter(pool, sent.raw, lambda _: count)


def test_what_is_new_waits_once() -> None:
    pool: Pool = {}
    assert [offer(pool, 0, 80), offer(pool, 0, 80), offer(pool, 1, 80)] == [True, False, True]
    assert [tx.tx_nonce for tx in pool.values()] == [0, 1]
    assert {tx.sender for tx in pool.values()} == {address_of(KEY)}


def test_what_is_done_does_not_wait() -> None:
    pool: Pool = {}
    assert not offer(pool, 0, 80, count=1)
    assert pool == {}


def test_a_replacement_pays_an_eighth_more() -> None:
    pool: Pool = {}
    offer(pool, 0, 80)
    with pytest.raises(NodeRefused, match="underpriced"):
        offer(pool, 0, 89)
    assert [tx.max_fee for tx in pool.values()] == [80]
    assert offer(pool, 0, 90)
    assert [tx.max_fee for tx in pool.values()] == [90]
