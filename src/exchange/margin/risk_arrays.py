"""From a market to the integers of one epoch: `build_update`.

The last place where floats exist. Every number is rounded half-even here, once; whatever follows
is exact. Never knows an account or who will sign the root.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from exchange.commands import ExpiryRisk, UnderlyingRisk, UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE, VOL_SCALE
from exchange.margin.market import DAYS_PER_YEAR, ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.marks import instrument_terms
from exchange.margin.merkle import update_root
from exchange.margin.pricing import greeks, price
from exchange.margin.scenarios import Legs, Preset, preset_for, shocked_prices, to_ratio
from exchange.model import InstrumentTerms, Kind, OptionKind

IntArray = NDArray[np.int64]

_VALUE_MAX: Final = float(2**62)
_VOLATILITY_MAX: Final = 100.0
_VOLATILITY_POINT: Final = 0.01


def build_update(
    preset: Preset, market: Market, instrument_ids: Iterable[int], epoch: int
) -> UpdateMarks:
    """The marks of `epoch` with their Merkle root; every instrument needs its market."""
    ids = sorted(instrument_ids)
    rows = risk_rows(preset, market, ids)
    terms = [instrument_terms(instrument_id) for instrument_id in ids]
    keys = sorted({(one.underlying_id, one.expiry) for one in terms})
    unsigned = UpdateMarks(
        epoch=epoch,
        root=bytes(32),
        underlyings=tuple(
            UnderlyingRisk(
                underlying_id=underlying.underlying_id,
                index_price=to_cash(underlying.index_price),
                confidence=to_ratio(underlying.confidence),
                scan=to_ratio(underlying.scan),
            )
            for underlying in market.underlyings
        ),
        expiries=tuple(_expiry_risk(preset, market, *key) for key in keys),
        instrument_ids=tuple(ids),
        rows=rows.astype("<i8").tobytes(),
        stablecoin_price=to_ratio(market.stablecoin_price),
    )
    return msgspec.structs.replace(unsigned, root=update_root(unsigned))


def risk_rows(preset: Preset, market: Market, instrument_ids: list[int]) -> IntArray:
    """One row for each instrument: mark price, volatility, delta, vega, shocked prices."""
    width = UpdateMarks.ROW_HEAD + len(preset.scenarios)
    values = np.zeros((len(instrument_ids), width))
    groups: dict[tuple[int, Kind, int], list[int]] = defaultdict(list)
    terms = [instrument_terms(instrument_id) for instrument_id in instrument_ids]
    for at, one in enumerate(terms):
        groups[one.underlying_id, one.kind, one.expiry].append(at)
    for (underlying_id, kind, expiry), members in groups.items():
        underlying = market.underlying(underlying_id)
        scaled = preset_for(preset, underlying.scan, underlying.volatility_scale)
        if kind is Kind.OPTION:
            days = market.days_to(expiry)
            chain = [terms[at] for at in members]
            values[members] = _option_rows(
                scaled, underlying, underlying.expiry(expiry), days, chain
            )
        else:
            values[members] = _linear_row(scaled, underlying, expiry)
    if not np.all(np.abs(values) < _VALUE_MAX):  # also false for NaN
        raise ValueError("a price is not a number or too large for its row")
    return np.rint(values).astype(np.int64)


def option_legs(
    underlying: UnderlyingMarket, expiry: ExpiryMarket, chain: list[InstrumentTerms]
) -> Legs:
    """Strikes, kinds and surface volatilities of options of one expiry."""
    strikes = np.array([terms.strike for terms in chain], dtype=np.float64) / CASH_SCALE
    forward = expiry.whole_forward
    if not 0.0 < forward < np.inf:  # also true for NaN
        raise ValueError(f"forward {forward} of expiry {expiry.expiry} is no price")
    volatilities = underlying.surface.volatilities(expiry.expiry, forward, strikes)
    if not np.all((volatilities >= 0.0) & (volatilities < _VOLATILITY_MAX)):
        raise ValueError(f"expiry {expiry.expiry} has a volatility that is none")
    return Legs(
        strikes=strikes,
        is_put=np.array([terms.option_kind is OptionKind.PUT for terms in chain]),
        volatilities=volatilities,
    )


def linear_price(underlying: UnderlyingMarket, expiry: int) -> float:
    """Mark of the perpetual (expiry 0) or of a future."""
    if expiry:
        return underlying.expiry(expiry).whole_forward
    known = underlying.perpetual_price
    return underlying.index_price if known is None else known


def to_cash(value: float) -> int:
    """Micro-USDC, half-even."""
    return round(value * CASH_SCALE)


def _option_rows(
    preset: Preset,
    underlying: UnderlyingMarket,
    expiry: ExpiryMarket,
    days: float,
    chain: list[InstrumentTerms],
) -> NDArray[np.float64]:
    legs = option_legs(underlying, expiry, chain)
    tau = days / DAYS_PER_YEAR
    arguments = (expiry.whole_forward, legs.strikes, tau, legs.volatilities, legs.is_put)
    sensitivities = greeks(*arguments, expiry.rate)
    return np.column_stack(
        [
            price(*arguments, expiry.rate) * CASH_SCALE,
            legs.volatilities * VOL_SCALE,
            sensitivities.delta * VOL_SCALE,
            sensitivities.vega * _VOLATILITY_POINT * CASH_SCALE,
            shocked_prices(preset, legs, expiry, days) * CASH_SCALE,
        ]
    )


def _linear_row(preset: Preset, underlying: UnderlyingMarket, expiry: int) -> list[float]:
    mark = linear_price(underlying, expiry) * CASH_SCALE
    shocked = [mark * scenario.spot for scenario in preset.scenarios]
    return [mark, 0.0, float(VOL_SCALE), 0.0, *shocked]


def _expiry_risk(preset: Preset, market: Market, underlying_id: int, expiry: int) -> ExpiryRisk:
    underlying = market.underlying(underlying_id)
    if expiry == 0:  # the perpetual: no discount, no basis
        return ExpiryRisk(
            underlying_id=underlying_id,
            expiry=0,
            forward_price=to_cash(linear_price(underlying, 0)),
            discount_long=RATIO_SCALE,
            discount_short=RATIO_SCALE,
            basis_weight=0,
        )
    known = underlying.expiry(expiry)
    tau = market.days_to(expiry) / DAYS_PER_YEAR
    long, short = preset.discounts(tau, known.rate)
    return ExpiryRisk(
        underlying_id=underlying_id,
        expiry=expiry,
        forward_price=to_cash(known.whole_forward),
        discount_long=to_ratio(long),
        discount_short=to_ratio(short),
        basis_weight=to_ratio(preset.basis_weight(tau)),
        rate=to_ratio(known.rate),
    )
