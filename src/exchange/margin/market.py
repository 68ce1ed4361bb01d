"""What the float half of margin knows of the world: one frozen picture per epoch.

Plain numbers in units of the quote currency. Never knows where they came from.
"""

from dataclasses import dataclass
from typing import Final

from exchange.margin.surface import Surface

SECONDS_PER_DAY: Final = 86_400.0
DAYS_PER_YEAR: Final = 365.0
_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryMarket:
    """One expiry. The forward is `forward_price` plus what the delivery window already fixed."""

    expiry: int  # UTC second
    forward_price: float  # the part that still moves with the spot
    fixed_price: float = 0.0  # the part that settlement's TWAP has fixed
    rate: float = 0.0  # one discount rate, continuous, per year

    @property
    def whole_forward(self) -> float:
        """The forward before any shock."""
        return self.forward_price + self.fixed_price


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingMarket:
    """One underlying with its expiries and its volatility surface."""

    underlying_id: int
    index_price: float
    surface: Surface
    expiries: tuple[ExpiryMarket, ...]
    confidence: float = 1.0
    perpetual_price: float | None = None  # the index where there is no perpetual market
    scan: float = 1.0  # stretches the spot moves of the preset's grid
    volatility_scale: float = 1.0  # and its shock of volatility upward

    def expiry(self, expiry: int) -> ExpiryMarket:
        """The market of an expiry, which must exist."""
        for known in self.expiries:
            if known.expiry == expiry:
                return known
        raise KeyError(f"no market for expiry {expiry} of underlying {self.underlying_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Everything at one instant."""

    time_ns: int
    underlyings: tuple[UnderlyingMarket, ...]
    stablecoin_price: float = 1.0

    def underlying(self, underlying_id: int) -> UnderlyingMarket:
        """The market of an underlying, which must exist."""
        for known in self.underlyings:
            if known.underlying_id == underlying_id:
                return known
        raise KeyError(f"no market for underlying {underlying_id}")

    def days_to(self, expiry: int) -> float:
        """Days until an expiry, 0 once it has come."""
        return max(0.0, (expiry - self.time_ns / _NANOSECONDS) / SECONDS_PER_DAY)
