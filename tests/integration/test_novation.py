"""Fills that the chain refuses, on a real Anvil: the venue takes the failing side."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.settlement_world import (
    DEPLOYER_KEY,
    FUNDS,
    NS,
    PRICE,
    RELAYER_KEY,
    TAKER_KEY,
    Trader,
    World,
)

from exchange.audit import BatchAudit, Difference
from exchange.commands import Novate
from exchange.events import FillNovated
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal.outbox import JobState, Outbox
from exchange.model import FEE_SUBACCOUNT_ID, Side
from exchange.settlement.errors import BatchRefused
from exchange.settlement.holdings import Held
from exchange.settlement.novation import novations_in
from exchange.settlement.novator import Novator
from exchange.settlement.reconcile import reconcile
from exchange.settlement.reconciler import Reconciler
from exchange.settlement.relayer import Relayer
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


class Exchange:
    """Journals novations with the events that the engine gives them."""

    def __init__(self, world: World) -> None:
        self.script = world.script
        self.commands: list[Novate] = []

    def novate(self, command: Novate) -> None:
        self.commands.append(command)
        events = [
            FillNovated(
                batch=command.batch,
                trade_id=fill.trade_id,
                maker=fill.maker,
                subaccount_id=fill.subaccount_id,
                house_subaccount_id=FEE_SUBACCOUNT_ID,
                instrument_id=fill.terms.instrument_id,
                quantity=fill.terms.side.sign * fill.terms.quantity,
                price=fill.terms.limit_price,
                fee=fill.fee,
            )
            for fill in command.fills
        ]
        self.script.add(command, *events)


def settle(world: World, outbox: str = "relayer.db") -> tuple[Exchange, Outbox]:
    """Run a relayer that may sign for the venue until nothing moves any more."""
    exchange = Exchange(world)
    feed, _, store = world.relayer(outbox=outbox)
    novator = Novator(feed, world.chain, exchange, key=DEPLOYER_KEY, sender=address_of(RELAYER_KEY))
    relayer = Relayer(feed, store, world.chain, world.options(), novator)
    for _ in range(20):
        before = len(exchange.commands)
        if not relayer.step() and len(exchange.commands) == before:
            break
    assert novator.novated == sum(len(command.fills) for command in exchange.commands)
    store.check()
    return exchange, store


def in_agreement(world: World, batch: int) -> None:
    """Chain and journal have the same figures, and an auditor builds the same batches."""
    world.watch()
    found = reconcile(world.reader, world.chain)
    assert (found.batch, found.differences) == (batch, ())
    reconciler = Reconciler(world.reader, world.chain, world.script)  # type: ignore[arg-type]
    while reconciler.step():
        pass
    assert reconciler.differences == {}
    audit = BatchAudit(novations_in(world.reader.entries()))
    for entry in world.reader.entries():
        audit(entry)
    assert audit.compare(world.chain.all_settled()) == batch


def test_a_raised_nonce_floor_makes_one_fill_of_a_batch_fail(world: World) -> None:
    """The maker is as if that trade had not been; taker, other fills and later batches stand."""
    script = world.script
    world.watch()
    script.maker.next_nonce = 10
    OwnerWallet(world.chain, script.maker.key).raise_nonce_floor(script.maker.subaccount_id, 10)
    delay = world.chain.call(world.chain.clearing, "CANCEL_DELAY")
    script.time_ns += (delay + 60) * NS
    world.chain.advance_time(script.time_ns // NS)
    script.list_call(days=2)
    script.trade(2)
    low = script.place(script.maker, Side.SELL, 5, nonce=3)
    refused = script.traded(low.seq, script.seq + 1, 5)
    script.place(script.taker, Side.BUY, 5, refused)
    script.trade(1)
    script.withdraw(script.taker, 7 * CASH_SCALE)
    script.cut()
    script.trade(4)
    script.cut()
    exchange, outbox = settle(world)
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED] * 2
    outbox.close()
    [command] = exchange.commands
    assert [(fill.trade_id, fill.maker) for fill in command.fills] == [(refused.trade_id, True)]
    in_agreement(world, 2)
    held = [world.chain.cash_and_positions(n, [script.instrument_id]) for n in (1, 2, 3)]
    positions = [positions.get(script.instrument_id) for _, positions in held]
    assert positions == [Held(n * QUANTITY_SCALE) for n in (-5, -7, 12)]
    assert held[1][0] == FUNDS + 7 * PRICE - 7 * CASH_SCALE


def test_an_unauthorised_key_fails_in_every_fill_of_its_order(world: World) -> None:
    """One order that took two makers at once: both its fills are the venue's, in one novation."""
    script = world.script
    world.watch()
    stranger = Trader(b"\x77" * 32, script.taker.subaccount_id, next_nonce=900)
    asks = [script.place(script.maker, Side.SELL, 1) for _ in range(2)]
    trades = [
        script.traded(ask.seq, script.seq + 1, 1, trade_id=100 + place)
        for place, ask in enumerate(asks)
    ]
    script.place(stranger, Side.BUY, 2, *trades)
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    [command] = exchange.commands
    assert [fill.key for fill in command.fills] == [(100, False), (101, False)]
    in_agreement(world, 1)


