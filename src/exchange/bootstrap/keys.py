"""Private keys as settings give them."""

from exchange.bootstrap.processes import StartFailed


def key_from_hex(text: str) -> bytes:
    """A private key from hex; `StartFailed` for anything else, without showing it."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise StartFailed("a private key in the settings is not 32 bytes of hex")
    return key
