"""What every desk shares: the order of its signatures, and the digest of a struct of any words."""

import pytest
from eth_hash.backends.pysha3 import keccak256 as keccak
from tests.settlement_world import ORACLE_KEYS
from tests.unit.settlement.test_delivery import ORACLE, typed_digest

from exchange.settlement.desk import Desk, post_digest
from exchange.signing import Domain, address_of, recover_signer

DIGEST = keccak(b"what is posted")


class Plain(Desk):
    """Signs any digest."""

    def sign(self, digest: bytes) -> list[bytes]:
        """By each key."""
        return self._signatures(digest)


@pytest.mark.parametrize("keys", [ORACLE_KEYS, ORACLE_KEYS[::-1]])
def test_signers_ascend(keys: list[bytes]) -> None:
    """However the keys were given: the contract counts a signer once by asking for this order."""
    signatures = Plain(31_337, ORACLE, keys).sign(DIGEST)
    signers = sorted((address_of(key) for key in keys), key=str.lower)
    assert [recover_signer(DIGEST, each) for each in signatures] == signers


@pytest.mark.parametrize("index", [-5, 0, 2**63 - 1])
def test_the_digest_is_that_of_the_typed_message(index: int) -> None:
    """Of unsigned, signed and 32-byte words, as any wallet makes it."""
    root = keccak(b"root")
    fields = "uint64 count,int64 index,bytes32 root"
    wanted = typed_digest("Word", fields, {"count": 7, "index": index, "root": root})
    typehash = keccak(f"Word({fields})".encode())
    assert post_digest(Domain(31_337, ORACLE), typehash, (7, index, root)) == wanted
