"""Curves in a terminal, drawn with braille dots: two across and four down in each character.

Pure: numbers in, text out. Several curves share a picture; where they meet, the later one gives
the colour.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.text import Text

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row, then column
_BLANK: Final = 0x2800
_AXIS_WIDTH: Final = 11


class Curve(NamedTuple):
    """Values at equal steps from the left edge to the right one."""

    name: str
    values: Sequence[float]
    style: str = ""


class Picture:
    """A grid of cells, each with its dots and the style of the last curve there."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots = [[0] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]

    def dot(self, column: int, row: int, style: str) -> None:
        """Set the dot at a place counted in dots from the upper left corner."""
        cell, line = column // 2, row // 4
        self._dots[line][cell] |= _DOTS[row % 4][column % 2]
        self._styles[line][cell] = style

    def line(self, number: int, under: str) -> Text:
        """A line of cells; `under` shows where there is no dot."""
        text = Text()
        for cell in range(self.width):
            dots = self._dots[number][cell]
            if dots:
                text.append(chr(_BLANK + dots), self._styles[number][cell])
            else:
                text.append(under[cell], "dim")
        return text


def plot(
    edges: tuple[float, float],
    curves: Sequence[Curve],
    *,
    marked: float | None = None,
    size: tuple[int, int] = (64, 16),
) -> list[Text]:
    """Lines of text: the curves over `edges`, a zero line, a bar at `marked`, and both axes."""
    width, height = size
    values = [value for curve in curves for value in curve.values] + [0.0]
    low, high = min(values), max(values)
    if high == low:
        high = low + 1.0
    picture = Picture(width, height)
    for curve in curves:
        _draw(picture, curve, low, high)
    zero = _row(0.0, low, high, height) // 4
    bar = _column(marked, edges, width) if marked is not None else -1
    lines = []
    for number in range(height):
        value = high - (high - low) * number / (height - 1)
        label = "0" if number == zero else amount_label(value) if number % 3 == 0 else ""
        under = ("─" if number == zero else " ") * width
        if 0 <= bar < width:
            under = under[:bar] + ("┼" if number == zero else "│") + under[bar + 1 :]
        lines.append(Text(f"{label:>{_AXIS_WIDTH}} ┤", "dim") + picture.line(number, under))
    lines.append(_price_axis(edges, width))
    lines.append(_legend(curves))
    return lines


def _draw(picture: Picture, curve: Curve, low: float, high: float) -> None:
    columns = picture.width * 2
    rows = [
        _row(_at(curve.values, column / (columns - 1)), low, high, picture.height)
        for column in range(columns)
    ]
    for column, row in enumerate(rows):
        before = rows[column - 1] if column else row
        step = 1 if before <= row else -1
        for between in range(before + step if before != row else row, row + step, step):
            picture.dot(column, between, curve.style)


def _at(values: Sequence[float], share: float) -> float:
    place = share * (len(values) - 1)
    left = min(int(place), len(values) - 2)
    return values[left] + (values[left + 1] - values[left]) * (place - left)


def _row(value: float, low: float, high: float, height: int) -> int:
    return round((high - value) / (high - low) * (height * 4 - 1))


def _column(value: float, edges: tuple[float, float], width: int) -> int:
    return round((value - edges[0]) / (edges[1] - edges[0]) * (width - 1))


def _price_axis(edges: tuple[float, float], width: int) -> Text:
    middle = (edges[0] + edges[1]) / 2
    left, centre, right = (amount_label(value) for value in (edges[0], middle, edges[1]))
    gap = width - len(left) - len(centre) - len(right)
    spaces = " " * (gap // 2), " " * (gap - gap // 2)
    return Text(" " * (_AXIS_WIDTH + 2) + left + spaces[0] + centre + spaces[1] + right, "dim")


def _legend(curves: Sequence[Curve]) -> Text:
    text = Text(" " * (_AXIS_WIDTH + 2))
    for curve in curves:
        text.append("⣿ ", curve.style).append(f"{curve.name}   ")
    return text


def amount_label(value: float) -> str:
    """A figure short enough for an axis: whole above 100."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
