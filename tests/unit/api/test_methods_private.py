"""Orders, money, and that nobody touches what is not theirs."""

import asyncio

import msgspec
import pytest
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    STRANGER_KEY,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    api_key,
    call,
    session_of,
    sign_order,
)

from exchange.api.methods_private import PRIVATE, SIGNED
from exchange.commands import BatchSeen, CutBatch
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)


def ask(world, method, params=None, key=None):
    session = session_of(world, key).session if key else None
    return asyncio.run(call(world, f"private/{method}", params, session=session))


def result(*arguments):
    reply = ask(*arguments)
    assert "result" in reply, reply
    return reply["result"]


def reason(*arguments):
    return ask(*arguments)["error"]["data"]["reject_reason"]


def trade(world):
    """One contract from maker to taker at 1000."""
    result(world, "sell", world.order("sell", key=MAKER_KEY))
    return result(world, "buy", world.order("buy"))


# -- orders -------------------------------------------------------------------------------------


def test_a_signed_order_needs_no_session_and_is_acknowledged(world):
    found = result(world, "sell", world.order("sell", key=MAKER_KEY, label="mine", amount=0.5))
    order = found["order"]
    expected = {
        "order_state": "open",
        "direction": "sell",
        "amount": 0.5,
        "price": 1000,
        "label": "mine",
        "instrument_name": CALL_NAME,
        "subaccount_id": MAKER_ID,
    }
    assert expected.items() <= order.items()
    assert found["trades"] == []
    assert found["seq"] == world.sequencer.last_seq
    assert found["journal_hash"].startswith("0x")


def test_a_taker_learns_its_trades(world):
    found = trade(world)
    assert found["order"]["order_state"] == "filled"
    (row,) = found["trades"]
    assert (row["price"], row["liquidity"], row["fee"]) == (1000, "T", 30)


def test_a_market_order_never_rests(world):
    order = world.order("buy", type="market")
    found = result(world, "buy", order)
    assert found["order"]["order_state"] == "cancelled"
    assert found["order"]["time_in_force"] == "immediate_or_cancel"
    fok = world.order("buy", type="market", time_in_force="fill_or_kill")
    assert reason(world, "buy", fok) == "fok_not_fillable"


def test_post_only_rests_a_tick_away_or_is_refused(world):
    result(world, "sell", world.order("sell", key=MAKER_KEY))
    found = result(world, "buy", world.order("buy", post_only=True))
    assert found["order"]["price"] == 999.99
    refused = world.order("buy", post_only=True, reject_post_only=True)
    assert reason(world, "buy", refused) == "post_only_would_trade"


def test_the_same_order_again_answers_with_the_first_outcome(world):
    result(world, "sell", world.order("sell", key=MAKER_KEY))
    order = world.order("buy")
    first, second = result(world, "buy", order), result(world, "buy", order)
    assert first["order"] == second["order"]
    assert first["trades"] == second["trades"]
    assert len(world.gateway.view.trades) == 1


def test_an_edit_keeps_the_order_id(world):
    order = world.order("buy", amount="2", price="990")
    placed = result(world, "buy", order)["order"]
    changes = {"amount": "3", "price": "991"}
    params = order | changes | {"version": 1}
    signature = sign_order(params, "buy", TAKER_KEY)
    fields = ("amount", "price", "version", "deadline", "max_fee", "signer")
    edit = {name: params[name] for name in fields} | {
        "order_id": placed["order_id"],
        "signature": signature,
    }
    found = result(world, "edit", edit)["order"]
    assert found["order_id"] == placed["order_id"]
    assert (found["amount"], found["price"], found["replaced"]) == (3, 991, True)
    assert reason(world, "edit", edit | {"order_id": "99"}) == "unknown_order"
    assert reason(world, "edit", edit | {"version": 2}) == "bad_signature"


SPOILT_SIGNATURES = {
    "altered amount": lambda world, order: order | {"amount": "2"},
    "altered price": lambda world, order: order | {"price": "1000.01"},
    "altered nonce": lambda world, order: order | {"nonce": order["nonce"] + 1},
    "altered fee": lambda world, order: order | {"max_fee": "101"},
    "altered side": lambda world, order: (
        order | {"signature": sign_order(order, "sell", TAKER_KEY)}
    ),
    "altered reduce-only": lambda world, order: order | {"reduce_only": True},
    "other subaccount": lambda world, order: order | {"subaccount_id": MAKER_ID},
    "other signer": lambda world, order: order | {"signer": MAKER},
    "too short": lambda world, order: order | {"signature": order["signature"][:-2]},
}


