"""How much a subaccount may come to hold: positions and open orders, whichever of them fill.

Integers only. A large share of all open interest cannot be sold at the mark, so what exceeds it
costs initial margin. Never maintenance: others who close must not liquidate whoever stays.
"""

from typing import Final

from exchange.commands import MarginParameters, UnderlyingRisk
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, mul_div_down, mul_div_up

_Held = tuple[int, int, int]  # position, open to buy, open to sell
_NOTHING: Final[_Held] = (0, 0, 0)


class Reach:
    """By underlying the sum over instruments of the largest |position| that any fills leave."""

    __slots__ = ("_instruments", "totals")

    def __init__(self) -> None:
        self.totals: dict[int, int] = {}  # by underlying_id, 1e-4 contracts, none of them zero
        self._instruments: dict[int, _Held] = {}

    def fill(self, instrument_id: int, underlying_id: int, quantity: int) -> None:
        """Change a position by a signed quantity."""
        before = self._instruments.get(instrument_id, _NOTHING)
        held, buys, sells = before
        self._set(instrument_id, underlying_id, before, (held + quantity, buys, sells))

    def open(self, instrument_id: int, underlying_id: int, sign: int, quantity: int) -> None:
        """Open an order, or with a negative quantity take one away."""
        before = self._instruments.get(instrument_id, _NOTHING)
        held, buys, sells = before
        after = (held, buys + quantity, sells) if sign > 0 else (held, buys, sells + quantity)
        self._set(instrument_id, underlying_id, before, after)

    def growth(self, instrument_id: int, sign: int, quantity: int) -> int:
        """What one more order would add to its underlying's total."""
        held, buys, sells = self._instruments.get(instrument_id, _NOTHING)
        before = max(held + buys, sells - held)
        side = held + buys if sign > 0 else sells - held
        return max(before, side + quantity) - before

    def state(self) -> dict[int, _Held]:
        """Everything, for comparison by `check`."""
        return dict(self._instruments)

    def _set(self, instrument_id: int, underlying_id: int, before: _Held, after: _Held) -> None:
        held, buys, sells = after
        assert buys >= 0
        assert sells >= 0
        if after != _NOTHING:
            self._instruments[instrument_id] = after
        else:
            self._instruments.pop(instrument_id, None)
        growth = max(held + buys, sells - held)
        held, buys, sells = before
        growth -= max(held + buys, sells - held)
        if growth:
            total = self.totals.get(underlying_id, 0) + growth
            if total:
                self.totals[underlying_id] = total
            else:
                del self.totals[underlying_id]


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
