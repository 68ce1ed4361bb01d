"""Attesters that die and begin again at any instant; the two ends are contracts in memory."""

import random
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from exchange.settlement.errors import Reverted, WrongChain
from exchange.settlement.gateway import PASSAGE_TYPE, Attester, Passage, Place, Site
from exchange.signing import address_of, checksum_address

KEYS = tuple(bytes([number]) * 32 for number in (1, 2, 3))
TOKEN, OWNER = "0x" + "11" * 20, "0x" + "22" * 20
HUB = Place(chain_id=1, contract="0x" + "aa" * 20, block=1)
SECOND = Place(chain_id=2, contract="0x" + "bb" * 20, block=1)
THRESHOLD = 2


VIEWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "idOf": ("bytes32", (PASSAGE_TYPE,)),
    "hasAttested": ("bool", ("bytes32", "address")),
    "isCompleted": ("bool", ("uint64",)),
    "owed": ("uint256", ("address", "address")),
}


class Ledger:
    """One end's contract and chain, as far as an attester sees them. A block for each departure."""

    def __init__(self) -> None:
        self.departed: list[Passage] = []
        self.votes: dict[bytes, set[str]] = {}
        self.completed: set[int] = set()
        self.owed: dict[str, int] = {}
        self.paid = 0
        self.room = 10**9  # what the caps let leave now

    def head(self) -> int:
        return len(self.departed)


class MemorySite(Site):
    """Answers from a ledger; every refusal is the contract's."""

    def __init__(self, place: Place, ledger: Ledger) -> None:
        self.place = place
        self.ledger = ledger
        self.node = ledger

    def verify(self, peer: Place) -> None:
        assert peer != self.place

    def departures(self, first_block: int, last_block: int) -> list[Passage]:
        return self.ledger.departed[first_block - 1 : max(last_block, 0)]

    def read(
        self,
        function: str,
        answer: str,
        types: tuple[str, ...] = (),
        arguments: tuple[Any, ...] = (),
    ) -> object:
        assert (answer, types) == VIEWS[function]
        match function:
            case "idOf":
                return keccak(repr(arguments[0]).encode())
            case "hasAttested":
                return arguments[1] in self.ledger.votes.get(arguments[0], set())
            case "isCompleted":
                return arguments[0] in self.ledger.completed
            case _:
                return self.ledger.owed.get(arguments[1], 0)

    def transact(self, key: bytes, function: str, types: tuple[str, ...], *given: Any) -> None:
        assert types == (("address", "address") if function == "claim" else (PASSAGE_TYPE,))
        ledger, passage_id = self.ledger, keccak(repr(given[0]).encode())
        match function:
            case "attest":
                voters = ledger.votes.setdefault(passage_id, set())
                if address_of(key) in voters or given[0][0] in ledger.completed:
                    raise Reverted("AttestedBefore")
                voters.add(address_of(key))
            case "complete":
                votes = len(ledger.votes.get(passage_id, ()))
                if votes < THRESHOLD or given[0][0] in ledger.completed:
                    raise Reverted("NotAttested")
                ledger.completed.add(given[0][0])
                ledger.owed[given[0][3]] = ledger.owed.get(given[0][3], 0) + given[0][2]
            case _:
                sent = min(ledger.owed.get(given[1], 0), ledger.room)
                if sent == 0:
                    raise Reverted("CapsSpent")
                ledger.owed[given[1]] -= sent
                ledger.room -= sent
                ledger.paid += sent


class Bridge:
    def __init__(self) -> None:
        self.hub, self.second = Ledger(), Ledger()

    def attester(self, number: int, confirmations: int = 1) -> Attester:
        sites = (MemorySite(HUB, self.hub), MemorySite(SECOND, self.second))
        return Attester(KEYS[number], *sites, confirmations=confirmations)

    def depart(self, origin: Ledger, amount: int) -> None:
        nonce = len(origin.departed) + 1
        origin.departed.append(Passage(nonce=nonce, token=TOKEN, amount=amount, recipient=OWNER))


@given(st.integers(0, 2**32))
def test_whatever_leaves_arrives_once_through_any_deaths(seed: int) -> None:
    """Each step may be an attester's last: a new one with its key goes on."""
    luck = random.Random(seed)
    bridge = Bridge()
    attesters = [bridge.attester(number) for number in range(3)]
    for _ in range(30):
        number = luck.randrange(3)
        if luck.random() < 0.3:
            bridge.depart(luck.choice((bridge.hub, bridge.second)), luck.randint(1, 100))
        elif luck.random() < 0.3:
            attesters[number] = bridge.attester(number)
        else:
            attesters[number].step()
    for _ in range(2):
        for attester in attesters:
            attester.step()
    for origin, target in ((bridge.hub, bridge.second), (bridge.second, bridge.hub)):
        assert target.paid == sum(passage.amount for passage in origin.departed)
        assert len(target.completed) == len(origin.departed)
    assert [attester.step() for attester in attesters] == [0, 0, 0]


