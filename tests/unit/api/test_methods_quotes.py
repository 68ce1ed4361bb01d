"""Sheets of quotes over the wire: replaced under one signature, refused side by side."""

import asyncio

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    DOMAIN,
    MAKER,
    MAKER_ID,
    MAKER_KEY,
    NAMES,
    PUT_NAME,
    STRANGER_KEY,
    call,
    hexed,
    session_of,
)
from tests.venue import contracts, usdc

from exchange.merkle import merkle_root
from exchange.model import Quote, SheetTerms
from exchange.signing import address_of, sheet_digest, sheet_leaves, sign_digest


def line(name=CALL_NAME, bid=("900", "1"), ask=("1100", "2")):
    sides = {"bid": bid, "ask": ask}
    return {"instrument_name": name} | {
        side: {"price": given[0], "amount": given[1]} for side, given in sides.items() if given
    }


def units(params, side):
    given = params.get(side)
    return (usdc(given["price"]), contracts(given["amount"])) if given else (0, 0)


def sheet(world, nonce, *lines, key=MAKER_KEY, domain=DOMAIN, **changes):
    """Parameters of a signed sheet; its leaves have the nonces 1000 * nonce and up."""
    params = {
        "subaccount_id": MAKER_ID,
        "sheet_nonce": nonce,
        "first_nonce": 1_000 * nonce,
        "max_fee": "100",
        "deadline": world.venue.now_s + 600,
        "signer": MAKER,
        "quotes": list(lines),
    } | changes
    terms = SheetTerms(
        max_fee=usdc(params["max_fee"]),
        **{
            name: params[name]
            for name in ("subaccount_id", "sheet_nonce", "first_nonce", "deadline", "signer")
        },
    )
    quotes = [
        Quote(NAMES[item["instrument_name"]], *units(item, "bid"), *units(item, "ask"))
        for item in lines
    ]
    leaves = sheet_leaves(terms, quotes)
    root = merkle_root(leaves) if leaves else bytes(32)
    return params | {"signature": hexed(sign_digest(sheet_digest(domain, terms, root), key))}


def quote(world, params):
    reply = asyncio.run(call(world, "private/mass_quote", params))
    return reply.get("result", reply.get("error"))


def counts(answer):
    return tuple(answer[name] for name in ("canceled", "kept", "placed", "refused"))


def test_a_sheet_is_quoted_and_replaced(world):
    answer = quote(world, sheet(world, 1, line(), line(PUT_NAME), label="grid"))
    assert counts(answer) == (0, 0, 4, 0)
    ids = [row["order_id"] for row in answer["quotes"]]
    assert {row["label"] for row in answer["quotes"]} == {"grid"}
    second = quote(world, sheet(world, 2, line(ask=("1101", "2")), line(PUT_NAME, ask=None)))
    assert counts(second) == (2, 2, 1, 0)
    kept = {row["order_id"]: row["nonce"] for row in second["quotes"]}
    assert kept == {ids[0]: 2_000, ids[2]: 2_002, second["quotes"][-1]["order_id"]: 2_001}
    world.gateway.view.check()


def test_a_repeated_sheet_answers_with_what_stands(world):
    params = sheet(world, 1, line())
    first = quote(world, params)
    again = quote(world, params)
    assert (counts(again), again["quotes"]) == ((0, 0, 0, 0), first["quotes"])


def test_sides_are_refused_by_name(world):
    ask = world.order("sell", price="950")
    assert "order" in asyncio.run(call(world, "private/sell", ask))["result"]
    answer = quote(world, sheet(world, 1, line(bid=("960", "1"))))
    assert counts(answer) == (0, 0, 1, 1)
    assert answer["errors"] == [
        {
            "instrument_name": CALL_NAME,
            "side": "buy",
            "code": 11054,
            "message": "post_only_reject",
            "reject_reason": "post_only_would_trade",
            "reason": "the book as it stands",
        }
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sheet_nonce": 1}, "bad_signature"),
        ({"first_nonce": 7}, "bad_signature"),
        ({"max_fee": "99"}, "bad_signature"),
        ({"quotes": [line(bid=("901", "1"))]}, "bad_signature"),
        ({"quotes": [line(bid=None, ask=None)]}, None),
        ({"quotes": []}, None),
        ({"quotes": [line("BTC_USDC-25DEC26-1-C")]}, None),
    ],
)
def test_what_was_not_signed_is_refused(world, changes, expected):
    error = quote(world, sheet(world, 2, line()) | changes)
    assert error["data"].get("reject_reason") == expected


def test_a_stranger_cannot_quote_for_another(world):
    signer = address_of(STRANGER_KEY)
    error = quote(world, sheet(world, 1, line(), key=STRANGER_KEY, signer=signer))
    assert error["data"]["reject_reason"] == "unauthorized_signer"


def test_the_engine_refuses_a_stale_sheet(world):
    quote(world, sheet(world, 5, line()))
    assert quote(world, sheet(world, 4, line()))["data"]["reject_reason"] == "stale_sheet"


def test_quotes_are_canceled_alone_and_by_their_owner(world):
    order = world.order("buy", key=MAKER_KEY, price="800")
    asyncio.run(call(world, "private/buy", order))
    quote(world, sheet(world, 1, line()))
    owner, stranger = (session_of(world, key).session for key in (MAKER_KEY, STRANGER_KEY))
    reply = asyncio.run(call(world, "private/cancel_quotes", session=stranger))
    assert reply["result"] == 0
    reply = asyncio.run(call(world, "private/cancel_quotes", session=owner))
    assert reply["result"] == 2
    assert len(world.gateway.view.open_orders[MAKER_ID]) == 1


def test_an_answer_without_details_counts_and_lists_nothing(world):
    """A maker that keeps its own books saves the venue a list of hundreds of orders."""
    answer = quote(world, sheet(world, 1, line()) | {"detailed": False})
    assert counts(answer) == (0, 0, 2, 0)
    assert (answer["quotes"], answer["errors"]) == ([], [])
    assert answer["seq"]
