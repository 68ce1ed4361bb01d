"""Shares of the insurance fund: which step is due, and what a wallet has; the contract is words.

The real one is in tests/integration/test_insurance.py and contracts/test/InsuranceVault.t.sol.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from tests.venue import configuration

from exchange.settlement.chain import Receipt
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.insurance import Closed, FundStatus, InsuranceFund, watch_tokens
from exchange.settlement.margin_proof import parameters_hash
from exchange.signing import address_of

KEY = b"\x41" * 32
OWNER = address_of(KEY)
CONTRACT, USDC = "0x" + "11" * 20, "0x" + "22" * 20
NOTICE = 100


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


class FakeChain:
    """The fund's contract with rounds by number: their shares, and whether they are paid."""

    def __init__(self) -> None:
        self.deployment = SimpleNamespace(insurance=CONTRACT, usdc=USDC, block=1)
        self.rounds: dict[int, tuple[int, int, bool]] = {}
        self.drawn = 0
        self.refused: set[tuple[str, int]] = set()
        self.overtaken = False
        self.sent: list[tuple[str, bytes]] = []
        self.now_s = 1_000
        self.request = (0, 0)
        self.redeemable = (0, 0)  # shares and cash of a paid round

    def head(self) -> int:
        return 4_000  # two spans of logs

    def block_time(self) -> int:
        return self.now_s

    def logs(self, address: str, topic: str, first: int, last: int) -> list[dict[str, Any]]:
        assert (address, last - first) == (CONTRACT, 1_999)
        half = [number for number in self.rounds if (number % 2 == 0) == (first == 1)]
        return [{"topics": [b"", b"", b"", number.to_bytes(32, "big")]} for number in half]

    def rpc(self, method: str, request: dict[str, str], block: str) -> str:
        assert (method, request["to"], block) == ("eth_call", CONTRACT, "latest")
        data = bytes.fromhex(request["data"][2:])
        return "0x" + self.answer(data[:4], data[4:]).hex()

    def answer(self, function: bytes, words: bytes) -> bytes:
        number = int.from_bytes(words[:32], "big")
        answers: dict[bytes, tuple[list[str], list[Any]]] = {
            selector("drawn()"): (["uint256"] * 3, [self.drawn, 7, 9]),
            selector("maturesAt(uint256)"): (["uint256"], [(number + 2) * NOTICE]),
            selector("requestOf(address)"): (["uint256"] * 2, list(self.request)),
            selector("maxRedeem(address)"): (["uint256"], [self.redeemable[0]]),
            selector("maxWithdraw(address)"): (["uint256"], [self.redeemable[1]]),
            selector("balanceOf(address)"): (["uint256"], [50]),
            selector("convertToAssets(uint256)"): (["uint256"], [number * 2]),
            selector("closed()"): (["uint8"], [1]),
            selector("totalAssets()"): (["uint256"], [600]),
            selector("totalSupply()"): (["uint256"], [300]),
            selector("maxDeposit(address)"): (["uint256"], [0]),
        }
        if function == selector("roundOf(uint256)"):
            return encode(["(uint256,uint256,bool)"], [self.rounds[number]])
        return encode(*answers[function])

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        assert (sender, to) == (OWNER, CONTRACT)
        return Reverted("No") if self.told(data) in self.refused else None

    def told(self, data: bytes) -> tuple[str, int]:
        names = {selector(f"{name}(uint256)"): name for name in ("draw", "pay")}
        return names[data[:4]], int.from_bytes(data[4:], "big")

    def transact(self, key: bytes, to: str, data: bytes) -> Receipt:
        assert key == KEY
        if self.overtaken:
            raise Reverted("RoundIsDrawn")
        self.sent.append((to, data))
        return Receipt(tx_hash="", succeeded=True, block=5, gas_used=1, contract=None)


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def fund(chain: FakeChain) -> InsuranceFund:
    return InsuranceFund(chain, KEY)


