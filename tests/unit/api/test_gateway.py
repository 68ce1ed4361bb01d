"""A gateway follows the journal, or says that it does not."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, FakeSequencer, call
from tests.venue import CHAIN, C, Venue

from exchange.api.errors import UnknownInstrument
from exchange.api.gateway import Gateway
from exchange.api.settings import GatewaySettings


def test_history_and_releases_give_one_picture(world):
    world.do(lambda venue: venue.sell(2, 1, 1_000))
    late = Gateway(world.sequencer, GatewaySettings(), world.sequencer.entries())
    assert late.view.seq == world.gateway.view.seq
    assert late.view.books[C].levels(1) == world.gateway.view.books[C].levels(1)
    late.stop()


def test_an_entry_seen_twice_counts_once(world):
    """A commit in flight may be read from the journal and released as well."""
    world.do(lambda venue: venue.sell(2, 1, 1_000))
    world.sequencer.release(0)
    assert world.gateway.view.books[C].levels(1) == [(1_000 * 10**6, 10_000)]


def test_a_broken_view_is_unavailable_and_leaves_the_writer_alone(world, monkeypatch):
    def broken(_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.gateway.view, "apply", broken)
    world.do(lambda venue: venue.index(100_001))  # does not raise
    world.do(lambda venue: venue.index(100_002))
    assert not world.gateway.healthy
    reply = asyncio.run(call(world, "public/ticker", {"instrument_name": CALL_NAME}))
    assert reply["error"]["code"] == 13028


def test_a_stopped_gateway_follows_no_more(world):
    seq = world.gateway.view.seq
    world.gateway.stop()
    world.do(lambda venue: venue.index(100_001))
    assert world.gateway.view.seq == seq


def test_ticks_go_on_after_a_failure(world, monkeypatch):
    calls, thrice = [], asyncio.Event()

    def broken():
        calls.append(1)
        if len(calls) == 3:
            thrice.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr(world.gateway.channels, "tick", broken)
    monkeypatch.setattr("exchange.api.gateway.TICK_S", 0.001)

    async def scenario():
        ticking = asyncio.create_task(world.gateway.run_ticks())
        await thrice.wait()
        ticking.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 30))


@pytest.mark.parametrize(
    ("currency", "kind", "count"),
    [("BTC", "any", 6), ("USDC", "option", 6), ("eth", "any", 0), ("any", "future", 0)],
)
def test_instruments_are_selected(world, currency, kind, count):
    assert len(world.gateway.select(currency, kind)) == count == (len(CHAIN) if count else 0)


def test_an_unknown_currency_is_named(world):
    with pytest.raises(UnknownInstrument):
        world.gateway.select("DOGE")


def test_a_gateway_before_the_first_command_has_an_empty_picture():
    class Silent(FakeSequencer):
        def entries(self):
            return []

    gateway = Gateway(Silent(Venue()), GatewaySettings(), [])
    assert gateway.view.seq == 0
    gateway.stop()
