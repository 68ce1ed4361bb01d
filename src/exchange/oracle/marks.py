"""The marks loop's pure step: instruments, index and surface in, one epoch of risk arrays out.

The last floats before the sequencer: `margin.risk_arrays` prices and rounds; this module draws the
picture that it prices, with the forward curve and with what the delivery window has fixed so far.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from exchange.commands import SmileNote, UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE, VOL_SCALE
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.risk_arrays import build_update
from exchange.margin.scenarios import Preset
from exchange.margin.surface import MarkPoint, MarkSurface, Surface
from exchange.model import SECONDS_PER_DAY, Instrument, Kind
from exchange.oracle.chain_data import RecordedChain
from exchange.oracle.smiles import SMILE_SCALE, FittedSmiles

_NANOSECONDS: Final = 10**9
_YEAR_S: Final = 365 * SECONDS_PER_DAY


class MarkModel(msgspec.Struct, frozen=True, kw_only=True):
    """How one underlying's options are marked."""

    surface: Surface
    carry: Mapping[int, float] = {}  # expiry: ln(forward / index) per year; none: no carry
    rates: Mapping[int, float] = {}  # expiry: discount rate per year; none: no discount

    def carry_at(self, expiry: int) -> float:
        """ln(forward / index) per year at an expiry."""
        return _on_curve(self.carry, expiry)

    def rate_at(self, expiry: int) -> float:
        """The discount rate at an expiry."""
        return _on_curve(self.rates, expiry)


def _on_curve(curve: Mapping[int, float], expiry: int) -> float:
    """Linear between known expiries, flat beyond the outermost, 0 where nothing is known."""
    known = sorted(curve)
    if not known:
        return 0.0
    if expiry <= known[0]:
        return curve[known[0]]
    for near, far in pairwise(known):
        if expiry <= far:
            share = (expiry - near) / (far - near)
            return curve[near] * (1 - share) + curve[far] * share
    return curve[known[-1]]


class IndexState(msgspec.Struct, frozen=True, kw_only=True):
    """An underlying's index in force; `samples` are recent (time_ns, price), oldest first."""

    index_price: int
    confidence: int
    scan: float = 1.0  # in force, as the engine has it
    volatility_scale: float = 1.0
    samples: Sequence[tuple[int, int]] = ()
    premium: float = 0.0  # of the perpetual's mark over the index, as a share of it


class Moment(NamedTuple):
    """The venue's clock, and how long its delivery window is."""

    now_ns: int
    window_s: int


def build_marks(
    preset: Preset,
    models: Mapping[int, MarkModel],
    states: Mapping[int, IndexState],
    instruments: Iterable[Instrument],
    moment: Moment,
    *,
    epoch: int,
) -> UpdateMarks | None:
    """One epoch for the instruments whose underlying has an index; None where there is none.

    `instruments` are those that have not expired.
    """
    by_underlying: dict[int, list[Instrument]] = {}
    for instrument in instruments:
        if instrument.underlying_id in states:
            by_underlying.setdefault(instrument.underlying_id, []).append(instrument)
    if not by_underlying:
        return None
    market = Market(
        time_ns=moment.now_ns,
        underlyings=tuple(
            _underlying_market(
                underlying_id,
                models[underlying_id],
                states[underlying_id],
                {i.expiry for i in by_underlying[underlying_id] if i.kind is not Kind.PERPETUAL},
                moment,
            )
            for underlying_id in sorted(by_underlying)
        ),
    )
    smiles = [
        msgspec.structs.replace(note, rate=round(models[key].rate_at(note.expiry) * SMILE_SCALE))
        for key in sorted(by_underlying)
        for note in _notes(models[key].surface)
    ]
    ids = sorted(i.instrument_id for group in by_underlying.values() for i in group)
    update = build_update(preset, market, tuple(ids), epoch)
    return msgspec.structs.replace(update, smiles=tuple(smiles))


