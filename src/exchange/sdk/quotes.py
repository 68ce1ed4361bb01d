"""A sheet of quotes as a maker writes it: units for signing, text for the wire."""

from typing import Any, NamedTuple

from exchange.model import Quote
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
