"""A recorded chain: what is kept and how it is rounded, what is dropped and why."""

import collections
from pathlib import Path

import pytest

from exchange.model import Kind, OptionKind, Side
from exchange.oracle.chain_data import (
    ChainDataError,
    DropReason,
    Grid,
    RecordedChain,
    parse_number,
    read_chain,
)

SYNTHETIC = Path(__file__).parents[2] / "data" / "synthetic_chain.csv"
NOW_S = 1_795_271_000  # 21 November 2026, 14:23 UTC
GRID = Grid(tick_size=5 * 10**6, lot_size=100, min_quantity=100)

HEAD = (
    "instrument_name,expiration_timestamp,strike,option_type,state,timestamp,"
    "index_price,underlying_price,mark_iv,bids,asks\n"
)
ROW = {
    "instrument_name": "BTC-7JUN24-70000-C",
    "expiration_timestamp": "1717747200000",
    "strike": "70000.0",
    "option_type": "call",
    "state": "open",
    "timestamp": "1717675200000",
    "index_price": "71000.5",
    "underlying_price": "71010.25",
    "mark_iv": "48.25",
    "bids": "[[0.0201, 1.5]]",
    "asks": "[[0.0215, 0.25]]",
}


def chain_of(tmp_path: Path, *rows: dict[str, str], grid: Grid = GRID) -> RecordedChain:
    path = tmp_path / "chain.csv"
    lines = [",".join(f'"{value}"' for value in (ROW | row).values()) for row in rows]
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return read_chain(path, underlyings={"BTC": 1}, grid=grid, now_s=NOW_S)


def test_a_row_becomes_an_option_with_orders(tmp_path: Path) -> None:
    """0.0201 coin at 71,000.5 is 1,427.11: bid 1,425; 0.0215 is 1,526.51: ask 1,530."""
    chain = chain_of(tmp_path, {})
    (option,) = chain.options
    assert option.name == "BTC_USDC-22NOV26-70000-C"
    assert option.terms.kind is Kind.OPTION
    assert option.terms.option_kind is OptionKind.CALL
    assert option.mark_iv == 482_500
    assert option.index_price == chain.index_price(1) == 71_000_500_000
    assert option.forward_price == 71_010_250_000
    bid, ask = chain.orders
    assert (bid.side, bid.price, bid.quantity) == (Side.BUY, 1_425 * 10**6, 15_000)
    assert (ask.side, ask.price, ask.quantity) == (Side.SELL, 1_530 * 10**6, 2_500)
    assert bid.instrument_id == option.instrument_id == chain.listings()[0].instrument_id
    assert chain.index_price(2) == 0


