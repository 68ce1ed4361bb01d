"""What a volatility is worth: the price at which an order that names one should rest.

Floats, so it runs above the sequencer: in the gateway when the order comes, in the marks loop from
then on. Rounded to the tick against trading: a buyer pays no more than the volatility is worth.
"""

import math

from exchange.fixed import CASH_SCALE, VOL_SCALE, to_seconds_down
from exchange.margin.market import DAYS_PER_YEAR, SECONDS_PER_DAY
from exchange.margin.pricing import price
from exchange.model import Instrument, Kind, OptionKind, Side

VOLATILITY_MAX = 10 * VOL_SCALE  # 1,000 %


def volatility_price(
    instrument: Instrument,
    side: Side,
    volatility: int,
    forward_price: int,
    time_ns: int,
    rate: float = 0.0,
) -> int:
    """Micro-USDC a contract on the tick grid, at least one tick.

    `volatility` in 1e-6, the forward in micro-USDC, discounted at `rate` a year as the marks are.
    """
    assert instrument.kind is Kind.OPTION
    years = max(0, instrument.expiry - to_seconds_down(time_ns)) / SECONDS_PER_DAY / DAYS_PER_YEAR
    value = price(
        forward_price / CASH_SCALE,
        instrument.strike / CASH_SCALE,
        years,
        volatility / VOL_SCALE,
        instrument.option_kind is OptionKind.PUT,
        rate,
    )
    ticks = float(value) * CASH_SCALE / instrument.tick_size
    whole = math.floor(ticks) if side is Side.BUY else math.ceil(ticks)
    return max(1, whole) * instrument.tick_size
