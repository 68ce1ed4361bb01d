"""`exchange margin --input FILE.json`: an outsider's vectors through the reference and the engine.

Reads one JSON document (docs/margin.md shows it), answers with every intermediate figure and with
what the integers make of the same portfolio. Raises ValueError with the field and the reason.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from exchange.commands import Collateral
from exchange.fixed import ASSET_SCALE, CASH_SCALE, QUANTITY_SCALE
from exchange.margin.account import MarginAccount
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.marks import MarksBook
from exchange.margin.reference import (
    STANDARD_SHOCKS,
    CollateralResult,
    ExpiryResult,
    FloatCollateral,
    FloatPortfolio,
    LegResult,
    StandardLeg,
    evaluate,
    evaluate_standard,
)
from exchange.margin.risk_arrays import build_update, to_cash
from exchange.margin.scenarios import (
    Preset,
    StandardPreset,
    collateral_terms,
    load_preset,
    load_standard,
    margin_parameters,
)
from exchange.margin.standard import StandardAccount
from exchange.margin.surface import FlatSurface, MarkPoint, MarkSurface, Surface
from exchange.model import (
    InstrumentTerms,
    Kind,
    OptionKind,
    instrument_name,
    pack_instrument_id,
    representable_strike,
    unpack_instrument_id,
)

_DATE: Final = re.compile(r"(\d{1,2}[A-Z]{3}\d{2})(?:T(\d{6}))?")
_STRIKE: Final = re.compile(r"(\d{1,12})(?:d(\d{1,2}))?")


class SmilePoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Volatility at one strike."""

    strike: float
    volatility: float


class ExpiryInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One expiry; `volatility` or `smile` override the underlying's volatility."""

    expiry: str | int  # `25DEC26` or a UTC second
    forward_price: float
    fixed_price: float = 0.0
    rate: float = 0.0
    volatility: float | None = None
    smile: tuple[SmilePoint, ...] = ()


class UnderlyingInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One underlying."""

    index_price: float
    expiries: tuple[ExpiryInput, ...] = ()
    volatility: float | None = None
    confidence: float = 1.0
    perpetual_price: float | None = None


class MarketInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The market; `time` is an ISO date-time or a UTC second, fractions allowed."""

    time: str | float
    underlyings: dict[str, UnderlyingInput]
    stablecoin_price: float = 1.0


class PortfolioInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cash in USDC, signed contracts by instrument name, tokens by name (WETH, WBTC).

    Of perpetuals and futures also the mean price of entry, and what they owe in funding, in USDC;
    without an entry price nothing was paid for them.
    """

    cash: float = 0.0
    positions: dict[str, float] = {}
    entry_prices: dict[str, float] = {}
    unrealised_funding: dict[str, float] = {}
    collateral: dict[str, float] = {}


class MarginInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document; `preset` is a name or a full table as in the TOML files."""

    market: MarketInput
    portfolio: PortfolioInput
    preset: str | dict[str, Any] = "pm33"


def margin_report(document: bytes) -> dict[str, Any]:
    """Every figure between the inputs in `document` and the two excesses."""
    try:
        given = msgspec.json.decode(document, type=MarginInput)
        preset = _preset(given.preset)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ValueError(str(error)) from error
    names = {name: at for at, name in enumerate(given.market.underlyings, start=1)}
    positions = {
        _instrument_id(name, names): quantity
        for name, quantity in given.portfolio.positions.items()
    }
    market = _market(given.market)
    shocks = load_preset(STANDARD_SHOCKS) if isinstance(preset, StandardPreset) else preset
    collateral = tuple(
        _collateral(shocks, names, name, amount)
        for name, amount in given.portfolio.collateral.items()
    )
    portfolio = FloatPortfolio(
        cash=given.portfolio.cash,
        positions=positions,
        collateral=collateral,
        owed=_owed(given.portfolio),
    )
    named = {at: name for name, at in names.items()}
    try:
        if isinstance(preset, StandardPreset):
            return _standard_answer(preset, market, portfolio, named)
        return _answer(preset, market, portfolio, named)
    except KeyError as error:
        raise ValueError(f"market: {error.args[0]}") from error


def _preset(given: str | dict[str, Any]) -> Preset | StandardPreset:
    if given == "standard":
        return load_standard()
    return load_preset(given) if isinstance(given, str) else msgspec.convert(given, Preset)


