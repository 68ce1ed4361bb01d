"""The words of `exchange fund`; what it does is in tests/integration/test_insurance.py."""

from typing import Any

import msgspec
import pytest

from exchange.bootstrap import fund_command
from exchange.bootstrap.processes import StartFailed
from exchange.settlement.insurance import Closed, FundStatus

STATUS = FundStatus(
    closed=Closed.NOT,
    assets=1_500_000,
    supply=10**12,
    deposit_max=2_000_000,
    shares=5 * 10**11,
    worth=750_000,
    asked=0,
    matures_at=0,
    claimable=0,
)


class FakeFund:
    """Answers as a fund does, and keeps what it was told."""

    address = "0xA"

    def __init__(self) -> None:
        self.now = STATUS
        self.told: list[int] = []
        self.steps = ["draw 7", "pay 7", ""]

    def status(self) -> FundStatus:
        return self.now

    def deposit(self, amount: int) -> None:
        self.told.append(amount)

    def request(self, shares: int) -> None:
        self.told.append(shares)

    def claim(self) -> int:
        return self.now.claimable

    def step(self) -> str:
        return self.steps.pop(0)


@pytest.fixture
def fund() -> Any:
    return FakeFund()


def test_the_status_is_in_dollars_and_shares(fund: Any, capsys: Any) -> None:
    """Open; closed, with why; asked back; claimable."""
    fund_command.show_status(fund)
    assert capsys.readouterr().out.splitlines() == [
        "fund: 1.5 USDC, takes 2 from this wallet now",
        "wallet 0xA: 0.5 shares, worth 0.75 USDC now",
    ]
    for why in set(Closed) - {Closed.NOT}:
        fund.now = msgspec.structs.replace(STATUS, closed=why)
        fund_command.show_status(fund)
        assert "closed: " in capsys.readouterr().out
    fund.now = msgspec.structs.replace(STATUS, asked=10**11, matures_at=99, claimable=7)
    fund_command.show_status(fund)
    text = capsys.readouterr().out
    assert "0.1 shares asked back, paid from 99 on" in text
    assert "0.000007 USDC to claim" in text


def test_amounts_are_exact_or_refused(fund: Any) -> None:
    """Dollars have six decimals, shares twelve, and no more are asked for than are held."""
    fund_command.deposit(fund, "1.5")
    fund_command.request(fund, "0.25")
    fund_command.request(fund, "all")
    assert fund.told == [1_500_000, 25 * 10**10, 5 * 10**11]
    for amount in ("0", "x", "0.0000001"):
        with pytest.raises(StartFailed):
            fund_command.deposit(fund, amount)
    for shares in ("0", "x", "0.6"):
        with pytest.raises(StartFailed):
            fund_command.request(fund, shares)


def test_steps_and_claims_are_told(fund: Any, capsys: Any) -> None:
    """Until nothing is due."""
    fund_command.settle(fund, watch=False)
    fund_command.claim(fund)
    fund.now = msgspec.structs.replace(STATUS, claimable=2_000_000)
    fund_command.claim(fund)
    assert capsys.readouterr().out.splitlines() == [
        "draw 7",
        "pay 7",
        "nothing to claim",
        "claimed 2 USDC",
    ]
