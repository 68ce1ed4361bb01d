"""A chain in memory with the methods of `settlement.chain.Chain` that relayer and watcher use.

Blocks hold transactions, state is what their replay gives, so a reorganisation is a shorter list.
Transactions wait in a pool until `mine`; the pool can lose them. Settles batches by the contract's
numbering, and nothing else.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec
from eth_abi.abi import decode
from eth_hash.auto import keccak
from tests.settlement_world import ORACLE_KEYS

from exchange.commands import AnyObservation
from exchange.settlement.batch import BATCH_TYPE, SETTLE_SELECTOR, Tip
from exchange.settlement.chain import Call, Fees, Receipt, Settled, SignedTransaction
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import ChainUnavailable, Reverted
from exchange.settlement.holdings import Held
from exchange.settlement.index_samples import SAMPLE_TYPES
from exchange.settlement.oracle_desks import OracleDesks
from exchange.settlement.risk_root import ROOT_TYPES
from exchange.signing import address_of
from exchange.simulation.mempool import Transaction, enter, signed

CLEARING: Final = "0x" + "aA" * 20
ORACLE: Final = "0x" + "bB" * 20
WETH: Final = "0x" + "eE" * 20
GWEI: Final = 10**9
DELIVERY_TYPES: Final = ("(uint32,uint64,uint64,uint64)", "bytes[]")
FUNDING_TYPES: Final = ("(uint64,uint64,uint64,int64)[]", "bytes[][]")
ROOT_SELECTOR: Final = keccak(f"postRiskRoot({','.join(ROOT_TYPES)})".encode())[:4]
FUNDING_SELECTOR: Final = keccak(f"postFundings({','.join(FUNDING_TYPES)})".encode())[:4]
SAMPLE_SELECTOR: Final = keccak(f"postIndex({','.join(SAMPLE_TYPES)})".encode())[:4]


def oracle_desks() -> dict[str, Any]:
    """What signs a feed's oracle posts."""
    return {"desks": OracleDesks(31_337, ORACLE, ORACLE_KEYS)}


@cache
def batch_words(data: bytes) -> tuple[tuple[Any, ...], bytes]:
    [(header, *_)] = decode([BATCH_TYPE], data[4:])
    return header, keccak(data[4:])


@cache
def posted_words(data: bytes) -> tuple[int, int, int]:
    """(underlying, expiry, price), or (0, epoch, time).

    Of an index sample (-underlying, 0, time): only a later one is taken.
    """
    if data[:4] == ROOT_SELECTOR:
        [(epoch, time_s, *_), *_] = decode(ROOT_TYPES, data[4:])
        return 0, epoch, time_s
    if data[:4] == SAMPLE_SELECTOR:
        [(underlying, time_s, *_), _] = decode(SAMPLE_TYPES, data[4:])
        return -underlying, 0, time_s
    [(underlying, expiry, price, _), _] = decode(DELIVERY_TYPES, data[4:])
    return underlying, expiry, price


def _post_fundings(data: bytes, indices: dict[tuple[int, int], int]) -> bool:
    """All of them, those that are there already passed over."""
    words, _ = decode(FUNDING_TYPES, data[4:])
    for instrument, ordinal, _, index in words:
        if indices.setdefault((instrument, ordinal), index) != index:
            return False
    return True


class Block(msgspec.Struct):
    transactions: list[Transaction]
    salt: int
    observations: list[AnyObservation] = []


