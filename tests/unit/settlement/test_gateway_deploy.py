"""Where a contract will be, before it is there; the rest runs on two Anvils."""

import pytest

from exchange.settlement.gateway_deploy import created_address

SENDER = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
KNOWN = [
    (0, "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"),
    (1, "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"),
    (2, "0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91"),
    (3, "0xfffd933a0bc612844eaf0c6fe3e5b8e9b6c1d19c"),
]


@pytest.mark.parametrize(("nonce", "address"), KNOWN)
def test_known_addresses(nonce: int, address: str) -> None:
    """As the yellow paper's RLP gives them; zero is the empty string there."""
    assert created_address(SENDER, nonce).lower() == address


def test_long_nonces_are_prefixed_by_their_length() -> None:
    """From 128 on; all differ."""
    found = {created_address(SENDER, nonce) for nonce in (127, 128, 255, 256, 70_000)}
    assert len(found) == 5
