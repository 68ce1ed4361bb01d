"""Tokens and cash that a client moves, and what it asks before it trades."""

from decimal import Decimal

import msgspec
import pytest
from tests.unit.api.world import CALL_NAME, TAKER, TAKER_ID, TAKER_KEY, run, served
from tests.venue import COLLATERALS, FEES, WBTC, configuration, tokens, usdc

from exchange.sdk import ApiError, AsyncClient, BadArgument, Client


@pytest.fixture(scope="module")
def venue():
    """The taker has two subaccounts, and two WBTC in the first; BTC's spots are stretched."""
    with served(session_s=3600) as (world, url):
        command = configuration(version=2, fees=FEES, collaterals=COLLATERALS, transfers=True)
        world.do(lambda venue: venue.send(command))
        world.other = world.do(lambda venue: venue.fund(TAKER, 0))
        world.do(lambda venue: venue.give(TAKER_ID, WBTC, 2))
        btc, eth = world.venue.marks_update().underlyings
        wide = msgspec.structs.replace(btc, scan=12 * 10**17)
        world.do(lambda venue: venue.mark({}, underlyings=(wide, eth)))
        yield world, url


def test_cash_and_tokens_move_and_leave_by_their_currency(venue):
    world, url = venue

    async def steps():
        async with AsyncClient(url, TAKER_KEY) as client:
            moved = await client.transfer("0.5", world.other, currency="WBTC")
            assert (moved.currency, moved.amount, moved.other_side) == (
                "WBTC",
                Decimal("0.5"),
                world.other,
            )
            assert (await client.transfer(1_000, world.other)).currency == "USDC"
            assert (await client.withdraw("0.25", currency="WBTC")).amount == Decimal("0.25")
            assert (await client.withdraw("0.000001")).amount == Decimal("0.000001")
            with pytest.raises(BadArgument, match="holds no DOGE"):
                await client.withdraw(1, currency="DOGE")
            with pytest.raises(ApiError) as caught:
                await client.transfer(1, 2)
            assert caught.value.reject_reason == "bad_recipient"

    run(steps())
    held = world.venue.engine.tokens
    token = COLLATERALS[WBTC - 1].token
    assert held(world.other) == {token: tokens("0.5")}
    assert held(TAKER_ID) == {token: tokens("1.25")}
    assert world.venue.cash(world.other) == usdc(1_000)


def test_margin_is_known_before_the_trade(venue):
    """The spots shown are those that margin uses, stretched as the epoch says."""
    _, url = venue
    with Client(url, TAKER_KEY) as client:
        margins = client.margins(CALL_NAME, Decimal(1), 1_000)
        assert (margins.instrument_name, margins.sell > 0) == (CALL_NAME, True)
        found = client.simulate_portfolio({CALL_NAME: Decimal(-1)}, collateral={"WBTC": 1})
        assert found.positions == {CALL_NAME: -1}
        assert found.projected_initial_margin > found.current_initial_margin
        spots = [Decimal(text) for text in ("1.5", "0.5", "1.1", "0.8", "1.2")]
        assert [one.spot for one in found.scenarios] == spots
        assert found.scenario_spots["BTC"][:2] == [Decimal("1.6"), Decimal("0.4")]
        assert found.scenario_spots["ETH"][:2] == [Decimal("1.5"), Decimal("0.5")]
        alone = client.simulate_portfolio(cash="-5.5", add_positions=False)
        assert alone.positions == {}
        moved = client.transfer(1, venue[0].other)
        assert moved.source == TAKER_ID