def test_both_sides_may_fail(world: World) -> None:
    """The venue trades with itself, and so not at all."""
    script = world.script
    world.watch()
    maker, taker = (Trader(bytes([n]) * 32, n - 0x70, next_nonce=900) for n in (0x72, 0x73))
    ask = script.place(maker, Side.SELL, 1)
    script.place(taker, Side.BUY, 1, script.traded(ask.seq, script.seq + 1, 1))
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    assert {fill.maker for command in exchange.commands for fill in command.fills} == {True, False}
    in_agreement(world, 1)
    assert world.chain.cash_and_positions(1, [script.instrument_id]) == (0, {})


def test_a_relayer_that_lost_its_outbox_builds_the_amended_batches(world: World) -> None:
    """What is on chain already is what the journal gives, novations included."""
    script = world.script
    world.watch()
    script.trade(1)
    script.cut()
    stranger = Trader(b"\x77" * 32, script.maker.subaccount_id, next_nonce=900)
    ask = script.place(stranger, Side.SELL, 3)
    script.place(script.taker, Side.BUY, 3, script.traded(ask.seq, script.seq + 1, 3))
    script.cut()
    script.trade(2)
    script.cut()
    settle(world)[1].close()
    exchange, outbox = settle(world, "another.db")
    assert exchange.commands == []
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED] * 3
    outbox.close()
    in_agreement(world, 3)


def test_a_refused_withdrawal_waits_for_a_person(world: World) -> None:
    """Nobody's cash is the venue's to give: the batch is refused as before."""
    script = world.script
    world.watch()
    script.trade(1)
    script.withdraw(script.taker, 2 * FUNDS)
    script.cut()
    with pytest.raises(BatchRefused, match="InsufficientCash"):
        settle(world)


def test_a_novation_of_another_trade_builds_no_batch(world: World) -> None:
    """The journal's own trade is what counts: an auditor sees a wrong copy."""
    script = world.script
    world.watch()
    stranger = Trader(TAKER_KEY, script.maker.subaccount_id, next_nonce=900)
    ask = script.place(stranger, Side.SELL, 3)
    script.place(script.taker, Side.BUY, 3, script.traded(ask.seq, script.seq + 1, 3))
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    key, fill = next(iter(novations_in(world.reader.entries()).items()))
    audit = BatchAudit({key: msgspec.structs.replace(fill, fee=fill.fee + 1)})
    with pytest.raises(Difference, match="not of that trade"):
        list(map(audit, world.reader.entries()))
    assert len(exchange.commands) == 1
