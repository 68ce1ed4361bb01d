"""Withdrawals, transfers, and what margin is and would be, over the wire."""

import asyncio

import msgspec
import pytest
from tests.unit.api.test_methods_private import ask, reason, result, trade
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    STRANGER_KEY,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    World,
    hexed,
)
from tests.venue import (
    COLLATERALS,
    FEES,
    INDEX,
    MARGIN,
    USDC_TOKEN,
    WBTC,
    WETH,
    configuration,
    tokens,
    usdc,
)

from exchange.api.methods_money import MONEY
from exchange.api.methods_private import SIGNED
from exchange.commands import CutBatch, Novate, RefusedMove
from exchange.model import TransferTerms, WithdrawalTerms
from exchange.signing import sign_digest, transfer_digest, withdrawal_digest

WETH_TOKEN = COLLATERALS[0].token


@pytest.fixture
def world():
    """The taker has two subaccounts, and two WBTC in the first."""
    made = World()
    command = configuration(version=2, fees=FEES, collaterals=COLLATERALS, transfers=True)
    made.do(lambda venue: venue.send(command))
    made.other = made.do(lambda venue: venue.fund(TAKER, 0))
    made.do(lambda venue: venue.give(TAKER_ID, WBTC, 2))
    return made


def signed_transfer(world, *, key=TAKER_KEY, domain=DOMAIN, **changes):
    world.nonce += 1
    params = {
        "amount": "100",
        "source": TAKER_ID,
        "destination": world.other,
        "nonce": world.nonce,
        "deadline": world.venue.now_s + 3600,
        "signer": TAKER,
    } | changes
    is_cash = params.get("currency", "USDC") == "USDC"
    terms = TransferTerms(
        subaccount_id=params["source"],
        to_subaccount_id=params["destination"],
        token=USDC_TOKEN if is_cash else WETH_TOKEN,
        amount=usdc(params["amount"]) if is_cash else tokens(params["amount"]),
        nonce=params["nonce"],
        deadline=params["deadline"],
        signer=params["signer"],
    )
    return params | {"signature": hexed(sign_digest(transfer_digest(domain, terms), key))}


def row(world, currency, key=TAKER_KEY):
    return result(world, "get_account_summary", {"currency": currency}, key)


def test_each_token_has_its_own_row(world):
    """Cash first, with the margin of the whole; then tokens, in tokens."""
    found = result(world, "get_account_summaries", {}, TAKER_KEY)["summaries"]
    assert [one["currency"] for one in found] == ["USDC", "WETH", "WBTC"]
    cash, weth, wbtc = found
    assert (weth["balance"], wbtc["balance"]) == (0, 2)
    assert wbtc["collateral_value"] == cash["collateral_value"] == 2 * INDEX
    assert cash["equity"] == cash["balance"] + 2 * INDEX
    assert wbtc["available_withdrawal_funds"] == 2
    assert row(world, "wbtc") == wbtc
    assert row(world, "any") == cash
    error = ask(world, "get_account_summary", {"currency": "DOGE"}, TAKER_KEY)["error"]
    assert error["data"]["reason"] == "accounts are in USDC, WETH, WBTC"


def test_what_a_row_says_may_leave_does_leave(world):
    """With a debt behind it less than all; and what it says is safe to ask for."""
    world.do(lambda venue: venue.withdraw(TAKER_ID, 999_990))
    result(world, "sell", world.order("sell", key=MAKER_KEY, amount="5"))
    result(world, "buy", world.order("buy", amount="5"))
    free = row(world, "WBTC")["available_withdrawal_funds"]
    assert 0 < free < 2
    before = row(world, "USDC")["available_funds"]
    terms = WithdrawalTerms(
        subaccount_id=TAKER_ID,
        token=COLLATERALS[1].token,
        amount=tokens(str(free)),
        recipient=TAKER,
        nonce=900,
        deadline=world.venue.now_s + 60,
        signer=TAKER,
    )
    params = {
        "currency": "WBTC",
        "amount": str(free),
        "address": TAKER,
        "subaccount_id": TAKER_ID,
        "nonce": 900,
        "deadline": terms.deadline,
        "signer": TAKER,
        "signature": hexed(sign_digest(withdrawal_digest(DOMAIN, terms), TAKER_KEY)),
    }
    found = result(world, "withdraw", params)
    assert (found["currency"], found["amount"]) == ("WBTC", free)
    assert 0 <= row(world, "USDC")["available_funds"] < before
    asked = {"subaccount_id": TAKER_ID, "nonce": 900}
    assert result(world, "get_settlement_status", asked, TAKER_KEY)["state"] == "sequenced"
    seq = world.sequencer.last_seq
    world.do(lambda venue: venue.send(CutBatch()))
    number = world.sequencer.engine.batch_number
    refused = Novate(batch=number, fills=(), moves=(RefusedMove(seq=seq),))
    world.do(lambda venue: venue.send(refused))
    assert result(world, "get_settlement_status", asked, TAKER_KEY)["state"] == "refused"
    unknown = params | {"currency": "DOGE"}
    assert ask(world, "withdraw", unknown)["error"]["data"]["param"] == "currency"


