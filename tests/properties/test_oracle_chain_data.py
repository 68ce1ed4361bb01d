"""Rounding of a recorded chain: never in favour of whoever meets the order, and nothing is lost.

Checked against plain fractions, on the committed chain and, where EXCHANGE_CHAIN_DATA names one,
on a real one.
"""

import ast
import csv
import os
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.model import Side
from exchange.oracle.chain_data import Grid, RecordedChain, RestingOrder, read_chain

SYNTHETIC = Path(__file__).parents[1] / "data" / "synthetic_chain.csv"
UNDERLYINGS = {"BTC": 1, "ETH": 2}
CASH = 10**6

grids = st.builds(
    Grid,
    tick_size=st.sampled_from([10**4, 10**5, 10**6, 5 * 10**6, 25 * 10**6]),
    lot_size=st.sampled_from([1, 100, 1000]),
    min_quantity=st.sampled_from([1000, 10_000]),
)
moments = st.integers(1_700_000_000, 2_500_000_000)


def real_chain() -> Path:
    named = os.environ.get("EXCHANGE_CHAIN_DATA")
    if not named:
        pytest.skip("no recorded chain: EXCHANGE_CHAIN_DATA names none")
    return Path(named)


def check(path: Path, grid: Grid, now_s: int) -> None:
    chain = read_chain(path, underlyings=UNDERLYINGS, grid=grid, now_s=now_s)
    with path.open(newline="", encoding="utf-8") as lines:
        records = list(csv.DictReader(lines))
    assert len(records) == chain.rows == len(chain.options) + len(chain.dropped_rows)
    assert chain.levels == len(chain.orders) + len(chain.dropped_levels)
    check_expiries(chain, now_s)
    check_prices(chain, {record["instrument_name"]: record for record in reversed(records)})
    check_uncrossed(chain)


def check_expiries(chain: RecordedChain, now_s: int) -> None:
    assert all(option.terms.expiry > now_s for option in chain.options)
    assert all(option.terms.expiry % 86_400 == 8 * 3600 for option in chain.options)
    assert len({option.instrument_id for option in chain.options}) == len(chain.options)


def check_prices(chain: RecordedChain, records: dict[str, dict[str, str]]) -> None:
    by_instrument: dict[int, dict[Side, list[RestingOrder]]] = defaultdict(
        lambda: {Side.BUY: [], Side.SELL: []}
    )
    for order in chain.orders:
        by_instrument[order.instrument_id][order.side].append(order)
    tick = chain.grid.tick_size
    for option in chain.options:
        record = records[option.recorded_name]
        index = Fraction(record["index_price"]) * CASH
        for side, column in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            exact = {
                (Fraction(str(price)) * index, Fraction(str(quantity)) * 10**4)
                for price, quantity in ast.literal_eval(record[column])
            }
            for order in by_instrument[option.instrument_id][side]:
                assert order.price > 0
                assert order.price % tick == 0
                assert order.quantity % chain.grid.lot_size == 0
                assert order.quantity >= chain.grid.min_quantity
                assert any(
                    (0 <= price - order.price < tick)
                    if side is Side.BUY
                    else (0 <= order.price - price < tick)
                    for price, quantity in exact
                    if 0 <= quantity - order.quantity < chain.grid.lot_size
                )


def check_uncrossed(chain: RecordedChain) -> None:
    best_bid: dict[int, int] = {}
    best_ask: dict[int, int] = {}
    for order in chain.orders:
        best = best_bid if order.side is Side.BUY else best_ask
        best.setdefault(order.instrument_id, order.price)
    for instrument_id in best_bid.keys() & best_ask.keys():
        assert best_bid[instrument_id] < best_ask[instrument_id]


@given(grids, moments)
def test_the_synthetic_chain(grid: Grid, now_s: int) -> None:
    """Any grid, any day."""
    check(SYNTHETIC, grid, now_s)


def test_a_real_chain() -> None:
    """As `exchange dev --chain-data` would list it, and on a coarse grid; every row is kept."""
    path = real_chain()
    for tick_size in (10**6, 5 * 10**6):
        grid = Grid(tick_size=tick_size, lot_size=100, min_quantity=100)
        check(path, grid, 1_795_271_000)
        chain = read_chain(path, underlyings=UNDERLYINGS, grid=grid, now_s=1_795_271_000)
        assert chain.dropped_rows == ()
