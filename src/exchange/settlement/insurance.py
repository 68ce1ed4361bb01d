"""Shares of the insurance fund: who puts dollars into it, and the rounds in which they leave.

The contract is InsuranceVault.sol, which owns the fund's subaccount. Dollars come in at once; who
wants them back asks, waits for the notice, and is paid with everybody of the same round: `step`
takes whatever step is due, for whoever pays the gas.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec
from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import Configure
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain, Node, Receipt
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.margin_proof import set_parameters_calldata
from exchange.signing import address_of

SHARES_SCALE: Final = 10**12  # six decimals more than the dollar's
_REQUESTED: Final = "0x" + keccak(b"RedeemRequest(address,address,uint256,address,uint256)").hex()
_ROUND_TOPIC: Final = 3
_LOG_SPAN: Final = 2_000  # blocks that every node answers for in one query


class Closed(IntEnum):
    """Why nothing can be priced now; `Closed` of IInsuranceVault.sol."""

    NOT = 0
    POSITIONS = 1
    DEBT = 2
    PRICE = 3
    ESCAPED = 4


class FundStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The fund, and what one wallet has of it; cash in micro-USDC, shares in 1e-12."""

    closed: Closed
    assets: int
    supply: int
    deposit_max: int
    shares: int
    worth: int  # of the shares, at the price of now
    asked: int  # shares in a round that is not paid
    matures_at: int  # UTC second at which that round may be paid; 0: none
    claimable: int  # cash of a paid one


class InsuranceFund:
    """The fund's contract, for one wallet."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        if not chain.deployment.insurance:
            raise ChainError("the insurance fund of this venue is its own and takes no deposits")
        self.chain = chain
        self.address = address_of(key)
        self._contract = chain.deployment.insurance
        self._key = key

    def status(self) -> FundStatus:
        """As of the newest block."""
        shares = self._number("balanceOf", ("address",), self.address)
        number, asked = self._read("requestOf", "uint256,uint256", ("address",), self.address)
        claimable = self._number("maxWithdraw", ("address",), self.address)
        waits = asked and not self._number("maxRedeem", ("address",), self.address)
        return FundStatus(
            closed=Closed(self._number("closed")),
            assets=self._number("totalAssets"),
            supply=self._number("totalSupply"),
            deposit_max=self._number("maxDeposit", ("address",), self.address),
            shares=shares,
            worth=self._number("convertToAssets", ("uint256",), shares),
            asked=asked if waits else 0,
            matures_at=self._number("maturesAt", ("uint256",), number) if waits else 0,
            claimable=claimable,
        )

    # ---- the wallet's own

    def deposit(self, amount: int) -> None:
        """Approve and put dollars in, at the price of now."""
        arguments = (self._contract, amount)
        approval = encode_call("approve", ("address", "uint256"), arguments)
        self.chain.transact(self._key, self.chain.deployment.usdc, approval)
        self._send("deposit", ("uint256", "address"), amount, self.address)

    def request(self, shares: int) -> None:
        """Ask for the worth of shares; it cannot be taken back."""
        words = (shares, self.address, self.address)
        self._send("requestRedeem", ("uint256", "address", "address"), *words)

    def claim(self) -> int:
        """Take what a paid round owes; how much."""
        amount = self._number("maxWithdraw", ("address",), self.address)
        shares = self._number("maxRedeem", ("address",), self.address)
        if shares:
            words = (shares, self.address, self.address)
            self._send("redeem", ("uint256", "address", "address"), *words)
        return amount

    # ---- anybody

    def step(self) -> str:
        """Draw or pay what is due; what was done, or nothing."""
        drawn, _, _ = self._read("drawn", "uint256,uint256,uint256")
        if drawn:
            return self._try("pay", drawn)
        now_s = self.chain.block_time()
        for number in self._rounds():
            (shares, _, paid), matures_at = self._round(number)
            if shares and not paid and matures_at <= now_s:
                done = self._try("draw", number)
                if done:
                    return done
        return ""

    # ---- inside

    def _rounds(self) -> list[int]:
        """Rounds that were ever asked for, the oldest first."""
        found: set[int] = set()
        for first in range(self.chain.deployment.block, self.chain.head() + 1, _LOG_SPAN):
            logs = self.chain.logs(self._contract, _REQUESTED, first, first + _LOG_SPAN - 1)
            found |= {int.from_bytes(log["topics"][_ROUND_TOPIC], "big") for log in logs}
        return sorted(found)

    def _round(self, number: int) -> tuple[tuple[int, int, bool], int]:
        [words] = self._read("roundOf", "(uint256,uint256,bool)", ("uint256",), number)
        return words, self._number("maturesAt", ("uint256",), number)

    def _try(self, function: str, number: int) -> str:
        data = encode_call(function, ("uint256",), (number,))
        if self.chain.refusal(self.address, self._contract, data) is not None:
            return ""
        try:
            self.chain.transact(self._key, self._contract, data)
        except Reverted:  # somebody else was first
            return ""
        return f"{function} {number}"

    def _send(self, function: str, types: tuple[str, ...], *arguments: object) -> Receipt:
        data = encode_call(function, types, arguments)
        return self.chain.transact(self._key, self._contract, data)

    def _number(self, function: str, types: tuple[str, ...] = (), *arguments: object) -> int:
        [number] = self._read(function, "uint256", types, *arguments)
        return int(number)

    def _read(
        self, function: str, answer: str, types: tuple[str, ...] = (), *arguments: object
    ) -> tuple[Any, ...]:
        return read(self.chain, self._contract, encode_call(function, types, arguments), answer)


def read(node: Node, contract: str, data: bytes, answer: str) -> tuple[Any, ...]:
    """Result of a view of a contract that the deployment may not have."""
    request = {"to": contract, "data": "0x" + data.hex()}
    words = bytes.fromhex(str(node.rpc("eth_call", request, "latest"))[2:])
    return decode([answer] if answer.startswith("(") else answer.split(","), words)


def fund_subaccount(node: Node, contract: str) -> int:
    """The subaccount that the fund's contract opened for itself."""
    [number] = read(node, contract, encode_call("SUBACCOUNT", (), ()), "uint64")
    return int(number)


def watch_tokens(chain: Chain, key: bytes, venue: Configure) -> None:
    """Tell the fund's contract which tokens are collateral: Margin's parameters say it."""
    parameters = set_parameters_calldata(venue.margin, venue.collaterals)[4:]
    data = encode_call("watch", ("bytes",), (parameters,))
    chain.transact(key, chain.deployment.insurance, data)
