"""Keys in settings are 32 bytes of hex, and never shown."""

import pytest

from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed


def test_a_key_is_32_bytes_of_hex() -> None:
    """With or without the prefix, and with blanks around it."""
    for text in ("11" * 32, "0x" + "11" * 32, f" {'11' * 32}\n"):
        assert key_from_hex(text, "EXCHANGE_KEY") == b"\x11" * 32


@pytest.mark.parametrize("text", ["", "11" * 31, "secret", "0x" + "zz" * 32, "00" * 32, "ff" * 32])
def test_anything_else_is_refused_without_being_shown(text: str) -> None:
    """A half-pasted key is a secret too."""
    with pytest.raises(StartFailed, match="EXCHANGE_KEY must hold") as refusal:
        key_from_hex(text, "EXCHANGE_KEY")
    assert not text or text not in str(refusal.value)
