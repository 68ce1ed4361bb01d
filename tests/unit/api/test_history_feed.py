"""Which rows an entry leaves, and that they add up to what the engine holds."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile_flow import HostileFlow
from tests.liquidation_world import liquidating_venue, short_call, sweep
from tests.unit.api.world import FakeSequencer
from tests.unit.engine.test_acts import auctioned, of_kind, refuse
from tests.unit.engine.test_fee_share import later, sharing_venue, trade
from tests.venue import (
    CHAIN,
    COLLATERALS,
    FEE_ID,
    FEES,
    FUNDING,
    PERP,
    USDC_TOKEN,
    C,
    Venue,
    open_venue,
    usdc,
)

from exchange.api.history_feed import LOG, rows_of
from exchange.api.views import VenueView
from exchange.events import FeesShared
from exchange.fixed import ASSET_SCALE, QUANTITY_SCALE
from exchange.observations import DepositSeen, ExitServedSeen

TOKENS = {asset.name: asset.token for asset in COLLATERALS}


def feed(venue):
    view = VenueView()
    rows = []
    for entry in FakeSequencer(venue).entries():
        touched = view.apply(entry)
        rows += rows_of(view, entry, touched)
    return rows


def bodies(rows, topic):
    return [json.loads(row.body) for row in rows if row.topic == topic]


def test_every_kind_of_movement_has_its_row():
    venue = Venue(fees=FEES, funding=FUNDING)
    venue.index()
    venue.list_instruments(*CHAIN, PERP)
    venue.mark({**dict.fromkeys(CHAIN, 1_000), PERP: 101_000})
    maker, taker = venue.fund("0x" + "1" * 40), venue.fund("0x" + "2" * 40)
    venue.sell(maker, 1, 101_000, instrument_id=PERP)
    venue.buy(taker, 1, 101_000, instrument_id=PERP)
    rows = feed(venue)
    assert [row["change"] for row in bodies(rows, "deposit")] == [1_000_000, 1_000_000]
    assert {row["direction"] for row in bodies(rows, "trade")} == {"buy", "sell"}
    assert {row["order_state"] for row in bodies(rows, "order")} == {"filled"}


def test_places_count_within_an_entry():
    venue = Venue(fees=FEES)
    venue.index()
    venue.list_instruments(*CHAIN)
    venue.mark(dict.fromkeys(CHAIN, 1_000))
    maker, taker = venue.fund("0x" + "1" * 40), venue.fund("0x" + "2" * 40)
    venue.sell(maker, 1, 1_000)
    venue.buy(taker, 1, 1_000)
    last = [row for row in feed(venue) if row.seq == len(venue.entries)]
    assert [row.place for row in last] == list(range(len(last)))
    assert [row.topic for row in last] == ["trade", "trade", "order", "order"]
    assert [json.loads(row.body)["id"] for row in last[:1]] == [f"{len(venue.entries)}.0"]


def quantity_of(row):
    """Contracts that a row brought, in 1e-4."""
    sign = {"sell": -1}.get(row.get("direction"), 1) if row["type"] == "trade" else 1
    if row["type"] == "delivery":
        return -round(row["position"] * QUANTITY_SCALE)
    named = row["type"] in ("trade", "liquidation") and "instrument_name" in row
    return sign * round(row["amount"] * QUANTITY_SCALE) if named else 0


def combos_of(view):
    """What moves contracts of a combo are the rows of its legs."""
    return {number for number, instrument in view.instruments.items() if instrument.legs}


@given(st.integers(0, 2**32))
def test_rows_of_a_random_life_are_told_once_and_add_up(seed):
    """Keys ascend, a finished order has one row, and no contract or token moves without one."""
    flow = HostileFlow(random.Random(seed).randint)
    flow.venue.checking = False  # the engine's own tests do
    for _ in range(60):
        flow.step()
    view = VenueView()
    rows = []
    contracts, units = Counter(), Counter()
    for entry in FakeSequencer(flow.venue).entries():
        touched = view.apply(entry)
        rows += rows_of(view, entry, touched)
    keys = [(row.seq, row.place) for row in rows]
    assert keys == sorted(set(keys))
    orders = [
        json.loads(row.body)["order_id"] for row in rows if row.topic in ("order", "unfilled")
    ]
    assert len(orders) == len(set(orders))
    combos = combos_of(view)
    for row in rows:
        body = json.loads(row.body)
        assert row.subaccount_id in view.owners, "a row of nobody"
        if row.topic in LOG and row.instrument_id not in combos:
            contracts[row.subaccount_id, row.instrument_id] += quantity_of(body)
        if row.topic in LOG and body.get("currency") in TOKENS:
            change = round(body["change"] * ASSET_SCALE)
            units[row.subaccount_id, TOKENS[body["currency"]]] += change
    _compare(flow.venue.engine, contracts, units)


def _compare(engine, contracts, units):
    for subaccount_id in engine.subaccounts:
        mine = {key: held for (who, key), held in contracts.items() if who == subaccount_id}
        assert {key: held for key, held in mine.items() if held} == engine.positions(subaccount_id)
        tokens = engine.tokens(subaccount_id)
        for token in TOKENS.values():
            missing = engine._venue.chain.missing.get((token, subaccount_id), 0)
            assert units[subaccount_id, token] == tokens.get(token, 0) - missing


def test_a_liquidation_and_its_loss_are_in_the_log():
    """Of the one who lost his portfolio, of the fund that took it, and of those who shared."""
    venue = liquidating_venue()
    seller, buyer = short_call(venue)
    venue.mark({C: 6_500})
    for _ in range(90):
        sweep(venue, 1)
    rows = [row for row in feed(venue) if row.subaccount_id == seller]
    (leg, discount) = bodies(rows, "liquidation")
    assert (leg["amount"], leg["price"], discount["change"]) == (4, 6_500, 0)
    (paid,) = bodies(rows, "insurance")
    assert paid["change"] == 900
    (shared,) = [row for row in feed(venue) if row.topic == "socialized_loss"][:1]
    assert (shared.subaccount_id, json.loads(shared.body)["change"]) == (buyer, -900)


def test_the_funds_share_of_fees_is_in_the_log():
    """Of the venue and of the fund; and undone where the chain refuses it."""
    venue = sharing_venue()
    trade(venue)
    (paid,) = of_kind(later(venue), FeesShared)
    moved = [(FEE_ID, -paid.amount / 10**6), (paid.fund_subaccount_id, paid.amount / 10**6)]
    rows = feed(venue)
    changes = [(row.subaccount_id, json.loads(row.body)["change"]) for row in rows[-2:]]
    assert ({row.topic for row in rows[-2:]}, changes) == ({"fee_share"}, moved)
    refuse(venue, paid)
    undone = [row for row in feed(venue) if row.topic == "correction"]
    changes = [(row.subaccount_id, -json.loads(row.body)["change"]) for row in undone]
    assert changes == moved


def test_what_the_chain_takes_back_is_in_the_log():
    """A lost deposit, a served exit and its loss."""
    venue = open_venue()
    ann = venue.fund("ann")
    start = venue.block()
    venue.observe(DepositSeen(subaccount_id=ann, amount=usdc(5)))
    served = ExitServedSeen(subaccount_id=ann, ordinal=1, token=USDC_TOKEN, amount=usdc(7))
    venue.observe(served)
    venue.revert(start)
    rows = feed(venue)
    assert [row["change"] for row in bodies(rows, "withdrawal")] == [-7, 7]
    assert [row["change"] for row in bodies(rows, "correction")] == [-5]


@pytest.mark.parametrize("fund", [0, FEE_ID])
def test_acts_that_the_chain_refuses_are_undone_in_the_log(fund):
    """What the takeover gave and took adds up to nothing; or the fund has the keeper's rows."""
    venue = liquidating_venue()
    seller, keeper, sold, _ = auctioned(venue)
    refuse(venue, sold, fund=fund)
    totals = Counter()
    for row in feed(venue):
        body = json.loads(row.body)
        if row.topic in ("liquidation", "correction"):
            key = "change" if "change" in body else "amount"
            totals[row.subaccount_id, key] += body[key]
    assert totals[keeper, "amount"] == totals[keeper, "change"] == 0
    assert totals[fund or seller, "amount"] == (sold.legs[0].quantity / 10**4 if fund else 0)
    assert totals[fund or seller, "change"] == (sold.discount / 10**6 if fund else 0)
    if fund:
        assert totals[seller, "amount"] == -sold.legs[0].quantity / 10**4
