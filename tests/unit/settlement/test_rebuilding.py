"""Linear positions without some fills; the engine takes them in its own test_remedies.py."""

import msgspec
import pytest
from tests.settlement_world import ORACLE_KEYS, Script

from exchange.commands import NovatedFill, RefusedAct, SweepLiquidations
from exchange.events import InstrumentExpired, PortfolioTransferred, TransferredLeg
from exchange.fixed import CASH_SCALE
from exchange.model import FEE_SUBACCOUNT_ID, InstrumentTerms, Kind, Side, pack_instrument_id
from exchange.settlement.acts import numbered_events
from exchange.settlement.novation import house_terms, replacement
from exchange.settlement.rebuilding import rebuilt_positions
from exchange.signing import address_of

SIGNER = address_of(ORACLE_KEYS[0])


@pytest.fixture
def script(tmp_path):
    script = Script(tmp_path / "journal.db")
    yield script
    script.close()


def trade(script, instrument_id, contracts, side=Side.BUY):
    script.instrument_id = instrument_id
    ask = script.place(script.maker, side.opposite, contracts)
    traded = script.traded(ask.seq, script.seq + 1, contracts, taker_side=side)
    script.place(script.taker, side, contracts, traded)
    return traded


def replaced(traded, *, maker) -> NovatedFill:
    terms = house_terms(traded, maker=maker, deadline=2**40 - 1, signer=SIGNER)
    return replacement(traded, terms, bytes(65), maker=maker)


def rebuilt(script, *fills):
    return rebuilt_positions(lambda: script.entries, script.seq, fills)


def test_what_was_closed_with_the_lost_contracts_is_open_again(script):
    """The maker sold two and bought two back: without the sale the purchase stands alone."""
    first = trade(script, script.perpetual_id, 2)
    trade(script, script.perpetual_id, 2, Side.SELL)
    house, maker = rebuilt(script, replaced(first, maker=True))
    value = 2 * 2_500 * CASH_SCALE
    assert (house.subaccount_id, house.before, house.after) == (
        FEE_SUBACCOUNT_ID,
        (0, 0, 0),
        (-20_000, -value, 0),
    )
    assert (maker.before, maker.after) == ((0, 0, 0), (20_000, value, 0))
    assert maker.cash == house.cash == 0, "bought and sold at one price; fees are apart"


def test_a_position_that_is_closed_is_all_zeros(script):
    """Whatever index it paid up to: so the engine names it."""
    trade(script, script.perpetual_id, 2)
    script.accrue(1, 3 * CASH_SCALE)
    last = trade(script, script.perpetual_id, 2, Side.SELL)
    found = {one.subaccount_id: one for one in rebuilt(script, replaced(last, maker=True))}
    assert found[2].before == (0, 0, 0)
    assert found[2].after == (-20_000, -5_000 * CASH_SCALE, 0)
    assert found[1].after == (20_000, 5_000 * CASH_SCALE, 3 * CASH_SCALE)


def test_both_sides_of_a_fill_leave_the_venue_with_nothing(script):
    """Three positions are named, and the venue's is as before."""
    first = trade(script, script.perpetual_id, 1)
    fills = [replaced(first, maker=maker) for maker in (True, False)]
    found = {one.subaccount_id: one for one in rebuilt(script, *fills)}
    assert sorted(found) == [1, 2, 3]
    assert found[1].after == (0, 0, 0)
    assert {one.after[0] for one in found.values()} == {0}


def test_fills_and_acts_are_replaced_together(script):
    """Whoever either of them touched is named."""
    first = trade(script, script.perpetual_id, 1)
    leg = TransferredLeg(instrument_id=script.perpetual_id, quantity=10_000, price=10**6)
    sold = PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=7,
        step=1,
        fraction=10**18,
        legs=(leg,),
        discount=0,
        by_fund=False,
    )
    [(_, act_id)] = numbered_events(script.add(SweepLiquidations(), sold))
    fills, acts = (replaced(first, maker=True),), (RefusedAct(act_id=act_id),)
    found = rebuilt_positions(lambda: script.entries, script.seq, fills, acts)
    assert [(one.subaccount_id, one.after[0]) for one in found] == [
        (1, -10_000),
        (2, 0),
        (3, 10_000),
        (7, 0),
    ]


def test_options_and_what_expired_need_none(script):
    """Cash alone tells what they brought."""
    option = trade(script, script.instrument_id, 1)
    future = pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, script.expiry))
    sold = trade(script, future, 1)
    assert rebuilt(script, replaced(option, maker=True)) == ()
    assert len(rebuilt(script, replaced(sold, maker=True))) == 2
    command = msgspec.structs.replace(script.entries[0].command)
    script.add(command, InstrumentExpired(instrument_id=future))
    assert rebuilt(script, replaced(sold, maker=True)) == ()


@pytest.mark.parametrize(
    ("fund_id", "others"),
    [(9, {9: ((0, 0), (10_000, 3_000))}), (0, {3: ((0, 0), (10_000, 2_500))})],
)
def test_a_refused_takeover_is_the_funds_or_nobodys(script, fund_id, others):
    """Who took it is named, and who has it instead: the fund, or who had it before."""
    option = script.instrument_id
    trade(script, script.perpetual_id, 1)
    price = 3_000 * CASH_SCALE
    sold = PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=7,
        step=1,
        fraction=10**18,
        legs=(
            TransferredLeg(instrument_id=script.perpetual_id, quantity=10_000, price=price),
            TransferredLeg(instrument_id=option, quantity=1, price=price),
        ),
        discount=0,
        by_fund=False,
    )
    [(_, act_id)] = numbered_events(script.add(SweepLiquidations(), sold))
    act = RefusedAct(act_id=act_id, fund_subaccount_id=fund_id)
    unrelated = RefusedAct(act_id=act_id + 1)
    found = rebuilt_positions(lambda: script.entries, script.seq, (), (act, unrelated))
    lost = {7: ((10_000, 3_000), (0, 0))}
    assert {
        one.subaccount_id: tuple(
            (quantity, cost // CASH_SCALE) for quantity, cost, _ in (one.before, one.after)
        )
        for one in found
    } == lost | others
    gain = 500 * CASH_SCALE if fund_id == 0 else 0
    assert {one.subaccount_id: one.cash for one in found} == {7: 0, fund_id or 3: -gain}
