"""The last part of the demo: an expiry pays off, a withdrawal arrives, the audit finds nothing."""

import asyncio
from fractions import Fraction
from typing import Final

from exchange.audit import Replay
from exchange.bootstrap.audit_command import audit
from exchange.commands import UpdateIndex
from exchange.demo.market import usdc
from exchange.demo.report import CheckFailed, Report, require
from exchange.demo.world import World
from exchange.events import DeliveryPriceFixed, PositionExpired
from exchange.fixed import CASH_SCALE, PRICE_QUANTUM
from exchange.journal import Entry

LEAP_S: Final = 2 * 3600  # between samples while no window is open
STEP_S: Final = 15  # between samples inside the delivery window
WITHDRAWN: Final = 1_234_560_000
_NS: Final = 10**9


async def expire(world: World, report: Report) -> None:
    """Time passes to the nearest expiry; positions pay off at the average of the index."""
    engine = world.replayed()
    assert engine.parameters is not None
    window_s = engine.parameters.delivery_window_s
    held = {
        expiry
        for subaccount_id in engine.subaccounts
        for instrument_id in engine.positions(subaccount_id)
        if (expiry := engine.instruments[instrument_id].expiry)
    }
    require(held, "nobody holds a position that expires")
    expiry = min(held)
    last_seq = world.reader().last_seq()
    await _travel(world, expiry - window_s - 2 * STEP_S, LEAP_S)
    await _travel(world, expiry + STEP_S, STEP_S)
    ending = {i.underlying_id for i in engine.instruments.values() if i.expiry == expiry}
    await world.journaled(DeliveryPriceFixed, len(ending), last_seq)
    entries = world.entries()
    _check_delivery(entries, expiry, window_s, report)
    payoffs = [e for entry in entries for e in entry.events if isinstance(e, PositionExpired)]
    require(payoffs, "no position was paid off")
    require(sum(e.payoff for e in payoffs) == 0, "payoffs do not sum to zero")
    paid = sum(e.payoff for e in payoffs if e.payoff > 0)
    report.add("expire", f"{len(payoffs)} positions paid off, sum zero", usdc(paid))
    reconciled = await world.settled()
    report.add(
        "expire", "payoffs on chain: cash and positions = engine", f"batch {reconciled.batch}"
    )


async def _travel(world: World, to_s: int, step_s: int) -> None:
    """Advance the clocks to a venue second in steps."""
    while True:
        now_s = await world.now_s()
        if now_s >= to_s:
            return
        await world.advance(min(step_s, to_s - now_s))
        world.stack.require_alive()


def _check_delivery(entries: list[Entry], expiry: int, window_s: int, report: Report) -> None:
    """The delivery price is the average of the journaled samples, computed here once more."""
    fixed = [e for entry in entries for e in entry.events if isinstance(e, DeliveryPriceFixed)]
    require(fixed, "no delivery price was fixed")
    for event in fixed:
        average, samples = _average(entries, event.underlying_id, expiry, window_s)
        units = average / PRICE_QUANTUM
        expected = round(units) * PRICE_QUANTUM  # Python rounds halves to even
        require(
            event.price == expected,
            f"underlying {event.underlying_id} delivered at {event.price}, not {expected}",
        )
        report.add(
            "expire",
            f"delivery {event.underlying_id} = 30-minute average of {samples} samples",
            usdc(event.price),
        )


def _average(
    entries: list[Entry], underlying_id: int, expiry: int, window_s: int
) -> tuple[Fraction, int]:
    """Time-weighted average over the window of a step function through the samples."""
    start, end = (expiry - window_s) * _NS, expiry * _NS
    samples = [
        (entry.time_ns, entry.command.index_price)
        for entry in entries
        if isinstance(entry.command, UpdateIndex)
        and entry.command.underlying_id == underlying_id
        and entry.time_ns < end
    ]
    if not samples:
        raise CheckFailed(f"underlying {underlying_id} has no index sample")
    total, inside = Fraction(0), 0
    for (time_ns, price), until_ns in zip(
        samples, [time_ns for time_ns, _ in samples[1:]] + [end], strict=True
    ):
        overlap = max(0, until_ns - max(time_ns, start))
        total += Fraction(price * overlap)
        inside += time_ns > start
    return total / (end - start), inside


async def withdraw(world: World, report: Report) -> None:
    """A signed withdrawal leaves the engine and arrives in the wallet."""
    taker = world.takers[0]
    chain = world.stack.chain
    before = chain.usdc_balance(taker.party.address)
    await taker.api.call("public/get_time")  # the client learns how far the clock was moved
    await taker.api.withdraw(f"{WITHDRAWN // CASH_SCALE}.{WITHDRAWN % CASH_SCALE:06d}")

    async def arrived() -> bool:
        return chain.usdc_balance(taker.party.address) - before == WITHDRAWN

    await world.eventually(arrived, "the withdrawal's arrival")
    await world.settled()
    report.add("withdraw", "signed, debited, batched, in the wallet", usdc(WITHDRAWN))


async def prove(world: World, report: Report) -> None:
    """The audit replays the journal and reproduces the state hash and every batch."""
    await world.settled()
    await world.disconnect()
    for name in ("relayer", "engine"):
        world.stack.children.pop(name).stop()
    settings = world.stack.settings
    result = await asyncio.to_thread(audit, settings.journal_location, settings.rpc_url)
    require(not result.difference, f"seq {result.seq}: {result.difference}")
    again = await asyncio.to_thread(lambda: Replay(world.reader()).run())
    require(again.state_hash == result.state_hash, "two replays differ")
    require(result.settled_batches == result.batches, "a batch of the journal is not on chain")
    report.add("audit", f"{result.commands} commands, {result.events} events replayed", "equal")
    report.add("audit", "signatures verified again", result.signatures)
    report.add("audit", "batches rebuilt = batches on chain", result.batches)
    report.add("audit", "state hash of two replays", result.state_hash[:16])
