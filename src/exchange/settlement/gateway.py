"""An attester of the gateway: votes on each chain for what it saw leave the other, once final.

Each attester runs alone, with its own key and its own nodes: votes are transactions, so attesters
never meet. Holds no state: the contracts say what was voted for and completed, so it can die at any
instant and begin again from the first block.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Node
from exchange.settlement.errors import NodeRefused, Reverted, WrongChain
from exchange.signing import address_of, checksum_address

PASSAGE_TYPE: Final = "(uint64,address,uint128,address)"
_DEPARTED: Final = "0x" + keccak(b"Departed(uint64,address,uint128,address)").hex()
_LOG_SPAN: Final = 2_000  # blocks that every node answers for in one query

log = structlog.get_logger(__name__)


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """What left one chain for the other; `token` is the second chain's, whichever way it goes."""

    nonce: int
    token: str
    amount: int  # in token units
    recipient: str

    @property
    def words(self) -> tuple[int, str, int, str]:
        """As the contracts take it."""
        return (self.nonce, self.token, self.amount, self.recipient)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two contracts, and the first block that can hold its logs."""

    chain_id: int
    contract: str
    block: int


class GatewayDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """The two ends: Gateway on the second chain, GatewayHub on the hub's."""

    hub: Place
    second: Place


class Site:
    """One end, seen through a node of its chain."""

    def __init__(self, node: Node, place: Place) -> None:
        self.node = node
        self.place = place

    def verify(self, peer: Place) -> None:
        """Refuse a node of another chain, or a contract that expects another peer."""
        if self.node.chain_id() != self.place.chain_id:
            raise WrongChain(f"{self.node.url} does not serve chain {self.place.chain_id}")
        found = (self.read("PEER_CHAIN", "uint256"), str(self.read("PEER", "address")).lower())
        if found != (peer.chain_id, peer.contract.lower()):
            raise WrongChain(f"{self.place.contract} is no peer of {peer.contract}")

    def departures(self, first_block: int, last_block: int) -> list[Passage]:
        """What left this chain in these blocks, in order."""
        found: list[Passage] = []
        for start in range(first_block, last_block + 1, _LOG_SPAN):
            end = min(start + _LOG_SPAN - 1, last_block)
            logs = self.node.logs(self.place.contract, _DEPARTED, start, end)
            found += [_passage(one["topics"], one["data"]) for one in logs]
        return found

    def read(
        self,
        function: str,
        answer: str,
        types: tuple[str, ...] = (),
        arguments: tuple[object, ...] = (),
    ) -> object:
        """Result of a view."""
        data = encode_call(function, types, arguments)
        request = {"to": self.place.contract, "data": "0x" + data.hex()}
        words = bytes.fromhex(str(self.node.rpc("eth_call", request, "latest"))[2:])
        return decode([answer], words)[0]

    def is_completed(self, passage: Passage) -> bool:
        """Whether a passage to this chain arrived."""
        return bool(self.read("isCompleted", "bool", ("uint64",), (passage.nonce,)))

    def owed(self, passage: Passage) -> int:
        """What the recipient may still claim, in token units."""
        where = (passage.token, passage.recipient)
        return int(str(self.read("owed", "uint256", ("address", "address"), where)))

    def transact(self, key: bytes, function: str, types: tuple[str, ...], *given: object) -> None:
        """Send and wait."""
        self.node.transact(key, self.place.contract, encode_call(function, types, given))


class Attester:
    """Watches both ends and votes; call `step` for ever."""

    def __init__(self, key: bytes, hub: Site, second: Site, *, confirmations: int) -> None:
        """`confirmations` as finality asks for: what is voted for cannot be taken back."""
        hub.verify(second.place)
        second.verify(hub.place)
        self._key = key
        self._address = address_of(key)
        self._ways = (_Way(second, hub), _Way(hub, second))
        self._confirmations = confirmations

    def step(self) -> int:
        """Vote for everything that is final and not voted for, complete and pay; the votes cast."""
        return sum(self._carry(way) for way in self._ways)

    def _carry(self, way: "_Way") -> int:
        final = way.origin.node.head() - self._confirmations + 1
        way.open += way.origin.departures(way.next_block, final)
        way.next_block = max(way.next_block, final + 1)
        votes = 0
        for passage in list(way.open):
            if not way.target.is_completed(passage):
                votes += self._vote(way.target, passage)
                self._complete(way.target, passage)
            if way.target.is_completed(passage) and self._is_paid(way.target, passage):
                way.open.remove(passage)
        return votes

    def _vote(self, target: Site, passage: Passage) -> int:
        passage_id = target.read("idOf", "bytes32", (PASSAGE_TYPE,), (passage.words,))
        mine = (passage_id, self._address)
        if target.read("hasAttested", "bool", ("bytes32", "address"), mine):
            return 0
        target.transact(self._key, "attest", (PASSAGE_TYPE,), passage.words)
        log.info("attested", chain=target.place.chain_id, nonce=passage.nonce)
        return 1

    def _complete(self, target: Site, passage: Passage) -> None:
        """Anybody may; the attester whose vote made the quorum does."""
        try:
            target.transact(self._key, "complete", (PASSAGE_TYPE,), passage.words)
        except (Reverted, NodeRefused):  # too few votes, or another was first
            return
        log.info("completed", chain=target.place.chain_id, nonce=passage.nonce)

    def _is_paid(self, target: Site, passage: Passage) -> bool:
        """Claim for the recipient what the caps allow; whether nothing is left to claim."""
        if target.owed(passage) == 0:
            return True
        try:
            where = (passage.token, passage.recipient)
            target.transact(self._key, "claim", ("address", "address"), *where)
        except (Reverted, NodeRefused):  # a cap is spent, or the token refuses: later
            return False
        return target.owed(passage) == 0


class _Way:
    """One direction: what left the origin and has not been paid at the target."""

    def __init__(self, origin: Site, target: Site) -> None:
        self.origin = origin
        self.target = target
        self.next_block = origin.place.block
        self.open: list[Passage] = []


def _passage(topics: Sequence[bytes], data: bytes) -> Passage:
    amount, recipient = decode(["uint128", "address"], bytes(data))
    return Passage(
        nonce=int.from_bytes(bytes(topics[1])),
        token=checksum_address(bytes(topics[2])[-20:]),
        amount=amount,
        recipient=checksum_address(bytes.fromhex(recipient[2:])),
    )
