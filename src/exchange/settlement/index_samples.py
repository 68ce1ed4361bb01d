"""Index samples as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `IndexSample` in `contracts/src/Oracle.sol`. Published epochs bring indices too;
samples of their own come between them, so that the averages of delivery prices have enough.
"""

from typing import Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.settlement.batch import encode_call
from exchange.settlement.desk import Desk, post_digest
from exchange.signing import Domain

HEARTBEAT_S: Final = 60  # thirty samples in the window of a delivery price
_TYPE: Final = "IndexSample(uint32 underlying,uint64 time,uint64 price,uint64 deadline)"
_TYPEHASH: Final = keccak(_TYPE.encode())
SAMPLE_TYPES: Final = ("(uint32,uint64,uint64,uint64)", "bytes[]")
_POSTABLE_FOR_S: Final = 3_600  # an expiry may be held up so long


class IndexSample(msgspec.Struct, frozen=True, kw_only=True):
    """An index that the journal took."""

    underlying_id: int
    time_s: int
    price: int


def sample_digest(
    domain: Domain, underlying_id: int, time_s: int, price: int, deadline: int
) -> bytes:
    """The 32 bytes that oracle keys sign; `domain` names the Oracle contract."""
    return post_digest(domain, _TYPEHASH, (underlying_id, time_s, price, deadline))


class IndexDesk(Desk):
    """Signs index samples with this publisher's oracle keys."""

    def job(self, sample: IndexSample) -> Job:
        """The job that posts this sample."""
        words = (sample.underlying_id, sample.time_s, sample.price, sample.time_s + _POSTABLE_FOR_S)
        signatures = self._signatures(sample_digest(self._domain, *words))
        return Job(
            key=f"{JobKind.INDEX}:{sample.underlying_id}:{sample.time_s}",
            kind=JobKind.INDEX,
            number=sample.price,
            last_seq=0,
            batch_hash=b"",
            time_s=sample.time_s,
            to=self._oracle,
            data=encode_call("postIndex", SAMPLE_TYPES, (words, signatures)),
        )


def sample_of(job: Job) -> IndexSample:
    """The sample that a job posts."""
    _, underlying_id, time_s = job.key.split(":")
    return IndexSample(underlying_id=int(underlying_id), time_s=int(time_s), price=job.number)


def sample_deadline(job: Job) -> int:
    """The last second in which the chain takes the job's sample."""
    return job.time_s + _POSTABLE_FOR_S
