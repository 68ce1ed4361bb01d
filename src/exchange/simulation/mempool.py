"""What relayers sign, and the pool of a node where it waits: geth's rules, without its keys."""

from collections.abc import Callable

import msgspec
from eth_hash.auto import keccak

from exchange.settlement.chain import Call, Fees, SignedTransaction
from exchange.settlement.errors import NodeRefused
from exchange.signing import address_of

Pool = dict[str, "Transaction"]  # by hash


class Transaction(msgspec.Struct, frozen=True, array_like=True):
    """What a relayer signed."""

    sender: str
    tx_nonce: int
    to: str
    data: bytes
    max_fee: int
    priority_fee: int

    @property
    def tx_hash(self) -> str:
        """Its name."""
        return "0x" + keccak(msgspec.msgpack.encode(self)).hex()


def signed(key: bytes, call: Call, tx_nonce: int, fees: Fees) -> SignedTransaction:
    """A transaction of whoever has the key; nobody here checks a signature."""
    sender = address_of(key)
    tx = Transaction(sender, tx_nonce, call.to or "", call.data, fees.max_fee, fees.priority_fee)
    return SignedTransaction(
        tx_hash=tx.tx_hash,
        raw=msgspec.msgpack.encode(tx),
        tx_nonce=tx_nonce,
        max_fee=fees.max_fee,
        priority_fee=fees.priority_fee,
    )


def enter(pool: Pool, raw: bytes, tx_count: Callable[[str], int]) -> bool:
    """Into the pool, whether it is new there; a replacement pays an eighth more, or is refused."""
    tx = msgspec.msgpack.decode(raw, type=Transaction)
    if tx.tx_nonce < tx_count(tx.sender) or tx.tx_hash in pool:
        return False
    for key, rival in list(pool.items()):
        if (rival.sender, rival.tx_nonce) == (tx.sender, tx.tx_nonce):
            enough = tx.max_fee * 8 >= rival.max_fee * 9
            if not enough or tx.priority_fee * 8 < rival.priority_fee * 9:
                raise NodeRefused(-32_000, "replacement transaction underpriced")
            del pool[key]
    pool[tx.tx_hash] = tx
    return True
