"""Questions about an account: its risk scenario by scenario, and its payoff."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec

from exchange.sdk import Client
from exchange.sdk.errors import BadArgument
from exchange.sdk.types import Instrument, Position, Simulation, Ticker
from exchange.trade.payoff import Payoff, PayoffLeg, payoff

GREEKS: Final = ("delta", "gamma", "vega", "theta")


class PositionRisk(msgspec.Struct, frozen=True, kw_only=True):
    """A position, or what would be one, with the greeks of all of it."""

    instrument_name: str
    size: Decimal
    mark_price: Decimal
    greeks: dict[str, Decimal]


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """Margin, scenarios and greeks of a portfolio."""

    simulation: Simulation
    positions: list[PositionRisk]
    greeks: dict[str, dict[str, Decimal]]  # by currency


def risk(client: Client, added: Mapping[str, Decimal]) -> Risk:
    """The portfolio as it is, with `added` signed contracts at their marks."""
    simulation = client.simulate_portfolio(added)
    rows = [_position_risk(client, name, size) for name, size in simulation.positions.items()]
    totals: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        total = totals.setdefault(
            currency_of(row.instrument_name), dict.fromkeys(GREEKS, Decimal(0))
        )
        for name in GREEKS:
            total[name] += row.greeks[name]
    return Risk(simulation=simulation, positions=rows, greeks=totals)


def currency_of(name: str) -> str:
    """The underlying in an instrument's name."""
    return name.split("_")[0]


def _position_risk(client: Client, name: str, size: Decimal) -> PositionRisk:
    ticker = client.ticker(name)
    linear = {"delta": Decimal(1)} if not ticker.greeks else ticker.greeks
    return PositionRisk(
        instrument_name=name,
        size=size,
        mark_price=ticker.mark_price or Decimal(0),
        greeks={greek: linear.get(greek, Decimal(0)) * size for greek in GREEKS},
    )


def payoff_of(
    client: Client, currency: str | None, added: Mapping[str, Decimal], *, alone: bool, reach: float
) -> Payoff:
    """Curves of what is held and `added` in one currency; `alone`: of what is added only."""
    held = {} if alone else {row.instrument_name: row for row in client.positions()}
    chosen = (currency or _first_currency([*added, *held])).upper()
    names = [name for name in dict.fromkeys([*held, *added]) if currency_of(name) == chosen]
    if not names:
        raise BadArgument(f"nothing held in {chosen}: --add NAME=AMOUNT shows what would be")
    legs: list[PayoffLeg] = []
    tickers = {name: client.ticker(name) for name in names}
    for name in names:
        instrument, ticker = client.instrument(name), tickers[name]
        legs += _held_leg(instrument, ticker, held.get(name))
        if name in added:
            legs.append(_leg(instrument, ticker, added[name], ticker.mark_price))
    return payoff(
        chosen,
        legs,
        index_price=float(tickers[names[0]].index_price),
        now_ms=int(client.call("public/get_time")),
        reach=reach,
    )


def _first_currency(names: Iterable[str]) -> str:
    return next((currency_of(name) for name in names), "BTC")


def _held_leg(instrument: Instrument, ticker: Ticker, position: Position | None) -> list[PayoffLeg]:
    if position is None:
        return []
    return [_leg(instrument, ticker, position.size, position.average_price)]


def _leg(instrument: Instrument, ticker: Ticker, size: Decimal, entry: Decimal | None) -> PayoffLeg:
    if ticker.mark_price is None or entry is None:
        raise BadArgument(f"{instrument.instrument_name} has no mark yet: try again in a moment")
    if instrument.kind not in ("option", "future"):
        raise BadArgument(f"{instrument.instrument_name}: name the legs of a combo instead")
    is_option = instrument.kind == "option"
    perpetual = instrument.instrument_name.endswith("-PERPETUAL")
    kind: Literal["call", "put", "linear"] = "linear"
    if is_option:
        kind = "put" if instrument.option_type == "put" else "call"
    return PayoffLeg(
        instrument_name=instrument.instrument_name,
        kind=kind,
        size=float(size),
        entry=float(entry),
        forward=float(ticker.underlying_price if is_option else ticker.mark_price),
        strike=float(instrument.strike),
        expiry_ms=0 if perpetual else instrument.expiration_timestamp,
        volatility=float(ticker.mark_iv or 0) / 100,
        rate=float(ticker.interest_rate),
    )