def test_nothing_is_voted_for_before_it_is_final() -> None:
    """A departure three blocks deep, for an attester that waits for three."""
    bridge = Bridge()
    careful = bridge.attester(0, confirmations=3)
    bridge.depart(bridge.second, 5)
    assert careful.step() == 0
    bridge.depart(bridge.second, 6)
    assert careful.step() == 0
    bridge.depart(bridge.second, 7)
    assert careful.step() == 1


def test_what_a_cap_holds_back_is_claimed_later() -> None:
    """The passage is complete; the rest follows as soon as there is room."""
    bridge = Bridge()
    bridge.hub.room = 4
    bridge.depart(bridge.second, 10)
    first, second = bridge.attester(0), bridge.attester(1)
    first.step()
    second.step()
    assert bridge.hub.paid == 4
    second.step()
    assert bridge.hub.paid == 4
    bridge.hub.room = 100
    second.step()
    assert bridge.hub.paid == 10


class Answering:
    """A node that answers two views."""

    url = "http://node"

    def __init__(self, chain: int, peer: Place) -> None:
        self.chain, self.peer = chain, peer

    def chain_id(self) -> int:
        return self.chain

    def rpc(self, method: str, request: dict[str, str], block: str) -> str:
        assert (method, request["to"], block) == ("eth_call", HUB.contract, "latest")
        selector = request["data"][2:10]
        if selector == keccak(b"PEER_CHAIN()")[:4].hex():
            return f"0x{self.peer.chain_id:064x}"
        assert selector == keccak(b"PEER()")[:4].hex()
        return "0x" + "00" * 12 + self.peer.contract[2:]


def test_an_end_knows_its_peer() -> None:
    """Another chain, another peer's chain and another peer are refused."""
    Site(Answering(1, SECOND), HUB).verify(SECOND)
    with pytest.raises(WrongChain, match="does not serve"):
        Site(Answering(3, SECOND), HUB).verify(SECOND)
    for peer in (
        Place(chain_id=3, contract=SECOND.contract, block=1),
        Place(chain_id=2, contract=HUB.contract, block=1),
    ):
        with pytest.raises(WrongChain, match="is no peer"):
            Site(Answering(1, peer), HUB).verify(SECOND)


class Logging:
    """A node with a departure in its first block and one in the last of the first span."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []
        self.sent: list[tuple[bytes, str, bytes]] = []
        self.views: list[bytes] = []
        self.answer = 1

    def logs(self, address: str, topic: str, first: int, last: int) -> list[dict[str, Any]]:
        assert address == HUB.contract
        assert topic == "0x" + keccak(b"Departed(uint64,address,uint128,address)").hex()
        self.spans.append((first, last))
        words = encode(["uint128", "address"], [5, OWNER])
        token = bytes(12) + bytes.fromhex(TOKEN[2:])
        return [
            {"topics": [b"", block.to_bytes(32, "big"), token], "data": words}
            for block in (1, 2_000)
            if first <= block <= last
        ]

    def rpc(self, method: str, request: dict[str, str], block: str) -> str:
        self.views.append(bytes.fromhex(request["data"][2:]))
        return f"0x{self.answer:064x}"

    def transact(self, key: bytes, to: str, data: bytes) -> None:
        self.sent.append((key, to, data))


def leaving(nonce: int) -> Passage:
    return Passage(
        nonce=nonce,
        token=checksum_address(bytes.fromhex(TOKEN[2:])),
        amount=5,
        recipient=checksum_address(bytes.fromhex(OWNER[2:])),
    )


def test_departures_are_read_in_spans_to_the_last_block() -> None:
    """Each once, none beyond what is final."""
    node = Logging()
    site = Site(node, HUB)
    assert site.departures(1, 2_001) == [leaving(1), leaving(2_000)]
    assert node.spans == [(1, 2_000), (2_001, 2_001)]
    node.spans.clear()
    assert site.departures(2, 1_999) == []
    assert node.spans == [(2, 1_999)]
    assert site.departures(3, 2) == []


def test_a_site_asks_for_a_passage_and_sends_to_its_contract() -> None:
    """Whether it arrived, what is still owed of the token, and votes."""
    node, passage = Logging(), leaving(7)
    site = Site(node, HUB)
    assert site.is_completed(passage)
    assert site.owed(passage) == 1
    node.answer = 0
    assert not site.is_completed(passage)
    assert node.views[0] == keccak(b"isCompleted(uint64)")[:4] + encode(["uint64"], [7])
    where = encode(["address", "address"], [TOKEN, OWNER])
    assert node.views[1] == keccak(b"owed(address,address)")[:4] + where
    site.transact(KEYS[0], "claim", ("address", "address"), TOKEN, OWNER)
    data = keccak(b"claim(address,address)")[:4] + where
    assert node.sent == [(KEYS[0], HUB.contract, data)]
