"""What the view forgets of finished orders must not be needed any more."""

import asyncio

import pytest
from tests.unit.api.test_methods_quotes import line, sheet
from tests.unit.api.world import MAKER_KEY, World, call


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr("exchange.api.views.FINISHED_ORDERS_KEPT", 2)
    world = World()
    yield world
    world.gateway.stop()


def send(world, method, params):
    return asyncio.run(call(world, method, params))


def test_a_quote_that_stands_keeps_its_nonce_while_others_end(world):
    """Forgetting the order that had it first must not break the gateway, nor each restart."""
    for nonce, price, first in ((1, "900", 1_000), (2, "901", 2_000), (3, "902", 1_000)):
        params = sheet(world, nonce, line(bid=(price, "1"), ask=None), first_nonce=first)
        assert "result" in send(world, "private/mass_quote", params)
    for price in ("1300", "1301", "1302"):
        order = world.order("buy", price="800", time_in_force="immediate_or_cancel", label=price)
        assert "result" in send(world, "private/buy", order)
    params = sheet(world, 4, line(bid=("902", "1"), ask=None))
    assert send(world, "private/mass_quote", params)["result"]["kept"] == 1
    assert world.gateway.healthy


def test_an_order_that_ended_long_ago_and_comes_again_is_named(world):
    """The engine remembers it longer than the view shows it."""
    orders = [
        world.order("buy", price="800", time_in_force="immediate_or_cancel") for _ in range(4)
    ]
    for order in orders:
        assert "result" in send(world, "private/buy", order)
    assert "result" in send(world, "private/buy", orders[-1])
    assert send(world, "private/buy", orders[0])["error"]["code"] == 10004


def test_labels_are_forgotten_with_their_orders(world):
    """What is left answers, the newest first; nothing is kept of labels that nobody has."""
    for number in range(4):
        order = world.order(
            "buy", price="800", time_in_force="immediate_or_cancel", label=f"l{number % 2}"
        )
        assert "result" in send(world, "private/buy", order)
    assert {label for _, label in world.gateway.view.labels} == {"l0", "l1"}
    kept = [order for orders in world.gateway.view.labels.values() for order in orders]
    assert sorted(kept) == sorted(world.gateway.view.orders)
    for _ in range(2):
        order = world.order("buy", price="800", time_in_force="immediate_or_cancel", label="new")
        assert "result" in send(world, "private/buy", order)
    assert {label for _, label in world.gateway.view.labels} == {"new"}


def test_a_label_changes_with_its_sheet(world):
    """A kept quote is found under the new sheet's label only."""
    for nonce, label in ((1, "first"), (2, "second")):
        params = sheet(world, nonce, line(ask=None), label=label)
        assert "result" in send(world, "private/mass_quote", params)
    assert {label for _, label in world.gateway.view.labels} == {"second"}


def test_the_oldest_trades_are_forgotten(world, monkeypatch):
    """The history service answers for them."""
    monkeypatch.setattr("exchange.api.views.TRADES_KEPT", 2)
    for _ in range(4):
        assert "result" in send(world, "private/sell", world.order("sell", key=MAKER_KEY))
        assert "result" in send(world, "private/buy", world.order("buy"))
    assert list(world.gateway.view.trades) == [3, 4]
