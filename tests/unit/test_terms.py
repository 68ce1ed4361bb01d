"""Terms survive the journal, and journals from before them stay readable."""

import msgspec
import pytest
from tests.liquidation_world import rules
from tests.venue import COLLATERALS, configuration

from exchange.commands import AnyCommand, Configure
from exchange.terms import InterestParameters, LiquidationParameters, PositionLimit

TERMS = {
    "collaterals": COLLATERALS,
    "interest": InterestParameters(rate=1, interval_ns=2, debt_max=3),
    "position_limits": (PositionLimit(underlying_id=1, contracts_max=2, open_interest_max=3),),
    "transfers": True,
}


def test_terms_round_trip():
    """msgpack gives the same parameters back."""
    command = configuration(**TERMS)
    encoded = msgspec.msgpack.encode(command)
    assert msgspec.msgpack.decode(encoded, type=AnyCommand) == command


@pytest.mark.parametrize("name", TERMS)
def test_a_journal_from_before_a_term_means_without_it(name):
    """The oldest configurations name none of them."""
    fields = msgspec.to_builtins(configuration(**TERMS))
    del fields[name]
    assert not getattr(msgspec.convert(fields, Configure), name)


def test_venues_from_before_shared_no_fees():
    fields = msgspec.to_builtins(rules(fee_share=1))
    del fields["fee_share"]
    assert msgspec.convert(fields, LiquidationParameters).fee_share == 0


def test_a_token_shares_its_underlyings_group_unless_told_otherwise():
    assert not any(asset.isolated for asset in COLLATERALS)
