"""Smiles for marks: our own book's mids and trades, held near volatilities from outside.

Never from our own book alone. Every quote is cut to a corridor around the reference surface, and
points of the reference are fitted with it, so that a thin book moves little and no book moves a
mark out of the corridor. Fall-backs of an expiry, each documented in its `SmileNote`: the fit's own
(SVI, SSVI, flat) -> the reference alone, where own quotes are few or the fit leaves the corridor.
Floats and pure; reads no venue.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from exchange.commands import SmileNote
from exchange.fixed import CASH_SCALE, VOL_SCALE, to_nanoseconds
from exchange.margin.pricing import FloatArray, implied_volatility
from exchange.margin.surface import Surface
from exchange.margin.svi import SviSlice, SviSurface
from exchange.margin.svi_fit import Quote, SliceReport, fit_surface
from exchange.model import SECONDS_PER_DAY, Instrument, OptionKind

SMILE_SCALE: Final = 10**12  # of the parameters in a note
REFERENCE: Final = "reference"
_YEAR_NS: Final = 365 * SECONDS_PER_DAY * 10**9
_TOLERANCE: Final = 1e-9


class SmileRules(msgspec.Struct, frozen=True, kw_only=True):
    """How far the book may move a mark, and what of it counts. Volatilities as plain numbers."""

    corridor: float = 0.1  # of the reference volatility, either side
    strikes_min: int = 3  # with own quotes; fewer leave the reference as it is
    spread_max: float = 0.1  # half a bid-ask, in volatility: wider says nothing
    reference_spread: float = 0.02  # how much weight the reference's points have
    trade_spread: float = 0.03  # and a trade
    trade_age_ns: int = 10 * 60 * 10**9
    age_ns_max: int = 2 * 60 * 10**9  # a fit older than this gives way to the reference
    interval_ns: int = 15 * 10**9  # between fits


class Observed(NamedTuple):
    """One option of our own book, prices in micro-USDC, 0 where there is none."""

    instrument: Instrument
    best_bid: int
    best_ask: int
    last_price: int = 0
    traded_ns: int = 0
    rate: float = 0.0  # a year, at which its price is discounted


class FittedSmiles:
    """A surface: fitted expiries by their slices, every other one by the reference."""

    def __init__(
        self, reference: Surface, slices: dict[int, SviSlice], notes: Sequence[SmileNote]
    ) -> None:
        self._reference = reference
        self._fitted = SviSurface(slices) if slices else None
        self.notes = tuple(notes)

    def volatilities(self, expiry: int, forward_price: float, strikes: FloatArray) -> FloatArray:
        """Volatility at each strike of an expiry."""
        if self._fitted is None or expiry not in self._fitted.slices:
            return self._reference.volatilities(expiry, forward_price, strikes)
        return self._fitted.volatilities(expiry, forward_price, strikes)


def fit_smiles(
    reference: Surface,
    forwards: Mapping[int, float],
    chain: Iterable[Observed],
    now_ns: int,
    rules: SmileRules,
) -> FittedSmiles:
    """Fit every expiry of one underlying that has a forward. Takes milliseconds each."""
    by_expiry: dict[int, list[Observed]] = defaultdict(list)
    for one in chain:
        if one.instrument.expiry in forwards:
            by_expiry[one.instrument.expiry].append(one)
    quotes: list[Quote] = []
    notes: dict[int, SmileNote] = {}
    for expiry, options in sorted(by_expiry.items()):
        forward = forwards[expiry]
        own = _own_quotes(reference, forward, options, now_ns, rules)
        notes[expiry] = _reference_note(options[0].instrument, len(own))
        if len({quote.strike for quote in own}) >= rules.strikes_min:
            quotes += own + _reference_quotes(reference, forward, options, now_ns, rules)
    if not quotes:
        return FittedSmiles(reference, {}, list(notes.values()))
    fitted = fit_surface(quotes)
    slices = {}
    for report in fitted.reports:
        expiry = report.expiry
        fit = fitted.surface.slices[expiry]
        away = _distance(reference, forwards[expiry], by_expiry[expiry], fit, rules)
        if away is not None:
            slices[expiry] = fit
            notes[expiry] = _fitted_note(notes[expiry], report, fit, away)
    return FittedSmiles(reference, slices, list(notes.values()))


def _own_quotes(
    reference: Surface,
    forward: float,
    options: list[Observed],
    now_ns: int,
    rules: SmileRules,
) -> list[Quote]:
    """Mids and trades of out-of-the-money options as volatilities inside the corridor."""
    found = []
    for one in options:
        strike = one.instrument.strike / CASH_SCALE
        is_put = one.instrument.option_kind is OptionKind.PUT
        if strike > forward if is_put else strike < forward:
            continue  # in the money: its twin says the same with more digits
        tau = _tau(one.instrument, now_ns)
        at = float(reference.volatilities(one.instrument.expiry, forward, np.array([strike]))[0])
        for volatility, spread in _volatilities(one, forward, strike, tau, now_ns, rules):
            low, high = at * (1 - rules.corridor), at * (1 + rules.corridor)
            held = min(max(volatility, low), high)
            found.append(Quote(one.instrument.expiry, tau, forward, strike, held, spread))
    return found


def _volatilities(
    one: Observed, forward: float, strike: float, tau: float, now_ns: int, rules: SmileRules
) -> list[tuple[float, float]]:
    """(volatility, half its spread) of a mid and of a recent trade, where they mean anything."""
    is_put = one.instrument.option_kind is OptionKind.PUT
    prices = np.array([one.best_bid, one.best_ask, one.last_price]) / CASH_SCALE
    bid, ask, last = implied_volatility(prices, forward, strike, tau, is_put, one.rate).tolist()
    found = []
    spread = (ask - bid) / 2
    if 0 < one.best_bid < one.best_ask and bid > 0 and spread <= rules.spread_max:  # false for NaN
        found.append(((bid + ask) / 2, spread))
    recent = one.last_price and now_ns - one.traded_ns <= rules.trade_age_ns
    if recent and last > 0:
        found.append((last, rules.trade_spread))
    return found


def _reference_quotes(
    reference: Surface,
    forward: float,
    options: list[Observed],
    now_ns: int,
    rules: SmileRules,
) -> list[Quote]:
    """The reference at every listed strike: what the book is weighed against."""
    first = options[0].instrument
    strikes = np.array(sorted({one.instrument.strike for one in options})) / CASH_SCALE
    volatilities = reference.volatilities(first.expiry, forward, strikes)
    tau = _tau(first, now_ns)
    return [
        Quote(first.expiry, tau, forward, strike, volatility, rules.reference_spread)
        for strike, volatility in zip(strikes.tolist(), volatilities.tolist(), strict=True)
    ]


def _distance(
    reference: Surface,
    forward: float,
    options: list[Observed],
    one: SviSlice,
    rules: SmileRules,
) -> float | None:
    """How far a slice lies from the reference at listed strikes; None beyond the corridor."""
    expiry = options[0].instrument.expiry
    strikes = np.array(sorted({item.instrument.strike for item in options})) / CASH_SCALE
    outside = reference.volatilities(expiry, forward, strikes)
    away = np.abs(one.volatility(np.log(strikes / forward)) - outside)
    if not np.all(away <= outside * rules.corridor + _TOLERANCE):  # also true for NaN
        return None
    return float(away.max())


def _tau(instrument: Instrument, now_ns: int) -> float:
    return max(0.0, (to_nanoseconds(instrument.expiry) - now_ns) / _YEAR_NS)


def _reference_note(instrument: Instrument, quotes: int) -> SmileNote:
    return SmileNote(
        underlying_id=instrument.underlying_id,
        expiry=instrument.expiry,
        method=REFERENCE,
        quotes=quotes,
    )


def _fitted_note(known: SmileNote, report: SliceReport, one: SviSlice, away: float) -> SmileNote:
    numbers = (one.tau, one.a, one.b, one.rho, one.m, one.sigma)
    assert all(map(math.isfinite, numbers))
    return msgspec.structs.replace(
        known,
        method=str(report.method),
        error=round(report.mean_absolute_error * VOL_SCALE),
        distance=round(away * VOL_SCALE),
        parameters=tuple(round(number * SMILE_SCALE) for number in numbers),
    )
