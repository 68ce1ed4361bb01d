"""Every signed method with every wrong signature: refused by name, and a replay changes nothing.

The methods are those of the dispatch table whose parameters hold a signature; one that has no case
here fails the first test.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.unit.api.test_methods_liquidations import auction, bid
from tests.unit.api.test_methods_money import signed_transfer
from tests.unit.api.test_methods_quotes import line, sheet
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
    World,
    allow,
    call,
    hexed,
    session_of,
    sign_in_text,
)
from tests.venue import CLEARING, FEES, configuration

from exchange.api.app import METHODS
from exchange.api.auth import personal_digest
from exchange.signing import Domain, address_of, sign_digest

OTHERS_KEY, REVOKED_KEY, SHORT_KEY = (bytes(31) + bytes([number]) for number in (5, 6, 7))
OTHERS, REVOKED, SHORT = map(address_of, (OTHERS_KEY, REVOKED_KEY, SHORT_KEY))
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ZERO_ADDRESS = "0x" + "00" * 20
EDITED = ("amount", "price", "version", "deadline", "max_fee", "signer", "signature")
OWN = {"signer": TAKER, "subaccount_id": TAKER_ID}  # whichever key signs
QUOTED = ("subaccount_id", "nonce", "deadline", "max_fee", "signer", "signature", "price")


class Case(NamedTuple):
    """`make` signs the request, with changes before signing; `altered` changes it afterwards."""

    method: str
    make: Callable[..., dict[str, Any]]
    altered: dict[str, Any]
    session: Any = None
    again: str | int | None = None  # how a replay is refused; None: answered with what stands
    expired: str | int = "deadline_passed"


def entry(world: World, side: str) -> Case:
    def make(**changes):
        return world.order(side, **(OWN | changes))

    return Case(f"private/{side}", make, {"price": "1000.01"})


def resting(world: World, **fields: Any) -> dict[str, Any]:
    """An order of the taker that may be edited."""
    order = world.order("buy", price="900", **fields)
    return order | asyncio.run(call(world, "private/buy", order))["result"]["order"]


def edit(world: World) -> Case:
    placed = resting(world)

    def make(**changes):
        terms = {"nonce": placed["nonce"], "version": 1, "price": "901"}
        signed = world.order("buy", **(OWN | terms | changes))
        return {name: signed[name] for name in EDITED} | {"order_id": placed["order_id"]}

    return Case("private/edit", make, {"amount": "2"})


def edit_by_label(world: World) -> Case:
    placed = resting(world, label="mine")

    def make(**changes):
        terms = {"nonce": placed["nonce"], "version": 1, "price": "901"}
        signed = world.order("buy", **(OWN | terms | changes))
        named = {"label": "mine", "instrument_name": CALL_NAME}
        return {name: signed[name] for name in EDITED} | named

    return Case("private/edit_by_label", make, {"price": "902"}, session_of(world).session)


def close_position(world: World) -> Case:
    for side, key in (("sell", MAKER_KEY), ("buy", TAKER_KEY)):
        asyncio.run(call(world, f"private/{side}", world.order(side, key=key)))
    asyncio.run(call(world, "private/buy", world.order("buy", key=MAKER_KEY, price="950")))

    def make(**changes):
        terms = {"price": "950", "reduce_only": True}
        signed = world.order("sell", **(OWN | terms | changes))
        left_out = ("amount", "reduce_only")
        return {k: v for k, v in signed.items() if k not in left_out} | {"type": "limit"}

    session = session_of(world).session
    return Case("private/close_position", make, {"price": "951"}, session, again=11050)


def mass_quote(world: World) -> Case:
    def make(**changes):
        return sheet(world, 1, line(), line(PUT_NAME), **changes)

    return Case("private/mass_quote", make, {"sheet_nonce": 2})


def quoted(world: World, side: str, **changes: Any) -> dict[str, Any]:
    signed = world.order(side, amount="2", **changes)
    return {name: signed[name] for name in QUOTED} | {"block_rfq_id": 1, "direction": side}


def requested(world: World) -> None:
    legs = [{"instrument_name": CALL_NAME, "amount": 1, "direction": "buy"}]
    params = {"legs": legs, "amount": 2}
    session = session_of(world).session
    asyncio.run(call(world, "private/create_block_rfq", params, session=session))


def add_quote(world: World) -> Case:
    requested(world)

    def make(**changes):
        own = {"key": MAKER_KEY, "signer": MAKER, "subaccount_id": MAKER_ID}
        return quoted(world, "sell", **(own | changes))

    session = session_of(world, MAKER_KEY).session
    return Case("private/add_block_rfq_quote", make, {"price": "999"}, session)


def accept(world: World) -> Case:
    first = add_quote(world)
    asyncio.run(call(world, first.method, first.make(), session=first.session))

    def make(**changes):
        return quoted(world, "buy", **(OWN | changes))

    session = session_of(world).session
    return Case("private/accept_block_rfq", make, {"price": "1001"}, session, again=11050)


def withdraw(world: World) -> Case:
    def make(**changes):
        return world.withdrawal(**(OWN | {"address": TAKER} | changes))

    return Case("private/withdraw", make, {"address": MAKER}, again="nonce_used")


def transfer(world: World) -> Case:
    command = configuration(version=2, fees=FEES, transfers=True)
    world.do(lambda venue: venue.send(command))
    world.other = world.do(lambda venue: venue.fund(TAKER, 0))

    def make(**changes):
        return signed_transfer(world, **changes)

    name = "private/submit_transfer_between_subaccounts"
    return Case(name, make, {"amount": "101"}, again="nonce_used")


def liquidation_bid(world: World) -> Case:
    seller = auction(world)

    def make(**changes):
        return bid(world, seller, **changes)

    return Case("private/liquidation_bid", make, {"price_limit": "1"}, again="nonce_used")


BUILDERS: dict[str, Callable[[World], Case]] = {
    "private/buy": lambda world: entry(world, "buy"),
    "private/sell": lambda world: entry(world, "sell"),
    "private/edit": edit,
    "private/edit_by_label": edit_by_label,
    "private/close_position": close_position,
    "private/mass_quote": mass_quote,
    "private/add_block_rfq_quote": add_quote,
    "private/accept_block_rfq": accept,
    "private/withdraw": withdraw,
    "private/submit_transfer_between_subaccounts": transfer,
    "private/liquidation_bid": liquidation_bid,
}


def raw(signature: str) -> bytes:
    return bytes.fromhex(signature[2:])


def high_s(data: bytes) -> bytes:
    s = CURVE_ORDER - int.from_bytes(data[32:64], "big")
    return data[:32] + s.to_bytes(32, "big") + bytes([55 - data[64]])


def compact(data: bytes) -> bytes:
    """EIP-2098: the parity of v in the highest bit of s."""
    return data[:32] + bytes([data[32] | (data[64] - 27) << 7]) + data[33:64]


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "high s": high_s,
    "v of 0 or 1": lambda data: data[:64] + bytes([data[64] - 27]),
    "the other v": lambda data: data[:64] + bytes([55 - data[64]]),
    "v of a chain": lambda data: data[:64] + bytes([data[64] + 8]),
    "64 bytes of EIP-2098": compact,
    "a byte too many": lambda data: data + b"\x00",
    "r of zero": lambda data: bytes(32) + data[32:],
    "s of zero": lambda data: data[:32] + bytes(32) + data[64:],
    "r beyond the curve": lambda data: CURVE_ORDER.to_bytes(32, "big") + data[32:],
    "zeros": lambda data: bytes(65),
    "nothing": lambda data: b"",
}


def wrong_requests(case: Case) -> dict[str, dict[str, Any]]:
    """Requests whose signature is not the signer's over these terms for this venue."""
    good = case.make()
    wrong = {
        name: good | {"signature": hexed(spoil(raw(good["signature"])))}
        for name, spoil in SPOILT.items()
    }
    return wrong | {
        "altered": good | case.altered,
        "wrong chain": case.make(domain=Domain(1, CLEARING)),
        "wrong contract": case.make(domain=Domain(DOMAIN.chain_id, MAKER)),
        "another's key": case.make(key=STRANGER_KEY),
        "zero signer": good | {"signer": ZERO_ADDRESS},
        "zeros of the zero signer": good | {"signer": ZERO_ADDRESS, "signature": hexed(bytes(65))},
    }


