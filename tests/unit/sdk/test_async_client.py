"""The client against a real gateway: sign, trade, follow, and come back."""

import asyncio
from decimal import Decimal

import msgspec
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    PUT_NAME,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    run,
    served,
)

from exchange.sdk import ApiError, AsyncClient, BadArgument, TwoSided


@pytest.fixture(scope="module")
def venue():
    with served(session_s=3600) as found:
        yield found


async def trade(url, price):
    """A taker buys 0.5 of a maker's 2 at `price`."""
    async with (
        AsyncClient(url, MAKER_KEY) as maker,
        AsyncClient(url, TAKER_KEY, transport="http") as taker,
    ):
        await maker.sell(CALL_NAME, "2", price, post_only=True)
        receipt = await taker.buy(CALL_NAME, Decimal("0.5"), price)
        await maker.cancel_all()
        return receipt


def test_a_trade_from_both_transports(venue):
    _, url = venue
    receipt = run(trade(url, 1_001.5))
    assert receipt.order.order_state == "filled"
    assert [(t.price, t.amount) for t in receipt.trades] == [(Decimal("1001.5"), Decimal("0.5"))]
    assert receipt.order.max_fee == 60, "twice the schedule"


def test_a_sheet_of_quotes_is_replaced_and_canceled(venue):
    """One signature for all of it; what stays keeps its id."""
    _, url = venue

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as maker:
            put = TwoSided(PUT_NAME, bid=(900, 1), ask=(1_200, 1))
            first = await maker.mass_quote([TwoSided(CALL_NAME, bid=(900, 1)), put], label="a")
            second = await maker.mass_quote([put, TwoSided(CALL_NAME, ask=(1_200, 1))])
            counted = await maker.mass_quote([put], detailed=False)
            assert (counted.canceled, counted.kept, counted.quotes) == (1, 2, [])
            return first, second, await maker.cancel_quotes()

    first, second, canceled = run(steps())
    assert (first.placed, second.canceled, second.kept, second.placed) == (3, 1, 2, 1)
    assert [order.label for order in first.quotes] == ["a"] * 3
    assert {order.order_id for order in first.quotes[1:]} < {o.order_id for o in second.quotes}
    assert (first.errors, canceled) == ([], 2)


def test_a_signed_in_maker_may_send_long_sheets(venue):
    """The engine sees it: it has more lines than the chain has instruments."""
    _, url = venue

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as maker:
            await maker.mass_quote([TwoSided(CALL_NAME, bid=(900, 1), ask=(1_200, 1))] * 400)

    with pytest.raises(ApiError) as caught:
        run(steps())
    assert caught.value.reject_reason == "bad_sheet"


def test_an_order_that_waits_is_signed_and_edited(venue):
    """The trigger's hash is part of both signatures."""
    _, url = venue

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as maker:
            stop = {"type": "stop_limit", "trigger": "mark_price", "trigger_price": 900}
            first = (await maker.sell(CALL_NAME, 1, 890, **stop)).order
            edited = (await maker.edit(first, 2, 880)).order
            trail = {"type": "trailing_stop", "trigger": "mark_price", "trigger_offset": "5.5"}
            second = (await maker.sell(CALL_NAME, 1, 890, **trail)).order
            await maker.cancel_all()
            return first, edited, second

    first, edited, second = run(steps())
    assert first.order_state == edited.order_state == second.order_state == "untriggered"
    assert (first.order_type, first.trigger, first.trigger_price) == (
        "stop_limit",
        "mark_price",
        900,
    )
    assert (edited.order_id, edited.price, edited.amount) == (first.order_id, 880, 2)
    assert second.trigger_offset == Decimal("5.5")


def test_orders_that_depend_on_each_other_are_placed_together(venue):
    """The second waits for the first, whose receipt names both."""
    _, url = venue

    async def steps():
        async with AsyncClient(url, MAKER_KEY) as maker:
            entry = await maker.signed_order("buy", CALL_NAME, 1, 500)
            exit_ = await maker.signed_order("sell", CALL_NAME, 1, 1_900, reduce_only=True)
            receipt = await maker.place_linked(
                "one_triggers_other", ("buy", entry), ("sell", exit_)
            )
            other = await maker.order(receipt.linked_order_ids[1])
            await maker.cancel_all()
            return receipt, other

    receipt, other = run(steps())
    assert receipt.linked_order_ids == [receipt.order.order_id, other.order_id]
    assert (receipt.order.order_state, other.order_state) == ("open", "untriggered")


