"""`exchange fund`: deposits into the insurance fund, and how they leave again.

The key comes from EXCHANGE_WALLET_KEY, the contracts from deployment.json; `settle` is for anybody,
and an operator lets it run.
"""

import sys
import time
from typing import Final

from exchange.bootstrap.escape_command import open_way
from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.fixed import CASH_SCALE, format_decimal, parse_decimal
from exchange.settlement.insurance import SHARES_SCALE, Closed, InsuranceFund

_PAUSE_S: Final = 5.0
_WHY: Final = {
    Closed.POSITIONS: "it holds positions that it took over",
    Closed.DEBT: "its cash is below zero",
    Closed.PRICE: "it holds a token whose index is too old",
    Closed.ESCAPED: "the venue has ended",
}


def open_fund(settings: Settings) -> InsuranceFund:
    """The fund of the deployment's chain for the wallet of the settings."""
    way = open_way(settings)
    return InsuranceFund(way.chain, key_from_hex(settings.wallet_key, "EXCHANGE_WALLET_KEY"))


def show_status(fund: InsuranceFund) -> None:
    """What is there, and what of it is this wallet's."""
    now = fund.status()
    _say(f"fund: {_usdc(now.assets)} USDC, takes {_usdc(now.deposit_max)} from this wallet now")
    if now.closed in _WHY:
        _say(f"closed: {_WHY[now.closed]}")
    shares = format_decimal(now.shares, SHARES_SCALE)
    _say(f"wallet {fund.address}: {shares} shares, worth {_usdc(now.worth)} USDC now")
    if now.asked:
        asked = format_decimal(now.asked, SHARES_SCALE)
        _say(f"{asked} shares asked back, paid from {now.matures_at} on (UTC seconds)")
    if now.claimable:
        _say(f"{_usdc(now.claimable)} USDC to claim")


def deposit(fund: InsuranceFund, amount: str) -> None:
    """Put dollars in."""
    units = parse_decimal(amount, CASH_SCALE)
    if not units or units < 0:
        raise StartFailed(f"{amount!r} is no amount of USDC")
    fund.deposit(units)
    _say(f"deposited {amount} USDC")


def request(fund: InsuranceFund, shares: str) -> None:
    """Ask for the worth of shares, or of all."""
    held = fund.status().shares
    units = held if shares == "all" else parse_decimal(shares, SHARES_SCALE)
    if not units or not 0 < units <= held:
        raise StartFailed(f"{shares!r} is no number of shares that the wallet has")
    fund.request(units)
    _say(f"asked for {format_decimal(units, SHARES_SCALE)} shares")


def claim(fund: InsuranceFund) -> None:
    """Take what a paid round owes."""
    paid = fund.claim()
    _say(f"claimed {_usdc(paid)} USDC" if paid else "nothing to claim")


def settle(fund: InsuranceFund, *, watch: bool) -> None:
    """Draw and pay what is due, once or for ever."""
    while True:
        done = fund.step()
        if done:
            _say(done)
        elif not watch:
            return
        else:
            time.sleep(_PAUSE_S)


def _usdc(amount: int) -> str:
    return format_decimal(amount, CASH_SCALE)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
