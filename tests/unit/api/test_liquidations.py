"""Which subaccounts an event concerns; the rows themselves are tested with their methods."""

import msgspec
import pytest
from tests.venue import COLLATERALS, C, configuration

from exchange import events as ev
from exchange.api.liquidations import STAGES, notice_result, token_result
from exchange.api.records import Notice, notified
from exchange.api.views import VenueView
from exchange.margin.liquidation import Token
from exchange.model import LiquidationStage


def test_every_stage_has_a_name():
    assert set(STAGES) == set(LiquidationStage)


def test_whom_an_event_concerns():
    transferred = ev.PortfolioTransferred(
        subaccount_id=2,
        taker_subaccount_id=5,
        step=1,
        fraction=1,
        legs=(ev.TransferredLeg(instrument_id=C, quantity=1, price=1),),
        discount=0,
        by_fund=False,
    )
    shared = ev.LossSocialised(
        fund_subaccount_id=1, liquidated_id=2, amount=3, shares=((4, 1), (6, 2))
    )
    used = ev.InsuranceUsed(fund_subaccount_id=1, liquidated_id=2, subaccount_id=7, amount=1)
    assert notified(transferred) == [2, 5]
    assert notified(shared) == [4, 6]
    assert notified(used) == [7]
    assert notified(ev.ClockAdvanced(offset_ns=1)) == []


def test_other_events_are_no_notices():
    with pytest.raises(AssertionError):
        notice_result(VenueView(), Notice(1, 1, ev.ClockAdvanced(offset_ns=1)), 2)


def test_a_token_is_named():
    view = VenueView()
    view.parameters = configuration(collaterals=COLLATERALS)
    row = token_result(view, Token(1, 150_000_000, 5_250_000_000))
    assert msgspec.json.decode(msgspec.json.encode(row)) == {
        "currency": "WETH",
        "amount": 1.5,
        "value": 5_250,
    }
