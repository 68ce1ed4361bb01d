"""Funding indices as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `FundingIndex` in `contracts/src/Oracle.sol`. Every ordinal goes on chain, in
order and before the batch that follows it; a batch refers to the last one of each perpetual.
"""

from collections.abc import Sequence
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.settlement.batch import Funding, encode_call
from exchange.signing import Domain, address_of, sign_digest

_TYPE: Final = "FundingIndex(uint64 instrument,uint64 ordinal,uint64 time,int64 index)"
_TYPEHASH: Final = keccak(_TYPE.encode())
_STRUCT: Final = "(uint64,uint64,uint64,int64)"


def funding_digest(domain: Domain, funding: Funding) -> bytes:
    """The 32 bytes that oracle keys sign; `domain` names the Oracle contract."""
    encoded = b"".join(word.to_bytes(32, "big", signed=word < 0) for word in _words(funding))
    return keccak(b"\x19\x01" + domain.separator + keccak(_TYPEHASH + encoded))


class FundingDesk:
    """Signs funding indices with this publisher's oracle keys."""

    def __init__(self, *, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
        self._oracle = oracle
        self._domain = Domain(chain_id, oracle)
        # The contract wants signatures in ascending order of signer.
        self._keys = sorted(keys, key=lambda key: address_of(key).lower())

    def job(self, funding: Funding) -> Job:
        """The job that posts this index."""
        digest = funding_digest(self._domain, funding)
        signatures = [sign_digest(digest, key) for key in self._keys]
        return Job(
            key=f"{JobKind.FUNDING}:{funding.instrument_id}:{funding.ordinal}",
            kind=JobKind.FUNDING,
            number=funding.index,
            last_seq=0,
            batch_hash=b"",
            time_s=funding.time,
            to=self._oracle,
            data=encode_call("postFunding", (_STRUCT, "bytes[]"), (_words(funding), signatures)),
        )


def funding_of(job: Job) -> Funding:
    """The funding index that a job posts."""
    _, instrument_id, ordinal = job.key.split(":")
    return Funding(
        instrument_id=int(instrument_id), ordinal=int(ordinal), time=job.time_s, index=job.number
    )


def _words(funding: Funding) -> tuple[int, int, int, int]:
    return funding.instrument_id, funding.ordinal, funding.time, funding.index