def _collateral(
    preset: Preset, names: Mapping[str, int], name: str, amount: float
) -> FloatCollateral:
    for terms in preset.collateral:
        if terms.name == name and terms.underlying in names and amount >= 0:
            return FloatCollateral(
                terms=terms, underlying_id=names[terms.underlying], amount=amount
            )
    raise ValueError(
        f"portfolio.collateral: {name!r} needs terms in the preset, its underlying in market, "
        "and an amount that is not negative"
    )


def _market(given: MarketInput) -> Market:
    underlyings = []
    for underlying_id, (name, one) in enumerate(given.underlyings.items(), start=1):
        underlyings.append(
            UnderlyingMarket(
                underlying_id=underlying_id,
                index_price=one.index_price,
                surface=_surface(name, one),
                expiries=tuple(
                    ExpiryMarket(
                        expiry=_expiry(expiry.expiry),
                        forward_price=expiry.forward_price,
                        fixed_price=expiry.fixed_price,
                        rate=expiry.rate,
                    )
                    for expiry in one.expiries
                ),
                confidence=one.confidence,
                perpetual_price=one.perpetual_price,
            )
        )
    return Market(
        time_ns=_time_ns(given.time),
        underlyings=tuple(underlyings),
        stablecoin_price=given.stablecoin_price,
    )


def _surface(name: str, given: UnderlyingInput) -> Surface:
    points = []
    for expiry in given.expiries:
        forward = expiry.forward_price + expiry.fixed_price
        flat = given.volatility if expiry.volatility is None else expiry.volatility
        smile = expiry.smile or (() if flat is None else (SmilePoint(forward, flat),))
        if not smile:
            raise ValueError(f"market.underlyings.{name}: {expiry.expiry} has no volatility")
        points += [
            MarkPoint(_expiry(expiry.expiry), forward, point.strike, point.volatility)
            for point in smile
        ]
    return MarkSurface(points) if points else FlatSurface(given.volatility or 0.0)


def _time_ns(given: str | float) -> int:
    if isinstance(given, str):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError as error:
            raise ValueError(f"market.time: {error}") from error
        if moment.tzinfo is None:
            raise ValueError("market.time: a date-time needs its zone, such as Z")
        given = moment.timestamp()
    return round(given * 10**9)


def _expiry(given: str | int) -> int:
    second = given if isinstance(given, int) else _expiry_second(given)
    if second <= 0 or second % 60:
        raise ValueError(f"expiry {given!r}: not a whole minute after 1970")
    return second


def _expiry_second(given: str) -> int:
    match = _DATE.fullmatch(given)
    if match is None:
        raise ValueError(f"expiry {given!r}: neither a date such as 25DEC26 nor a UTC second")
    day = datetime.strptime(match[1], "%d%b%y").replace(tzinfo=UTC)
    clock = match[2] or "080000"
    return int(day.timestamp()) + int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:])


def _instrument_id(name: str, underlyings: Mapping[str, int]) -> int:
    pair, *rest = name.split("-")
    underlying_id = underlyings.get(pair.removesuffix("_USDC"))
    if underlying_id is None or not pair.endswith("_USDC"):
        raise ValueError(f"portfolio.positions: {name!r} has no underlying in market")
    match rest:
        case ["PERPETUAL"]:
            return pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, underlying_id))
        case [date]:
            return pack_instrument_id(InstrumentTerms(Kind.FUTURE, underlying_id, _expiry(date)))
        case [date, strike, "C" | "P" as letter]:
            terms = InstrumentTerms(
                Kind.OPTION,
                underlying_id,
                _expiry(date),
                _strike(strike),
                OptionKind.CALL if letter == "C" else OptionKind.PUT,
            )
            return pack_instrument_id(terms)
        case _:
            raise ValueError(f"portfolio.positions: {name!r} is no option, future or perpetual")


def _owed(given: PortfolioInput) -> float:
    """Entry costs and unrealised funding of the linear positions."""
    for name in (*given.entry_prices, *given.unrealised_funding):
        if name not in given.positions or name.endswith(("-C", "-P")):
            raise ValueError(f"portfolio: {name!r} is no perpetual or future that is held")
    costs = (given.positions[name] * price for name, price in given.entry_prices.items())
    return sum(costs) + sum(given.unrealised_funding.values())


def _strike(text: str) -> int:
    match = _STRIKE.fullmatch(text)
    strike = 0
    if match is not None:
        cents = int((match[2] or "0").ljust(2, "0"))
        strike = int(match[1]) * CASH_SCALE + cents * 10**4
    if not strike or not representable_strike(strike):
        raise ValueError(f"strike {text!r} cannot be represented")
    return strike


