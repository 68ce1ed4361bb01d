"""The picture that is priced: forwards, the fixed part of a delivery, rows for every instrument."""

import math
import struct
from pathlib import Path

import pytest

from exchange.commands import UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE, VOL_SCALE
from exchange.margin.scenarios import load_preset
from exchange.margin.surface import FlatSurface
from exchange.model import (
    Instrument,
    InstrumentTerms,
    Kind,
    OptionKind,
    instrument_name,
    pack_instrument_id,
)
from exchange.oracle.chain_data import Grid, read_chain
from exchange.oracle.marks import (
    IndexState,
    MarkModel,
    Moment,
    build_marks,
    fixed_part,
    recorded_model,
)

SYNTHETIC = Path(__file__).parents[2] / "data" / "synthetic_chain.csv"
NOW_S = 1_795_271_000
EXPIRY = 1_795_766_400  # 27 November 2026, 08:00 UTC
SECOND_NS = 10**9
WINDOW_S = 1800
PRESET = load_preset("pm33")
FLAT = MarkModel(surface=FlatSurface(0.5))


def instrument(
    strike: int = 0, option_kind: OptionKind = OptionKind.CALL, underlying_id: int = 1
) -> Instrument:
    kind, expiry = (Kind.OPTION, EXPIRY) if strike else (Kind.PERPETUAL, 0)
    terms = InstrumentTerms(kind, underlying_id, expiry, strike * CASH_SCALE, option_kind)
    return Instrument(
        instrument_id=pack_instrument_id(terms),
        name=instrument_name("BTC", terms),
        kind=kind,
        underlying_id=underlying_id,
        expiry=expiry,
        strike=terms.strike,
        option_kind=option_kind,
        tick_size=5 * CASH_SCALE,
        lot_size=100,
        min_quantity=100,
    )


def state(price: int, samples: tuple[tuple[int, int], ...] = ()) -> IndexState:
    return IndexState(index_price=price * CASH_SCALE, confidence=RATIO_SCALE, samples=samples)


def row(update: UpdateMarks, instrument_id: int) -> tuple[int, ...]:
    width = UpdateMarks.ROW_HEAD + len(PRESET.scenarios)
    at = update.instrument_ids.index(instrument_id)
    return struct.unpack_from(f"<{width}q", update.rows, 8 * width * at)


def at_expiry(seconds: int) -> Moment:
    return Moment((EXPIRY + seconds) * SECOND_NS, WINDOW_S)


def test_an_epoch_holds_a_row_for_each_instrument() -> None:
    """Ascending ids, put-call parity, the flat volatility, the index of the epoch."""
    call, put = instrument(100_000), instrument(100_000, OptionKind.PUT)
    moment = Moment(NOW_S * SECOND_NS, WINDOW_S)
    update = build_marks(PRESET, {1: FLAT}, {1: state(101_000)}, [put, call], moment, epoch=7)
    assert update is not None
    assert update.epoch == 7
    assert update.instrument_ids == (call.instrument_id, put.instrument_id)
    assert update.underlyings[0].index_price == 101_000 * CASH_SCALE
    call_row, put_row = row(update, call.instrument_id), row(update, put.instrument_id)
    assert call_row[1] == put_row[1] == VOL_SCALE // 2
    assert call_row[0] - put_row[0] == pytest.approx(1_000 * CASH_SCALE, abs=1)
    assert update.expiries[0].forward_price == 101_000 * CASH_SCALE


def test_an_underlying_without_an_index_has_no_rows() -> None:
    """Others go on; without any there is no epoch."""
    moment = Moment(NOW_S * SECOND_NS, WINDOW_S)
    models = {1: FLAT, 2: FLAT}
    both = [instrument(100_000), instrument(3_500, underlying_id=2)]
    update = build_marks(PRESET, models, {1: state(100_000)}, both, moment, epoch=1)
    assert update is not None
    assert update.instrument_ids == (both[0].instrument_id,)
    assert build_marks(PRESET, models, {}, both, moment, epoch=1) is None
    assert build_marks(PRESET, models, {1: state(100_000)}, [], moment, epoch=1) is None


def test_a_perpetual_is_marked_at_the_index() -> None:
    """It has no expiry to carry to."""
    perpetual = instrument()
    moment = Moment(NOW_S * SECOND_NS, WINDOW_S)
    update = build_marks(PRESET, {1: FLAT}, {1: state(100_000)}, [perpetual], moment, epoch=1)
    assert update is not None
    assert row(update, perpetual.instrument_id)[0] == 100_000 * CASH_SCALE


