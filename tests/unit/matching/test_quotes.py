"""What a new sheet of quotes changes, and what makes it unfit."""

import pytest

from exchange.matching.quotes import (
    QUOTES_MAX,
    Cancel,
    Place,
    Quote,
    Reduce,
    Replace,
    SheetProblem,
    Standing,
    sheet_problem,
    sheet_steps,
)
from exchange.model import Side


@pytest.mark.parametrize(
    ("sheet", "expected"),
    [
        ([], None),
        ([Quote(1, 90, 1, 100, 1)], None),
        ([Quote(i, 90, 1, 100, 1) for i in range(QUOTES_MAX)], None),
        ([Quote(i, 90, 1, 100, 1) for i in range(QUOTES_MAX + 1)], SheetProblem.TOO_LONG),
        ([Quote(1, 90, 1, 100, 1)] * 2, SheetProblem.DUPLICATE_INSTRUMENT),
        ([Quote(1, 90, -1, 100, 1)], SheetProblem.NEGATIVE_QUANTITY),
        ([Quote(1, 90, 1, 100, -1)], SheetProblem.NEGATIVE_QUANTITY),
        ([Quote(1, 100, 1, 100, 1)], SheetProblem.CROSSED),
        ([Quote(1, 100, 0, 100, 1)], None),
        ([Quote(1, 100, 1, 100, 0)], None),
    ],
)
def test_problem_of_a_sheet(sheet, expected):
    assert sheet_problem(sheet) is expected


def test_steps_take_risk_off_before_they_add_any():
    standing = {
        (1, Side.BUY): Standing(11, 90, 5),
        (1, Side.SELL): Standing(12, 100, 5),
        (2, Side.BUY): Standing(21, 50, 5),
        (2, Side.SELL): Standing(22, 60, 5),
        (3, Side.BUY): Standing(31, 70, 5),
        (4, Side.BUY): Standing(41, 80, 5),
    }
    sheet = [
        Quote(5, 10, 1, 20, 2),
        Quote(1, 91, 5, 100, 3),
        Quote(2, 50, 6, 0, 0),
        Quote(3, 70, 5, 0, 0),
    ]
    assert sheet_steps(standing, sheet) == [
        Cancel(22),
        Cancel(41),
        Reduce(12, 3),
        Replace(11, 91, 5),
        Replace(21, 50, 6),
        Place(5, Side.BUY, 10, 1),
        Place(5, Side.SELL, 20, 2),
    ]
