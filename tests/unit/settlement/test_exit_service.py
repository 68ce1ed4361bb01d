"""Which forced exits anybody may serve now, and with what; on a chain in test_escape.py."""

from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.settlement import exit_service as module
from exchange.settlement.exit_service import due_exits
from exchange.settlement.margin_proof import NO_PROOF, PROOF_TYPE

WAIT_S = 3_600 + 86_400
NOW_S = 1_800_000_000
ASKED = {2: NOW_S - WAIT_S - 1, 3: NOW_S - WAIT_S, 4: 0}  # due, a second early, closed


class FakeChain:
    """Three asked; the first one twice."""

    clearing = "clearing"
    deployment = SimpleNamespace(clearing="0x" + "33" * 20)

    def clearing_logs(self, name: str) -> list[dict[str, Any]]:
        assert name == "ExitRequested"
        return [{"subaccountId": number} for number in (2, 3, 2, 4)]

    def call(self, contract: str, function: str, *arguments: Any) -> Any:
        assert contract == self.clearing
        views = {"PAY_WINDOW": 3_600, "MAX_BATCH_AGE": 86_400}
        if function in views:
            return views[function]
        assert function == "exitOf"
        return ("0x", ASKED[arguments[0]], "0x", 1, 55)

    def block_time(self) -> int:
        return NOW_S


def test_what_no_batch_can_pay_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, with what the contract takes and the owner's proof; not a second early."""
    proof = (b"terms", *NO_PROOF[1:])
    chain: Any = FakeChain()
    reader: Any = "reader"

    def prove(*asked: object) -> tuple[object, ...]:
        assert asked == (reader, chain, 2)
        return proof

    def pay(*asked: object) -> int:
        assert asked == (chain, 2, proof)
        return 40

    monkeypatch.setattr(module, "proof_where_needed", prove)
    monkeypatch.setattr(module, "payable", pay)
    [due] = due_exits(chain, reader)
    assert (due.subaccount_id, due.paid) == (2, 40)
    assert due.data[:4] == keccak(f"serveExit(uint64,uint256,{PROOF_TYPE})".encode())[:4]
    subaccount_id, paid, shown = decode(["uint64", "uint256", PROOF_TYPE], due.data[4:])
    assert (subaccount_id, paid, shown[0]) == (2, 40, b"terms")
