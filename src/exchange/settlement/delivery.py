"""Delivery prices as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `DeliveryPrice` in `contracts/src/Oracle.sol`.
"""

from collections.abc import Sequence
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.model import SECONDS_PER_DAY
from exchange.settlement.batch import Delivery, encode_call
from exchange.signing import Domain, address_of, sign_digest

_TYPE: Final = "DeliveryPrice(uint32 underlying,uint64 expiry,uint64 price,uint64 deadline)"
_TYPEHASH: Final = keccak(_TYPE.encode())
_STRUCT: Final = "(uint32,uint64,uint64,uint64)"
# Counted from the expiry, so that every relayer signs the same bytes; long after that, no batch
# that pays this expiry could settle anyway.
_POSTABLE_FOR_S: Final = 30 * SECONDS_PER_DAY


def delivery_digest(domain: Domain, delivery: Delivery) -> bytes:
    """The 32 bytes that oracle keys sign; `domain` names the Oracle contract."""
    words = (
        delivery.underlying_id,
        delivery.expiry,
        delivery.price,
        delivery.expiry + _POSTABLE_FOR_S,
    )
    encoded = b"".join(word.to_bytes(32, "big") for word in words)
    return keccak(b"\x19\x01" + domain.separator + keccak(_TYPEHASH + encoded))


class DeliveryDesk:
    """Signs delivery prices with this publisher's oracle keys."""

    def __init__(self, *, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
        self._oracle = oracle
        self._domain = Domain(chain_id, oracle)
        # The contract wants signatures in ascending order of signer.
        self._keys = sorted(keys, key=lambda key: address_of(key).lower())

    def job(self, delivery: Delivery) -> Job:
        """The job that fixes this price on chain."""
        digest = delivery_digest(self._domain, delivery)
        signatures = [sign_digest(digest, key) for key in self._keys]
        deadline = delivery.expiry + _POSTABLE_FOR_S
        struct = (delivery.underlying_id, delivery.expiry, delivery.price, deadline)
        return Job(
            key=f"{JobKind.DELIVERY}:{delivery.underlying_id}:{delivery.expiry}",
            kind=JobKind.DELIVERY,
            number=delivery.price,
            last_seq=0,
            batch_hash=b"",
            time_s=delivery.expiry,
            to=self._oracle,
            data=encode_call("fixDeliveryPrice", (_STRUCT, "bytes[]"), (struct, signatures)),
        )


def delivery_of(job: Job) -> Delivery:
    """The delivery price that a job fixes."""
    _, underlying_id, expiry = job.key.split(":")
    return Delivery(underlying_id=int(underlying_id), expiry=int(expiry), price=job.number)
