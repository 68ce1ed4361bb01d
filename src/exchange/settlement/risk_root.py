"""Risk roots as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `RiskRoot` in `contracts/src/Oracle.sol`. Not each epoch goes on chain: one in
`HEARTBEAT_S`, so that there is always a root younger than `Margin` demands.
"""

from collections.abc import Sequence
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.journal.outbox import Job, JobKind
from exchange.settlement.batch import encode_call
from exchange.signing import Domain, address_of, sign_digest

_TYPEHASH: Final = keccak(b"RiskRoot(uint64 epoch,uint64 time,bytes32 root,uint64 deadline)")
_STRUCT: Final = "(uint64,uint64,bytes32,uint64)"
_POSTABLE_FOR_S: Final = 600  # after that a newer epoch is worth more
HEARTBEAT_S: Final = 300  # a third of the age that `Margin` accepts


class RiskDesk:
    """Signs risk roots with this publisher's oracle keys."""

    def __init__(self, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
        self._oracle = oracle
        self._domain = Domain(chain_id, oracle)
        # The contract wants signatures in ascending order of signer.
        self._keys = sorted(keys, key=lambda key: address_of(key).lower())

    def digest(self, epoch: int, time_s: int, root: bytes) -> bytes:
        """The 32 bytes that oracle keys sign."""
        numbers = [value.to_bytes(32, "big") for value in (epoch, time_s)]
        deadline = (time_s + _POSTABLE_FOR_S).to_bytes(32, "big")
        words = b"".join([*numbers, root, deadline])
        return keccak(b"\x19\x01" + self._domain.separator + keccak(_TYPEHASH + words))

    def calldata(self, epoch: int, time_s: int, root: bytes) -> bytes:
        """Calldata of `postRiskRoot`."""
        digest = self.digest(epoch, time_s, root)
        signatures = [sign_digest(digest, key) for key in self._keys]
        words = (epoch, time_s, root, time_s + _POSTABLE_FOR_S)
        return encode_call("postRiskRoot", (_STRUCT, "bytes[]"), (words, signatures))

    def job(self, epoch: int, time_s: int, root: bytes) -> Job:
        """The job that posts this root."""
        return Job(
            key=f"{JobKind.ROOT}:{epoch}",
            kind=JobKind.ROOT,
            number=epoch,
            last_seq=0,
            batch_hash=b"",
            time_s=time_s,
            to=self._oracle,
            data=self.calldata(epoch, time_s, root),
        )


def deadline_of(job: Job) -> int:
    """The last second in which the chain takes the job's root."""
    return job.time_s + _POSTABLE_FOR_S
