"""What a perpetual or a future remembers beside its quantity: entry cost and funding index.

An option's premium moves as cash when it trades. A linear instrument's value does not: a fill adds
it to the entry cost, and cash moves when the position closes. So every fill changes cash less cost
by exactly its value, and nothing is lost or made between holders. Never knows an account or a mark.
"""

from typing import NamedTuple

from exchange.commands import FundingParameters
from exchange.fixed import (
    QUANTITY_SCALE,
    RATIO_SCALE,
    div_exact,
    mul_div_down,
    mul_div_up,
    notional,
)


class LinearPosition(NamedTuple):
    """Signed `quantity` in 1e-4 contracts; `cost` is the signed value that it was entered at.

    `funding_index` is what a long had paid a contract, in micro-USDC, when funding was last
    realised.
    """

    quantity: int
    cost: int
    funding_index: int

    def funding_due(self, index: int) -> int:
        """What the holder owes since; negative is owed to him. Exact: an index moves in quanta."""
        return div_exact(self.quantity * (index - self.funding_index), QUANTITY_SCALE)

    def filled(self, change: int, price: int) -> tuple["LinearPosition", int]:
        """The position after a fill of signed quantity `change`, and the cash that it realised.

        The part of the cost that a close releases is rounded up: against the account, which gets it
        back to the last unit when the position is gone.
        """
        quantity, cost, index = self
        closing = 0
        if quantity * change < 0:
            closing = change if abs(change) <= abs(quantity) else -quantity
        cash = 0
        if closing:
            released = mul_div_up(cost, abs(closing), abs(quantity))
            cash = -notional(price, closing) - released
            cost -= released
        cost += notional(price, change - closing)
        return LinearPosition(quantity + change, cost, index), cash


def funding_rate(parameters: FundingParameters, mark_price: int, index_price: int) -> int:
    """Rate for eight hours in 1e-18 of the index; positive: longs pay."""
    premium = mul_div_down(mark_price - index_price, RATIO_SCALE, index_price)
    damping = parameters.damping_rate
    damped = max(premium - damping, 0) + min(premium + damping, 0)
    return max(-parameters.rate_max, min(parameters.rate_max, damped))
