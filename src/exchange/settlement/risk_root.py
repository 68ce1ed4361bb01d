"""Risk roots as the Oracle contract wants them: signed by M of N keys. Pure.

The EIP-712 twin of `RiskRoot` in `contracts/src/Oracle.sol`.
"""

from collections.abc import Sequence
from typing import Final

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.settlement.batch import encode_call
from exchange.signing import Domain, address_of, sign_digest

_TYPEHASH: Final = keccak(b"RiskRoot(uint64 epoch,uint64 time,bytes32 root,uint64 deadline)")
_STRUCT: Final = "(uint64,uint64,bytes32,uint64)"
_POSTABLE_FOR_S: Final = 600  # after that a newer epoch is worth more


class RiskDesk:
    """Signs risk roots with this publisher's oracle keys."""

    def __init__(self, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
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
