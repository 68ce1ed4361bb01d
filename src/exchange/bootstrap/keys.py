"""Private keys as settings give them."""

from exchange.bootstrap.processes import StartFailed
from exchange.signing import address_of


def key_from_hex(text: str, variable: str) -> bytes:
    """A private key from hex; `StartFailed` that names the variable, without showing it."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
        if len(key) != 32:
            raise ValueError("too short or too long")
        address_of(key)  # not every number is a key
    except ValueError:
        raise StartFailed(f"{variable} must hold 32 bytes of hex, a private key") from None
    return key
