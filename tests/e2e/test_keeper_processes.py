"""Keepers as processes: what is due when an instrument expires, an owner leaves, an account fails.

Beside a venue of processes on a real Anvil; their books are compared with the chain's receipts.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.keeper_runs import (
    HELPER,
    HOUR,
    PERPETUAL,
    WAIT_S,
    Purse,
    later,
    moving,
    now_s,
    require_cost,
    run_keeper,
    travel,
)
from tests.live_venue import LiveVenue, Trader, eventually

from exchange.bootstrap import dev_keys
from exchange.events import DeliveryPriceFixed, PositionExpired
from exchange.fixed import CASH_SCALE

pytestmark = pytest.mark.e2e

STEP_S = 25  # between samples inside the window of a delivery price: a hole of 30 holds it up
ONCE = ("--rounds", "1", "--patience", "0")


def expiring_call(venue: LiveVenue, trader: Trader) -> tuple[str, int]:
    """The name and expiry of the call near the money that expires next, an hour away or more."""
    client = trader.client
    calls = [
        one
        for one in client.instruments("BTC")
        if one.kind == "option"
        and one.option_type == "call"
        and one.expiration_timestamp > (now_s(venue) + HOUR) * 1000
    ]
    index = client.index_price("btc_usdc")
    first = min(calls, key=lambda one: (one.expiration_timestamp, abs(one.strike - index)))
    return first.instrument_name, first.expiration_timestamp // 1000


def test_a_delivery_price_that_the_relayer_cannot_post(venue: LiveVenue, tmp_path: Path) -> None:
    """Anybody posts it; then the batch of the payoffs settles."""
    ann, bob = venue.join(), venue.join()
    name, expiry = expiring_call(venue, ann)
    venue.trade(ann, bob, name)
    venue.settled()
    travel(venue, expiry - 1_800 - STEP_S, 8 * HOUR)
    travel(venue, expiry - STEP_S, STEP_S)
    venue.settled()
    relayer, chain = dev_keys.relayer().address, venue.chain
    chain.rpc("anvil_setBalance", relayer, "0x0")
    travel(venue, expiry + 15, 15)
    call = ann.client.call
    eventually(
        lambda: any(
            one["key"].startswith("delivery:1:") for one in call("public/get_pending_posts")
        ),
        "a delivery price that waits",
        WAIT_S,
    )
    [fixed] = [
        one
        for one in venue.events(DeliveryPriceFixed)
        if (one.underlying_id, one.expiry) == (1, expiry)
    ]
    assert chain.delivery_price(1, expiry) is None
    purse = Purse(venue, HELPER.address)
    seen = run_keeper(venue, tmp_path, HELPER.key, "expire", "--dry-run", *ONCE)
    assert any(one.startswith("delivery:1:") for one in seen.actions("would do"))
    assert purse.balance() == purse.wei
    purse.require(seen)
    runs = [seen]
    while chain.delivery_price(1, expiry) is None:
        runs.append(run_keeper(venue, tmp_path, HELPER.key, "expire", *ONCE))
    assert chain.delivery_price(1, expiry) == fixed.price
    purse.require(*runs)
    require_cost(venue, runs[-1])
    chain.rpc("anvil_setBalance", relayer, hex(10**20))
    venue.settled()
    payoffs = venue.events(PositionExpired)
    assert {one.subaccount_id for one in payoffs} == {ann.subaccount_id, bob.subaccount_id}
    venue.require_agreement()


def abandon(venue: LiveVenue) -> None:
    """Every process of the operator ends."""
    for name in ("relayer", "engine"):
        venue.stack.children.pop(name).stop()


def leaving(venue: LiveVenue, trader: Trader, amount: int) -> tuple[str, ...]:
    """Options of an exit that needs nobody."""
    words = ("force-exit", "--subaccount", str(trader.subaccount_id), "--amount", str(amount))
    return (*words, "--deployment", str(venue.settings.deployment_file), "--interval", "0.5")


def test_an_owner_leaves_without_the_operator(venue: LiveVenue, tmp_path: Path) -> None:
    """Asked on chain while every process of the venue is away; paid when it is back."""
    ann, bob = venue.join(), venue.join()
    venue.trade(ann, bob, PERPETUAL)
    venue.settled()
    abandon(venue)
    chain, owner, key = venue.chain, ann.party.address, ann.party.key
    amount = 70_000 * CASH_SCALE
    words = leaving(venue, ann, amount)
    purse, before = Purse(venue, owner), chain.usdc_balance(owner)
    seen = run_keeper(venue, tmp_path, key, *words, "--dry-run", "--rounds", "1")
    assert seen.actions("would do") == [f"ask for {amount} of {chain.deployment.usdc}"]
    asked = run_keeper(venue, tmp_path, key, *words, "--rounds", "2")
    assert asked.actions("done") == seen.actions("would do")
    purse.require(seen, asked)
    assert asked.books["wei"] > 0
    for name in ("engine", "relayer"):
        venue.stack.start(name)
    followed = run_keeper(venue, tmp_path, key, *words)  # ends when it is paid
    assert (followed.books["done"], followed.books["wei"]) == (0, 0)
    assert chain.usdc_balance(owner) - before == amount
    venue.require_agreement()


def test_an_operator_that_never_answers_is_ended(venue: LiveVenue, tmp_path: Path) -> None:
    """By the keeper that asked, once the deadline is over; nothing is left for it to do then."""
    ann, chain = venue.join(), venue.chain
    venue.settled()
    abandon(venue)
    key, words = ann.party.key, leaving(venue, ann, 70_000 * CASH_SCALE)
    purse = Purse(venue, ann.party.address)
    asked = run_keeper(venue, tmp_path, key, *words, "--rounds", "1")
    deadline = chain.call(chain.clearing, "EXIT_DEADLINE")
    chain.advance_time(chain.block_time() + deadline - 60)
    early = run_keeper(venue, tmp_path, key, *words, "--rounds", "1")
    assert (early.books["seen"], early.books["done"]) == (0, 0)
    chain.advance_time(chain.block_time() + 120)
    ended = run_keeper(venue, tmp_path, key, *words)
    assert ended.actions("done") == ["start the escape: nobody served it"]
    purse.require(asked, early, ended)
    assert chain.call(chain.clearing, "escape")[0] > 0


@pytest.fixture
def falling(tmp_path: Path) -> Iterator[LiveVenue]:
    """The index is 5 % lower after a day and two hours."""
    yield from moving(tmp_path, {0: 100_000, 26 * HOUR: 95_000})


def test_an_exit_that_no_batch_pays_any_more(falling: LiveVenue, tmp_path: Path) -> None:
    """The operator paid what was free, for an hour; anybody pays what became free, by proof."""
    venue, wanted = falling, 4_000 * CASH_SCALE
    ann, bob = venue.join(22_600 * CASH_SCALE), venue.join()
    venue.trade(ann, bob, PERPETUAL, "1")
    venue.settled()
    chain, owner = venue.chain, ann.party.address
    before = chain.usdc_balance(owner)
    ask = ("force-exit", "--subaccount", str(ann.subaccount_id), "--amount", str(wanted))
    asked = run_keeper(venue, tmp_path, ann.party.key, *ask, "--rounds", "1")
    assert asked.books["done"] == 1
    eventually(lambda: 0 < chain.usdc_balance(owner) - before < wanted, "a part of it", WAIT_S)
    serve = ("serve-exits", "--journal", venue.settings.journal_location)
    serve += ("--deployment", str(venue.settings.deployment_file), "--rounds", "1")
    purse = Purse(venue, HELPER.address)
    early = run_keeper(venue, tmp_path, HELPER.key, *serve)
    assert (early.books["seen"], early.books["done"]) == (0, 0)
    later(venue, 27 * HOUR, 9 * HOUR)
    seen = run_keeper(venue, tmp_path, HELPER.key, *serve, "--dry-run")
    left = wanted - (chain.usdc_balance(owner) - before)
    closing = f"pay {left} to subaccount {ann.subaccount_id}, and close its request"
    assert seen.actions("would do") == [closing]
    served = run_keeper(venue, tmp_path, HELPER.key, *serve)
    assert served.actions("done") == [closing]
    purse.require(early, seen, served)
    require_cost(venue, served)
    assert chain.usdc_balance(owner) - before == wanted
    venue.observed()
    assert venue.admin("/admin/status")["exits"] in ([], {})
    venue.require_agreement()
