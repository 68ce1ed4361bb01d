"""What keepers see, how they bid, and what the owner is told; nobody sees too early."""

import asyncio

import msgspec
import pytest
from tests.liquidation_world import short_call, sweep
from tests.unit.api.test_channels import Listener
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    STRANGER_KEY,
    TAKER_ID,
    TAKER_KEY,
    call,
    hexed,
    session_of,
)
from tests.venue import C, usdc

from exchange.api.liquidations import notice_result
from exchange.commands import DepositSeen
from exchange.fixed import parse_decimal
from exchange.model import BidTerms
from exchange.signing import address_of, bid_digest, sign_digest

LOSS = 5_000


def ask(world, method, params=None, key=None):
    session = session_of(world, key).session if key else None
    reply = asyncio.run(call(world, method, params, session=session))
    return reply.get("result", reply.get("error"))


def bid(world, liquidated_id, key=MAKER_KEY, domain=DOMAIN, **changes):
    """A signed bid of the maker for all that is offered."""
    world.nonce += 1
    params = {
        "subaccount_id": MAKER_ID,
        "liquidated_id": liquidated_id,
        "fraction": "1",
        "price_limit": "0",
        "expected_step": 0,
        "nonce": world.nonce,
        "deadline": world.venue.now_s + 3600,
        "signer": MAKER,
    } | changes
    fraction, limit = params["fraction"], params["price_limit"]
    terms = BidTerms(
        **(params | {"fraction": parse_decimal(fraction, 10**18), "price_limit": usdc(limit)})
    )
    return params | {"signature": hexed(sign_digest(bid_digest(domain, terms), key))}


def loss(world):
    """Somebody short of 4 calls falls below maintenance; the first sweep."""
    seller, _ = world.do(lambda venue: short_call(venue, cash=17_000, price=1_000))
    world.do(lambda venue: venue.mark({C: LOSS}))
    world.do(sweep)
    return seller


def auction(world):
    seller = loss(world)
    for _ in range(11):
        world.do(lambda venue: sweep(venue, 1))
    return seller


def test_nothing_runs(world):
    assert ask(world, "public/get_liquidations") == []


def test_while_slices_trade_nobody_sees_figures(world):
    seller = loss(world)
    (row,) = ask(world, "public/get_liquidations", {"currency": "BTC"})
    assert (row["subaccount_id"], row["state"]) == (seller, "slicing")
    assert (row["equity"], row["maintenance_margin"], row["positions"]) == (None, None, [])
    assert row["for_sale"] is None
    assert ask(world, "public/get_liquidations", {"currency": "ETH"}) == []
    assert ask(world, "public/get_liquidations", {"currency": "DOGE"})["code"] == 10020


def test_an_auction_shows_what_is_for_sale(world):
    seller = auction(world)
    (row,) = ask(world, "public/get_liquidations")
    assert (row["subaccount_id"], row["state"], row["suspended"]) == (seller, "auction", None)
    assert row["positions"] == [{"instrument_name": CALL_NAME, "amount": -4}]
    sale = row["for_sale"]
    assert 0 < sale["fraction"] < 1
    (leg,) = sale["legs"]
    assert leg == {"instrument_name": CALL_NAME, "amount": leg["amount"], "price": LOSS}
    assert sale["price"] == pytest.approx(leg["amount"] * LOSS - sale["discount"])


def test_a_bid_takes_it_over(world):
    seller = auction(world)
    sale = ask(world, "public/get_liquidations")[0]["for_sale"]
    result = ask(world, "private/liquidation_bid", bid(world, seller))
    expected = {key: sale[key] for key in ("fraction", "price", "discount", "legs")}
    assert expected.items() <= result.items()
    assert (result["liquidated_id"], result["step"]) == (seller, 1)
    assert world.gateway.view.positions[MAKER_ID][C].quantity == -int(
        sale["legs"][0]["amount"] * -10_000
    )
    assert world.gateway.view.positions[MAKER_ID][C].quantity == world.venue.position(MAKER_ID)
    assert world.gateway.view.positions[seller][C].quantity == world.venue.position(seller)
    world.gateway.view.check()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price_limit": "-999999"}, "bid_too_low"),
        ({"expected_step": 3}, "stale_bid"),
        ({"fraction": "0"}, "quantity_not_positive"),
        ({"key": STRANGER_KEY}, "bad_signature"),
        ({"liquidated_id": TAKER_ID}, "no_auction"),
    ],
)
def test_refused_bids(world, change, reason):
    seller = auction(world)
    change = {"liquidated_id": seller} | change
    error = ask(world, "private/liquidation_bid", bid(world, **change))
    assert error["data"]["reject_reason"] == reason


def test_a_stranger_cannot_bid_for_another(world):
    seller = auction(world)
    params = bid(world, seller, key=STRANGER_KEY, signer=address_of(STRANGER_KEY))
    error = ask(world, "private/liquidation_bid", params)
    assert error["data"]["reject_reason"] == "unauthorized_signer"


def test_a_history_is_its_owners_alone(world):
    params = {"subaccount_id": MAKER_ID}
    assert ask(world, "private/get_liquidation_history", params)["code"] == 13009
    assert ask(world, "private/get_liquidation_history", params, STRANGER_KEY)["code"] == 13021


