"""The synchronous client does what the asynchronous one does."""

import inspect
from decimal import Decimal

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_KEY, PUT_NAME, TAKER, TAKER_KEY, free_port, served

from exchange.sdk import ApiError, BadArgument, Client, ConnectionLost, around_marks, types
from exchange.sdk.client import EveryCall


@pytest.fixture(scope="module")
def url():
    with served() as (_, url):
        yield url


def test_a_trade_in_ten_lines(url):
    with Client(url, MAKER_KEY) as maker, Client(url, TAKER_KEY) as client:
        maker.sell(CALL_NAME, amount="2", price="1000")
        book = client.order_book(CALL_NAME)
        receipt = client.buy(CALL_NAME, amount="0.5", price=book.asks[0][0])
        assert receipt.trades[0].amount == Decimal("0.5")
        assert client.address == TAKER
        assert client.positions()[0].size == Decimal("0.5")
        assert client.account().subaccount_id == client.subaccount_id()
        assert client.my_trades(CALL_NAME)[0].liquidity == "T"
        assert client.trades(CALL_NAME)[0].price == 1000
        assert client.settlement(receipt.trades[0].trade_id).state == "sequenced"
        with pytest.raises(TimeoutError):
            client.wait_settled(receipt.trades[0].trade_id, timeout_s=0.01)
        with pytest.raises(ApiError) as caught:
            client.buy(CALL_NAME, amount="0.001", price=1)
        assert caught.value.reject_reason == "quantity_off_lot"
        assert maker.cancel_all() == 1


def test_every_other_call(url):
    with Client(url, TAKER_KEY) as client:
        assert client.instruments()
        assert client.summaries("BTC")
        assert client.ticker(CALL_NAME).mark_price == 1000
        assert client.index_price("btc_usdc") == 100_000
        assert client.call("public/test")["version"]
        order = client.buy(CALL_NAME, 1, 900, nonce=5).order
        assert client.order(order.order_id) == client.order_by_nonce(5) == order
        edited = client.edit(order, 1, 901).order
        assert client.open_orders() == [edited]
        assert client.cancel(order.order_id).order_state == "cancelled"
        assert client.withdraw(1).amount == 1
        assert client.mirror(CALL_NAME).stale is False
        combo = client.create_combo((CALL_NAME, 1, "buy"), (PUT_NAME, 1, "buy"))
        assert client.order_book(combo.id).bids == []
        messages = client.follow("deribit_price_index.btc_usdc")
        assert next(messages)[1]["price"] == 100_000
        messages.close()


def test_a_client_without_a_key_has_no_address(url):
    with Client(url) as client:
        assert client.address == ""


def test_a_venue_that_is_not_there_leaves_no_thread():
    client = Client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionLost):
        client.start()
    assert not client._thread.is_alive()


def test_linked_orders_icebergs_and_volatilities(url):
    """What depends on each other, what is shown in part, and what follows a volatility."""
    with Client(url, TAKER_KEY) as client:
        first = client.signed_order("buy", CALL_NAME, 1, 700)
        other = client.signed_order("buy", CALL_NAME, 1, 690)
        receipt = client.place_linked("one_cancels_other", ("buy", first), ("buy", other))
        assert len(receipt.linked_order_ids) == 2
        iceberg = client.buy(CALL_NAME, 5, 600, max_show=1).order
        assert (iceberg.max_show, iceberg.display_amount) == (1, 1)
        iceberg = client.edit(iceberg, 5, 600, max_show=2).order
        assert (iceberg.max_show, iceberg.display_amount) == (2, 2)
        order = client.buy(CALL_NAME, 1, 4, advanced="implv", limit_price=900).order
        assert (order.advanced, order.implv, order.limit_price) == ("implv", 4, 900)
        order = client.edit(order, 1, "4.5", limit_price=901).order
        assert (order.implv, order.limit_price) == (Decimal("4.5"), 901)
        client.cancel_all()


# What a synchronous client has under another name, or does by itself.
OTHERWISE = {"place", "sign_in", "subscribe", "unsubscribe"}


def test_both_clients_have_the_same_calls():
    """Every public coroutine of the asynchronous one is there, with the same arguments."""
    found = {
        name: call
        for name, call in inspect.getmembers(EveryCall, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert len(found) > 40
    for name in sorted(found.keys() - OTHERWISE):
        ours = inspect.signature(getattr(Client, name)).parameters
        theirs = inspect.signature(found[name]).parameters
        exact = [one for one in ours if ours[one].kind is not inspect.Parameter.VAR_KEYWORD]
        assert exact == list(theirs)[: len(exact)], name
        passes_on = len(exact) < len(ours)
        assert passes_on or len(ours) == len(theirs), name
        for one in exact:
            assert ours[one].default == theirs[one].default, f"{name}: {one}"


def test_the_calls_of_makers_keepers_and_quotes(url, tmp_path):
    """One answer of each, over a real socket: what it means is told by the asynchronous tests."""
    with Client(url, MAKER_KEY) as maker, Client(url, TAKER_KEY) as taker:
        assert maker.instrument(CALL_NAME).strike == 100_000
        assert maker.domain().chain_id == 31_337
        lines = around_marks(
            maker.instruments("BTC"), maker.summaries("BTC"), half_spread="0.1", amount=1
        )
        assert maker.mass_quote(lines).refused == 0
        assert maker.cancel_quotes() == sum((line.bid is not None) + 1 for line in lines)
        assert maker.protect("btc_usdc", 1, quantity_limit=5).quantity_limit == 5
        assert len(maker.protections()) == 1
        maker.reset_protection("btc_usdc")
        maker.cancel_on_disconnect(on=False)
        maker.buy(CALL_NAME, 1, 800, label="x")
        assert maker.cancel_by_label("x") == 1
        assert maker.rate_limits()["other"]["remaining"] > 0
        assert maker.liquidations() == []
        asked = taker.request_quotes([(CALL_NAME, 1, "buy")], 1, "buy")
        (seen,) = maker.requests("maker")
        maker.cancel_quote(maker.quote(seen, "sell", 1_000))
        maker.quote(seen, "sell", 1_000)
        assert taker.accept(asked, "buy", 1_000).state == "filled"
        taker.cancel_request(taker.request_quotes([(CALL_NAME, 1, "buy")], 1).block_rfq_id)
        assert len(taker.history("trades", 1)) == 1
        assert taker.export_csv("trades", tmp_path / "trades.csv") >= 1
        assert taker.margins(CALL_NAME, 1, 1_000).max_price > 1_000
        assert taker.simulate_portfolio().equity == taker.account().equity
        missing = types.Liquidation(
            subaccount_id=9, state="slicing", step=0, suspended=None, equity=None,
            maintenance_margin=None, for_sale=None,
        )  # fmt: skip
        with pytest.raises(BadArgument):
            taker.bid(missing)
        with pytest.raises(ApiError):
            taker.transfer(1, 999)
