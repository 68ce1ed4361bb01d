"""Credit pools refill; a request takes from the account's and the network's, or from neither."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.world import MAKER_KEY, World, call, session_of

from exchange.api.errors import TooManyRequests
from exchange.api.limits import POOLS_MAX, Payer, RateLimits
from exchange.api.settings import GatewaySettings


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def limits(factor=2.0):
    clock = Clock()
    settings = GatewaySettings(
        requests_per_s=1, requests_burst=2, orders_per_s=10, orders_burst=3, network_factor=factor
    )
    return RateLimits(settings, clock), clock


ANN, BOB, EVE = (Payer(account=name, network="office") for name in ("ann", "bob", "eve"))
HOME = Payer(account="ann", network="home")
NOBODY = Payer(account="", network="office")


def spend(pools, payer, count, *, matching=False):
    for _ in range(count):
        pools.take(payer, matching=matching)


def left(pools, payer, *, shared=False, name="other"):
    return pools.left(payer, shared=shared)[name]["remaining"]


@pytest.mark.parametrize("payer", [ANN, NOBODY])
@pytest.mark.parametrize(("matching", "burst"), [(False, 2), (True, 3)])
def test_a_pool_is_empty_after_its_burst(payer, matching, burst):
    pools, _ = limits()
    spend(pools, payer, burst, matching=matching)
    with pytest.raises(TooManyRequests, match="the credit pool is empty"):
        pools.take(payer, matching=matching)


def test_pools_of_accounts_and_kinds_are_apart():
    pools, _ = limits()
    spend(pools, ANN, 2)
    spend(pools, BOB, 2)
    spend(pools, ANN, 3, matching=True)
    assert (left(pools, ANN), left(pools, NOBODY), left(pools, EVE)) == (0, 2, 2)


def test_accounts_at_one_address_share_its_pool():
    """The third finds it empty, though his own is full and stays so."""
    pools, clock = limits()
    spend(pools, ANN, 2)
    spend(pools, BOB, 2)
    with pytest.raises(TooManyRequests, match="network address"):
        pools.take(EVE, matching=False)
    assert (left(pools, EVE), left(pools, EVE, shared=True)) == (2, 0)
    pools.take(Payer(account="eve", network="elsewhere"), matching=False)
    clock.now_s = 1.0
    spend(pools, EVE, 2)  # of the network's refill, twice an account's


def test_an_account_is_one_wherever_it_calls_from():
    """And what it could not spend is not taken from the network."""
    pools, _ = limits()
    spend(pools, ANN, 2)
    with pytest.raises(TooManyRequests, match="the credit pool is empty"):
        pools.take(HOME, matching=False)
    assert left(pools, HOME, shared=True) == 4


def test_a_pool_refills_up_to_its_burst():
    pools, clock = limits()
    spend(pools, ANN, 2)
    clock.now_s = 1.0
    spend(pools, ANN, 1)
    with pytest.raises(TooManyRequests):
        pools.take(ANN, matching=False)
    clock.now_s = 100.0
    assert (left(pools, ANN), left(pools, ANN, shared=True)) == (2, 4)


def test_forgotten_pools_are_full():
    pools, _ = limits()
    spend(pools, ANN, 2)
    for number in range(POOLS_MAX):
        pools.take(Payer(account="", network=f"{number}"), matching=False)
    pools.take(ANN, matching=False)


@given(
    st.lists(
        st.tuples(st.sampled_from([ANN, BOB, EVE, HOME, NOBODY]), st.booleans(), st.integers(1, 3)),
        max_size=30,
    )
)
def test_what_is_taken_is_what_a_plain_count_allows(requests):
    """Without time: both pools hold enough, or nothing is taken from either."""
    pools, _ = limits()
    spent: Counter[object] = Counter()
    for payer, matching, cost in requests:
        burst = 3 if matching else 2
        own = (payer.account or payer.network, bool(payer.account), matching)
        shared = ("network", payer.network, matching)
        fits = spent[own] + cost <= burst and spent[shared] + cost <= 2 * burst
        try:
            pools.take(payer, matching=matching, cost=cost)
            taken = True
        except TooManyRequests:
            taken = False
        assert taken == fits
        if taken:
            spent[own] += cost
            spent[shared] += cost


def test_a_caller_is_told_both_and_refused_by_either():
    """Two accounts at one address: the second still has credits of its own."""
    world = World(requests_burst=4, requests_per_s=1e-9, network_factor=1.5)
    first, second = session_of(world).session, session_of(world, MAKER_KEY).session

    def ask(session):
        return asyncio.run(call(world, "public/get_rate_limits", session=session))

    for burst in (3, 2, 1, 0):
        found = ask(first)["result"]
        assert (found["other"]["burst"], found["other"]["remaining"]) == (4, burst)
        assert (found["network"]["other"]["burst"]) == 6
        assert (found["network"]["other"]["remaining"]) == burst + 2
        assert found["matching"]["remaining"] == 10**9
    assert ask(first)["error"]["code"] == 10028
    assert ask(second)["result"]["network"]["other"]["remaining"] == 1
    assert ask(None)["result"]["network"]["other"]["remaining"] == 0
    refused = ask(second)["error"]
    assert (refused["code"], "network address" in refused["data"]["reason"]) == (10028, True)
    world.gateway.stop()