def _integers(
    kind: type[MarginAccount], preset: Preset, market: Market, portfolio: FloatPortfolio
) -> dict[str, int]:
    """The engine's own figures in micro-USDC; quantities are rounded to 1e-4 contracts."""
    marks = MarksBook(margin_parameters(preset))
    marks.set_collaterals(_assets(preset, portfolio))
    marks.update(build_update(preset, market, portfolio.positions, epoch=1))
    account = kind(1, marks)
    account.add_cash(to_cash(portfolio.cash - portfolio.owed))
    for instrument_id, quantity in portfolio.positions.items():
        account.apply_fill(instrument_id, round(quantity * QUANTITY_SCALE))
    for asset_id, held in enumerate(portfolio.collateral, start=1):
        account.add_collateral(asset_id, round(held.amount * ASSET_SCALE))
    return {
        "mark_value": account.mark_value(),
        "collateral_value": account.collateral_value(),
        "equity": account.equity(),
        "initial_margin": account.initial_margin(),
        "maintenance_margin": account.maintenance_margin(),
        "initial_excess": account.initial_excess(),
        "maintenance_excess": account.maintenance_excess(),
    }


def _assets(preset: Preset, portfolio: FloatPortfolio) -> tuple[Collateral, ...]:
    """The tokens that are held, numbered in the order given."""
    ids = {held.terms.underlying: held.underlying_id for held in portfolio.collateral}
    terms = tuple(held.terms for held in portfolio.collateral)
    tokens = {one.name: ("", 0) for one in terms}
    return collateral_terms(msgspec.structs.replace(preset, collateral=terms), ids, tokens)


def _standard_answer(
    preset: StandardPreset, market: Market, portfolio: FloatPortfolio, names: dict[int, str]
) -> dict[str, Any]:
    evaluation = evaluate_standard(preset, market, portfolio)
    return {
        "preset": preset.name,
        **_fields(evaluation),
        "initial_margin": evaluation.equity - evaluation.initial_excess,
        "maintenance_margin": evaluation.equity - evaluation.maintenance_excess,
        "legs": [_leg_answer(leg, names) for leg in evaluation.legs],
        "collateral": [_collateral_answer(held) for held in evaluation.collateral],
        "integers": _integers(StandardAccount, load_preset(STANDARD_SHOCKS), market, portfolio),
    }


def _answer(
    preset: Preset, market: Market, portfolio: FloatPortfolio, names: dict[int, str]
) -> dict[str, Any]:
    evaluation = evaluate(preset, market, portfolio)
    return {
        "preset": preset.name,
        "scenarios": [msgspec.to_builtins(scenario) for scenario in preset.scenarios],
        **_fields(evaluation),
        "initial_margin": evaluation.equity - evaluation.initial_excess,
        "maintenance_margin": evaluation.equity - evaluation.maintenance_excess,
        "groups": [
            {
                "underlyings": [names.get(member, str(member)) for member in group.underlying_ids],
                "scenarios": group.results.tolist(),
                "basis_contingency": group.basis_contingency,
                "worst": group.worst,
            }
            for group in evaluation.groups
        ],
        "expiries": [_expiry_answer(expiry, names) for expiry in evaluation.expiries],
        "collateral": [_collateral_answer(held) for held in evaluation.collateral],
        "contingencies": [
            {"underlying": names[one.underlying_id], **_fields(one)}
            for one in evaluation.contingencies
        ],
        "integers": _integers(MarginAccount, preset, market, portfolio),
    }


def _collateral_answer(held: CollateralResult) -> dict[str, Any]:
    return {"name": held.name, **_fields(held)}


def _expiry_answer(expiry: ExpiryResult, names: dict[int, str]) -> dict[str, Any]:
    return {
        "underlying": names[expiry.underlying_id],
        **_fields(expiry),
        "legs": [_leg_answer(leg, names) for leg in expiry.legs],
    }


def _leg_answer(leg: LegResult | StandardLeg, names: dict[int, str]) -> dict[str, Any]:
    terms = unpack_instrument_id(leg.instrument_id)
    return {"instrument_name": instrument_name(names[terms.underlying_id], terms), **_fields(leg)}


def _fields(record: object) -> dict[str, Any]:
    """The numbers of a dataclass, arrays as lists."""
    fields = type(record).__dataclass_fields__  # type: ignore[attr-defined]  # callers give records
    named = {name: getattr(record, name) for name in fields}
    plain = (int, float)
    return {
        name: value if isinstance(value, plain) else value.tolist()
        for name, value in named.items()
        if isinstance(value, plain) or hasattr(value, "tolist")
    }