def test_a_price_on_the_tick_stays(tmp_path: Path) -> None:
    """Exact arithmetic: no float pushes 710.00 to the next tick."""
    row = {"index_price": "71000.0", "bids": "[[0.01, 1.0]]", "asks": "[[0.011, 1.0]]"}
    bid, ask = chain_of(tmp_path, row).orders
    assert (bid.price, ask.price) == (710 * 10**6, 785 * 10**6)
    grid = Grid(tick_size=10**6, lot_size=100, min_quantity=100)
    bid, ask = chain_of(tmp_path, row, grid=grid).orders
    assert (bid.price, ask.price) == (710 * 10**6, 781 * 10**6)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"instrument_name": ""}, DropReason.NOT_AN_OPTION),
        ({"instrument_name": "BTC-PERPETUAL"}, DropReason.NOT_AN_OPTION),
        ({"instrument_name": "BTC_USDC-7JUN24-70000-C"}, DropReason.NOT_AN_OPTION),
        ({"instrument_name": "SOL-7JUN24-70000-C"}, DropReason.UNKNOWN_UNDERLYING),
        ({"state": "closed"}, DropReason.NOT_OPEN),
        ({"timestamp": "1e99"}, DropReason.BAD_NUMBER),
        ({"expiration_timestamp": "1717747200001"}, DropReason.BAD_NUMBER),
        ({"strike": "nan"}, DropReason.BAD_NUMBER),
        ({"strike": "-70000"}, DropReason.BAD_NUMBER),
        ({"index_price": "0.0"}, DropReason.BAD_NUMBER),
        ({"underlying_price": ""}, DropReason.BAD_NUMBER),
        ({"mark_iv": "inf"}, DropReason.BAD_NUMBER),
        ({"mark_iv": "0.0"}, DropReason.BAD_NUMBER),
        ({"strike": "70001.0"}, DropReason.NAME_DIFFERS),
        ({"option_type": "put"}, DropReason.NAME_DIFFERS),
        ({"expiration_timestamp": "1718352000000"}, DropReason.NAME_DIFFERS),
        ({"expiration_timestamp": "99999999999960000"}, DropReason.NAME_DIFFERS),
        (
            {"instrument_name": "BTC-7JUN24-1048577d5-C", "strike": "1048577.5"},
            DropReason.STRIKE_OFF_GRID,
        ),
        ({"timestamp": "1717747200000"}, DropReason.EXPIRED_WHEN_RECORDED),
        ({"bids": ""}, DropReason.BAD_BOOK),
        ({"bids": "{}"}, DropReason.BAD_BOOK),
        ({"bids": "[1, 2]"}, DropReason.BAD_BOOK),
        ({"bids": "[[0.01]]"}, DropReason.BAD_BOOK),
        ({"bids": "[[0.01, null]]"}, DropReason.BAD_BOOK),
        ({"bids": "[[0.01, -1.0]]"}, DropReason.BAD_BOOK),
        ({"asks": "[[NaN, 1.0]]"}, DropReason.BAD_BOOK),
        ({"asks": "[" * 5_000}, DropReason.BAD_BOOK),
        ({"bids": "[[0.0215, 1.0]]"}, DropReason.CROSSED),
    ],
)
def test_a_bad_row_is_dropped_and_reported(
    tmp_path: Path, changes: dict[str, str], reason: DropReason
) -> None:
    """The good row beside it stays."""
    good = {"instrument_name": "BTC-7JUN24-71000-C", "strike": "71000.0"}
    chain = chain_of(tmp_path, good, changes)
    assert [(drop.line, drop.reason) for drop in chain.dropped_rows] == [(3, reason)]
    assert len(chain.options) == 1
    assert any(reason in line for line in chain.report())


def test_the_second_of_two_equal_names_is_dropped(tmp_path: Path) -> None:
    """One book for one instrument."""
    chain = chain_of(tmp_path, {}, {})
    assert [drop.reason for drop in chain.dropped_rows] == [DropReason.REPEATED]


def test_levels_too_small_are_dropped_and_reported(tmp_path: Path) -> None:
    """A bid below one tick, and quantities below the smallest order; the rest stays."""
    row = {"bids": "[[0.01, 0.015], [0.00007, 1.0], [0.009, 0.0099]]", "asks": "[]"}
    chain = chain_of(tmp_path, row)
    assert [order.quantity for order in chain.orders] == [100]
    assert [drop.reason for drop in chain.dropped_levels] == [
        DropReason.BELOW_LOT,
        DropReason.BELOW_TICK,
    ]


def test_levels_too_large_are_dropped_and_reported(tmp_path: Path) -> None:
    """What no signed order can say."""
    row = {"bids": "[[0.02, 1e12]]", "asks": "[[30000, 1]]"}
    chain = chain_of(tmp_path, row)
    assert [drop.reason for drop in chain.dropped_levels] == [DropReason.TOO_LARGE] * 2


def test_an_expiry_of_another_age_is_dropped(tmp_path: Path) -> None:
    """One stray row must not list an option of the next decade but one."""
    stray = {
        "instrument_name": "BTC-7JUN44-70000-C",
        "expiration_timestamp": "2348899200000",
    }
    chain = chain_of(tmp_path, {}, stray)
    assert [drop.reason for drop in chain.dropped_rows] == [DropReason.TOO_FAR]


