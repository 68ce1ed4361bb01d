"""A client signs for legs that it checked, and creates what it asked for or nothing."""

import asyncio

import pytest
from tests.unit.api.world import CALL_NAME, MAKER_KEY, PUT_NAME, TAKER_KEY, served

from exchange.model import Leg
from exchange.sdk import AsyncClient, BadArgument
from exchange.sdk.combos import Combo, ComboLeg, checked_hash, created
from exchange.signing import legs_hash


def combo(*amounts, hashed=None, direction="buy"):
    legs = [
        ComboLeg(instrument_name=name, amount=amount)
        for name, amount in zip("ab", amounts, strict=True)
    ]
    signed = hashed or legs_hash((Leg(5, 1), Leg(7, -2)))
    return Combo(
        id="X",
        instrument_id=1,
        signed_instrument=str(int.from_bytes(signed, "big")),
        state="active",
        legs=legs,
        direction=direction,
    )


def test_the_hash_is_made_from_the_legs():
    assert checked_hash(combo(1, -2), [5, 7]) == legs_hash((Leg(5, 1), Leg(7, -2)))


@pytest.mark.parametrize(
    ("found", "ids"),
    [
        (combo(1, -2), [7, 5]),
        (combo(-1, 2), [5, 7]),
        (combo(1, -1), [5, 7]),
        (combo(1, -2), [5, 8]),
    ],
)
def test_another_hash_or_form_is_not_signed(found, ids):
    with pytest.raises(BadArgument):
        checked_hash(found, ids)


def asked(first="1", second="2", way="sell", first_way="buy"):
    return [("a", first, first_way), ("b", second, way)]


def answer(*amounts, direction="buy"):
    found = combo(*amounts, direction=direction)
    legs = [{"instrument_name": leg.instrument_name, "amount": leg.amount} for leg in found.legs]
    return {
        "id": "X",
        "instrument_id": 1,
        "signed_instrument": "5",
        "state": "active",
        "legs": legs,
        "direction": direction,
    }


def test_an_answer_with_the_legs_asked_for_is_taken():
    assert created(answer(1, -2), asked()).id == "X"
    assert created(answer(1, -2), asked("0.5", "1")).direction == "buy"
    turned = asked(1, 2, "buy", "sell")
    assert created(answer(1, -2, direction="sell"), turned).direction == "sell"


@pytest.mark.parametrize("found", [answer(1, -1), answer(1, 2), answer(1, -2, direction="sell")])
def test_an_answer_with_other_legs_is_refused(found):
    with pytest.raises(BadArgument):
        created(found, asked())


def test_a_client_creates_a_combo_and_trades_it():
    """Listed, verified, signed, matched; the fee limit counts both legs."""

    async def steps(url):
        async with (
            AsyncClient(url, MAKER_KEY, transport="http") as maker,
            AsyncClient(url, TAKER_KEY, transport="http") as taker,
        ):
            listed = await maker.create_combo((CALL_NAME, 1, "buy"), (PUT_NAME, 1, "buy"))
            mark = int((await maker.ticker(listed.id)).mark_price)
            await maker.sell(listed.id, "2", mark)
            receipt = await taker.buy(listed.id, "1", mark)
            rest = await taker.buy(listed.id, "1", mark - 100)
            edited = await taker.edit(rest.order, "1", mark)
            plain = await taker.buy(CALL_NAME, "1", 1)
            return receipt, edited, plain

    with served(session_s=3600) as (_, url):
        receipt, edited, plain = asyncio.run(asyncio.wait_for(steps(url), 30))
    assert receipt.order.order_state == edited.order.order_state == "filled"
    assert len(receipt.trades) == 2
    assert receipt.order.max_fee >= 2 * plain.order.max_fee > 0
