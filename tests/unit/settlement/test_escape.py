"""What the way out makes of logs and lists; the rest is in tests/integration/test_escape.py."""

from typing import Any

import msgspec
import pytest
from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.margin.merkle import marks_leaves, marks_root
from exchange.merkle import merkle_root, verify_proof
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.escape import EscapeState, WayOut, marks_words, parameters_in

KEY = b"\x41" * 32
STATE = EscapeState(
    started_at=1_800_000_000,
    accounts=5,
    next=1,
    tokens_priced=True,
    marks_root=bytes(32),
    parameters_hash=bytes(32),
    brought=0,
    cash=0,
    seized=0,
    senior=0,
    junior=0,
)


class FakeChain:
    """Views by name and subaccount; what would be sent is kept."""

    class deployment:  # noqa: N801  stands for an object
        usdc = "0xUSDC"
        clearing = "0xCLEARING"

    clearing = "clearing"

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}
        self.views: dict[str, Any] = {}
        self.payable = 0
        self.asked: list[int] = []
        self.sent: list[tuple[object, ...]] = []

    def call(self, contract: str, function: str, *arguments: Any) -> Any:
        if function == "holdings":
            return self.views.get("cash", 0), len(self.held.get(arguments[0], [])), []
        return self.views[function]

    def cash_and_positions(self, subaccount_id: int, ids: list[int]) -> tuple[int, dict[int, int]]:
        return 0, {number: 1 for number in self.held[subaccount_id] if number in ids}

    def all_settled(self) -> list[object]:
        return []

    @staticmethod
    def calldata(contract: str, *words: object) -> Any:
        return words

    def refusal(self, sender: str, to: str, data: Any) -> Reverted | None:
        paid = data[2]
        self.asked.append(paid)
        if paid == self.payable:
            return None
        return Reverted("PaysTooMuch" if paid > self.payable else "PaysTooLittle")

    def transact(self, key: bytes, to: str, data: Any) -> None:
        self.sent.append(data)


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def way(chain: FakeChain) -> WayOut:
    way = WayOut(chain, KEY)
    way._instruments = list(range(2_000))
    return way


def test_everybody_can_claim_when_the_last_is_valued() -> None:
    """Not before the escape, and not while the cursor stands on an account."""
    assert not STATE.valued
    assert msgspec.structs.replace(STATE, next=6).valued
    assert not msgspec.structs.replace(STATE, next=6, started_at=0).valued


def test_accounts_are_valued_as_many_at_once_as_fit(way: WayOut, chain: FakeChain) -> None:
    """Whole accounts in turn; one that is too large for a call comes in parts."""
    chain.held = {1: [], 2: [7, 8], 3: list(range(399)), 4: list(range(1_000)), 5: []}
    assert way._next_lists(STATE) == [[], [7, 8]]
    at_large = msgspec.structs.replace(STATE, next=4)
    assert way._next_lists(at_large) == [list(range(400))]
    chain.held[4] = chain.held[4][400:]
    assert way._next_lists(at_large) == [list(range(400, 800))]
    chain.held[4] = []
    assert way._next_lists(at_large) == [[], []]


def test_a_position_in_nothing_that_was_traded_is_told(way: WayOut, chain: FakeChain) -> None:
    """A node without its history would otherwise leave the account for ever."""
    chain.held = {2: [5_000]}
    with pytest.raises(ChainError, match="no batch"):
        way._positions(2)


@pytest.mark.parametrize("payable", [0, 1, 499, 999, 1_000])
def test_exactly_what_margin_allows_is_found(way: WayOut, chain: FakeChain, payable: int) -> None:
    """By asking the contract; ten questions for a thousand units."""
    chain.views = {"exitOf": ("0xUSDC", 5, "0xA", 1, 1_000), "cash": 7_000, "EXIT_DEADLINE": 9}
    chain.payable = payable
    assert way.serve(2) == payable
    assert [words[:3] for words in chain.sent] == [("serveExit", 2, payable)]
    assert len(chain.asked) <= 12


def test_another_refusal_is_told(way: WayOut, chain: FakeChain, monkeypatch: Any) -> None:
    """Too early, a stale root: nothing is sent."""
    chain.views = {"exitOf": ("0xUSDC", 5, "0xA", 1, 10), "cash": 7_000, "EXIT_DEADLINE": 9}
    monkeypatch.setattr(chain, "refusal", lambda *_: Reverted("TooEarly"))
    with pytest.raises(Reverted, match="TooEarly"):
        way.serve(2)
    chain.views["exitOf"] = ("0x", 0, "0x", 1, 0)
    with pytest.raises(ChainError, match="no open request"):
        way.serve(2)
    assert chain.sent == []


def test_marks_are_proven_in_parts() -> None:
    """A chunk of one: its nodes lead to the root."""
    marks = b"".join(number.to_bytes(8, "big") + (5).to_bytes(8, "big") for number in range(1, 6))
    leaves = marks_leaves(marks)
    chosen, count, places, nodes = marks_words(marks, leaves, [4])
    assert (chosen, count, places) == (marks[64:], 5, b"\x00\x04")
    assert verify_proof(marks_root(marks), keccak(chosen), nodes)
    chosen, _, places, _ = marks_words(marks, leaves, [1, 4])
    assert (chosen, places) == (marks[16:32] + marks[64:], b"\x00\x01\x00\x04")
    assert merkle_root(leaves) == marks_root(marks)


def test_parameters_are_taken_out_of_their_log() -> None:
    """The log has their hash first; alone they hash to it."""
    kind = "(uint64[],uint256)"
    alone = encode([kind], [([1, 2, 3], 4)])
    assert parameters_in(encode(["bytes32", kind], [keccak(alone), ([1, 2, 3], 4)])) == alone