def test_own_things_are_told(venue):
    _, url = venue

    async def steps():
        receipt = await trade(url, 1_002)
        async with AsyncClient(url, TAKER_KEY, transport="http") as client:
            resting = await client.buy(CALL_NAME, 1, 900, label="mine", max_fee=40, nonce=77)
            assert await client.order_by_nonce(77) == resting.order
            assert await client.order(resting.order.order_id) == resting.order
            assert [o.label for o in await client.open_orders()] == ["mine"]
            edited = await client.edit(resting.order, 2, "901")
            assert (edited.order.version, edited.order.price) == (1, 901)
            assert (await client.cancel(resting.order.order_id)).order_state == "cancelled"
            assert await client.cancel_all() == 0
            trades = await client.my_trades(CALL_NAME)
            assert receipt.trades[0].trade_id in [t.trade_id for t in trades]
            (position,) = await client.positions()
            assert position.size > 0
            account = await client.account()
            assert account.owner == TAKER
            settlement = await client.settlement(receipt.trades[0].trade_id)
            assert settlement.state == "sequenced"
            with pytest.raises(TimeoutError):
                await client.wait_settled(trades[0].trade_id, timeout_s=0.01)
            paid = await client.withdraw("1.25")
            assert (paid.amount, paid.subaccount_id) == (Decimal("1.25"), TAKER_ID)

    run(steps())


def test_market_data_needs_no_key(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url) as client:
            assert len(await client.instruments("BTC")) == 6
            assert (await client.order_book(CALL_NAME)).instrument_name == CALL_NAME
            assert (await client.ticker(CALL_NAME)).mark_price == 1000
            assert len(await client.summaries()) == 6
            assert await client.index_price("btc_usdc") == 100_000
            assert isinstance(await client.trades(CALL_NAME), list)
            with pytest.raises(BadArgument):
                await client.buy(CALL_NAME, 1, 1)
            with pytest.raises(BadArgument):
                await client.subaccount_id()

    run(steps())


def test_http_cannot_subscribe(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url, transport="http") as client:
            with pytest.raises(BadArgument):
                await client.subscribe("deribit_price_index.btc_usdc")
            with pytest.raises(BadArgument):
                await client.mirror(CALL_NAME)

    run(steps())


def test_a_stream_and_a_mirror_follow_and_survive_a_reconnection(venue):
    _, url = venue

    async def steps():
        async with (
            AsyncClient(url, MAKER_KEY) as maker,
            AsyncClient(url, TAKER_KEY) as client,
        ):
            mirror = await client.mirror(CALL_NAME, "raw")
            assert await client.mirror(CALL_NAME, "raw") is mirror
            stream = await client.subscribe("user.trades.any.any.raw")
            await client._transport._socket.close()
            await client.account()  # waits for the new connection
            await maker.sell(CALL_NAME, "2", 1_003)
            receipt = await client.buy(CALL_NAME, "0.5", 1_003)
            channel, data = await stream.next()
            assert channel == "user.trades.any.any.raw"
            assert data[0]["trade_id"] == receipt.trades[0].trade_id
            await asyncio.sleep(0.05)
            assert not mirror.stale
            assert mirror.best_ask == (Decimal(1003), Decimal("1.5"))
            await client.unsubscribe(stream)
            await maker.cancel_all()

    run(steps())


def test_a_gap_is_mended(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url) as client:
            mirror = await client.mirror(CALL_NAME, "raw")
            mirror.change_id = -5  # as if a change had been lost
            gap = {"type": "change", "prev_change_id": 1, "change_id": 2, "bids": [], "asks": []}
            client._subscriptions.receive(f"book.{CALL_NAME}.raw", gap)
            assert mirror.stale
            for _ in range(100):
                if not mirror.stale:
                    return True
                await asyncio.sleep(0.02)
            return False

    assert run(steps())


def test_a_wrong_channel_leaves_nothing_behind(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url) as client:
            with pytest.raises(ApiError):
                await client.subscribe("nothing")
            return client._subscriptions.channels

    assert run(steps()) == []


def test_an_instrument_with_another_id_is_not_signed(venue, monkeypatch):
    """What gets signed is the id: a venue that lies about it must not get a signature."""
    _, url = venue

    async def steps():
        async with AsyncClient(url, TAKER_KEY, transport="http") as client:
            honest = await client.instrument(CALL_NAME)
            client._instruments.clear()
            original = client._transport.call

            async def lying(method, params):
                answer = await original(method, params)
                if method == "public/get_instrument":
                    answer["instrument_id"] = honest.instrument_id + 1
                return answer

            monkeypatch.setattr(client._transport, "call", lying)
            with pytest.raises(BadArgument, match="another instrument"):
                await client.buy(CALL_NAME, 1, 1_000)

    run(steps())


def test_the_key_is_never_in_what_is_sent(venue):
    _, url = venue

    async def steps():
        async with AsyncClient(url, TAKER_KEY, transport="http") as client:
            return await client.signed_order("buy", CALL_NAME, 1, 900)

    text = msgspec.json.encode(run(steps()))
    assert TAKER_KEY.hex().encode() not in text
