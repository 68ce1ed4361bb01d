"""The demo's accident: exchange and relayer are killed in mid-flow and lose nothing."""

import asyncio
import itertools
from typing import Final

import msgspec

from exchange.demo.market import TAKE_AMOUNT
from exchange.demo.report import CheckFailed, Report, require
from exchange.demo.world import Person, World
from exchange.events import OrderPlaced, Traded
from exchange.sdk import ApiError, ConnectionLost
from exchange.sdk.types import Receipt

KILL_AFTER: Final = 60  # acknowledged orders
_FLOW_TIMEOUT_S: Final = 30.0
_ORDER_NOT_FOUND: Final = 10004


class Flow(msgspec.Struct):
    """What people sent and what they were told."""

    receipts: list[Receipt] = []
    in_doubt: list[tuple[Person, int]] = []  # sent, never answered: (who, nonce)
    refused: int = 0  # by name, such as a margin that ran out
    enough: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def note(self, receipt: Receipt) -> None:
        """Keep a receipt; enough of them let the accident happen."""
        self.receipts.append(receipt)
        if len(self.receipts) >= KILL_AFTER:
            self.enough.set()


async def crash(world: World, report: Report) -> None:
    """Kill exchange and relayer while orders flow, restart, compare with the receipts."""
    flow = Flow()
    people = [*world.makers, *world.takers]
    senders = [
        asyncio.create_task(_send(world, person, flow, offset))
        for offset, person in enumerate(people)
    ]
    async with asyncio.timeout(_FLOW_TIMEOUT_S):
        await flow.enough.wait()
    for name in ("engine", "relayer"):
        world.stack.children[name].kill()
    async with asyncio.timeout(_FLOW_TIMEOUT_S):
        await asyncio.gather(*senders)
    before = world.reader().head()
    pending = _unsettled_trades(world)
    require(pending, "nothing was in flight when the processes died")
    world.stack.start("engine")
    world.stack.start("relayer")
    report.add("crash", "kill -9 of exchange and relayer in mid-flow, restarted", "resumed")
    report.add("crash", "trades acknowledged and not yet on chain at that moment", pending)
    _check_receipts(world, flow, before)
    trades = sum(len(receipt.trades) for receipt in flow.receipts)
    report.add("crash", f"acknowledged orders ({trades} trades) in the journal", len(flow.receipts))
    found = await _resolve(flow)
    report.add(
        "crash", "orders in doubt answered by their nonce", f"{found} of {len(flow.in_doubt)}"
    )
    reconciled = await world.settled()
    numbers = [batch.number for batch in world.stack.chain.all_settled()]
    require(numbers == list(range(1, len(numbers) + 1)), f"batches on chain: {numbers}")
    require(reconciled.batch == len(numbers), "a batch is missing")
    report.add("crash", "batches settled exactly once, chain = engine", len(numbers))


async def _send(world: World, person: Person, flow: Flow, offset: int) -> None:
    """Makers rest quotes, takers hit them, until the connection breaks."""
    making = person in world.makers
    for number in itertools.count(offset):
        name = world.quoted[number * 7 % len(world.quoted)]
        nonce = person.api.nonces.allocate()
        try:
            book = await person.api.order_book(name)
            levels = book.asks if number % 2 else book.bids
            if not levels:
                continue
            takes_ask = levels is book.asks
            direction = "buy" if takes_ask != making else "sell"
            options = {"post_only": True} if making else {"time_in_force": "immediate_or_cancel"}
            receipt = await person.api.place(
                direction,  # type: ignore[arg-type]  # one of two literals
                name,
                TAKE_AMOUNT,
                levels[0][0],
                nonce=nonce,
                **options,
            )
        except ConnectionLost:
            flow.in_doubt.append((person, nonce))
            return
        except ApiError as error:
            if not error.reject_reason:
                raise
            flow.refused += 1
            continue
        flow.note(receipt)


def _unsettled_trades(world: World) -> int:
    """Trades in the journal that no settled batch holds."""
    settled_seq = world.stack.chain.last_batch().last_seq
    return sum(isinstance(e, Traded) for entry in world.entries(settled_seq) for e in entry.events)


def _check_receipts(world: World, flow: Flow, head: tuple[int, bytes]) -> None:
    """Every receipt names a seq; the journal holds just that order there, under that hash."""
    entries = {entry.seq: entry for entry in world.entries()}
    require(head[0] in entries, "the journal lost its end")
    require(entries[head[0]].chain_hash == head[1], "the journal was rewritten")
    for receipt in flow.receipts:
        entry = entries.get(receipt.seq)
        if entry is None:
            raise CheckFailed(f"acknowledged seq {receipt.seq} is not in the journal")
        hashed = receipt.journal_hash.removeprefix("0x")
        require(entry.chain_hash.hex() == hashed, f"seq {receipt.seq} has another hash")
        placed = {str(e.order_id) for e in entry.events if isinstance(e, OrderPlaced)}
        require(placed == {receipt.order.order_id}, f"seq {receipt.seq} holds another order")
        traded = sum(isinstance(e, Traded) for e in entry.events)
        require(traded == len(receipt.trades), f"seq {receipt.seq} has {traded} trades")


async def _resolve(flow: Flow) -> int:
    """How many of the unanswered orders have a final state; the others never arrived."""
    found = 0
    for person, nonce in flow.in_doubt:
        try:
            await person.api.order_by_nonce(nonce)
            found += 1
        except ApiError as error:
            require(error.code == _ORDER_NOT_FOUND, f"nonce {nonce}: {error}")
    return found