NOT_YOURS = {"unauthorized_signer", 13021}  # 13021: where the session is asked first


def foreign_keys(world: World, case: Case) -> dict[str, dict[str, Any]]:
    """Well signed, by keys that may not sign for this subaccount now."""
    now_s = world.venue.now_s
    owner, other = (MAKER, TAKER) if case.make()["signer"] == MAKER else (TAKER, MAKER)
    allow(world, OTHERS, now_s + 7_200, other)
    allow(world, REVOKED, now_s + 7_200, owner)
    allow(world, REVOKED, 0, owner)
    allow(world, SHORT, now_s + 1, owner)  # the order would outlive it
    keys = {"nobody's": STRANGER_KEY, "another's": OTHERS_KEY}
    keys |= {"revoked": REVOKED_KEY, "too short": SHORT_KEY}
    return {kind: case.make(key=key, signer=address_of(key)) for kind, key in keys.items()}


def send(world: World, case: Case, params: dict[str, Any]) -> dict[str, Any]:
    return asyncio.run(call(world, case.method, params, session=case.session))


def name_of(reply: dict[str, Any]) -> str | int | None:
    """How it was refused."""
    error = reply.get("error")
    return error and error["data"].get("reject_reason", error["code"])


def money(world: World) -> Any:
    """What may not change twice."""
    engine = world.venue.engine
    accounts = [
        msgspec.structs.replace(engine.account(number), session_keys={})
        for number in engine.subaccounts
    ]
    quotes = [[q.order for q in rfq.quotes.values()] for rfq in world.gateway.rfqs]
    return accounts, quotes


