"""A keeper sees an auction and takes it over, against a real gateway."""

import pytest
from tests.liquidation_world import short_call, sweep
from tests.unit.api.world import MAKER_ID, MAKER_KEY, run, served
from tests.venue import C

from exchange.sdk import ApiError, BadArgument, Keeper
from exchange.sdk.keeper import carried


@pytest.fixture
def venue():
    with served() as found:
        yield found


def test_a_keeper_takes_over_what_is_for_sale(venue):
    """While slices trade there is nothing to bid for; in the auction a part, then the rest."""
    world, url = venue

    async def steps():
        async with Keeper(url, MAKER_KEY) as keeper:
            assert await keeper.liquidations() == []
            seller, _ = world.do(lambda venue: short_call(venue, cash=17_000, price=1_000))
            world.do(lambda venue: venue.mark({C: 5_000}))
            world.do(sweep)
            (early,) = await keeper.liquidations("BTC")
            assert (early.state, early.for_sale, carried(early)) == ("slicing", None, 0)
            with pytest.raises(BadArgument):
                await keeper.bid(early)
            for _ in range(11):
                world.do(lambda venue: sweep(venue, 1))
            (found,) = await keeper.liquidations()
            assert 0 < carried(found) < found.maintenance_margin
            with pytest.raises(ApiError):
                await keeper.bid(found, price_limit=found.for_sale.price - 100_000)
            with pytest.raises(BadArgument):
                await keeper.bid(found, fraction="0.1")
            part = await keeper.bid(found, fraction="0.1", price_limit="-1000")
            assert (part.liquidated_id, part.step) == (seller, 1)
            (found,) = await keeper.liquidations()
            rest = await keeper.bid(found)
            assert (rest.price, rest.discount) == (found.for_sale.price, found.for_sale.discount)
            return [*part.legs, *rest.legs]

    legs = run(steps())
    taken = sum(leg.amount for leg in legs)
    assert world.venue.position(MAKER_ID) == taken * 10_000 < 0
