"""Curves in characters: where they rise, where zero is, what the axes say."""

import pytest

from exchange.trade.plot import Curve, amount_label, plot


def drawn(*curves, **options):
    return [line.plain for line in plot((0.0, 100.0), curves, size=(20, 7), **options)]


def cells(line):
    return line.split("┤")[1]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    lines = drawn(Curve("up", [-10.0, 10.0]))
    assert cells(lines[6])[0] not in " ─"
    assert cells(lines[0])[19] not in " ─"
    assert cells(lines[0])[0] == " "
    columns = [
        next(line for line in range(7) if cells(lines[line])[column] not in " ─")
        for column in range(20)
    ]
    assert columns == sorted(columns, reverse=True)


def test_zero_and_the_marked_price_are_lines():
    lines = drawn(Curve("flat", [5.0, 5.0]), marked=50.0)
    (zero,) = [line for line in lines if line.lstrip().startswith("0 ┤")]
    assert "─" in cells(zero)
    assert sum(cells(line)[10] in "│┼" for line in lines[:7]) == 6, "all but the curve's own"


def test_a_steep_step_has_no_hole():
    lines = drawn(Curve("step", [0.0] * 10 + [100.0] * 10))
    assert all(cells(line)[9:12].strip(" ─") for line in lines[:7])


def test_the_axes_and_the_legend_name_what_is_drawn():
    lines = drawn(Curve("now", [0.0, 2_500.0]), Curve("later", [0.0, 1.0]))
    assert "2,500" in lines[0]
    assert lines[7].split() == ["0.00", "50.00", "100"]
    assert "now" in lines[8]
    assert "later" in lines[8]


def test_nothing_gained_anywhere_is_still_a_picture():
    assert len(drawn(Curve("none", [0.0, 0.0]))) == 9


def test_a_later_curve_gives_the_colour():
    lines = plot(
        (0.0, 1.0), [Curve("a", [1.0, 1.0], "red"), Curve("b", [1.0, 1.0], "blue")], size=(4, 4)
    )
    assert {str(span.style) for span in lines[0].spans} == {"blue"}


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (-0.5, "-0.50"), (99.5, "99.50"), (-100.0, "-100")]
)
def test_labels_are_short(value, text):
    assert amount_label(value) == text