def test_every_signed_method_is_in_the_matrix():
    signed = {one.name for one in METHODS if "signature" in one.params.__struct_fields__}
    assert signed == set(BUILDERS) | {"public/auth"}


@pytest.mark.parametrize("name", BUILDERS)
def test_no_wrong_signature_is_accepted_and_a_good_one_counts_once(name):
    world = World()
    case = BUILDERS[name](world)
    assert case.method == name
    before, journaled = money(world), world.sequencer.last_seq
    for kind, params in wrong_requests(case).items():
        assert name_of(send(world, case, params)) == "bad_signature", kind
    assert world.sequencer.last_seq == journaled  # none of them reached the engine
    for kind, params in foreign_keys(world, case).items():
        assert name_of(send(world, case, params)) in NOT_YOURS, kind
    expired = case.make(deadline=world.venue.now_s - 1)
    assert name_of(send(world, case, expired)) == case.expired
    assert money(world) == before
    good = case.make()
    first = send(world, case, good)
    assert "result" in first, first
    after = money(world)
    assert after != before
    again = send(world, case, good)
    assert name_of(again) == case.again
    assert money(world) == after
    world.gateway.stop()


def test_a_linked_orders_own_signature_is_checked_too():
    """The second order of a pair is signed for itself."""
    world = World()

    def pair(**changes):
        other = world.order("sell", **(OWN | {"price": "1100"} | changes)) | {"direction": "sell"}
        config = {"linked_order_type": "one_triggers_other", "otoco_config": [other]}
        return world.order("buy", price="900") | config

    good = pair()["otoco_config"][0]
    requests = [pair(domain=Domain(1, CLEARING)), pair(key=STRANGER_KEY)]
    for spoil in SPOILT.values():
        spoilt = good | {"signature": hexed(spoil(raw(good["signature"])))}
        requests.append(pair() | {"otoco_config": [spoilt]})
    requests.append(pair() | {"otoco_config": [good | {"price": "1101"}]})
    before = money(world)
    case = entry(world, "buy")
    for params in requests:
        assert name_of(send(world, case, params)) == "bad_signature"
    assert money(world) == before
    assert "result" in send(world, case, pair())
    assert money(world) != before
    world.gateway.stop()


def test_no_wrong_sign_in_opens_a_session():
    """Text and signature: another chain, host, account, time; spoilt, altered, sent again."""
    world = World()

    def make(key=TAKER_KEY, **changes):
        nonce = world.gateway.sessions.issue_nonce()
        text = sign_in_text(world, TAKER, nonce, **changes)
        signature = hexed(sign_digest(personal_digest(text), key))
        return {"grant_type": "eip4361", "message": text, "signature": signature}

    good = make()
    spoilt = [spoil(raw(good["signature"])) for spoil in SPOILT.values()]
    wrong = [good | {"signature": hexed(data)} for data in spoilt]
    wrong += [
        make(key=STRANGER_KEY),
        make(chain_id=1),
        make(domain="elsewhere:8080"),
        make(tail="\nExpiration Time: 2020-01-01T00:00:00Z"),
        make(issued="2020-01-01T00:00:00Z"),
        good | {"message": good["message"].replace(TAKER, MAKER)},
        good | {"message": good["message"].replace(TAKER, ZERO_ADDRESS)},
        good | {"message": good["message"].replace("Sign in.", "Sign in!")},
    ]
    for params in wrong:
        assert asyncio.run(call(world, "public/auth", params))["error"]["code"] == 13004, params
    assert "access_token" in asyncio.run(call(world, "public/auth", good))["result"]
    assert asyncio.run(call(world, "public/auth", good))["error"]["code"] == 13004
    world.gateway.stop()
