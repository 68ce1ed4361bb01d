"""Risk roots and packed marks as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `RiskRoot` in `contracts/src/Oracle.sol`. Not each epoch goes on chain: those
that the journal published, each before the batches whose fills keep to it.
"""

from typing import Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import UpdateMarks
from exchange.journal.outbox import Job, JobKind
from exchange.margin.merkle import marks_root, packed_marks
from exchange.model import SECONDS_PER_DAY
from exchange.settlement.batch import encode_call
from exchange.settlement.desk import Desk, post_digest
from exchange.signing import Domain

_TYPE: Final = "RiskRoot(uint64 epoch,uint64 time,bytes32 root,bytes32 marksRoot,uint64 deadline)"
_TYPEHASH: Final = keccak(_TYPE.encode())
ROOT_TYPES: Final = ("(uint64,uint64,bytes32,bytes32,uint64)", "bytes", "bytes[]")
_POSTABLE_FOR_S: Final = SECONDS_PER_DAY  # as long as a batch that keeps to it may settle


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on chain of one epoch."""

    epoch: int
    time_s: int
    root: bytes  # of the risk arrays
    marks: bytes  # packed

    @classmethod
    def of(cls, update: UpdateMarks, time_s: int) -> "Publication":
        """Of an epoch that came into force at `time_s`."""
        return cls(epoch=update.epoch, time_s=time_s, root=update.root, marks=packed_marks(update))


class RiskDesk(Desk):
    """Signs risk roots with this publisher's oracle keys."""

    def digest(self, publication: Publication) -> bytes:
        """The 32 bytes that oracle keys sign."""
        return risk_digest(self._domain, *_words(publication))

    def calldata(self, publication: Publication) -> bytes:
        """Calldata of `postRiskRoot`."""
        signatures = self._signatures(self.digest(publication))
        return encode_call(
            "postRiskRoot", ROOT_TYPES, (_words(publication), publication.marks, signatures)
        )

    def job(self, publication: Publication) -> Job:
        """The job that posts this epoch."""
        return Job(
            key=f"{JobKind.ROOT}:{publication.epoch}",
            kind=JobKind.ROOT,
            number=publication.epoch,
            last_seq=0,
            batch_hash=b"",
            time_s=publication.time_s,
            to=self._oracle,
            data=self.calldata(publication),
        )


def risk_digest(
    domain: Domain, epoch: int, time_s: int, root: bytes, marks_root: bytes, deadline: int
) -> bytes:
    """The EIP-712 digest of the struct with these fields; `domain` names the Oracle contract."""
    return post_digest(domain, _TYPEHASH, (epoch, time_s, root, marks_root, deadline))


def _words(publication: Publication) -> tuple[int, int, bytes, bytes, int]:
    return (
        publication.epoch,
        publication.time_s,
        publication.root,
        marks_root(publication.marks),
        publication.time_s + _POSTABLE_FOR_S,
    )


def deadline_of(job: Job) -> int:
    """The last second in which the chain takes the job's root."""
    return job.time_s + _POSTABLE_FOR_S
