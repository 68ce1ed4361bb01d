"""A long sheet costs more than one credit: it is hashed before its signature can be checked."""

import asyncio

import pytest
from tests.unit.api.test_methods_quotes import line, sheet
from tests.unit.api.world import World, call

from exchange.api.limits import Payer


def sent(lines, burst):
    """The reply to a sheet of so many lines, and the credits that it cost."""
    world = World(orders_burst=burst, orders_per_s=0.001)
    try:
        params = sheet(world, 1, line()) | {"quotes": [line()] * lines}
        answer = asyncio.run(call(world, "private/mass_quote", params))
        left = world.gateway.limits.left(Payer("", "test"), shared=False)
        return answer, burst - left["matching"]["remaining"]
    finally:
        world.gateway.stop()


@pytest.mark.parametrize(("lines", "cost"), [(1, 1), (7, 1), (8, 2), (40, 6)])
def test_a_sheet_costs_by_its_lines(lines, cost):
    """Good or bad: the work is done either way."""
    assert sent(lines, 100)[1] == cost


def test_an_empty_pool_refuses_a_sheet():
    """Before it is hashed; the credit of the call is gone."""
    answer, cost = sent(40, 3)
    assert (answer["error"]["code"], cost) == (10028, 1)
