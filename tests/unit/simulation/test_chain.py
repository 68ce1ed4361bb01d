"""The model chain: blocks, fees, nonces, and what a reorganisation takes back."""

import random

import pytest

from exchange.observations import DepositSeen, SubaccountSeen
from exchange.settlement.chain import Call, Fees
from exchange.settlement.errors import NodeRefused
from exchange.simulation.chain import GWEI, ModelChain
from exchange.simulation.parameters import DEPLOYMENT, WETH

KEY = b"\x32" * 32
OPENED = SubaccountSeen(subaccount_id=3, owner="ann")
PAID = DepositSeen(subaccount_id=3, amount=500)


@pytest.fixture
def chain() -> ModelChain:
    return ModelChain(random.Random(1), 1_000)


def signed(chain: ModelChain, tx_nonce: int, data: bytes = b"\x00" * 4, fee: int = GWEI):
    fees = Fees(max_fee=fee, priority_fee=fee)
    call = Call(to="0x", data=data, gas=1)
    return chain.sign(KEY, call, chain_id=DEPLOYMENT.chain_id, tx_nonce=tx_nonce, fees=fees)


def sender(chain: ModelChain) -> str:
    chain.broadcast(signed(chain, 0).raw)
    (waiting,) = chain.pool.values()
    return waiting.sender


def test_owners_are_seen_in_their_block(chain: ModelChain) -> None:
    """Cash and tokens are there with the log of them."""
    chain.send(OPENED, PAID, DepositSeen(subaccount_id=3, amount=7, token=WETH))
    chain.mine(1_010)
    assert chain.head() == 1
    assert [number for number, _ in chain.observations(0, 1)] == [1, 1, 1]
    assert chain.cash_and_positions(3, []) == (500, {})
    assert chain.token_held(3, WETH) == 7
    assert chain.cash_and_positions(3, [], block=0) == (0, {})
    chain.contract.check()


@pytest.mark.parametrize(("lose", "left"), [(0.0, 500), (1.0, 0)])
def test_a_reorganisation_takes_blocks_back(chain: ModelChain, lose: float, left: int) -> None:
    """Heights stay, hashes do not; what owners did comes again, but for lost deposits."""
    chain.send(OPENED, PAID)
    chain.mine(1_010)
    before = chain.block_hash(1)
    assert chain.reorganise(1, lose=lose) == 1
    assert chain.head() == 1
    assert chain.block_hash(1) != before
    assert chain.cash_and_positions(3, []) == (0, {})
    chain.mine(1_020)
    assert chain.cash_and_positions(3, []) == (left, {})
    assert OPENED in [seen for _, seen in chain.observations(2, 2)]


def test_transactions_go_in_by_nonce_and_fee(chain: ModelChain) -> None:
    """A gap waits, and so does a fee below the base fee; a refused one is mined all the same."""
    address = sender(chain)
    chain.broadcast(signed(chain, 2).raw)
    chain.base_fee = 2 * GWEI
    chain.mine(1_010)
    assert chain.tx_count(address) == 0
    with pytest.raises(NodeRefused, match="underpriced"):
        chain.broadcast(signed(chain, 0, fee=GWEI + 1).raw)
    replacement = signed(chain, 0, fee=3 * GWEI)
    chain.broadcast(replacement.raw)
    chain.mine(1_020)
    assert chain.tx_count(address) == 1
    receipt = chain.receipt(replacement.tx_hash)
    assert receipt is not None
    assert (receipt.block, receipt.succeeded) == (2, False)  # no call of the contract's
    assert len(chain.pool) == 1


def test_a_reorganisation_gives_nonces_back(chain: ModelChain) -> None:
    """The transaction is gone from the chain and from the pool."""
    address = sender(chain)
    (tx_hash,) = chain.pool
    chain.mine(1_010)
    assert chain.tx_count(address) == 1
    chain.reorganise(1, lose=0.0)
    assert chain.tx_count(address) == 0
    assert not chain.knows(tx_hash)
