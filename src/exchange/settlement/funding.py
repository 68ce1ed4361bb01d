"""Funding indices as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `FundingIndex` in `contracts/src/Oracle.sol`. Every ordinal goes on chain, in
order and before the batch that follows it; a batch refers to the last one of each perpetual.
"""

from collections.abc import Sequence
from typing import Final

from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.settlement.batch import Funding, encode_call
from exchange.settlement.desk import Desk, post_digest
from exchange.signing import Domain

_TYPE: Final = "FundingIndex(uint64 instrument,uint64 ordinal,uint64 time,int64 index)"
_TYPEHASH: Final = keccak(_TYPE.encode())
_TYPES: Final = ("(uint64,uint64,uint64,int64)[]", "bytes[][]")
_SELECTOR_BYTES: Final = 4
AT_ONCE: Final = 50  # about 3M gas


def funding_digest(domain: Domain, funding: Funding) -> bytes:
    """The 32 bytes that oracle keys sign; `domain` names the Oracle contract."""
    return post_digest(domain, _TYPEHASH, _words(funding))


class FundingDesk(Desk):
    """Signs funding indices with this publisher's oracle keys."""

    def jobs(self, fundings: Sequence[Funding]) -> list[Job]:
        """The jobs that post these indices, many in one transaction; each is named by its last."""
        return [self._job(fundings[at : at + AT_ONCE]) for at in range(0, len(fundings), AT_ONCE)]

    def _job(self, fundings: Sequence[Funding]) -> Job:
        last = fundings[-1]
        words = [_words(funding) for funding in fundings]
        signatures = [self._signatures(funding_digest(self._domain, each)) for each in fundings]
        return Job(
            key=f"{JobKind.FUNDING}:{last.instrument_id}:{last.ordinal}",
            kind=JobKind.FUNDING,
            number=last.index,
            last_seq=0,
            batch_hash=b"",
            time_s=last.time,
            to=self._oracle,
            data=encode_call("postFundings", _TYPES, (words, signatures)),
        )


def fundings_of(job: Job) -> list[Funding]:
    """The funding indices that a job posts, in their order."""
    words, _ = decode(_TYPES, job.data[_SELECTOR_BYTES:])
    return [
        Funding(instrument_id=instrument_id, ordinal=ordinal, time=second, index=index)
        for instrument_id, ordinal, second, index in words
    ]


def _words(funding: Funding) -> tuple[int, int, int, int]:
    return funding.instrument_id, funding.ordinal, funding.time, funding.index
