"""The words of `exchange escape`; what it does is in tests/integration/test_escape.py."""

from typing import Any

import msgspec
import pytest
from tests.unit.settlement.test_escape import STATE

from exchange.bootstrap import escape_command
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.settlement.escape import OpenRequest

WETH = "0x" + "ee" * 20


class Deployment:
    usdc = "0x" + "66" * 20
    tokens = {"WETH": WETH}  # noqa: RUF012  a fake's constant


class FakeWay:
    """Answers as a way out does, and keeps what it was told."""

    address = "0xA"

    def __init__(self) -> None:
        self.chain = type("Chain", (), {"deployment": Deployment})
        self.asked: list[tuple[object, ...]] = []
        self.open: OpenRequest | None = None
        self.now = msgspec.structs.replace(STATE, started_at=0)
        self.paid: dict[str, int] = {}

    def state(self) -> Any:
        return self.now

    def subaccounts(self) -> list[int]:
        return [2]

    def open_request(self, subaccount_id: int) -> OpenRequest | None:
        return self.open

    def request(self, *words: object) -> None:
        self.asked.append(words)

    def value_all(self) -> list[str]:
        return ["valued 1 to 5 of 5 accounts"]

    def claim(self, subaccount_id: int, recipient: str | None) -> dict[str, int]:
        return self.paid


@pytest.fixture
def way() -> Any:
    return FakeWay()


def test_the_status_tells_of_requests_and_of_the_end(way: Any, capsys: Any) -> None:
    """Nothing asked; asked; ended; valued."""
    escape_command.show_status(way)
    assert "no open request" in capsys.readouterr().out
    way.open = OpenRequest(ordinal=1, token=WETH, amount=150_000_000, recipient="0xA", escapes_at=9)
    way.now = STATE
    escape_command.show_status(way)
    text = capsys.readouterr().out
    assert "1.5 WETH asked for" in text
    assert "0 of 5 accounts are valued" in text
    way.now = msgspec.structs.replace(STATE, next=6)
    escape_command.show_status(way)
    assert "claim" in capsys.readouterr().out


def test_amounts_are_in_the_tokens_own_decimals(way: Any) -> None:
    """Six of USDC, eight of others; what is no amount is refused."""
    escape_command.request(way, 2, "1.5", "USDC", "")
    escape_command.request(way, 2, "1.5", "WETH", "0xB")
    assert way.asked == [
        (2, Deployment.usdc, 1_500_000, None),
        (2, WETH, 150_000_000, "0xB"),
    ]
    for amount, coin in (("0", "USDC"), ("x", "USDC"), ("0.0000001", "USDC"), ("1", "DOGE")):
        with pytest.raises(StartFailed):
            escape_command.request(way, 2, amount, coin, "")


def test_claims_are_told_by_token(way: Any, capsys: Any) -> None:
    """Or that there is nothing."""
    escape_command.claim(way, 2, "")
    assert capsys.readouterr().out == "nothing to claim\n"
    way.paid = {Deployment.usdc: 2_000_000, WETH: 1, "0xother": 5}
    escape_command.claim(way, 2, "")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["claimed 2 USDC", "claimed 0.00000001 WETH", "claimed 0.00000005 0xother"]
    escape_command.value_all(way)
    assert capsys.readouterr().out.endswith("all accounts are valued: claim\n")


def test_a_wallet_needs_a_key() -> None:
    """Before anything else is looked for."""
    for key in ("", "0x12", "hello"):
        with pytest.raises(StartFailed, match="EXCHANGE_WALLET_KEY"):
            escape_command.open_way(Settings(wallet_key=key))
