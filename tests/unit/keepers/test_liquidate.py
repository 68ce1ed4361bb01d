"""Bids that pay for their risk, the best first."""

import asyncio
from decimal import Decimal

import msgspec

from exchange.keepers.liquidate import BidRules, LiquidateKeeper
from exchange.sdk.types import ForSale, Liquidation, TakenOver


def offer(number, discount, *, price=100, margin=1_000, fraction="0.5", suspended=None):
    for_sale = ForSale(
        fraction=Decimal(fraction),
        price=Decimal(price),
        discount=Decimal(discount),
        legs=[],
        tokens=[],
    )
    return Liquidation(
        subaccount_id=number,
        state="auction",
        step=3,
        suspended=suspended,
        equity=Decimal(10),
        maintenance_margin=Decimal(margin),
        for_sale=for_sale,
    )


class Venue:
    def __init__(self, *found):
        self.found = list(found)
        self.bids = []

    async def liquidations(self):
        return self.found

    async def bid(self, found):
        self.bids.append(found.subaccount_id)
        return TakenOver(
            liquidated_id=found.subaccount_id,
            step=4,
            fraction=found.for_sale.fraction / 2,
            price=Decimal(1),
            discount=found.for_sale.discount / 2,
            legs=[],
            tokens=[],
            seq=1,
            journal_hash="",
        )


def look(*found, **rules):
    venue = Venue(*found)
    return venue, asyncio.run(LiquidateKeeper(venue, BidRules(**rules)).look())


def test_the_reward_is_the_discount_less_the_risk():
    """Of the requirement that comes along; the best offer is the first."""
    _, actions = look(offer(5, 40), offer(6, 90), risk_rate=Decimal("0.1"))
    assert [(action.reward, "subaccount " in action.name) for action in actions] == [
        (Decimal(40), True),
        (Decimal(-10), True),
    ]


def test_what_is_not_for_sale_suspended_or_too_dear_is_left():
    """It may come later."""
    sold = msgspec.structs.replace(offer(5, 40), for_sale=None)
    _, actions = look(
        sold, offer(6, 40, suspended="stale_index"), offer(7, 40, price=101), price_max=Decimal(100)
    )
    assert actions == []


def test_a_bid_brings_what_it_got():
    """Half of what was offered, half of the reward."""
    venue, [action] = look(offer(5, 40), risk_rate=Decimal("0.01"))
    assert asyncio.run(action.work()) == Decimal(20) - Decimal(500) / 2 * Decimal("0.01")
    assert venue.bids == [5]
