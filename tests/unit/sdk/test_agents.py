"""Makers quote around the mark and follow it; takers trade; both meet refusals."""

import asyncio
import contextlib
from decimal import Decimal
from random import Random

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_ID, MAKER_KEY, TAKER_KEY, served
from tests.venue import PERP, C

from exchange.sdk import AsyncClient
from exchange.sdk.agents import (
    Maker,
    MakerSettings,
    Taker,
    TakerSettings,
    leaning,
    near_the_money,
    quote_price,
    run_maker,
    run_taker,
    to_tick,
)
from exchange.sdk.types import Instrument, Summary

QUICK = MakerSettings(orders_per_s=10_000, requote_s=0.2)


@pytest.fixture
def venue():
    with served() as found:
        yield found


def summary(name="X", mark="100", underlying="100000"):
    return Summary(
        instrument_name=name,
        base_currency="BTC",
        bid_price=None,
        ask_price=None,
        mark_price=Decimal(mark),
        underlying_price=Decimal(underlying),
        open_interest=Decimal(0),
    )


def instrument(name, strike, expiry=1, currency="BTC", kind="option"):
    return Instrument(
        instrument_name=name,
        instrument_id=1,
        kind=kind,
        base_currency=currency,
        price_index="btc_usdc",
        tick_size=Decimal("0.01"),
        min_trade_amount=Decimal("0.01"),
        lot_size=Decimal("0.01"),
        expiration_timestamp=expiry,
        is_active=True,
        maker_commission=Decimal(0),
        taker_commission=Decimal(0),
        strike=Decimal(strike),
    )


@pytest.mark.parametrize(
    ("mark", "direction", "expected"),
    [
        ("100", "buy", "98"),
        ("100", "sell", "102"),
        ("0.01", "buy", "0.01"),
        ("0.01", "sell", "0.03"),
        ("33.333", "buy", "32.66"),
        ("33.333", "sell", "34.00"),
    ],
)
def test_quotes_lie_around_the_mark_on_the_grid(mark, direction, expected):
    found = quote_price(summary(mark=mark), direction, Decimal("0.01"), MakerSettings())
    assert found == Decimal(expected)


def test_ticks_round_as_told():
    assert to_tick(Decimal("1.019"), Decimal("0.01"), "ROUND_FLOOR") == Decimal("1.01")


def test_the_nearest_strikes_of_the_nearest_expiries_are_chosen():
    instruments = {
        f"{strike}-{expiry}": instrument(f"{strike}-{expiry}", strike, expiry)
        for strike in (80_000, 90_000, 100_000, 110_000)
        for expiry in (1, 2, 3)
    }
    instruments["perp"] = instrument("perp", 0, kind="future")
    rows = [summary(name) for name in instruments] + [summary("unknown")]
    settings = MakerSettings(expiries=2, strikes=1)
    chosen = {row.instrument_name for row in near_the_money(instruments, rows, settings)}
    assert chosen == {f"{s}-{e}" for e in (1, 2) for s in (100_000, 90_000)} or chosen == {
        f"{s}-{e}" for e in (1, 2) for s in (100_000, 110_000)
    }


def bounded(steps):
    async def run():
        async with asyncio.timeout(60):
            return await steps

    return asyncio.run(run())


def test_a_maker_quotes_both_sides_and_moves_its_orders(venue):
    world, url = venue

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as client:
            maker = Maker(client, Random(1), QUICK)
            await maker.requote()
            first = await client.open_orders()
            world.do(lambda found: found.mark({C: 1_100}))
            await maker.requote()
            return first, await client.open_orders()

    first, second = bounded(steps())
    assert len(first) == 12
    assert {o.price for o in first} == {980, 1020}
    assert {o.order_id for o in first} == {o.order_id for o in second}, "amended, not replaced"
    moved = [o for o in second if o.instrument_name == CALL_NAME]
    assert {o.price for o in moved} == {1078, 1122}
    assert {o.version for o in moved} == {1}


def test_a_maker_rests_the_side_that_is_full(venue):
    _, url = venue
    settings = MakerSettings(orders_per_s=10_000, position_max=Decimal(1))

    async def steps():
        async with (
            AsyncClient(url, MAKER_KEY) as client,
            AsyncClient(url, TAKER_KEY, transport="http") as taker,
        ):
            maker = Maker(client, Random(1), settings)
            await maker.requote()
            await taker.buy(CALL_NAME, 1, 1_020)
            maker._quotes.pop((CALL_NAME, "sell"), None)
            await maker.requote()
            return [o for o in await client.open_orders() if o.instrument_name == CALL_NAME]

    (order,) = bounded(steps())
    assert order.direction == "buy"


def test_a_market_of_agents_trades(venue):
    world, url = venue

    async def steps():
        agents = [
            asyncio.create_task(run_maker(url, MAKER_KEY, Random(1), QUICK)),
            asyncio.create_task(
                run_taker(url, TAKER_KEY, Random(2), TakerSettings(orders_per_s=100))
            ),
        ]
        while len(world.gateway.view.trades) < 10:
            assert not any(agent.done() for agent in agents)
            await asyncio.sleep(0.05)
        for agent in agents:
            agent.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await agent

    bounded(steps())
    assert world.gateway.view.open_orders[MAKER_ID]
    world.gateway.view.check()


def test_a_taker_without_quotes_waits(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url, TAKER_KEY, transport="http") as client:
            taker = Taker(client, Random(1), TakerSettings())
            await taker.trade_once()
            return taker.trades

    assert bounded(steps()) == 0


@pytest.mark.parametrize(("position", "direction"), [(5, "sell"), (-5, "buy")])
def test_a_taker_turns_at_its_limit(position, direction):
    taker = Taker(AsyncClient("http://127.0.0.1:1", transport="http"), Random(1), TakerSettings())
    assert taker._direction(Decimal(position)) == direction


@pytest.mark.parametrize(
    ("name", "position", "expected"),
    [
        ("BTC_USDC-PERPETUAL", 0, "100000"),
        ("BTC_USDC-PERPETUAL", 20, "99900"),  # a long maker would rather sell
        ("BTC_USDC-PERPETUAL", -10, "100050"),
        ("BTC_USDC-PERPETUAL", -30, "100100"),
        ("BTC_USDC-25DEC26", 0, "100500"),
        ("BTC_USDC-25DEC26", 20, "100399.5"),
    ],
)
def test_perpetuals_are_quoted_around_the_index_and_against_the_position(name, position, expected):
    """Whatever the perpetual's mark: so a premium decays when the makers are flat."""
    row = summary(name, mark="100500", underlying="100000")
    assert leaning(row, Decimal(position), MakerSettings()).mark_price == Decimal(expected)


def test_a_maker_quotes_the_perpetual_closely(venue):
    """0.05 % from the index; its fee limit is that of the perpetual."""
    world, url = venue
    world.do(lambda found: found.list_instruments(PERP))
    world.do(lambda found: found.mark({PERP: 100_000}))

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as client:
            await Maker(client, Random(1), QUICK).requote()
            return await client.open_orders()

    quotes = [o for o in bounded(steps()) if o.instrument_name == "BTC_USDC-PERPETUAL"]
    assert sorted(o.price for o in quotes) == [99_950, 100_050]
    assert {o.max_fee for o in quotes} == {100}
