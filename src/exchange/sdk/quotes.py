"""A sheet of quotes as a maker writes it: units for signing, text for the wire."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from exchange.model import Quote
from exchange.sdk.types import Instrument, Summary
from exchange.sdk.wallet import Number, price_text, quantity_text, to_price, to_quantity

Side = tuple[Number, Number] | None  # price and amount; None: not quoted


class TwoSided(NamedTuple):
    """One instrument's quote."""

    instrument_name: str
    bid: Side = None
    ask: Side = None

    def signed(self, instrument_id: int) -> Quote:
        """The line that the sheet's root commits to."""
        return Quote(instrument_id, *_units(self.bid), *_units(self.ask))

    def fields(self) -> dict[str, Any]:
        """The line of `private/mass_quote`."""
        sides = {"bid": self.bid, "ask": self.ask}
        return {"instrument_name": self.instrument_name} | {
            name: {"price": price_text(price), "amount": quantity_text(quantity)}
            for name, side in sides.items()
            if side is not None
            for price, quantity in (_units(side),)
        }


def _units(side: Side) -> tuple[int, int]:
    return (0, 0) if side is None else (to_price(side[0]), to_quantity(side[1]))


def around_marks(
    instruments: Sequence[Instrument],
    summaries: Sequence[Summary],
    *,
    half_spread: Number,
    amount: Number,
) -> list[TwoSided]:
    """Quotes for every instrument that has a mark: both sides, `half_spread` (a share of it) away.

    At least a tick away and on the grid of ticks; worthless options are only offered. For
    `mass_quote`, with `public/get_instruments` and the summaries of one currency.
    """
    ticks = {one.instrument_name: one.tick_size for one in instruments}
    share, size = Decimal(str(half_spread)), Decimal(str(amount))
    lines = []
    for row in summaries:
        tick = ticks.get(row.instrument_name)
        if tick is None or row.mark_price is None:
            continue
        away = max(row.mark_price * share, tick)
        bid = ((row.mark_price - away) / tick).to_integral_value(ROUND_FLOOR) * tick
        ask = ((row.mark_price + away) / tick).to_integral_value(ROUND_CEILING) * tick
        lines.append(
            TwoSided(row.instrument_name, (bid, size) if bid >= tick else None, (ask, size))
        )
    return lines
