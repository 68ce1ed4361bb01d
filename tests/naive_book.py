"""The order book as a specification: two sorted lists, no structure, no speed.

`OrderBook` must give the same results for every sequence of calls. FOK is "try it on a copy".
"""

from copy import deepcopy
from dataclasses import dataclass

from exchange.matching.book import Outcome, PostOnly
from exchange.model import SelfTradePrevention, TimeInForce


@dataclass
class Resting:
    order_id: int
    owner: int
    side: int
    price: int
    remaining: int
    max_show: int
    displayed: int


class NaiveBook:
    def __init__(self, tick_size, price_min):
        self.tick_size, self.price_min = tick_size, price_min
        self.sides = ([], [])  # in priority order

    def place(
        self, order_id, owner, side, price, quantity, time_in_force, post_only, stp, show, matching
    ):
        crosses = matching and bool(self.crossing(side, price))
        if crosses and post_only is not PostOnly.OFF:
            moved = self.sides[1 - side][0].price + (self.tick_size if side else -self.tick_size)
            if post_only is PostOnly.REJECT or moved < self.price_min:
                return Outcome.POST_ONLY_REFUSED, price, [], [], 0, quantity
            price = moved
        if matching and time_in_force is TimeInForce.FOK:
            trial = deepcopy(self).match(owner, side, price, quantity, stp)
            if sum(fill[2] for fill in trial[0]) < quantity:
                return Outcome.FOK_REFUSED, price, [], [], 0, quantity
        fills, prevented, left, lost = [], [], quantity, 0
        if matching:
            fills, prevented, left, lost = self.match(owner, side, price, quantity, stp)
        if left and time_in_force in (TimeInForce.GTC, TimeInForce.GTD):
            displayed = min(show or left, left)
            self.queue(Resting(order_id, owner, side, price, left, show, displayed))
            return Outcome.RESTING, price, fills, prevented, left, lost
        outcome = Outcome.SELF_TRADE_CANCELED if lost else Outcome.UNFILLED
        if not lost and not left:
            outcome = Outcome.FILLED
        return outcome, price, fills, prevented, 0, left + lost

    def match(self, owner, side, price, left, stp):
        fills, prevented, lost = [], [], 0
        while left and (makers := self.crossing(side, price)):
            maker = makers[0]
            if maker.owner != owner:
                traded = min(left, maker.displayed)
                fills.append((maker.order_id, maker.price, traded))
                left -= traded
                self.shrink(maker, traded, traded)
                continue
            if stp is SelfTradePrevention.CANCEL_TAKER:
                return fills, prevented, 0, lost + left
            gone = maker.remaining
            if stp is SelfTradePrevention.DECREMENT:
                gone = min(gone, left)
            self.reduce(maker.order_id, maker.remaining - gone)
            prevented.append((maker.order_id, gone, maker.remaining))
            if stp is not SelfTradePrevention.CANCEL_MAKER:
                loss = left if stp is SelfTradePrevention.CANCEL_BOTH else gone
                left, lost = left - loss, lost + loss
        return fills, prevented, left, lost

    def crossing(self, side, price):
        opposite = self.sides[1 - side]
        return [o for o in opposite if (o.price >= price if side else o.price <= price)]

    def queue(self, order):
        same_side = self.sides[order.side]
        same_side.append(order)  # the sort is stable: last at its price
        same_side.sort(key=lambda o: o.price if order.side else -o.price)

    def shrink(self, order, quantity, displayed):
        order.remaining -= quantity
        order.displayed -= displayed
        if not order.displayed:
            self.sides[order.side].remove(order)
            if order.remaining:
                order.displayed = min(order.max_show, order.remaining)
                self.queue(order)

    def find(self, order_id):
        return next((o for side in self.sides for o in side if o.order_id == order_id), None)

    def reduce(self, order_id, quantity):
        order = self.find(order_id)
        gone = max(0, order.remaining - quantity) if order else 0
        if gone:
            self.shrink(order, gone, max(0, order.displayed - quantity))
        return gone

    def amend(self, order_id, price, quantity, time_in_force, post_only, stp, show, matching):
        order = self.find(order_id)
        kept = price == order.price and show == min(order.max_show, quantity)
        kept = kept and quantity <= order.remaining
        if kept:
            self.reduce(order_id, quantity)
            return Outcome.RESTING, price, [], [], quantity, 0
        before = deepcopy(self.sides)
        self.reduce(order_id, 0)
        terms = (order.side, price, quantity, time_in_force, post_only, stp, show, matching)
        result = self.place(order_id, order.owner, *terms)
        if result[0] in (Outcome.FOK_REFUSED, Outcome.POST_ONLY_REFUSED):
            self.sides = before
        return result