def test_cash_and_tokens_move_between_own_subaccounts(world):
    found = result(world, "submit_transfer_between_subaccounts", signed_transfer(world))
    assert (found["amount"], found["source"], found["other_side"]) == (100, TAKER_ID, "4")
    world.do(lambda venue: venue.give(TAKER_ID, WETH, 3))
    params = signed_transfer(world, currency="WETH", amount="1.5")
    found = result(world, "submit_transfer_between_subaccounts", params)
    assert (found["currency"], found["amount"]) == ("WETH", 1.5)
    other = {"subaccount_id": world.other}
    summaries = result(world, "get_account_summaries", other, TAKER_KEY)["summaries"]
    assert [one["balance"] for one in summaries] == [100, 1.5, 0]


def test_a_transfer_needs_its_owners_signature_and_an_own_destination(world):
    stolen = signed_transfer(world, key=STRANGER_KEY)
    assert reason(world, "submit_transfer_between_subaccounts", stolen) == "bad_signature"
    away = signed_transfer(world, destination=MAKER_ID)
    assert reason(world, "submit_transfer_between_subaccounts", away) == "bad_recipient"


def test_a_portfolio_is_simulated_scenario_by_scenario(world):
    """Ten calls sold at the mark: the matrix, both margins, and the account as it stands."""
    trade(world)
    now = row(world, "USDC")
    asked = {"simulated_positions": {CALL_NAME: "-10", PUT_NAME: 2}}
    found = result(world, "simulate_portfolio", asked, TAKER_KEY)
    assert found["positions"] == {CALL_NAME: -9, PUT_NAME: 2}
    assert found["collateral"] == {"WBTC": 2}
    assert found["equity"] == now["equity"], "trades at the mark move no equity"
    assert found["current_initial_margin"] == now["initial_margin"]
    assert found["initial_margin"] > now["initial_margin"]
    assert found["projected_initial_margin"] == found["initial_margin"]
    (group,) = found["groups"]
    assert group["underlyings"] == ["BTC"]
    assert len(group["scenarios"]) == len(found["scenarios"]) == len(MARGIN.weights)
    assert group["worst"] == min(*group["scenarios"], group["basis_contingency"])
    assert [one["spot"] for one in found["scenarios"]] == [1.5, 0.5, 1.1, 0.8, 1.2]
    total = found["equity"] + group["worst"] - found["initial_addons"]
    assert total - found["maintenance_addons"] == found["initial_excess"]
    assert row(world, "USDC") == now, "nothing happened"


def test_a_portfolio_of_ones_own_invention(world):
    """Not added to what there is: only what was asked for, tokens and cash included."""
    trade(world)
    asked = {
        "add_positions": False,
        "simulated_positions": {PUT_NAME: -1},
        "simulated_collateral": {"WETH": "1.5"},
        "simulated_cash": "-100.25",
    }
    found = result(world, "simulate_portfolio", asked, TAKER_KEY)
    assert found["positions"] == {PUT_NAME: -1}
    assert found["collateral"] == {"WETH": 1.5}
    assert float(found["equity"]) == 1.5 * INDEX - 100.25
    assert sorted(group["underlyings"] for group in found["groups"]) == [["BTC"], ["ETH"]]
    gone = {"simulated_collateral": {"WBTC": -5}}
    found = result(world, "simulate_portfolio", gone, TAKER_KEY)
    assert found["collateral"] == {}, "no more can be taken away than there is"


def test_open_orders_count_in_a_simulation(world):
    """What rests is margined with what would be held."""
    result(world, "sell", world.order("sell", amount="3"))
    resting = row(world, "USDC")
    found = result(world, "simulate_portfolio", {}, TAKER_KEY)
    assert found["initial_margin"] == resting["initial_margin"] > 0


def test_an_isolated_token_is_named_by_itself(world):
    alone = tuple(msgspec.structs.replace(asset, isolated=True) for asset in COLLATERALS)
    command = configuration(version=3, fees=FEES, collaterals=alone)
    world.do(lambda venue: venue.send(command))
    asked = {"simulated_positions": {PUT_NAME: -1}}
    groups = result(world, "simulate_portfolio", asked, TAKER_KEY)["groups"]
    assert [(one["underlyings"], one["isolated"]) for one in groups] == [
        (["BTC"], []),
        ([], ["WBTC"]),
    ]


