"""Bad input: always an error in Deribit's shape, never a crash, never a command."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.api.world import World, call

from exchange.api.dispatch import Dispatcher, Method
from exchange.api.gateway import Caller
from exchange.api.schemas import Empty


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.gateway.stop()


def ask(world, text, **caller):
    outcome = asyncio.run(world.dispatcher.call_text(text, Caller(address="test", **caller)))
    return msgspec.json.decode(outcome.body), outcome.status


def request(method="public/test", params=b"{}", extra=b""):
    return b'{"jsonrpc":"2.0","id":7,"method":"%s","params":%s%s}' % (
        method.encode(),
        params,
        extra,
    )


@pytest.mark.parametrize("text", [b"{", b"{}", request("public/nothing")])
def test_what_is_no_call_costs_as_much_as_one(text):
    world = World(requests_per_s=0.001, requests_burst=3.0)
    codes = [ask(world, text)[0]["error"]["code"] for _ in range(4)]
    assert 10028 not in codes[:3]
    assert codes[3] == 10028


BAD_ENVELOPES = [
    (b"", -32700, ""),
    (b"{", -32700, ""),
    (b"null", -32600, ""),
    (b"7", -32600, ""),
    (b"[]", -32600, ""),
    (b"[" + request() + b"]", -32600, ""),
    (b"{}", -32600, "method"),
    (b'{"method":7}', -32600, "method"),
    (b'{"method":"public/test","id":1.5}', -32600, "id"),
    (b'{"method":"public/test","id":{}}', -32600, "id"),
    (b'{"method":"public/test","jsonrpc":"1.0"}', -32600, "jsonrpc"),
    (request(extra=b',"more":1'), -32600, "more"),
    (request(extra=b',"id":8'), -32602, "id"),
    (request(params=b'{"a":NaN}'), -32700, ""),
    (request(params=b"[" * 3_000 + b"]" * 3_000), -32700, ""),
    (b"\xff\xfe", -32700, ""),
    (request("public/nothing"), -32601, "method"),
    (request("private/transfer_everything"), -32601, "method"),
    (request("__class__"), -32601, "method"),
    (request(params=b"[1]"), -32602, ""),
    (request(params=b'"x"'), -32602, ""),
    (request(params=b'{"x":1}'), -32602, "x"),
]


@pytest.mark.parametrize(("text", "code", "param"), BAD_ENVELOPES)
def test_a_bad_request_is_named(world, text, code, param):
    reply, status = ask(world, text)
    assert reply["error"]["code"] == code, reply
    assert reply["error"]["data"].get("param", "") == param
    assert status in (400, 404)
    assert reply["usDiff"] == reply["usOut"] - reply["usIn"]


BAD_ORDERS = [
    ({"amount": None}, "amount"),
    ({"amount": True}, "amount"),
    ({"amount": [1]}, "amount"),
    ({"amount": "1e3"}, "amount"),
    ({"amount": "NaN"}, "amount"),
    ({"amount": "0.00001"}, "amount"),
    ({"amount": -1}, "amount"),
    ({"amount": 1e-7}, "amount"),
    ({"price": "1,000"}, "price"),
    ({"price": "0.0000001"}, "price"),
    ({"price": 1e30}, "price"),
    ({"max_fee": "-1"}, "max_fee"),
    ({"nonce": -1}, "nonce"),
    ({"nonce": 2**63}, "nonce"),
    ({"nonce": "1"}, "nonce"),
    ({"nonce": 1.0}, "nonce"),
    ({"version": 2**16}, "version"),
    ({"deadline": -1}, "deadline"),
    ({"subaccount_id": 0}, "subaccount_id"),
    ({"subaccount_id": "3"}, "subaccount_id"),
    ({"signer": "0x12"}, "signer"),
    ({"signer": 5}, "signer"),
    ({"signature": "zz"}, "signature"),
    ({"signature": "0x0"}, "signature"),
    ({"signature": "0x" + "00" * 300}, "signature"),
    ({"label": "x" * 65}, "label"),
    ({"post_only": 1}, "post_only"),
    ({"type": "stop"}, "type"),
    ({"time_in_force": "forever"}, "time_in_force"),
    ({"instrument_name": "BTC-PERPETUAL"}, "instrument_name"),
    ({"instrument_name": "../../etc"}, "instrument_name"),
    ({"advanced": "usd"}, "advanced"),
]


@pytest.mark.parametrize(("changes", "param"), BAD_ORDERS)
def test_a_bad_order_names_its_field_and_never_reaches_the_engine(world, changes, param):
    before = world.sequencer.last_seq
    reply = asyncio.run(call(world, "private/buy", world.order("buy") | changes))
    assert reply["error"]["data"]["param"] == param, reply
    assert reply["error"]["data"]["reason"]
    assert world.sequencer.last_seq == before


@pytest.mark.parametrize(
    "field",
    ["instrument_name", "amount", "price", "subaccount_id", "nonce", "deadline", "max_fee",
     "signer"],
)  # fmt: skip
def test_a_missing_field_is_named(world, field):
    order = world.order("buy")
    del order[field]
    reply = asyncio.run(call(world, "private/buy", order))
    assert reply["error"]["code"] == -32602
    assert reply["error"]["data"]["param"] == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_no_parameters_crash_any_method(world, data):
    method = data.draw(st.sampled_from(sorted(world.dispatcher.methods)))
    fields = world.dispatcher.methods[method].params.__struct_fields__
    names = st.sampled_from(fields) if fields else st.text(max_size=5)
    params = data.draw(st.dictionaries(names, JSON, max_size=len(fields)))
    reply, status = ask(world, request(method, msgspec.json.encode(params)))
    assert "result" in reply or reply["error"]["code"] != 11094, reply
    assert status < 500


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_border(world, text):
    reply, status = ask(world, text)
    assert "error" in reply
    assert status < 500


@pytest.mark.parametrize("params", [b"null", b"[]", b"{}"])
def test_no_parameters_may_be_written_in_three_ways(world, params):
    assert "result" in ask(world, request("public/get_time", params))[0]


@pytest.mark.parametrize("request_id", [b"7", b'"seven"', b"null"])
def test_the_id_comes_back(world, request_id):
    text = b'{"jsonrpc":"2.0","id":%s,"method":"public/get_time"}' % request_id
    assert ask(world, text)[0]["id"] == msgspec.json.decode(request_id)


def test_a_bug_is_an_error_of_ours_and_tells_nothing(world):
    async def broken(*_):
        raise KeyError("a secret")

    method = Method(name="public/broken", params=Empty, handler=broken, summary="")
    dispatcher = Dispatcher(world.gateway, [method])
    for calling in (
        dispatcher.call_text(request("public/broken"), Caller(address="test")),
        dispatcher.call_method("public/broken", b"", Caller(address="test")),
    ):
        outcome = asyncio.run(calling)
        error = msgspec.json.decode(outcome.body)["error"]
        assert (error["code"], outcome.status) == (11094, 500)
        assert b"secret" not in outcome.body


def test_an_empty_pool_answers_too_many_requests():
    world = World(requests_burst=2, requests_per_s=0.001)
    replies = [ask(world, request()) for _ in range(3)]
    assert ["result" in reply for reply, _ in replies] == [True, True, False]
    assert replies[2][0]["error"]["code"] == 10028
    assert replies[2][1] == 429
    world.gateway.stop()


def test_calls_and_errors_are_counted(world):
    before = world.gateway.counters.errors.get("MethodNotFound", 0)
    ask(world, request("public/nothing"))
    assert world.gateway.counters.errors["MethodNotFound"] == before + 1
