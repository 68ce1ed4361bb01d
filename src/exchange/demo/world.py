"""The demo's stage: a local stack, its people, and the questions that steps ask of both."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx

from exchange.audit import Replay
from exchange.bootstrap import dev_keys
from exchange.bootstrap.dev import Stack, all_confirmed
from exchange.bootstrap.dev_keys import Party
from exchange.bootstrap.market_feed import recorded_chain
from exchange.demo.report import CheckFailed, require
from exchange.engine import Engine
from exchange.events import AnyEvent
from exchange.fixed import CASH_SCALE
from exchange.journal import Entry, JournalReader
from exchange.oracle.chain_data import RecordedChain
from exchange.sdk import AsyncClient
from exchange.settlement.reconcile import Reconciliation, reconcile
from exchange.settlement.wallet import OwnerWallet

MAKERS: Final = 2
TAKERS: Final = 2
MAKER_CASH: Final = 500_000_000 * CASH_SCALE
TAKER_CASH: Final = 1_000_000 * CASH_SCALE
PAUPER_CASH: Final = 50 * CASH_SCALE
WAIT_S: Final = 30.0
_POLL_S: Final = 0.05


class Person:
    """Somebody with a key, a subaccount on chain, and a client."""

    def __init__(self, world: "World", party: Party, cash: int) -> None:
        self.party = party
        self.cash = cash
        self.wallet = OwnerWallet(world.stack.chain, party.key)
        self.subaccount_id = 0
        self.client: AsyncClient | None = None

    def deposit(self) -> None:
        """Open a subaccount and fund it, on chain."""
        self.subaccount_id = self.wallet.open_subaccount()
        self.wallet.fund(self.subaccount_id, self.cash)

    @property
    def api(self) -> AsyncClient:
        """The connected client."""
        assert self.client is not None
        return self.client


class World:
    """Everything that steps share."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.makers = [Person(self, dev_keys.maker(n), MAKER_CASH) for n in range(MAKERS)]
        self.takers = [Person(self, dev_keys.taker(n), TAKER_CASH) for n in range(TAKERS)]
        self.pauper = Person(self, dev_keys.person(0), PAUPER_CASH)
        self.quoted: list[str] = []  # instruments with two-sided quotes

    @property
    def people(self) -> list[Person]:
        """Everybody."""
        return [*self.makers, *self.takers, self.pauper]

    @property
    def recorded(self) -> RecordedChain | None:
        """The recorded chain that seeds this venue, shifted as the engine shifted it."""
        return recorded_chain(self.stack.settings.seed_chain, self.reader().entry(1).time_ns)

    async def connect(self) -> None:
        """Makers speak WebSocket, takers REST."""
        for person in self.people:
            transport = "websocket" if person in self.makers else "http"
            person.client = AsyncClient(
                self.stack.url,
                person.party.key,
                subaccount_id=person.subaccount_id,
                transport=transport,  # type: ignore[arg-type]  # one of two literals
            )
            await person.client.start()

    async def disconnect(self) -> None:
        """Close every client."""
        for person in self.people:
            if person.client is not None:
                await person.client.stop()

    async def eventually(self, check: Callable[[], Awaitable[Any]], what: str) -> Any:
        """The first true answer of `check`; fails after `WAIT_S`."""
        deadline = time.monotonic() + WAIT_S
        while True:
            self.stack.require_alive()
            answer = await check()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise CheckFailed(f"{what} did not happen within {WAIT_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def admin(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call to the admin listener: GET without a body, POST with one."""
        headers = {"Authorization": f"Bearer {self.stack.settings.token()}"}
        async with httpx.AsyncClient(base_url=self.stack.admin_url, headers=headers) as client:
            if body is None:
                reply = await client.get(path, timeout=WAIT_S)
            else:
                reply = await client.post(path, json=body, timeout=WAIT_S)
        require(reply.status_code == httpx.codes.OK, f"{path}: {reply.status_code} {reply.text}")
        document: dict[str, Any] = reply.json()
        return document

    async def journaled(self, kind: type[AnyEvent], count: int, after_seq: int) -> list[Any]:
        """At least `count` events of a kind after a seq, waited for."""

        async def found() -> list[Any]:
            events = [
                event
                for entry in self.entries(after_seq)
                for event in entry.events
                if isinstance(event, kind)
            ]
            return events if len(events) >= count else []

        events: list[Any] = await self.eventually(found, f"{count} x {kind.__name__}")
        return events

    async def now_s(self) -> int:
        """The venue's clock, UTC second."""
        milliseconds: int = await self.takers[0].api.call("public/get_time")
        return milliseconds // 1000

    async def advance(self, seconds: int) -> None:
        """Move the clocks of engine and chain; the oracle samples before this returns."""
        await self.admin("/admin/advance_clock", {"seconds": seconds})

    # -- what the journal and the chain say --------------------------------------------------------

    def reader(self) -> JournalReader:
        """The journal, read only."""
        return JournalReader(self.stack.settings.journal_location)

    def entries(self, after_seq: int = 0) -> list[Entry]:
        """Everything journaled after a seq."""
        return list(self.reader().entries(after_seq))

    def replayed(self) -> Engine:
        """An engine rebuilt from the journal alone."""
        run = Replay(self.reader())
        run.run()
        return run.engine

    async def settled(self) -> Reconciliation:
        """Wait until every batch is confirmed, then compare journal and chain."""

        async def quiet() -> bool:
            return all_confirmed(await self.admin("/admin/status"))

        await self.eventually(quiet, "settlement of every batch")
        reconciled = await asyncio.to_thread(reconcile, self.reader(), self.stack.chain)
        for difference in reconciled.differences:
            raise CheckFailed(f"journal and chain differ: {difference}")
        return reconciled