@pytest.mark.parametrize("name", SPOILT_SIGNATURES)
def test_a_spoilt_signature_is_refused_by_name_before_the_engine_sees_it(world, name):
    before = world.sequencer.last_seq
    params = SPOILT_SIGNATURES[name](world, world.order("buy"))
    error = ask(world, "buy", params)["error"]
    assert (error["code"], error["data"]["param"]) == (13004, "signature")
    assert error["data"]["reject_reason"] == "bad_signature"
    assert f"chainId=31337 verifyingContract={DOMAIN.clearing}" in error["data"]["reason"]
    assert world.sequencer.last_seq == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"price": "1000.001"}, "price_off_tick"),
        ({"amount": "0.001"}, "quantity_off_lot"),
        ({"amount": "0"}, "quantity_not_positive"),
        ({"price": "0"}, "price_not_positive"),
        ({"price": "50000"}, "price_outside_band"),
        ({"max_fee": "0"}, "max_fee_too_low"),
        ({"deadline": 1}, "deadline_passed"),
        ({"deadline": 2**33}, "deadline_too_far"),
        ({"subaccount_id": MAKER_ID}, "unauthorized_signer"),
        ({"subaccount_id": 99}, "unknown_subaccount"),
        ({"reduce_only": True}, "reduce_only_increases"),
        ({"amount": "1000", "price": "5000"}, "insufficient_margin"),
    ],
)
def test_the_engine_refuses_by_name(world, changes, expected):
    assert reason(world, "buy", world.order("buy", **changes)) == expected


def test_a_nonce_serves_one_content(world):
    order = world.order("buy", price="990")
    result(world, "buy", order)
    other = world.order("buy", nonce=order["nonce"], price="991")
    assert reason(world, "buy", other) == "nonce_used"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (SequencerBusy("full"), 10047),
        (SequencerStopped("x"), 13028),
        (SequencerUnreachable("nothing was done"), 13028),
        (OutcomeUnknown("ask by nonce"), 13888),
    ],
)
def test_a_full_or_stopped_sequencer_is_told(world, failure, code):
    world.sequencer.failure = failure
    assert ask(world, "buy", world.order("buy"))["error"]["code"] == code


# -- own things -----------------------------------------------------------------------------------


def test_orders_are_found_by_id_nonce_and_label(world):
    order = world.order("buy", price="990", label="one")
    placed = result(world, "buy", order)["order"]
    by_id = result(world, "get_order_state", {"order_id": placed["order_id"]}, TAKER_KEY)
    by_nonce = result(
        world,
        "get_order_state_by_nonce",
        {"subaccount_id": TAKER_ID, "nonce": order["nonce"]},
        TAKER_KEY,
    )
    by_label = result(world, "get_order_state_by_label", {"label": "one"}, TAKER_KEY)
    assert by_id == by_nonce == by_label[0] == placed
    missing = {"subaccount_id": TAKER_ID, "nonce": 77}
    assert ask(world, "get_order_state_by_nonce", missing, TAKER_KEY)["error"]["code"] == 10004


def test_open_orders_are_listed_and_canceled(world):
    for price in ("990", "991", "992"):
        result(world, "buy", world.order("buy", price=price))
    put = world.order("buy", price="980", instrument_name=PUT_NAME)
    result(world, "buy", put)
    for method, params, count in (
        ("get_open_orders", {}, 4),
        ("get_open_orders", {"kind": "future"}, 0),
        ("get_open_orders_by_currency", {"currency": "BTC"}, 4),
        ("get_open_orders_by_currency", {"currency": "ETH"}, 0),
        ("get_open_orders_by_instrument", {"instrument_name": PUT_NAME}, 1),
    ):
        assert len(result(world, method, params, TAKER_KEY)) == count, method
    first = result(world, "get_open_orders", {}, TAKER_KEY)[0]
    canceled = result(world, "cancel", {"order_id": first["order_id"]}, TAKER_KEY)
    assert (canceled["order_state"], canceled["cancel_reason"]) == ("cancelled", "by_owner")
    assert reason(world, "cancel", {"order_id": first["order_id"]}, TAKER_KEY) == "unknown_order"
    by_instrument = {"instrument_name": PUT_NAME}
    assert result(world, "cancel_all_by_instrument", by_instrument, TAKER_KEY) == 1
    assert result(world, "cancel_all_by_currency", {"currency": "ETH"}, TAKER_KEY) == 0
    assert result(world, "cancel_all_by_currency", {"currency": "BTC"}, TAKER_KEY) == 2
    assert result(world, "cancel_all", {}, TAKER_KEY) == 0


