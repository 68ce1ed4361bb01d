"""Random blocks, for the flows that try everything."""

from typing import Any

import msgspec

from exchange.commands import PlaceOrder, TradeBlock
from exchange.model import Side, TimeInForce


def trade_block(flow: Any) -> Any:
    """Two accounts trade outside the book; now and then one owner's, or at odd prices."""
    sides = flow.pick((list(Side), list(reversed(Side))))
    orders = [flow.order(flow.pick(flow.accounts), None) for _ in sides]
    first = orders[0].terms
    maker, taker = (
        PlaceOrder(
            terms=msgspec.structs.replace(
                order.terms,
                side=side,
                instrument_id=first.instrument_id,
                quantity=first.quantity,
                limit_price=first.limit_price if flow.draw(0, 3) else order.terms.limit_price,
                reduce_only=False,
            ),
            signature=b"",
            time_in_force=TimeInForce.FOK,
        )
        for order, side in zip(orders, sides, strict=True)
    )
    return flow.venue.send(TradeBlock(maker=maker, taker=taker))