def _notes(surface: Surface) -> tuple[SmileNote, ...]:
    return surface.notes if isinstance(surface, FittedSmiles) else ()


def forward_now(model: MarkModel, state: IndexState, expiry: int, moment: Moment) -> float:
    """The forward in USDC at the index in force, with what the delivery window has fixed."""
    index_price = state.index_price / CASH_SCALE
    return _expiry_market(expiry, index_price, model, state.samples, moment).whole_forward


def _underlying_market(
    underlying_id: int,
    model: MarkModel,
    state: IndexState,
    expiries: Iterable[int],
    moment: Moment,
) -> UnderlyingMarket:
    index_price = state.index_price / CASH_SCALE
    return UnderlyingMarket(
        underlying_id=underlying_id,
        index_price=index_price,
        confidence=state.confidence / RATIO_SCALE,
        scan=state.scan,
        volatility_scale=state.volatility_scale,
        surface=model.surface,
        perpetual_price=index_price * (1.0 + state.premium),
        expiries=tuple(
            _expiry_market(expiry, index_price, model, state.samples, moment)
            for expiry in sorted(expiries)
        ),
    )


def _expiry_market(
    expiry: int,
    index_price: float,
    model: MarkModel,
    samples: Sequence[tuple[int, int]],
    moment: Moment,
) -> ExpiryMarket:
    years = max(0.0, (expiry - moment.now_ns / _NANOSECONDS) / _YEAR_S)
    forward = index_price * math.exp(model.carry_at(expiry) * years)
    share, average = fixed_part(samples, expiry, moment)
    return ExpiryMarket(
        expiry=expiry,
        forward_price=forward * (1 - share),
        fixed_price=average * share,
        rate=model.rate_at(expiry),
    )


def fixed_part(
    samples: Sequence[tuple[int, int]], expiry: int, moment: Moment
) -> tuple[float, float]:
    """(share of the delivery window that has passed, average index in it in USDC).

    The average is the engine's: a sample holds until the next, and the first known one also holds
    before itself. Without samples nothing counts as fixed.
    """
    end_ns = expiry * _NANOSECONDS
    start_ns = end_ns - moment.window_s * _NANOSECONDS
    until_ns = min(moment.now_ns, end_ns)
    if until_ns <= start_ns or not samples:
        return 0.0, 0.0
    weighted = 0
    price, since_ns = samples[0][1], start_ns
    for time_ns, sample in samples:
        if time_ns >= until_ns:
            break
        if time_ns > start_ns:
            weighted += price * (time_ns - since_ns)
            since_ns = time_ns
        price = sample
    weighted += price * (until_ns - since_ns)
    passed_ns = until_ns - start_ns
    return passed_ns / (end_ns - start_ns), weighted / passed_ns / CASH_SCALE


def recorded_model(chain: RecordedChain, underlying_id: int) -> MarkModel:
    """The surface and forward curve that a recorded chain's marks describe.

    The chain must have options of this underlying. Carry is kept as a yearly rate, because the
    shift to the future changes the time that is left.
    """
    shift_s = chain.shift_days * SECONDS_PER_DAY
    points: list[MarkPoint] = []
    carries: dict[int, list[float]] = {}
    for option in chain.options:
        terms = option.terms
        if terms.underlying_id != underlying_id:
            continue
        forward = option.forward_price / CASH_SCALE
        volatility = option.mark_iv / VOL_SCALE
        points.append(MarkPoint(terms.expiry, forward, terms.strike / CASH_SCALE, volatility))
        years = (terms.expiry - shift_s - chain.recorded_ns / _NANOSECONDS) / _YEAR_S
        rate = math.log(option.forward_price / option.index_price) / max(years, 1 / _YEAR_S)
        carries.setdefault(terms.expiry, []).append(rate)
    medians = {expiry: sorted(rates)[len(rates) // 2] for expiry, rates in carries.items()}
    return MarkModel(surface=MarkSurface(points), carry=medians)