def test_an_extended_summary_has_the_schedule_of_fees(world):
    """Of each kind of instrument, and no other field differs."""
    plain = result(world, "get_account_summary", {}, TAKER_KEY)
    more = result(world, "get_account_summary", {"extended": True}, TAKER_KEY)
    fees = more.pop("fees")
    assert more == plain
    assert [row["instrument_type"] for row in fees] == ["option", "future", "perpetual"]
    assert fees[0]["taker_fee"] == 0.0003


def test_positions_trades_and_account_after_a_trade(world):
    trade(world)
    world.do(lambda venue: venue.mark({next(iter(world.gateway.view.positions[3])): 1_100}))
    (position,) = result(world, "get_positions", {}, TAKER_KEY)
    expected = {"size": 1, "average_price": 1000, "mark_price": 1100, "floating_profit_loss": 100}
    assert expected.items() <= position.items()
    single = result(world, "get_position", {"instrument_name": CALL_NAME}, TAKER_KEY)
    assert single == position
    flat = result(world, "get_position", {"instrument_name": PUT_NAME}, TAKER_KEY)
    assert (flat["size"], flat["direction"]) == (0, "zero")
    account = result(world, "get_account_summary", {}, TAKER_KEY)
    assert account["balance"] == 1_000_000 - 1000 - 30
    assert account["equity"] == account["balance"] + 1100
    summaries = result(world, "get_account_summaries", {}, TAKER_KEY)["summaries"]
    assert summaries == [account]
    for key, role, side in ((TAKER_KEY, "T", "buy"), (MAKER_KEY, "M", "sell")):
        for method, params in (
            ("get_user_trades_by_instrument", {"instrument_name": CALL_NAME}),
            ("get_user_trades_by_currency", {"currency": "BTC"}),
        ):
            (row,) = result(world, method, params, key)["trades"]
            assert (row["liquidity"], row["direction"]) == (role, side)
        (row,) = result(world, "get_user_trades_by_order", {"order_id": row["order_id"]}, key)
        assert row["liquidity"] == role


def test_a_settlement_is_followed_to_the_chain(world):
    trade_id = trade(world)["trades"][0]["trade_id"]

    def state():
        return result(world, "get_settlement_status", {"trade_id": trade_id}, MAKER_KEY)

    assert state()["state"] == "sequenced"
    world.do(lambda venue: venue.send(CutBatch()))
    assert (state()["state"], state()["batch"], state()["block"]) == ("batched", 1, None)
    seen = BatchSeen(number=1, batch_hash=bytes(32), block=9, transaction="0xaa")
    world.do(lambda venue: venue.observe(seen))
    assert (state()["state"], state()["block"], state()["transaction"]) == ("confirmed", 9, "0xaa")


def test_a_withdrawal_is_signed_debited_and_followed(world):
    params = world.withdrawal(amount="12.5")
    found = result(world, "withdraw", params)
    assert (found["amount"], found["address"]) == (12.5, TAKER)
    assert result(world, "get_account_summary", {}, TAKER_KEY)["balance"] == 1_000_000 - 12.5
    asked = {"subaccount_id": TAKER_ID, "nonce": params["nonce"]}
    assert result(world, "get_settlement_status", asked, TAKER_KEY)["state"] == "sequenced"
    assert reason(world, "withdraw", params | {"amount": "13"}) == "bad_signature"
    too_much = world.withdrawal(amount="2000000")
    assert reason(world, "withdraw", too_much) == "insufficient_cash"
    assert ask(world, "withdraw", world.withdrawal() | {"amount": 0})["error"]["code"] == -32602