def test_the_oldest_mature_round_is_drawn_first(chain: FakeChain, fund: InsuranceFund) -> None:
    """Not those that are paid, empty or too young, nor one that the contract refuses."""
    chain.rounds = {
        9: (5, 0, False),  # from 1,100 on
        8: (5, 0, False),
        7: (5, 0, False),
        6: (0, 0, False),
        5: (5, 4, True),
    }
    assert fund.step() == "draw 7"
    chain.refused.add(("draw", 7))
    assert fund.step() == "draw 8"
    chain.refused.add(("draw", 8))
    assert fund.step() == ""
    chain.now_s = 1_100
    assert fund.step() == "draw 9"
    assert [chain.told(data) for _, data in chain.sent] == [("draw", 7), ("draw", 8), ("draw", 9)]


def test_what_is_drawn_is_paid_before_another_is(chain: FakeChain, fund: InsuranceFund) -> None:
    """As soon as the contract takes it; who was slower says nothing."""
    chain.rounds, chain.drawn = {7: (5, 0, False), 6: (5, 0, False)}, 7
    chain.refused.add(("pay", 7))
    assert fund.step() == ""
    chain.refused.clear()
    assert fund.step() == "pay 7"
    chain.overtaken = True
    assert fund.step() == ""


def test_a_wallet_sees_what_it_asked_for_until_it_is_paid(
    chain: FakeChain, fund: InsuranceFund
) -> None:
    """Shares and when they may be paid; then what there is to claim."""
    plain = FundStatus(
        closed=Closed.POSITIONS,
        assets=600,
        supply=300,
        deposit_max=0,
        shares=50,
        worth=100,
        asked=0,
        matures_at=0,
        claimable=0,
    )
    assert fund.status() == plain
    chain.request = (8, 30)
    asked = fund.status()
    assert (asked.asked, asked.matures_at, asked.claimable) == (30, 1_000, 0)
    chain.redeemable = (30, 60)
    paid = fund.status()
    assert (paid.asked, paid.matures_at, paid.claimable) == (0, 0, 60)


def test_a_wallet_deposits_asks_and_claims(chain: FakeChain, fund: InsuranceFund) -> None:
    """What is sent, in order; nothing is claimed where nothing is paid."""
    fund.deposit(7)
    fund.request(3)
    assert fund.claim() == 0
    chain.redeemable = (3, 6)
    assert fund.claim() == 6
    owner = OWNER.lower()
    assert [(to, data[:4]) for to, data in chain.sent] == [
        (USDC, selector("approve(address,uint256)")),
        (CONTRACT, selector("deposit(uint256,address)")),
        (CONTRACT, selector("requestRedeem(uint256,address,address)")),
        (CONTRACT, selector("redeem(uint256,address,address)")),
    ]
    words = [data[4:] for _, data in chain.sent]
    assert decode(["address", "uint256"], words[0]) == (CONTRACT, 7)
    assert decode(["uint256", "address"], words[1]) == (7, owner)
    assert decode(["uint256", "address", "address"], words[2]) == (3, owner, owner)
    assert decode(["uint256", "address", "address"], words[3]) == (3, owner, owner)


def test_a_venue_without_the_contract_has_no_depositors(chain: FakeChain) -> None:
    """It says so, and nothing is called."""
    chain.deployment.insurance = ""
    with pytest.raises(ChainError, match="takes no deposits"):
        InsuranceFund(chain, KEY)


def test_the_tokens_are_those_of_margins_parameters(chain: FakeChain) -> None:
    """The very bytes whose hash is in force."""
    venue = configuration()
    watch_tokens(chain, KEY, venue)
    [(to, data)] = chain.sent
    [parameters] = decode(["bytes"], data[4:])
    assert (to, data[:4]) == (CONTRACT, selector("watch(bytes)"))
    assert keccak(parameters) == parameters_hash(venue.margin, venue.collaterals)
