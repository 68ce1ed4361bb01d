"""How much a subaccount may come to hold: positions and open orders, whichever of them fill.

Integers only. A large share of all open interest cannot be sold at the mark, so what exceeds it
costs initial margin. Never maintenance: others who close must not liquidate whoever stays.
"""

from typing import Final

from mypy_extensions import mypyc_attr

from exchange.commands import MarginParameters, UnderlyingRisk
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, mul_div_down, mul_div_up
from exchange.margin.package import Parts

_Held = tuple[int, int, int]  # position, open to buy, open to sell
_NOTHING: Final[_Held] = (0, 0, 0)


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class Reach:
    """By underlying the sum over instruments of the largest |position| that any fills leave."""

    __slots__ = ("_instruments", "totals")

    def __init__(self) -> None:
        self.totals: dict[int, int] = {}  # by underlying_id, 1e-4 contracts, none of them zero
        self._instruments: dict[int, _Held] = {}

    def fill(self, instrument_id: int, underlying_id: int, quantity: int) -> None:
        """Change a position by a signed quantity."""
        held, buys, sells = self._instruments.get(instrument_id, _NOTHING)
        growth = -max(held + buys, sells - held)
        held += quantity
        growth += max(held + buys, sells - held)
        self._set(instrument_id, underlying_id, (held, buys, sells), growth)

    def open(self, instrument_id: int, underlying_id: int, sign: int, quantity: int) -> None:
        """Open an order, or with a negative quantity take one away."""
        held, buys, sells = self._instruments.get(instrument_id, _NOTHING)
        long, short = held + buys, sells - held
        growth = -long if long > short else -short
        if sign > 0:
            buys += quantity
            long += quantity
        else:
            sells += quantity
            short += quantity
        assert buys >= 0 <= sells
        growth += long if long > short else short  # noqa: FURB136 -- `max` is a call
        self._set(instrument_id, underlying_id, (held, buys, sells), growth)

    def growth(self, instrument_id: int, sign: int, quantity: int) -> int:
        """What one more order would add to its underlying's total."""
        held, buys, sells = self._instruments.get(instrument_id, _NOTHING)
        long, short = held + buys, sells - held
        before = max(short, long)
        after = quantity + (long if sign > 0 else short)
        return after - before if after > before else 0

    def open_parts(self, parts: Parts, underlying_id: int, sign: int, quantity: int) -> None:
        """`open` each leg of an order in a combo."""
        for part, ratio in parts:
            part_sign = sign if ratio > 0 else -sign
            self.open(part.instrument_id, underlying_id, part_sign, abs(ratio) * quantity)

    def parts_growth(self, parts: Parts, sign: int, quantity: int) -> int:
        """`growth` by all legs of an order in a combo."""
        return sum(
            self.growth(part.instrument_id, sign if ratio > 0 else -sign, abs(ratio) * quantity)
            for part, ratio in parts
        )

    def state(self) -> dict[int, _Held]:
        """Everything, for comparison by `check`."""
        return dict(self._instruments)

    def _set(self, instrument_id: int, underlying_id: int, after: _Held, growth: int) -> None:
        if after != _NOTHING:
            self._instruments[instrument_id] = after
        else:
            self._instruments.pop(instrument_id, None)
        if growth:
            total = self.totals.get(underlying_id, 0) + growth
            if total:
                self.totals[underlying_id] = total
            else:
                del self.totals[underlying_id]


@mypyc_attr(allow_interpreted_subclasses=True)  # a snapshot makes one without `__init__`
class ConcentrationRates:
    """What an epoch lets everybody hold of each underlying, and what more costs."""

    __slots__ = ("free", "units")

    def __init__(self) -> None:
        self.free: dict[int, int] = {}  # by underlying_id: 1e-4 contracts that cost nothing
        self.units: dict[int, int] = {}  # beyond them, of one contract, micro-USDC times 1e18

    def update(
        self,
        parameters: MarginParameters,
        underlyings: dict[int, UnderlyingRisk],
        open_interest: dict[int, int],
    ) -> None:
        """Follow parameters, index and open interest (sum of long positions, 1e-4 contracts)."""
        self.free, self.units = {}, {}
        terms = parameters.concentration
        if terms is None:
            return
        for underlying_id, risk in underlyings.items():
            least = mul_div_down(terms.free_notional, QUANTITY_SCALE, max(1, risk.index_price))
            share = mul_div_down(terms.share, open_interest.get(underlying_id, 0), RATIO_SCALE)
            self.free[underlying_id] = max(least, share)
            self.units[underlying_id] = terms.rate * risk.index_price

    def addon(self, underlying_id: int, quantity: int) -> int:
        """What holding `quantity` (1e-4 contracts) of an underlying costs, micro-USDC, up."""
        beyond = quantity - self.free.get(underlying_id, quantity)
        if beyond <= 0:
            return 0
        return mul_div_up(beyond, self.units[underlying_id], QUANTITY_SCALE * RATIO_SCALE)
