"""How this publisher signs what it posts to the Oracle contract: EIP-712, by M of N keys. Pure."""

from collections.abc import Iterable, Sequence

from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.signing import Domain, address_of, sign_digest, typed_digest


class Desk:
    """The keys, and the contract that takes their word; each kind of post has its own desk."""

    def __init__(self, chain_id: int, oracle: str, keys: Sequence[bytes]) -> None:
        self._oracle = oracle
        self._domain = Domain(chain_id, oracle)
        # The contract wants signatures in ascending order of signer.
        self._keys = sorted(keys, key=lambda key: address_of(key).lower())

    def _signatures(self, digest: bytes) -> list[bytes]:
        return [sign_digest(digest, key) for key in self._keys]


def post_digest(domain: Domain, typehash: bytes, words: Iterable[int | bytes]) -> bytes:
    """The 32 bytes that oracle keys sign for a struct of `words`; each bytes is a bytes32."""
    encoded = b"".join(
        word if isinstance(word, bytes) else word.to_bytes(32, "big", signed=word < 0)
        for word in words
    )
    return typed_digest(domain, keccak(typehash + encoded))
