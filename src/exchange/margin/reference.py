"""The float reference: a portfolio, a preset and a market to every intermediate figure.

Straight from the formulas of docs/margin.md, one expiry at a time, for judging the integers and
for outsiders with vectors of their own. Slow and plain on purpose; the engine never sees it.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from exchange.fixed import CASH_SCALE
from exchange.margin.market import DAYS_PER_YEAR, Market, UnderlyingMarket
from exchange.margin.pricing import FloatArray, price
from exchange.margin.risk_arrays import linear_price, option_legs
from exchange.margin.scenarios import (
    CollateralTerms,
    Preset,
    StandardPreset,
    load_preset,
    preset_for,
    shocked_prices,
    shocked_volatilities,
)
from exchange.model import (
    InstrumentTerms,
    Kind,
    OptionKind,
    pack_instrument_id,
    unpack_instrument_id,
)

STANDARD_SHOCKS: Final = "pm33"  # whose scenarios shock the standard mode's collateral
_STRIKE_BITS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatCollateral:
    """Tokens of one kind and the terms on which they count."""

    terms: CollateralTerms
    underlying_id: int
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralResult:
    """What tokens count: value at the index, loss or gain of each scenario, add-ons >= 0."""

    name: str
    underlying_id: int
    amount: float
    value: float
    results: FloatArray
    initial_haircut: float
    maintenance_haircut: float
    confidence: float
    isolated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatPortfolio:
    """Cash, signed quantities in contracts by instrument_id, and tokens besides cash.

    `owed` is what of the cash belongs to perpetuals and futures: entry costs, unrealised funding.
    """

    cash: float
    positions: dict[int, float]
    collateral: tuple[FloatCollateral, ...] = ()
    owed: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LegResult:
    """One position; vectors have one entry for each scenario, prices are of one contract."""

    instrument_id: int
    quantity: float
    volatility: float
    mark_price: float
    shocked_volatilities: FloatArray
    shocked_prices: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryResult:
    """One expiry's share; vectors have one entry for each scenario."""

    underlying_id: int
    expiry: int
    tau: float
    discount_long: float
    discount_short: float
    basis_weight: float
    legs: tuple[LegResult, ...]
    mark_value: float
    shocked_values: FloatArray
    results: FloatArray
    basis: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupResult:
    """Underlyings that share each scenario."""

    underlying_ids: tuple[int, ...]
    results: FloatArray
    basis_contingency: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contingency:
    """Add-ons of one underlying, each >= 0."""

    underlying_id: int
    short_option_initial: float
    short_option_maintenance: float
    perpetual_initial: float
    perpetual_maintenance: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything between the inputs and the two excesses."""

    cash: float
    owed: float
    mark_value: float
    collateral_value: float
    equity: float
    initial_factor: float
    expiries: tuple[ExpiryResult, ...]
    collateral: tuple[CollateralResult, ...]
    groups: tuple[GroupResult, ...]
    contingencies: tuple[Contingency, ...]
    worst: float
    initial_addons: float
    maintenance_addons: float
    initial_excess: float
    maintenance_excess: float


def evaluate(preset: Preset, market: Market, portfolio: FloatPortfolio) -> Evaluation:
    """Margin of a portfolio; each group's worst scenario or basis, then summed over groups."""
    legs: dict[tuple[int, int], list[tuple[InstrumentTerms, float]]] = defaultdict(list)
    for instrument_id, quantity in portfolio.positions.items():
        terms = unpack_instrument_id(instrument_id)
        legs[terms.underlying_id, terms.expiry].append((terms, quantity))
    expiries = tuple(_expiry_result(preset, market, key, legs[key]) for key in sorted(legs))
    collateral = tuple(_collateral_result(preset, market, one) for one in portfolio.collateral)
    groups = _groups(preset, expiries, collateral)
    contingencies = tuple(
        _contingency(preset, market, underlying_id, portfolio.positions)
        for underlying_id in sorted({underlying_id for underlying_id, _ in legs})
    )
    mark_value = sum(expiry.mark_value for expiry in expiries)
    worst = sum(group.worst for group in groups)
    factor = preset.initial_factor(market.stablecoin_price)
    initial = sum(
        c.short_option_initial + c.perpetual_initial + c.confidence for c in contingencies
    )
    maintenance = sum(c.short_option_maintenance + c.perpetual_maintenance for c in contingencies)
    initial += sum(held.initial_haircut + held.confidence for held in collateral)
    maintenance += sum(held.maintenance_haircut for held in collateral)
    collateral_value = sum(held.value for held in collateral)
    equity = mark_value + portfolio.cash - portfolio.owed + collateral_value
    maintained = worst * preset.requirement.maintenance_factor
    return Evaluation(
        cash=portfolio.cash,
        owed=portfolio.owed,
        mark_value=mark_value,
        collateral_value=collateral_value,
        equity=equity,
        initial_factor=factor,
        expiries=expiries,
        collateral=collateral,
        groups=groups,
        contingencies=contingencies,
        worst=worst,
        initial_addons=initial,
        maintenance_addons=maintenance,
        initial_excess=worst * factor - initial - maintenance + equity,
        maintenance_excess=maintained - maintenance + equity,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardLeg:
    """One position in the standard mode; requirements of the whole position, its mark included."""

    instrument_id: int
    quantity: float
    mark_price: float
    initial: float
    maintenance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardEvaluation:
    """The standard mode's figures."""

    cash: float
    owed: float
    mark_value: float
    collateral_value: float
    equity: float
    legs: tuple[StandardLeg, ...]
    collateral: tuple[CollateralResult, ...]
    initial_excess: float
    maintenance_excess: float


def evaluate_standard(
    preset: StandardPreset, market: Market, portfolio: FloatPortfolio
) -> StandardEvaluation:
    """Each position by itself: long options count nothing, short ones need their mark and more."""
    legs = tuple(
        _standard_leg(preset, market, instrument_id, quantity)
        for instrument_id, quantity in portfolio.positions.items()
    )
    shocks = load_preset(STANDARD_SHOCKS)
    collateral = tuple(_collateral_result(shocks, market, one) for one in portfolio.collateral)
    factor = shocks.initial_factor(market.stablecoin_price)
    initial = maintenance = portfolio.cash - portfolio.owed
    for held in collateral:
        worst = min(0.0, float(held.results.min()))
        initial += held.value + worst * factor - held.initial_haircut - held.confidence
        initial -= held.maintenance_haircut
        maintenance += held.value + worst * shocks.requirement.maintenance_factor
        maintenance -= held.maintenance_haircut
    mark_value = sum(leg.quantity * leg.mark_price for leg in legs)
    collateral_value = sum(held.value for held in collateral)
    return StandardEvaluation(
        cash=portfolio.cash,
        owed=portfolio.owed,
        mark_value=mark_value,
        collateral_value=collateral_value,
        equity=portfolio.cash - portfolio.owed + mark_value + collateral_value,
        legs=legs,
        collateral=collateral,
        initial_excess=initial - sum(leg.initial for leg in legs),
        maintenance_excess=maintenance - sum(leg.maintenance for leg in legs),
    )


def _standard_leg(
    preset: StandardPreset, market: Market, instrument_id: int, quantity: float
) -> StandardLeg:
    terms = unpack_instrument_id(instrument_id)
    underlying = market.underlying(terms.underlying_id)
    index_price = underlying.index_price
    if terms.kind is not Kind.OPTION:
        mark = linear_price(underlying, terms.expiry)
        rates = (preset.perpetual_initial, preset.perpetual_maintenance)
        needs = [abs(quantity) * rate * index_price - quantity * mark for rate in rates]
    else:
        expiry = underlying.expiry(terms.expiry)
        legs = option_legs(underlying, expiry, [terms])
        tau = market.days_to(expiry.expiry) / DAYS_PER_YEAR
        arguments = (expiry.whole_forward, legs.strikes, tau, legs.volatilities, legs.is_put)
        mark = float(price(*arguments, expiry.rate)[0])
        distance = terms.strike / CASH_SCALE - index_price
        out = max(0.0, distance if terms.option_kind is OptionKind.CALL else -distance)
        initial = max(preset.option_initial - out / index_price, preset.option_initial_min)
        rates = (initial, preset.option_maintenance)
        needs = [max(0.0, -quantity) * (rate * index_price + mark) for rate in rates]
    return StandardLeg(
        instrument_id=instrument_id,
        quantity=quantity,
        mark_price=mark,
        initial=needs[0],
        maintenance=needs[1],
    )


def _expiry_result(
    preset: Preset,
    market: Market,
    key: tuple[int, int],
    legs: list[tuple[InstrumentTerms, float]],
) -> ExpiryResult:
    underlying_id, expiry = key
    underlying = market.underlying(underlying_id)
    preset = preset_for(preset, underlying.scan, underlying.volatility_scale)
    priced = _price_legs(preset, market, legs)
    mark_value = float(sum(leg.quantity * leg.mark_price for leg in priced))
    shocked_values = np.sum([leg.quantity * leg.shocked_prices for leg in priced], axis=0)
    tau = market.days_to(expiry) / DAYS_PER_YEAR if expiry else 0.0
    long, short, basis_weight = 1.0, 1.0, 0.0
    if expiry:
        rate = underlying.expiry(expiry).rate
        long, short = preset.discounts(tau, rate)
        basis_weight = preset.basis_weight(tau)
    weights = np.array([scenario.weight for scenario in preset.scenarios])
    discounts = np.where(shocked_values >= 0.0, long, short)
    results = (shocked_values * discounts - mark_value) * weights
    skew = np.array([scenario.volatility.is_skew for scenario in preset.scenarios])
    moves = [
        shocked_values[preset.basis_index(spot)] - mark_value
        for spot in (preset.basis.spot_up, preset.basis.spot_down)
    ]
    return ExpiryResult(
        underlying_id=underlying_id,
        expiry=expiry,
        tau=tau,
        discount_long=long,
        discount_short=short,
        basis_weight=basis_weight,
        legs=priced,
        mark_value=mark_value,
        shocked_values=shocked_values,
        results=np.where(skew, -np.abs(results), results),
        basis=float(min(*moves, 0.0) * basis_weight),
    )


def _price_legs(
    preset: Preset, market: Market, legs: list[tuple[InstrumentTerms, float]]
) -> tuple[LegResult, ...]:
    options = [leg for leg in legs if leg[0].kind is Kind.OPTION]
    linear = [leg for leg in legs if leg[0].kind is not Kind.OPTION]
    underlying = market.underlying(legs[0][0].underlying_id)
    priced = _price_options(preset, market, underlying, options) if options else []
    spots = np.array([scenario.spot for scenario in preset.scenarios])
    for terms, quantity in linear:
        mark = linear_price(underlying, terms.expiry)
        leg = LegResult(
            instrument_id=pack_instrument_id(terms),
            quantity=quantity,
            volatility=0.0,
            mark_price=mark,
            shocked_volatilities=np.zeros(len(spots)),
            shocked_prices=mark * spots,
        )
        priced.append(leg)
    return tuple(priced)


def _price_options(
    preset: Preset,
    market: Market,
    underlying: UnderlyingMarket,
    options: list[tuple[InstrumentTerms, float]],
) -> list[LegResult]:
    expiry = underlying.expiry(options[0][0].expiry)
    days = market.days_to(expiry.expiry)
    legs = option_legs(underlying, expiry, [terms for terms, _ in options])
    forward, tau = expiry.whole_forward, days / DAYS_PER_YEAR
    marks = price(forward, legs.strikes, tau, legs.volatilities, legs.is_put, expiry.rate)
    volatilities = shocked_volatilities(preset, legs, forward, days)
    shocked = shocked_prices(preset, legs, expiry, days)
    return [
        LegResult(
            instrument_id=pack_instrument_id(terms),
            quantity=quantity,
            volatility=float(legs.volatilities[at]),
            mark_price=float(marks[at]),
            shocked_volatilities=volatilities[at],
            shocked_prices=shocked[at],
        )
        for at, (terms, quantity) in enumerate(options)
    ]


def _collateral_result(preset: Preset, market: Market, held: FloatCollateral) -> CollateralResult:
    """Tokens move like their underlying held at the index: no discount, no basis."""
    terms = held.terms
    underlying = market.underlying(held.underlying_id)
    preset = preset_for(preset, underlying.scan, underlying.volatility_scale)
    value = min(held.amount, terms.account_cap) * underlying.index_price
    moves = [
        -abs(scenario.spot - 1.0) if scenario.volatility.is_skew else scenario.spot - 1.0
        for scenario in preset.scenarios
    ]
    weights = np.array([scenario.weight for scenario in preset.scenarios])
    low = underlying.confidence < preset.contingencies.confidence_floor
    return CollateralResult(
        name=terms.name,
        underlying_id=held.underlying_id,
        amount=held.amount,
        value=value,
        results=value * np.array(moves) * weights,
        initial_haircut=terms.initial_haircut * value,
        maintenance_haircut=terms.maintenance_haircut * value,
        confidence=(1.0 - underlying.confidence) * value if low else 0.0,
        isolated=terms.isolated,
    )


def _groups(
    preset: Preset,
    expiries: tuple[ExpiryResult, ...],
    collateral: tuple[CollateralResult, ...],
) -> tuple[GroupResult, ...]:
    known = {member: tuple(group) for group in preset.risk_groups for member in group}
    shares: dict[tuple[object, ...], list[ExpiryResult | CollateralResult]] = defaultdict(list)
    everything: list[ExpiryResult | CollateralResult] = [*expiries, *collateral]
    for share in everything:
        group: tuple[object, ...] = known.get(share.underlying_id, (share.underlying_id,))
        if isinstance(share, CollateralResult) and share.isolated:
            group = (*group, share.name)
        shares[group].append(share)
    return tuple(_group(known, members) for members in shares.values())


def _group(
    known: dict[int, tuple[int, ...]], members: list[ExpiryResult | CollateralResult]
) -> GroupResult:
    results = np.sum([share.results for share in members], axis=0)
    basis = sum(share.basis for share in members if isinstance(share, ExpiryResult))
    underlying_id = members[0].underlying_id
    return GroupResult(
        underlying_ids=known.get(underlying_id, (underlying_id,)),
        results=results,
        basis_contingency=basis,
        worst=float(min(results.min(), basis)),
    )


def _contingency(
    preset: Preset, market: Market, underlying_id: int, positions: dict[int, float]
) -> Contingency:
    rates = preset.contingencies
    underlying = market.underlying(underlying_id)
    strikes: dict[int, float] = defaultdict(float)
    expiries: dict[int, float] = defaultdict(float)
    linear_notional = 0.0
    for instrument_id, quantity in positions.items():
        terms = unpack_instrument_id(instrument_id)
        if terms.underlying_id != underlying_id:
            continue
        if terms.kind is Kind.OPTION:
            strikes[instrument_id >> _STRIKE_BITS] += quantity
            expiries[terms.expiry] += quantity
        else:
            linear_notional += abs(quantity) * linear_price(underlying, terms.expiry)
    naked = sum(max(0.0, -quantity) for quantity in strikes.values())
    low = underlying.confidence < rates.confidence_floor
    shortfall = 1.0 - underlying.confidence if low else 0.0
    net_short = sum(max(0.0, -quantity) for quantity in expiries.values())
    return Contingency(
        underlying_id=underlying_id,
        short_option_initial=rates.short_option_initial * naked * underlying.index_price,
        short_option_maintenance=rates.short_option_maintenance * naked * underlying.index_price,
        perpetual_initial=rates.perpetual_initial * linear_notional,
        perpetual_maintenance=rates.perpetual_maintenance * linear_notional,
        confidence=shortfall * (net_short * underlying.index_price + linear_notional),
    )
