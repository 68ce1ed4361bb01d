"""Parameters that would stop the venue later are refused now, by name."""

import msgspec
import pytest
from tests.liquidation_world import rules
from tests.venue import FEES, FUNDING, MARGIN, Venue, configuration, limits, refusals

from exchange.commands import BreakerParameters, RiskBounds
from exchange.engine.parameters import wrong_parameters
from exchange.events import Refused, RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.model import Underlying
from exchange.terms import InterestParameters, PositionLimit

BREAKER = {"move_rate": 1, "window_ns": 1, "cool_off_ns": 1, "auction_ns": 1}
BOUNDS = {
    "scan_min": 1,
    "scan_max": 2,
    "volatility_min": 1,
    "volatility_max": 2,
    "rise_max": 1,
    "fall_max": 1,
    "interval_ns": 1,
}
BTC, ETH = configuration().underlyings


def changed(struct, **fields):
    return msgspec.structs.replace(struct, **fields)


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("fees.maker_rate", {"fees": changed(FEES, maker_rate=-1)}),
        ("fees.premium_cap", {"fees": changed(FEES, premium_cap=RATIO_SCALE + 1)}),
        ("limits.batch_items_max", {"limits": limits(batch_items_max=0)}),
        ("limits.band_rate", {"limits": limits(band_rate=-1)}),
        ("limits.quantity_max", {"limits": limits(quantity_max=1 << 64)}),
        ("margin.maintenance_factor", {"margin": changed(MARGIN, maintenance_factor=0)}),
        ("margin.weights", {"margin": changed(MARGIN, weights=(1, -1, 1))}),
        ("basis_up", {"margin": changed(MARGIN, basis_up=5)}),
        ("same scenarios", {"margin": changed(MARGIN, absolute=(True,))}),
        ("same scenarios", {"margin": changed(MARGIN, spots=(1, 2))}),
        ("same scenarios", {"margin": changed(MARGIN, weights=(), absolute=(), spots=())}),
        ("delivery_window_s", {"delivery_window_s": 0}),
        ("breaker.window_ns", {"breaker": BreakerParameters(**(BREAKER | {"window_ns": 0}))}),
        ("funding.interval_ns", {"funding": changed(FUNDING, interval_ns=0)}),
        (
            "interest.debt_max",
            {"interest": InterestParameters(rate=0, interval_ns=1, debt_max=-1)},
        ),
        ("liquidation.slice_rate", {"liquidation": rules(slice_rate=0)}),
        ("liquidation.fee_share", {"liquidation": rules(fee_share=RATIO_SCALE + 1)}),
        ("liquidation.fee_share", {"liquidation": rules(fee_share=-1)}),
        ("discount_start", {"liquidation": rules(discount_start=2, discount_end=1)}),
        ("scan_min", {"risk_bounds": RiskBounds(**(BOUNDS | {"scan_min": 3}))}),
        ("volatility_min", {"risk_bounds": RiskBounds(**(BOUNDS | {"volatility_min": 3}))}),
        ("ETH", {"underlyings": (BTC,)}),
        ("ETH", {"underlyings": (BTC, changed(ETH, name="DOGE"))}),
        ("stands once", {"underlyings": (BTC, ETH, changed(ETH, name="DOGE"))}),
        ("stands once", {"underlyings": (BTC, ETH, changed(ETH, underlying_id=9))}),
        (
            "position_limits",
            {
                "position_limits": (
                    PositionLimit(underlying_id=9, contracts_max=1, open_interest_max=1),
                )
            },
        ),
    ],
)
def test_a_mistake_is_refused_by_name_and_changes_nothing(words, change):
    venue = Venue()
    (refused,) = venue.send(configuration(version=2, **change))
    assert isinstance(refused, Refused)
    assert refused.reason is RejectReason.BAD_PARAMETERS
    assert words in refused.detail
    assert venue.engine.parameters == configuration()


def test_everything_that_a_venue_may_have_passes():
    given = configuration(
        version=2,
        breaker=BreakerParameters(**BREAKER),
        funding=FUNDING,
        interest=InterestParameters(rate=0, interval_ns=1, debt_max=0),
        liquidation=rules(),
        risk_bounds=RiskBounds(**BOUNDS),
        position_limits=(PositionLimit(underlying_id=2, contracts_max=0, open_interest_max=0),),
        underlyings=(BTC, ETH, Underlying(underlying_id=3, name="SOL")),
    )
    assert wrong_parameters(configuration(), given) == ""
    assert refusals(Venue().send(given)) == []
