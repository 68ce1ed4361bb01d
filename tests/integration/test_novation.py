"""Fills that the chain refuses, on a real Anvil: the venue takes the failing side."""

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
from tests.unit.settlement.test_novator import novated, refused_acts, refused_moves

from exchange.audit import BatchAudit, Difference
from exchange.commands import AccrueInterest, Novate, RefusedAct
from exchange.events import InterestPaid, PositionExpired, Withdrawn
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal.outbox import JobState, Outbox
from exchange.model import FEE_SUBACCOUNT_ID, Side
from exchange.settlement.holdings import Held
from exchange.settlement.novation import novations_in
from exchange.settlement.novator import Novator
from exchange.settlement.reconcile import reconcile
from exchange.settlement.reconciler import Reconciler
from exchange.settlement.relayer import Relayer
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration


class Exchange:
    """Journals novations with the events that the engine gives them."""

    def __init__(self, world: World, payoff: int) -> None:
        self.script = world.script
        self.payoff = payoff  # a contract, where the options have expired; 0: they live
        self.commands: list[Novate] = []

    def novate(self, command: Novate) -> None:
        self.commands.append(command)
        events = novated(command)
        moves = refused_moves(self.script, command)
        paid = [
            PositionExpired(
                subaccount_id=FEE_SUBACCOUNT_ID,
                instrument_id=event.instrument_id,
                quantity=event.quantity,
                payoff=event.quantity // QUANTITY_SCALE * self.payoff,
            )
            for event in events
            if self.payoff
        ]
        acts = refused_acts(self.script, command)
        self.script.add(command, *events, *moves, *acts, *paid)


def settle(world: World, outbox: str = "relayer.db", payoff: int = 0) -> tuple[Exchange, Outbox]:
    """Run a relayer that may sign for the venue until nothing moves any more."""
    exchange = Exchange(world, payoff)
    feed, _, store = world.relayer(outbox=outbox)
    novator = Novator(feed, world.chain, exchange, key=DEPLOYER_KEY, sender=address_of(RELAYER_KEY))
    relayer = Relayer(feed, store, world.chain, world.options(), novator)
    for _ in range(20):
        before = len(exchange.commands)
        if not relayer.step() and len(exchange.commands) == before:
            break
    assert novator.novated == sum(len(command.replaced) for command in exchange.commands)
    store.check()
    return exchange, store


def in_agreement(world: World, batch: int) -> None:
    """Chain and journal have the same figures, and an auditor builds the same batches."""
    world.watch()
    found = reconcile(world.reader, world.chain)
    assert (found.batch, found.differences) == (batch, ())
    reconciler = Reconciler(world.reader, world.chain, world.script)
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


def test_a_refused_withdrawal_does_not_stop_the_batch(world: World) -> None:
    """It does not happen; trades before and after it do, and so does the next withdrawal."""
    script = world.script
    world.watch()
    script.trade(1)
    script.withdraw(script.taker, 2 * FUNDS)
    script.trade(1)
    script.cut()
    script.withdraw(script.taker, 5 * CASH_SCALE)
    script.cut()
    exchange, outbox = settle(world)
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED] * 2
    outbox.close()
    [command] = exchange.commands
    assert (command.fills, len(command.moves)) == ((), 1)
    in_agreement(world, 2)
    assert world.chain.usdc_balance(script.taker.address) == 5 * CASH_SCALE


def test_interest_and_an_exit_that_the_chain_knows_nothing_of(world: World) -> None:
    """A charge to somebody without a debt, a payment without a request; the rest settles."""
    script = world.script
    world.watch()
    script.trade(1)
    now_s, taker = script.time_ns // NS, script.taker
    charged = InterestPaid(subaccount_id=3, amount=CASH_SCALE, accrued_s=now_s)
    accrued = script.add(AccrueInterest(), charged)
    paid = Withdrawn(
        subaccount_id=3,
        amount=CASH_SCALE,
        recipient=taker.address,
        nonce=1,
        exit_token=script.token,
    )
    left = script.add(AccrueInterest(), paid)
    script.trade(1)
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    refused = [command.acts for command in exchange.commands]
    assert refused == [(RefusedAct(act_id=one.seq),) for one in (accrued, left)]
    in_agreement(world, 1)


def test_a_fill_of_a_perpetual_is_replaced(world: World) -> None:
    """Costs of all three are those of the fills that are left, and later batches build on them."""
    script = world.script
    world.watch()
    script.instrument_id = script.perpetual_id
    script.trade(3)
    stranger = Trader(b"\x77" * 32, script.taker.subaccount_id, next_nonce=900)
    ask = script.place(script.maker, Side.SELL, 2)
    script.place(stranger, Side.BUY, 2, script.traded(ask.seq, script.seq + 1, 2))
    script.cut()
    script.trade(1)
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    [command] = exchange.commands
    assert [one.subaccount_id for one in command.rebuilt] == [1, 3]
    in_agreement(world, 2)
    for rebuilt in command.rebuilt:
        _, held = world.chain.cash_and_positions(rebuilt.subaccount_id, [script.perpetual_id])
        assert held[script.perpetual_id][:2] == rebuilt.after[:2]


def test_the_venue_with_itself_releases_what_the_contract_does(world: World) -> None:
    """It holds some already: what a fill on both sides leaves as cost depends on who is first."""
    script = world.script
    world.watch()
    script.instrument_id = script.perpetual_id
    maker, taker = (Trader(bytes([n]) * 32, n - 0x70, next_nonce=900) for n in (0x72, 0x73))
    ask = script.place(script.maker, Side.SELL, 3)
    script.place(taker, Side.BUY, 3, script.traded(ask.seq, script.seq + 1, 3))
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    dearer = PRICE + 50 * CASH_SCALE
    ask = script.place(maker, Side.SELL, 2, price=dearer)
    trade = script.traded(ask.seq, script.seq + 1, 2, price=dearer)
    script.place(taker, Side.BUY, 2, trade, price=dearer)
    script.cut()
    exchange, outbox = settle(world)
    outbox.close()
    assert {fill.maker for command in exchange.commands for fill in command.fills} == {True, False}
    in_agreement(world, 2)
    held = world.chain.cash_and_positions(1, [script.perpetual_id])[1][script.perpetual_id]
    assert held[:2] == (3 * QUANTITY_SCALE, PRICE + 2 * dearer)


def test_a_fill_of_an_option_that_expired_is_replaced(world: World) -> None:
    """Found out only after the expiry: the venue's payoff comes with a later batch."""
    script = world.script
    script.time_ns = (script.expiry - 300) * NS
    world.chain.advance_time(script.expiry - 300)
    world.watch()
    script.trade(1)
    stranger = Trader(b"\x77" * 32, script.maker.subaccount_id, next_nonce=900)
    ask = script.place(stranger, Side.SELL, 2)
    script.place(script.taker, Side.BUY, 2, script.traded(ask.seq, script.seq + 1, 2))
    script.cut()
    world.chain.advance_time(script.expiry + 60)
    script.expire(3, 103_000 * CASH_SCALE)
    script.cut()
    exchange, outbox = settle(world, payoff=3_000 * CASH_SCALE)
    outbox.close()
    assert [fill.maker for fill in exchange.commands[0].fills] == [True]
    script.cut()
    settle(world)[1].close()
    in_agreement(world, 3)
    house, _ = world.chain.cash_and_positions(FEE_SUBACCOUNT_ID, [script.instrument_id])
    assert house == 2 * PRICE - 2 * 3_000 * CASH_SCALE + (3 + 4) * CASH_SCALE


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