def test_books_are_sorted_best_first(tmp_path: Path) -> None:
    """Whatever order the recorder wrote."""
    row = {"bids": "[[0.01, 1], [0.02, 1]]", "asks": "[[0.05, 1], [0.04, 1]]"}
    prices = [order.price // 10**6 for order in chain_of(tmp_path, row).orders]
    assert prices == [1_420, 710, 2_845, 3_555]


def test_expiries_move_together() -> None:
    """By one number of days, to 08:00 UTC, the earliest more than an hour ahead."""
    chain = read_chain(SYNTHETIC, underlyings={"BTC": 1}, grid=GRID, now_s=NOW_S)
    names = {option.name.split("-")[1] for option in chain.options}
    assert names == {"22NOV26", "29NOV26", "13DEC26"}
    expiries = {option.terms.expiry for option in chain.options}
    assert all(expiry % 86_400 == 8 * 3600 for expiry in expiries)
    assert NOW_S + 3600 < min(expiries) <= NOW_S + 3600 + 86_400


def test_a_chain_of_the_future_stays(tmp_path: Path) -> None:
    """Nothing moves that lies ahead already."""
    path = tmp_path / "chain.csv"
    path.write_text(SYNTHETIC.read_text(encoding="utf-8"), encoding="utf-8")
    chain = read_chain(path, underlyings={"BTC": 1}, grid=GRID, now_s=1_717_675_200)
    assert chain.shift_days == 0


def test_the_synthetic_chain_drops_what_it_should() -> None:
    """One row for each common reason, one level for each."""
    chain = read_chain(SYNTHETIC, underlyings={"BTC": 1}, grid=GRID, now_s=NOW_S)
    rows = collections.Counter(drop.reason for drop in chain.dropped_rows)
    assert rows == dict.fromkeys(
        [
            DropReason.NOT_AN_OPTION,
            DropReason.UNKNOWN_UNDERLYING,
            DropReason.NOT_OPEN,
            DropReason.BAD_NUMBER,
            DropReason.NAME_DIFFERS,
            DropReason.REPEATED,
            DropReason.CROSSED,
            DropReason.BAD_BOOK,
        ],
        1,
    )
    assert {drop.reason for drop in chain.dropped_levels} == {
        DropReason.BELOW_TICK,
        DropReason.BELOW_LOT,
    }
    assert (chain.rows, len(chain.options)) == (53, 45)


def test_an_empty_table_is_an_empty_chain(tmp_path: Path) -> None:
    """No rows, no shift, no complaint."""
    path = tmp_path / "chain.csv"
    path.write_text(HEAD, encoding="utf-8")
    chain = read_chain(path, underlyings={"BTC": 1}, grid=GRID, now_s=NOW_S)
    assert (chain.rows, chain.options, chain.shift_days) == (0, (), 0)


@pytest.mark.parametrize("content", [b"", b"a,b,c\n1,2,3\n", b"\xff\xfe\x00"])
def test_what_is_no_chain_is_refused(tmp_path: Path, content: bytes) -> None:
    """With one error that names the file."""
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(ChainDataError, match=r"other\.csv"):
        read_chain(path, underlyings={"BTC": 1}, grid=GRID, now_s=NOW_S)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """Like a bad one."""
    with pytest.raises(ChainDataError, match="cannot be read"):
        read_chain(tmp_path / "none.csv", underlyings={"BTC": 1}, grid=GRID, now_s=NOW_S)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9250.0", 9_250_000_000),
        ("9250", 9_250_000_000),
        ("5e-05", 50),
        ("1.5E+2", 150_000_000),
        ("-0.5", -500_000),
        ("0.1234567", None),
        ("0.1234560", 123_456),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1_000", None),
        (" 1", None),
        ("٣", None),
        (".5", None),
    ],
)
def test_numbers_are_read_exactly_or_not_at_all(text: str, expected: int | None) -> None:
    """Here with a scale of a million."""
    assert parse_number(text, 10**6) == expected
