"""The loop of every keeper: look, choose what pays, do it, keep the books. Bounded in all ways.

A keeper says what it could do and what each thing would bring; the runner subtracts the gas, does
at most so many a round, spends at most its budget, and shows the profit as it goes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol, runtime_checkable

import msgspec
import structlog

from exchange.keepers.ethereum import CallRefused, Ethereum, NodeUnavailable, Paid
from exchange.sdk import ApiError, ConnectionLost, SdkError

WEI: Final = Decimal(10**18)

log = structlog.get_logger("keeper")


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that does it."""

    to: str
    data: bytes


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that could be done now; `reward` in USDC, gas not counted."""

    name: str
    work: Post | Callable[[], Awaitable[Decimal]]  # which returns what it brought
    reward: Decimal = Decimal(0)
    needed: bool = False  # done whether it pays or not


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds a run."""

    rounds: int = 0  # 0: until it is stopped
    interval_s: float = 2.0
    actions_max: int = 8  # in a round
    budget_wei: int = 10**17  # of gas, in all
    profit_min: Decimal = Decimal(0)  # USDC, gas counted
    dry_run: bool = False


class Books(msgspec.Struct, kw_only=True):
    """What a run did and what came of it."""

    rounds: int = 0
    seen: int = 0
    done: int = 0
    unprofitable: int = 0
    failed: int = 0
    gas_used: int = 0
    wei: int = 0
    reward: Decimal = Decimal(0)  # USDC
    gas_cost: Decimal = Decimal(0)  # USDC

    @property
    def profit(self) -> Decimal:
        """USDC, after gas."""
        return self.reward - self.gas_cost


class Keeper(Protocol):
    """Says what could be done."""

    @property
    def name(self) -> str:
        """For the log."""

    async def look(self) -> list[Action]:
        """What could be done now, the most urgent first."""


@runtime_checkable
class Finite(Protocol):
    """A keeper whose work has an end."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever be left to do."""


class Several:
    """Keepers that take turns as one."""

    def __init__(self, name: str, keepers: Sequence[Keeper]) -> None:
        self.name = name
        self._keepers = keepers

    async def look(self) -> list[Action]:
        """What each could do, in their order."""
        return [action for keeper in self._keepers for action in await keeper.look()]


class Runner:
    """Runs one keeper. `ether_price` asks for USDC an ether, for the books."""

    def __init__(
        self,
        keeper: Keeper,
        limits: Limits,
        chain: Ethereum | None,
        ether_price: Callable[[], Awaitable[Decimal]],
    ) -> None:
        self.books = Books()
        self._ether = Decimal(0)  # USDC, as it was told last
        self._keeper = keeper
        self._limits = limits
        self._chain = chain
        self._ether_price = ether_price

    async def run(self) -> Books:
        """Rounds until the limits end it; a venue or node that is away is waited for."""
        while True:
            try:
                await self._round()
            except (ConnectionLost, NodeUnavailable) as error:
                log.warning("waiting", keeper=self._keeper.name, why=str(error))
            self.books.rounds += 1
            if isinstance(self._keeper, Finite) and self._keeper.is_over:
                return self.books
            if self._limits.rounds and self.books.rounds >= self._limits.rounds:
                return self.books
            if 0 < self._limits.budget_wei <= self.books.wei:
                log.error("the budget is spent", keeper=self._keeper.name, wei=self.books.wei)
                return self.books
            await asyncio.sleep(self._limits.interval_s)

    async def _round(self) -> None:
        actions = await self._keeper.look()
        self.books.seen += len(actions)
        for action in actions[: self._limits.actions_max]:
            try:
                await self._weigh(action)
            except (ApiError, CallRefused) as refusal:  # others were faster, or it is not due
                self.books.failed += 1
                log.info("refused", action=action.name, why=str(refusal))

    async def _weigh(self, action: Action) -> None:
        """Do an action if it pays, and fits the budget."""
        cost, wei = Decimal(0), 0
        if isinstance(action.work, Post):
            wei = await self._node().price(action.work.to, action.work.data)
            cost = await self._in_usdc(wei, guess=action.needed)
        expected = action.reward - cost
        if self.books.wei + wei > self._limits.budget_wei:
            log.error("beyond the budget", action=action.name, wei=wei)
        elif not action.needed and expected < self._limits.profit_min:
            self.books.unprofitable += 1
            log.info("does not pay", action=action.name, expected=str(expected))
        elif self._limits.dry_run:
            log.info("would do", action=action.name, expected=str(expected), wei=wei)
        else:
            await self._do(action)

    async def _do(self, action: Action) -> None:
        if isinstance(action.work, Post):
            paid = await self._node().send(action.work.to, action.work.data)
            await self._pay(paid)
            if not paid.succeeded:
                raise CallRefused(f"{paid.tx_hash} was mined in vain")
            reward = action.reward
        else:
            reward = await action.work()
        self.books.done += 1
        self.books.reward += reward
        log.info("done", action=action.name, reward=str(reward), profit=str(self.books.profit))

    async def _pay(self, paid: Paid) -> None:
        self.books.gas_used += paid.gas_used
        self.books.wei += paid.wei
        self.books.gas_cost += await self._in_usdc(paid.wei, guess=True)

    async def _in_usdc(self, wei: int, *, guess: bool) -> Decimal:
        """What gas costs; where the venue is away by its last price, unless that would decide."""
        try:
            self._ether = await self._ether_price()
        except (ApiError, ConnectionLost) as error:
            if not guess:
                raise
            log.warning("no price of ether", used=str(self._ether), why=str(error))
        return wei / WEI * self._ether

    def _node(self) -> Ethereum:
        if self._chain is None or (not self._chain.address and not self._limits.dry_run):
            raise SdkError("this keeper sends transactions: it needs a node and a wallet's key")
        return self._chain
