"""Private keys as settings give them."""

from exchange.bootstrap.processes import StartFailed


def key_from_hex(text: str, variable: str = "") -> bytes:
    """A private key from hex; `StartFailed` that names the variable, without showing it."""
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise StartFailed(f"{variable or 'a private key'} must hold 32 bytes of hex, a private key")
    return key
