"""secp256k1: public keys, signatures, and the keys that signed.

By coincurve where it is installed (the extra `fast`, which an exchange needs); else by eth_keys in
plain Python, which comes with eth-account and is a hundred times slower: enough for a client. Both
give the same bytes. Knows no hash, no address and no message.
"""

from typing import Final

try:
    import coincurve

    FAST = True
except ImportError:
    from eth_keys.backends.native.main import NativeECCBackend
    from eth_keys.main import KeyAPI

    FAST = False
    _keys: Final = KeyAPI(NativeECCBackend())

_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def public_key(private_key: bytes) -> bytes:
    """The 64 bytes x, y of a 32-byte private key."""
    _check_private(private_key)
    if FAST:
        return coincurve.PrivateKey(private_key).public_key.format(compressed=False)[1:]
    return _keys.PrivateKey(private_key).public_key.to_bytes()


def sign(digest: bytes, private_key: bytes) -> bytes:
    """The 65 bytes r, s and parity (0 or 1) of a signature with low s (RFC 6979)."""
    _check_private(private_key)
    if FAST:
        return coincurve.PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return _keys.ecdsa_sign(digest, _keys.PrivateKey(private_key)).to_bytes()


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The public key that made a signature; None where its point does not exist."""
    try:
        if FAST:
            key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
            return key.format(compressed=False)[1:]
        return _keys.ecdsa_recover(digest, _keys.Signature(signature)).to_bytes()
    except Exception:  # noqa: BLE001  neither has a narrower class for a point off the curve
        return None


def _check_private(private_key: bytes) -> None:
    if len(private_key) != 32 or not 0 < int.from_bytes(private_key, "big") < _ORDER:
        raise ValueError("a private key is a number of 32 bytes, above zero and below the order")