BAD = [
    ({"simulated_positions": {"BTC_USDC-25DEC26-1-C": 1}}, "instrument_name"),
    ({"simulated_positions": {CALL_NAME: "much"}}, "simulated_positions"),
    ({"simulated_collateral": {"USDC": 1}}, "simulated_collateral"),
    ({"simulated_collateral": {"DOGE": 1}}, "currency"),
    ({"simulated_cash": "1e9"}, "simulated_cash"),
    ({"simulated_cash": True}, "simulated_cash"),
]


@pytest.mark.parametrize(("params", "param"), BAD)
def test_a_bad_simulation_names_its_parameter(world, params, param):
    assert ask(world, "simulate_portfolio", params, TAKER_KEY)["error"]["data"]["param"] == param


def test_a_simulation_is_bounded_and_needs_marks(world):
    many = {f"X-{at}": 1 for at in range(501)}
    error = ask(world, "simulate_portfolio", {"simulated_positions": many}, TAKER_KEY)["error"]
    assert error["data"]["reason"] == "at most 500 positions"
    unmarked = World()
    unmarked.gateway.view.marks = None
    asked = {"simulated_positions": {CALL_NAME: 1}}
    error = ask(unmarked, "simulate_portfolio", asked, TAKER_KEY)["error"]
    assert error["data"]["reason"] == f"{CALL_NAME} has no mark"
    asked = {"instrument_name": CALL_NAME, "amount": 1, "price": 1}
    assert "error" in ask(unmarked, "get_margins", asked, TAKER_KEY)


def test_margins_of_an_order_are_what_placing_it_takes(world):
    """Bought or sold at a price: exactly the fall of available funds, fee limit aside."""
    asked = {"instrument_name": CALL_NAME, "amount": "2", "price": "1000"}
    found = result(world, "get_margins", asked, TAKER_KEY)
    assert (found["min_price"], found["max_price"]) == (0.01, 11_000)
    for side in ("buy", "sell"):
        before = row(world, "USDC")["initial_excess"]
        order = world.order(side, amount="2", price="1000", max_fee="100")
        placed = result(world, side, order)
        taken = before - row(world, "USDC")["initial_excess"]
        assert abs(taken - found[side] - 200) < 0.0001
        canceling = {"order_id": placed["order"]["order_id"]}
        result(world, "cancel", canceling, TAKER_KEY)


def test_margins_of_open_orders_are_what_canceling_them_gives_back(world):
    """In the order asked, each alone; what belongs to others answers as if it did not exist."""
    ids = [
        result(world, side, world.order(side, price=price))["order"]["order_id"]
        for side, price in (("sell", "1100"), ("buy", "900"))
    ]
    kept = result(world, "get_order_margin_by_ids", {"ids": ids}, TAKER_KEY)
    assert [one["order_id"] for one in kept] == ids
    assert {one["initial_margin_currency"] for one in kept} == {"USDC"}
    before = row(world, "USDC")["initial_margin"]
    result(world, "cancel", {"order_id": ids[0]}, TAKER_KEY)
    fell = before - row(world, "USDC")["initial_margin"]
    assert fell > 0
    assert abs(fell - kept[0]["initial_margin"]) < 0.0001
    (over,) = result(world, "get_order_margin_by_ids", {"ids": ids[:1]}, TAKER_KEY)
    assert over["initial_margin"] == 0
    for asked, key in ((ids, MAKER_KEY), (["999999"], MAKER_KEY)):
        refused = ask(world, "get_order_margin_by_ids", {"ids": asked}, key)["error"]
        assert (refused["code"], refused["data"]["param"]) == (10004, "ids")
    assert ask(world, "get_order_margin_by_ids", {"ids": ids})["error"]["code"] == 13009
    assert ask(world, "get_order_margin_by_ids", {"ids": []}, TAKER_KEY)["error"]["code"] == -32602


def test_margins_and_simulations_are_ones_own(world):
    for method, params in (
        ("simulate_portfolio", {}),
        ("get_margins", {"instrument_name": CALL_NAME, "amount": 1, "price": 1}),
    ):
        assert ask(world, method, params)["error"]["code"] == 13009
        mine = params | {"subaccount_id": TAKER_ID}
        assert ask(world, method, mine, MAKER_KEY)["error"]["code"] == 13021


def test_what_moves_money_is_signed():
    names = {method.name for method in MONEY}
    assert names - SIGNED == {
        "private/get_margins",
        "private/get_order_margin_by_ids",
        "private/simulate_portfolio",
    }
    assert asyncio.iscoroutinefunction(MONEY[0].handler)
