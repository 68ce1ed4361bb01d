"""What a novation makes of a trade."""

import msgspec
import pytest
from tests.settlement_world import Script

from exchange.commands import Novate
from exchange.events import FillNovated, Refused, RejectReason
from exchange.model import FEE_SUBACCOUNT_ID, OrderTerms, Side
from exchange.settlement.novation import (
    amended,
    check_novation,
    house_order,
    house_terms,
    novations_in,
    replacement,
)

SIGNER = "0x" + "1" * 40


@pytest.fixture
def script(tmp_path):
    script = Script(tmp_path / "journal.db")
    yield script
    script.close()


def replaced(trade, *, maker):
    terms = house_terms(trade, maker=maker, deadline=9, signer=SIGNER)
    return replacement(trade, terms, bytes(65), maker=maker)


@pytest.mark.parametrize("maker", [True, False])
def test_the_venue_stands_on_one_side(script, maker):
    """Its order has a number of its own and pays no fee; the other side is as it was."""
    trade = script.traded(4, 5, 2)
    fill = replaced(trade, maker=maker)
    assert fill.terms.side is (Side.SELL if maker else Side.BUY)
    check_novation(trade, fill)
    after = amended(trade, {fill.key})
    sides = {
        True: (after.maker_subaccount_id, after.maker_signed_seq, after.maker_fee),
        False: (after.taker_subaccount_id, after.taker_signed_seq, after.taker_fee),
    }
    house, number, fee = sides[maker]
    assert (house, fee) == (FEE_SUBACCOUNT_ID, 0)
    assert house_order(number, {fill.key: fill}) == fill
    before = amended(trade, ())
    assert before == trade
    other = (trade.taker_subaccount_id, 5) if maker else (trade.maker_subaccount_id, 4)
    assert sides[not maker][:2] == other


def test_the_venues_order_is_for_the_trade_and_nothing_more(script):
    """No fee, the trade's own price, and a nonce that nobody else can have."""
    trade = script.traded(4, 5, 2)
    maker, taker = (
        house_terms(trade, maker=one, deadline=9, signer=SIGNER) for one in (True, False)
    )
    assert maker == OrderTerms(
        subaccount_id=FEE_SUBACCOUNT_ID,
        instrument_id=trade.instrument_id,
        side=Side.SELL,
        quantity=trade.quantity,
        limit_price=trade.price,
        max_fee=0,
        nonce=2**63 + 2 * trade.trade_id + 1,
        deadline=9,
        signer=SIGNER,
    )
    assert taker == msgspec.structs.replace(maker, side=Side.BUY, nonce=maker.nonce - 1)
    fill = replacement(trade, maker, bytes(65), maker=True)
    assert (fill.subaccount_id, fill.fee) == (trade.maker_subaccount_id, trade.maker_fee)
    fill = replacement(trade, taker, bytes(65), maker=False)
    assert (fill.subaccount_id, fill.fee) == (trade.taker_subaccount_id, trade.taker_fee)


def test_a_leg_whose_combo_order_was_replaced_is_a_plain_fill(script):
    """The combo need not be revealed; while another order in it stands, it is."""
    trade = msgspec.structs.replace(
        script.traded(4, 5, 1), combo_id=1 << 62, maker_combo=True, taker_combo=True
    )
    one, both = {(trade.trade_id, True)}, {(trade.trade_id, True), (trade.trade_id, False)}
    assert amended(trade, one).combo_id == trade.combo_id
    assert amended(trade, both).combo_id == 0


def test_a_refused_novation_counts_nothing(script):
    """Only what the engine accepted amends a batch."""
    fill = replaced(script.traded(4, 5, 1), maker=True)
    command = Novate(batch=1, fills=(fill,))
    script.add(command, Refused(reason=RejectReason.NOT_NOVATABLE))
    assert novations_in(script.entries) == {}
    event = FillNovated(
        batch=1,
        trade_id=fill.trade_id,
        maker=True,
        subaccount_id=2,
        house_subaccount_id=1,
        instrument_id=3,
        quantity=-1,
        price=1,
        fee=0,
    )
    script.add(command, event)
    assert novations_in(script.entries) == {fill.key: fill}


def test_a_wrong_copy_is_seen(script):
    """The journal's trade decides, not what the novation says of it."""
    trade = script.traded(4, 5, 1)
    fill = msgspec.structs.replace(replaced(trade, maker=True), subaccount_id=7)
    with pytest.raises(AssertionError, match="not of that trade"):
        check_novation(trade, fill)