@pytest.mark.parametrize("params", [{}, {"subaccount_id": TAKER_ID}, {"nonce": 1}])
def test_a_settlement_needs_a_name(world, params):
    assert ask(world, "get_settlement_status", params, TAKER_KEY)["error"]["code"] == -32602


def test_accounts_are_in_usdc(world):
    error = ask(world, "get_account_summary", {"currency": "BTC"}, TAKER_KEY)["error"]
    assert error["data"]["param"] == "currency"


def test_logout_ends_the_session(world):
    grant = session_of(world)

    async def scenario():
        first = await call(world, "private/logout", session=grant.session)
        second = await call(world, "private/get_subaccounts", session=grant.session)
        return first, second

    first, second = asyncio.run(scenario())
    assert first["result"] == "ok"
    assert second["error"]["code"] == 13009


# -- who may do what ------------------------------------------------------------------------------

MINE = {  # parameters that name something of the taker's
    "cancel": {"order_id": "ORDER"},
    "cancel_all": {"subaccount_id": TAKER_ID},
    "cancel_all_by_instrument": {"subaccount_id": TAKER_ID, "instrument_name": CALL_NAME},
    "cancel_all_by_currency": {"subaccount_id": TAKER_ID, "currency": "BTC"},
    "get_order_state": {"order_id": "ORDER"},
    "get_order_state_by_nonce": {"subaccount_id": TAKER_ID, "nonce": 1},
    "get_order_state_by_label": {"subaccount_id": TAKER_ID, "label": "mine"},
    "get_open_orders": {"subaccount_id": TAKER_ID},
    "get_open_orders_by_currency": {"subaccount_id": TAKER_ID, "currency": "BTC"},
    "get_open_orders_by_instrument": {"subaccount_id": TAKER_ID, "instrument_name": CALL_NAME},
    "get_position": {"subaccount_id": TAKER_ID, "instrument_name": CALL_NAME},
    "get_positions": {"subaccount_id": TAKER_ID},
    "get_account_summary": {"subaccount_id": TAKER_ID},
    "get_account_summaries": {"subaccount_id": TAKER_ID},
    "get_subaccounts": {},
    "get_subaccounts_details": {"currency": "BTC", "with_open_orders": True},
    "get_user_trades_by_instrument": {"subaccount_id": TAKER_ID, "instrument_name": CALL_NAME},
    "get_user_trades_by_currency": {"subaccount_id": TAKER_ID, "currency": "BTC"},
    "get_user_trades_by_order": {"order_id": "ORDER"},
    "get_settlement_status": {"trade_id": "1"},
    "subscribe": {"channels": ["user.orders.any.any.raw"]},
    "unsubscribe": {"channels": ["user.orders.any.any.raw"]},
    "unsubscribe_all": {},
    "logout": {},
}
NEEDS_SESSION = [m.name for m in PRIVATE if m.name not in SIGNED]
SIGNED_ORDERS = ["private/buy", "private/sell"]
OF_THE_SESSION = ("logout", "get_subaccounts", "get_subaccounts_details")  # name nothing of others


def test_the_matrix_covers_every_private_method():
    assert {f"private/{name}" for name in MINE} == set(NEEDS_SESSION)


@pytest.mark.parametrize("method", NEEDS_SESSION)
def test_without_a_session_nothing_private_is_told(world, method):
    name = method.removeprefix("private/")
    assert ask(world, name, filled_in(world, name))["error"]["code"] == 13009


@pytest.mark.parametrize("name", [n for n in MINE if n not in OF_THE_SESSION])
@pytest.mark.parametrize("key", [MAKER_KEY, STRANGER_KEY])
def test_nobody_touches_what_belongs_to_another(world, name, key):
    params = filled_in(world, name)
    reply = ask(world, name, params, STRANGER_KEY if name == "get_settlement_status" else key)
    assert reply["error"]["code"] in (10004, 13020, 13021, 10030), reply
    open_orders = world.gateway.view.open_orders[TAKER_ID]
    assert len(open_orders) == 1, "the order still stands"


