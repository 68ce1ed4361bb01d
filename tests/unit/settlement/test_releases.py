"""Withdrawals that wait: what the logs say, and which of them need a proof."""

from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_hash.auto import keccak

from exchange.settlement import releases as module
from exchange.settlement.errors import Reverted
from exchange.settlement.margin_proof import NO_PROOF, PROOF_TYPE
from exchange.settlement.releases import (
    QueuedWithdrawal,
    queued_withdrawals,
    release,
    release_mature,
    take_back,
)

OWNER, TOKEN = "0x" + "11" * 20, "0x" + "22" * 20
TYPE = "(uint64,address,uint256,address,uint64,bool)"


class FakeChain:
    """Two withdrawals were queued; the first was paid."""

    def __init__(self) -> None:
        self.clearing = "clearing"
        self.deployment = SimpleNamespace(clearing="0x" + "33" * 20)
        self.sent: list[tuple[bytes, str, bytes]] = []
        self.held = (0, 0)
        self.now_s = 77
        self.refusals: list[Exception] = []

    def clearing_logs(self, name: str) -> list[dict[str, Any]]:
        assert name == "WithdrawalQueued"
        return [log(2, 5), log(2, 6), log(3, 5)]

    def call(self, contract: str, function: str, *arguments: Any) -> Any:
        assert contract == self.clearing
        if function == "holdings":
            return (*self.held, [])
        assert function == "maturesAt"
        return 0 if arguments[0][4] == 5 and arguments[0][0] == 2 else 77

    def block_time(self) -> int:
        return self.now_s

    def transact(self, key: bytes, to: str, data: bytes) -> str:
        if self.refusals:
            raise self.refusals.pop()
        self.sent.append((key, to, data))
        return "receipt"


def log(subaccount_id: int, nonce: int) -> dict[str, Any]:
    return {
        "subaccountId": subaccount_id,
        "token": TOKEN,
        "amount": 9,
        "recipient": OWNER,
        "nonce": nonce,
        "requested": False,
        "maturesAt": 77,
    }


def queued(subaccount_id: int, nonce: int) -> QueuedWithdrawal:
    return QueuedWithdrawal(
        subaccount_id=subaccount_id,
        token=TOKEN,
        amount=9,
        recipient=OWNER,
        nonce=nonce,
        requested=False,
        matures_at=77,
    )


def test_the_queue_is_what_was_not_paid_yet() -> None:
    """Of all, or of one subaccount."""
    chain: Any = FakeChain()
    assert queued_withdrawals(chain) == [queued(2, 6), queued(3, 5)]
    assert queued_withdrawals(chain, 3) == [queued(3, 5)]


def test_a_release_brings_the_proof_that_its_owner_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """To Clearing, with the key that pays."""
    proof: tuple[object, ...] = (b"terms", 7, 1, [], [], b"", [], 1, b"", [])
    chain: Any = FakeChain()
    reader: Any = "reader"

    def prove(*asked: object) -> tuple[object, ...]:
        assert asked == (reader, chain, 2)
        return proof

    monkeypatch.setattr(module, "proof_where_needed", prove)
    receipt: Any = release(chain, b"key", queued(2, 6), reader)
    assert receipt == "receipt"
    ((key, to, data),) = chain.sent
    assert (key, to) == (b"key", chain.deployment.clearing)
    assert data[:4] == keccak(f"release({TYPE},{PROOF_TYPE})".encode())[:4]
    words, sent = decode([TYPE, PROOF_TYPE], data[4:])
    assert words == (2, TOKEN, 9, OWNER, 6, False)
    assert sent[1] == 7


def test_what_is_held_up_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing happens before it is mature."""
    chain: Any = FakeChain()
    chain.refusals = [Reverted("WithdrawalsHalted", ())]
    reader: Any = "reader"

    def prove(asked: object, *_: object) -> tuple[object, ...]:
        assert asked == reader
        return NO_PROOF

    monkeypatch.setattr(module, "proof_where_needed", prove)
    assert list(release_mature(chain, b"key", reader)) == [
        (queued(2, 6), "the contract refused: WithdrawalsHalted()"),
        (queued(3, 5), ""),
    ]
    assert [(key, to) for key, to, _ in chain.sent] == [(b"key", chain.deployment.clearing)]
    chain.now_s = 76
    assert list(release_mature(chain, b"key", reader)) == []


def test_an_owner_takes_a_withdrawal_back() -> None:
    chain: Any = FakeChain()
    take_back(chain, b"key", queued(2, 6))
    ((key, to, data),) = chain.sent
    assert (key, to) == (b"key", chain.deployment.clearing)
    assert data[:4] == keccak(f"takeBack({TYPE})".encode())[:4]
    assert decode([TYPE], data[4:]) == ((2, TOKEN, 9, OWNER, 6, False),)