class FakeChain:
    def __init__(self, *, automine: bool = True) -> None:
        self.deployment = Deployment(
            chain_id=31_337,
            clearing=CLEARING,
            oracle=ORACLE,
            usdc=CLEARING,
            access_manager=CLEARING,
            genesis_hash="0x00",
            block=1,
            tokens={"WETH": WETH},
        )
        self.automine = automine
        self.shows_pending = True  # whether its pending block holds what waits in the pool
        self.blocks = [Block([], 0)]
        self.pool: dict[str, Transaction] = {}
        self.time_s = 10**10
        self.sent: list[str] = []
        self.refuses: Reverted | None = None  # what estimates answer
        self.cash: dict[int, int] = {}
        self.bands = (0, 0, 0)
        self.held: dict[tuple[int, str], int] = {}  # tokens by (subaccount, address)
        self._salt = 0

    # --- what tests do to it

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            included: list[Transaction] = []
            for tx in sorted(self.pool.values(), key=lambda tx: tx.tx_nonce):
                used = self.tx_count(tx.sender) + sum(t.sender == tx.sender for t in included)
                if tx.tx_nonce == used:
                    included.append(tx)
            self._salt += 1
            self.blocks.append(Block(included, self._salt))
            gone = {tx.tx_hash for tx in included}
            self.pool = {
                key: tx
                for key, tx in self.pool.items()
                if key not in gone and tx.tx_nonce >= self.tx_count(tx.sender)
            }

    def observe(self, *seen: AnyObservation) -> None:
        self.mine()
        self.blocks[-1].observations.extend(seen)

    def reorganise(self, depth: int) -> None:
        depth = min(depth, len(self.blocks) - 1)
        del self.blocks[len(self.blocks) - depth :]
        for _ in range(depth):
            self._salt += 1
            self.blocks.append(Block([], self._salt))

    def settle_as(self, key: bytes, data: bytes) -> None:
        """Another sender settles a batch in a block of its own."""
        sender = address_of(key)
        tx = Transaction(sender, self.tx_count(sender), CLEARING, data, GWEI, GWEI)
        self._salt += 1
        self.blocks.append(Block([tx], self._salt))

    # --- state by replay

    def _replay(self) -> tuple[list[Settled], dict[tuple[int, int], int], dict[str, Receipt]]:
        settled: list[Settled] = []
        prices: dict[tuple[int, int], int] = {}
        receipts: dict[str, Receipt] = {}
        for number, block in enumerate(self.blocks):
            for tx in block.transactions:
                succeeded = self._apply(tx, number, settled, prices)
                receipts[tx.tx_hash] = Receipt(
                    tx_hash=tx.tx_hash,
                    succeeded=succeeded,
                    block=number,
                    gas_used=100_000,
                    contract=None,
                )
        return settled, prices, receipts

    def _apply(
        self,
        tx: Transaction,
        block: int,
        settled: list[Settled],
        prices: dict[tuple[int, int], int],
    ) -> bool:
        if tx.data[:4] == FUNDING_SELECTOR:
            return _post_fundings(tx.data, prices)
        if tx.data[:4] != SETTLE_SELECTOR:
            *key, price = posted_words(tx.data)
            if tx.data[:4] == SAMPLE_SELECTOR:
                later = price > prices.get((key[0], 0), 0)
                prices[key[0], 0] = max(price, prices.get((key[0], 0), 0))
                return later
            fresh = tuple(key) not in prices
            prices.setdefault((key[0], key[1]), price)
            return fresh
        header, batch_hash = batch_words(tx.data)
        tip = settled[-1] if settled else None
        if header[0] != len(settled) + 1 or header[4] != (tip.batch_hash if tip else bytes(32)):
            return False
        settled.append(
            Settled(
                number=header[0],
                batch_hash=batch_hash,
                first_seq=header[1],
                last_seq=header[2],
                state_root=header[6],
                block=block,
                tx_hash=tx.tx_hash,
            )
        )
        return True

    def _hash(self, number: int) -> str:
        salts = [block.salt for block in self.blocks[: number + 1]]
        return "0x" + keccak(repr(salts).encode()).hex()

    # --- the methods of Chain

    def head(self) -> int:
        return len(self.blocks) - 1

    def block_hash(self, number: int) -> str | None:
        return self._hash(number) if 0 <= number < len(self.blocks) else None

    def block_time(self) -> int:
        return self.time_s

    def advance_time(self, to_second: int) -> None:
        if self.time_s < to_second:
            self.time_s = to_second
            self.mine()

    def tx_count(self, address: str) -> int:
        return sum(tx.sender == address for block in self.blocks for tx in block.transactions)

    def receipt(self, tx_hash: str) -> Receipt | None:
        return self._replay()[2].get(tx_hash)

    def knows(self, tx_hash: str) -> bool:
        return tx_hash in self.pool or self.receipt(tx_hash) is not None

    def suggested_fees(self) -> Fees:
        return Fees(max_fee=2 * GWEI, priority_fee=GWEI)

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        assert all((sender, to, data))
        return self.refuses

    def estimate_gas(self, _sender: str, to: str, data: bytes, *, pending: bool = False) -> int:
        assert all((_sender, to, data))
        if self.refuses is not None:
            raise self.refuses
        settled, prices, _ = self._replay()
        waiting = sorted(self.pool.values(), key=lambda tx: tx.tx_nonce)
        for tx in waiting if pending and self.shows_pending else ():
            self._apply(tx, len(self.blocks), settled, prices)
        trial = Transaction(_sender, 0, to, data, GWEI, GWEI)
        if not self._apply(trial, len(self.blocks), list(settled), dict(prices)):
            raise Reverted("WrongNumber", (len(settled) + 1,))
        return 100_000

    def sign(
        self, key: bytes, call: Call, *, chain_id: int, tx_nonce: int, fees: Fees
    ) -> SignedTransaction:
        assert chain_id == self.deployment.chain_id
        return signed(key, call, tx_nonce, fees)

    def broadcast(self, raw: bytes) -> None:
        self.sent.append(msgspec.msgpack.decode(raw, type=Transaction).tx_hash)
        if enter(self.pool, raw, self.tx_count) and self.automine:
            self.mine()

    def last_batch(self, block: int | str = "latest") -> Tip:
        settled = self._replay()[0]
        if isinstance(block, int):
            settled = [item for item in settled if item.block <= block]
        if not settled:
            return Tip()
        last = settled[-1]
        return Tip(number=last.number, last_seq=last.last_seq, batch_hash=last.batch_hash)

    def settled(self, number: int) -> Settled | None:
        settled = self._replay()[0]
        return settled[number - 1] if number <= len(settled) else None

    def delivery_price(self, underlying_id: int, expiry: int) -> int | None:
        return self._replay()[1].get((underlying_id, expiry))

    def funding_index(self, instrument_id: int, ordinal: int) -> int | None:
        return self._replay()[1].get((instrument_id, ordinal))

    def risk_epoch(self) -> int:
        return max((epoch for number, epoch in self._replay()[1] if number == 0), default=0)

    def price_bands(self) -> tuple[int, int, int]:
        return self.bands

    def index_time(self, underlying_id: int) -> int:
        return self._replay()[1].get((-underlying_id, 0), 0)

    def marks_time(self, epoch: int) -> int | None:
        return self._replay()[1].get((0, epoch))

    def token_held(self, subaccount_id: int, token: str, block: object = "latest") -> int:
        return self.held.get((subaccount_id, token), 0)

    def cash_and_positions(
        self, subaccount_id: int, _instrument_ids: list[int], block: int | str = "latest"
    ) -> tuple[int, dict[int, Held]]:
        del block
        return self.cash.get(subaccount_id, 0), {}

    def observations(self, first: int, last: int) -> list[tuple[int, AnyObservation]]:
        return [
            (number, seen)
            for number in range(first, min(last, self.head()) + 1)
            for seen in self.blocks[number].observations
        ]


class Faulty:
    """Passes calls on; now and then the answer is lost, before or after the call took effect."""

    def __init__(self, chain: FakeChain, rng: random.Random, probability: float) -> None:
        self._chain, self._rng, self._probability = chain, rng, probability

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._chain, name)
        return self._wrapped(target) if callable(target) else target

    def _wrapped(self, target: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> object:
            if self._rng.random() < self._probability:
                raise ChainUnavailable("the request was lost")
            result = target(*arguments, **named)
            if self._rng.random() < self._probability:
                raise ChainUnavailable("the answer was lost")
            return result

        return call