def test_a_list_of_subaccounts_holds_ones_own(world):
    assert result(world, "get_subaccounts", {}, STRANGER_KEY) == []
    (own,) = result(world, "get_subaccounts", {}, MAKER_KEY)
    assert (own["id"], own["owner"]) == (MAKER_ID, MAKER)


def test_details_hold_positions_and_orders_of_ones_own(world):
    trade(world)
    placed = result(world, "buy", world.order("buy", price="990"))["order"]
    question = {"currency": "BTC", "with_open_orders": True}
    (own,) = result(world, "get_subaccounts_details", question, TAKER_KEY)
    assert own["uid"] == TAKER_ID
    assert own["positions"] == result(world, "get_positions", {}, TAKER_KEY)
    assert [row["order_id"] for row in own["open_orders"]] == [placed["order_id"]]
    (other,) = result(world, "get_subaccounts_details", question, MAKER_KEY)
    assert (other["uid"], other["open_orders"]) == (MAKER_ID, [])
    assert result(world, "get_subaccounts_details", question, STRANGER_KEY) == []
    elsewhere = {"currency": "ETH"}
    (flat,) = result(world, "get_subaccounts_details", elsewhere, TAKER_KEY)
    assert flat == {"uid": TAKER_ID, "positions": []}


def test_details_tell_open_orders_only_to_whom_may_read_orders(world):
    key = api_key(world, scope="account:read")
    session = world.gateway.sessions.open(key).session
    for asked, code in ((False, None), (True, 13021)):
        question = {"currency": "BTC", "with_open_orders": asked}
        reply = asyncio.run(
            call(world, "private/get_subaccounts_details", question, session=session)
        )
        assert reply.get("error", {}).get("code") == code


def test_a_stranger_without_subaccounts_is_told_so(world):
    error = ask(world, "get_positions", {}, STRANGER_KEY)["error"]
    assert error["data"] == {
        "reason": "this address has no subaccount yet",
        "param": "subaccount_id",
    }


@pytest.mark.parametrize("method", SIGNED_ORDERS)
def test_a_stranger_cannot_sign_for_another(world, method):
    side = method.removeprefix("private/")
    params = world.order(side, key=STRANGER_KEY, subaccount_id=TAKER_ID)
    assert reason(world, side, params) == "unauthorized_signer"


def test_a_stranger_cannot_withdraw_or_edit_for_another(world):
    params = world.withdrawal(key=STRANGER_KEY, subaccount_id=TAKER_ID)
    assert reason(world, "withdraw", params) == "unauthorized_signer"
    order = world.order("buy", price="990")
    placed = result(world, "buy", order)["order"]
    forged = order | {"version": 1, "signer": session_of(world, STRANGER_KEY).session.address}
    fields = ("amount", "price", "version", "deadline", "max_fee", "signer")
    edit = {name: forged[name] for name in fields} | {
        "order_id": placed["order_id"],
        "signature": sign_order(forged, "buy", STRANGER_KEY),
    }
    assert reason(world, "edit", edit) == "unauthorized_signer"


def filled_in(world, name):
    """The parameters of the matrix, with the taker's order in place."""
    trade(world)
    order = result(world, "buy", world.order("buy", price="990", label="mine"))["order"]
    text = msgspec.json.encode(MINE[name]).replace(b"ORDER", order["order_id"].encode())
    return msgspec.json.decode(text)


def test_a_session_key_may_look_and_trade_but_not_withdraw(world):
    from exchange.commands import SessionKeySeen
    from exchange.signing import address_of

    address = address_of(STRANGER_KEY)
    until = world.venue.now_s + 7_200
    grant = SessionKeySeen(owner=TAKER, key=address, deadline=until)
    world.do(lambda venue: venue.observe(grant))
    assert result(world, "get_subaccounts", {}, STRANGER_KEY)[0]["id"] == TAKER_ID
    order = world.order("buy", key=STRANGER_KEY, subaccount_id=TAKER_ID, price="990")
    assert result(world, "buy", order)["order"]["order_state"] == "open"
    assert result(world, "cancel_all", {}, STRANGER_KEY) == 1
    taken = world.withdrawal(key=STRANGER_KEY, subaccount_id=TAKER_ID)
    assert reason(world, "withdraw", taken) == "unauthorized_signer"