@pytest.mark.parametrize(
    "change",
    [
        {"fraction": "-0.5"},
        {"fraction": "0.0000000000000000001"},
        {"fraction": "1e0"},
        {"price_limit": "99999999999999999"},
        {"price_limit": 5},
    ],
)
def test_malformed_bids(world, change):
    seller = auction(world)
    params = bid(world, seller) | change
    assert ask(world, "private/liquidation_bid", params)["code"] == -32602


def test_the_owner_is_told_everything(world):
    """In the history, and as it happens; strangers hear nothing."""
    seller = auction(world)
    owner, stranger = Listener(world, MAKER_KEY), Listener(world, STRANGER_KEY)
    for listener in (owner, stranger):
        listener.join("user.liquidations")
    result = ask(world, "private/liquidation_bid", bid(world, seller))
    ((channel, row),) = owner.heard()
    assert (channel, row["type"], row["role"]) == ("user.liquidations", "transfer", "taker")
    assert row["discount"] == result["discount"]
    assert stranger.heard() == []
    history = ask(world, "private/get_liquidation_history", key=MAKER_KEY)
    assert [one["type"] for one in history] == ["transfer"]
    notices = world.gateway.view.notices[seller]
    assert [type(notice.event).__name__ for notice in notices] == [
        "LiquidationStarted",
        "LiquidationAuctionStarted",
        "PortfolioTransferred",
    ]


def test_slices_are_marked_in_the_trades(world):
    """Publicly, and to the maker; the view knows the liquidated side's position."""
    seller = loss(world)
    world.do(lambda venue: venue.sell(MAKER_ID, 4, LOSS))
    world.do(lambda venue: sweep(venue, 1))
    trades = ask(world, "public/get_last_trades_by_instrument", {"instrument_name": CALL_NAME})
    assert trades["trades"][0]["liquidation"] == "T"
    assert "liquidation" not in trades["trades"][-1]
    view = world.gateway.view
    assert view.positions[seller][C].quantity == world.venue.position(seller)
    assert len(view.subaccount_trades[seller]) == 2
    view.check()


def test_every_kind_of_notice(world):
    """A loss that the fund cannot pay alone: everybody concerned reads their part of it."""
    seller, _ = world.do(lambda venue: short_call(venue, cash=17_000, price=1_000))
    world.do(lambda venue: venue.observe(DepositSeen(subaccount_id=1, amount=usdc(100))))
    world.do(lambda venue: venue.mark({C: 6_500}))
    for _ in range(23):
        world.do(lambda venue: sweep(venue, 1))
    maker = ask(world, "private/get_liquidation_history", {"count": 1}, key=MAKER_KEY)
    assert maker[0]["type"] == "socialised_loss"
    assert 0 < maker[0]["amount"] < maker[0]["total"]
    view = world.gateway.view
    rows = [notice_result(view, notice, seller) for notice in view.notices[seller]]
    text = msgspec.json.decode(msgspec.json.encode(rows))
    assert [row["type"] for row in text] == [
        "started",
        "auction_started",
        "transfer",
        "insurance",
        "ended",
    ]
    assert text[1]["state"] == "insolvent"
    assert text[2]["discount_paid_by"] == "insurance_fund"
    assert ask(world, "public/get_liquidations")[0]["state"] == "unwinding"
    world.do(lambda venue: venue.sell(MAKER_ID, 4, 6_500))
    world.do(lambda venue: sweep(venue, 1))
    fund = [notice_result(view, notice, 1) for notice in view.notices[1]]
    assert msgspec.json.decode(msgspec.json.encode(fund[-1]))["type"] == "slice"


def test_a_channel_tells_keepers_after_each_sweep(world):
    seller = auction(world)
    keeper = Listener(world)
    keeper.join("liquidations.BTC", "liquidations.any")
    channels = world.gateway.channels

    def tick():
        if channels.wants_liquidations:
            channels.send_liquidations(asyncio.run(world.gateway.liquidations()))
        return dict(keeper.heard())

    first = tick()
    assert [row["subaccount_id"] for row in first["liquidations.BTC"]] == [seller]
    assert tick() == {}
    world.do(lambda venue: sweep(venue, 1))
    later = tick()["liquidations.any"][0]["for_sale"]
    assert later["discount"] > first["liquidations.BTC"][0]["for_sale"]["discount"]


def test_a_gateway_ticks_for_keepers(world):
    """The loop itself reads and sends."""
    auction(world)
    keeper = Listener(world)
    keeper.join("liquidations.any")

    async def run():
        ticking = asyncio.create_task(world.gateway.run_ticks())
        async with asyncio.timeout(5):
            while not len(keeper.connection.outbox):  # noqa: ASYNC110  it ticks by itself
                await asyncio.sleep(0.01)
        ticking.cancel()

    asyncio.run(run())
    assert keeper.heard()[0][0] == "liquidations.any"


def test_the_taker_of_nothing_has_no_history(world):
    assert ask(world, "private/get_liquidation_history", key=TAKER_KEY) == []