def test_after_expiry_an_option_is_worth_its_payoff_at_the_average() -> None:
    """Nothing moves any more, whatever the index does."""
    call = instrument(100_000)
    samples = (
        ((EXPIRY - 1800) * SECOND_NS, 102_000 * CASH_SCALE),
        ((EXPIRY - 900) * SECOND_NS, 104_000 * CASH_SCALE),
    )
    states = {1: state(150_000, samples)}
    update = build_marks(PRESET, {1: FLAT}, states, [call], at_expiry(5), epoch=1)
    assert update is not None
    values = row(update, call.instrument_id)
    assert values[0] == 3_000 * CASH_SCALE
    assert set(values[4:]) == {3_000 * CASH_SCALE}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1801, (0.0, 0.0)),
        (-1800, (0.0, 0.0)),
        (-900, (0.5, 100.0)),
        (-450, (0.75, 120.0)),
        (0, (1.0, 140.0)),
        (60, (1.0, 140.0)),
    ],
)
def test_the_delivery_window_fixes_its_part(seconds: int, expected: tuple[float, float]) -> None:
    """100 in the first half, 160 in the next third, 220 in the last sixth."""
    samples = [
        ((EXPIRY - 2000) * SECOND_NS, 100 * CASH_SCALE),
        ((EXPIRY - 900) * SECOND_NS, 160 * CASH_SCALE),
        ((EXPIRY - 300) * SECOND_NS, 220 * CASH_SCALE),
    ]
    assert fixed_part(samples, EXPIRY, at_expiry(seconds)) == pytest.approx(expected)


def test_without_samples_nothing_is_fixed() -> None:
    """A young venue cannot know the window's past."""
    assert fixed_part([], EXPIRY, at_expiry(-60)) == (0.0, 0.0)


def test_the_first_sample_holds_before_itself() -> None:
    """As in the engine's delivery price."""
    samples = [((EXPIRY - 60) * SECOND_NS, 100 * CASH_SCALE)]
    assert fixed_part(samples, EXPIRY, at_expiry(0)) == pytest.approx((1.0, 100.0))


@pytest.mark.parametrize(
    ("expiry", "rate"), [(50, 0.1), (100, 0.1), (150, 0.2), (200, 0.3), (900, 0.3)]
)
def test_carry_is_linear_between_known_expiries(expiry: int, rate: float) -> None:
    """And flat beyond."""
    model = MarkModel(surface=FlatSurface(0.5), carry={200: 0.3, 100: 0.1})
    assert model.carry_at(expiry) == pytest.approx(rate)


def test_no_carry_puts_the_forward_on_the_index() -> None:
    """The flat curve of a venue without a record."""
    assert FLAT.carry_at(EXPIRY) == 0.0


def test_a_recorded_chain_gives_volatilities_and_forwards() -> None:
    """At its own strikes the surface is the record; carry is a rate per year."""
    grid = Grid(tick_size=CASH_SCALE, lot_size=100, min_quantity=100)
    chain = read_chain(SYNTHETIC, underlyings={"BTC": 1}, grid=grid, now_s=NOW_S)
    model = recorded_model(chain, 1)
    last = max(option.terms.expiry for option in chain.options)
    years = (last - chain.shift_days * 86_400 - chain.recorded_ns / SECOND_NS) / (365 * 86_400)
    assert model.carry_at(last) == pytest.approx(math.log(1.004) / years, rel=0.01)
    moment = Moment(NOW_S * SECOND_NS, WINDOW_S)
    listed = [
        Instrument(
            instrument_id=option.instrument_id,
            name=option.name,
            kind=option.terms.kind,
            underlying_id=1,
            expiry=option.terms.expiry,
            strike=option.terms.strike,
            option_kind=option.terms.option_kind,
            tick_size=grid.tick_size,
            lot_size=grid.lot_size,
            min_quantity=grid.min_quantity,
        )
        for option in chain.options
    ]
    states = {1: IndexState(index_price=chain.index_price(1), confidence=RATIO_SCALE)}
    update = build_marks(PRESET, {1: model}, states, listed, moment, epoch=1)
    assert update is not None
    for option in chain.options:
        assert row(update, option.instrument_id)[1] == pytest.approx(option.mark_iv, rel=0.1)
