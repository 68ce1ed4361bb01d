"""Orders whose price is a volatility: Deribit's `advanced: implv`, percent on the wire.

The owner signs a worst price. What the volatility is worth now is computed here once, so that the
order can trade on arrival; from then on the marks loop moves it.
"""

from typing import Any

from exchange.api.errors import BadRequest
from exchange.api.order_types import TypeParams
from exchange.api.records import OrderRecord
from exchange.api.schemas import cash_number, parse_percent, vol_percent_number
from exchange.api.views import VenueView
from exchange.fixed import RATIO_SCALE, mul_div_down
from exchange.margin.volatility_price import VOLATILITY_MAX, volatility_price
from exchange.model import Instrument, Kind, Side


def volatility_of(params: TypeParams) -> int:
    """The volatility asked for in 1e-6; 0 if the order has a price."""
    return 0 if params.advanced is None else parse_percent(params.price, VOLATILITY_MAX)


def price_now(
    view: VenueView, instrument: Instrument, side: Side, volatility: int, worst_price: int
) -> int:
    """What a volatility is worth now; the worst price while there is no mark to tell.

    The forward is the epoch's, moved as far as the index has moved since.
    """
    if instrument.kind is not Kind.OPTION:
        raise BadRequest("only options have a volatility", "advanced")
    marks = view.marks
    risk = marks.expiry(instrument.underlying_id, instrument.expiry) if marks else None
    then = marks.index_price(instrument.underlying_id) if marks else 0
    if risk is None or not then:
        return worst_price
    index_price = view.index_prices[instrument.underlying_id][0]
    forward = mul_div_down(risk.forward_price, index_price, then)
    rate = risk.rate / RATIO_SCALE
    return volatility_price(instrument, side, volatility, forward, view.time_ns, rate)


def volatility_fields(order: OrderRecord) -> dict[str, Any]:
    """Deribit's fields of an advanced order, and our worst price."""
    return {
        "advanced": "implv",
        "implv": vol_percent_number(order.volatility),
        "usd": cash_number(order.limit_price),
        "limit_price": cash_number(order.worst_price),
    }
