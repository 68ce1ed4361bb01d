"""Delivery prices as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `DeliveryPrice` in `contracts/src/Oracle.sol`.
"""

from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.model import SECONDS_PER_DAY
from exchange.settlement.batch import Delivery, encode_call
from exchange.settlement.desk import Desk, post_digest
from exchange.signing import Domain

_TYPE: Final = "DeliveryPrice(uint32 underlying,uint64 expiry,uint64 price,uint64 deadline)"
_TYPEHASH: Final = keccak(_TYPE.encode())
_STRUCT: Final = "(uint32,uint64,uint64,uint64)"
# Counted from the expiry, so that every relayer signs the same bytes; long after that, no batch
# that pays this expiry could settle anyway.
_POSTABLE_FOR_S: Final = 30 * SECONDS_PER_DAY


def delivery_digest(domain: Domain, delivery: Delivery) -> bytes:
    """The 32 bytes that oracle keys sign; `domain` names the Oracle contract."""
    return post_digest(domain, _TYPEHASH, _words(delivery))


class DeliveryDesk(Desk):
    """Signs delivery prices with this publisher's oracle keys."""

    def job(self, delivery: Delivery) -> Job:
        """The job that fixes this price on chain."""
        signatures = self._signatures(delivery_digest(self._domain, delivery))
        return Job(
            key=f"{JobKind.DELIVERY}:{delivery.underlying_id}:{delivery.expiry}",
            kind=JobKind.DELIVERY,
            number=delivery.price,
            last_seq=0,
            batch_hash=b"",
            time_s=delivery.expiry,
            to=self._oracle,
            data=encode_call(
                "fixDeliveryPrice", (_STRUCT, "bytes[]"), (_words(delivery), signatures)
            ),
        )


def delivery_of(job: Job) -> Delivery:
    """The delivery price that a job fixes."""
    _, underlying_id, expiry = job.key.split(":")
    return Delivery(underlying_id=int(underlying_id), expiry=int(expiry), price=job.number)


def _words(delivery: Delivery) -> tuple[int, int, int, int]:
    deadline = delivery.expiry + _POSTABLE_FOR_S
    return delivery.underlying_id, delivery.expiry, delivery.price, deadline
