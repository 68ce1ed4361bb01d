"""Combos as a specification: lists of orders, one lot at a time, everything tried again each time.

`engine.combo_trading` must do the same to every book and account. Limit orders of several owners
in legs and combos; whoever would trade with himself loses the rest of what arrives.
"""

from dataclasses import dataclass

BUY, SELL = 0, 1


@dataclass
class Resting:
    order_id: int
    owner: int
    side: int
    price: int
    left: int


class NaiveVenue:
    def __init__(self, combos, lot):
        self.combos, self.lot = combos, lot  # {number: {leg: ratio}}
        names = {leg for legs in combos.values() for leg in legs} | set(combos)
        self.books = {name: [] for name in names}  # in priority order, both sides
        self.held = {}  # (owner, leg): signed quantity
        self.trades = []  # (combo, 0 or the maker's id, value of the lot)

    def queue(self, name, side):
        return [order for order in self.books[name] if order.side == side]

    def rest(self, name, order):
        if order.left:
            book = self.books[name]
            book.append(order)  # the sort is stable: last at its price
            book.sort(key=lambda one: one.price if one.side else -one.price)

    def take(self, name, maker, quantity):
        maker.left -= quantity
        if not maker.left:
            self.books[name].remove(maker)

    def move(self, buyer, seller, leg, quantity):
        for owner, sign in ((buyer, 1), (seller, -1)):
            self.held[owner, leg] = self.held.get((owner, leg), 0) + sign * quantity

    def place_leg(self, name, order, *, rests=True):
        while order.left and (makers := self.queue(name, 1 - order.side)):
            maker = makers[0]
            sign = -1 if order.side else 1
            if sign * (maker.price - order.price) > 0:
                break
            if maker.owner == order.owner:
                order.left = 0
                break
            quantity = min(order.left, maker.left)
            self.trade_leg(name, order, maker, quantity)
            order.left -= quantity
        if rests:
            self.rest(name, order)
        self.follow()

    def trade_leg(self, leg, taker, maker, quantity, side=None):
        side = taker.side if side is None else side
        pair = (taker.owner, maker.owner) if side == BUY else (maker.owner, taker.owner)
        self.move(*pair, leg, quantity)
        self.take(leg, maker, quantity)

    def place_combo(self, name, order, *, rests=True):
        while order.left and self.one_lot(name, order, own_book=True):
            pass
        if rests:
            self.rest(name, order)
        self.follow()

    def follow(self):
        """Whatever rests in a combo and can trade does, the first of the first combo first."""
        while any(self.follow_one(name) for name in sorted(self.combos)):
            pass

    def follow_one(self, name):
        for side in (BUY, SELL):
            for order in self.queue(name, side):
                traded = 0
                while order.left and self.one_lot(name, order, own_book=False):
                    traded += 1
                if traded:
                    if not order.left:
                        self.books[name].remove(order)
                    return True
        return False

    def one_lot(self, name, order, own_book):
        sign = -1 if order.side else 1
        rivals = self.queue(name, 1 - order.side) if own_book else []
        rival = rivals[0] if rivals and sign * (rivals[0].price - order.price) <= 0 else None
        parts = self.lot_in_legs(name, order)
        if rival is None and parts is None:
            return False
        implied = self.net(name, parts) if parts is not None else None
        if rival is not None and (implied is None or sign * (rival.price - implied) <= 0):
            return self.lot_in_book(name, order, rival)
        for leg, side, maker, quantity in parts:
            self.trade_leg(leg, order, maker, quantity, side)
        self.trades.append((name, 0, implied))
        order.left -= self.lot
        return True

    def lot_in_book(self, name, order, rival):
        if rival.owner == order.owner:
            order.left = 0
            return False
        pair = (order.owner, rival.owner) if order.side == BUY else (rival.owner, order.owner)
        for leg, ratio in self.combos[name].items():
            self.move(*pair, leg, ratio * self.lot)
        self.trades.append((name, rival.order_id, rival.price))
        self.take(name, rival, self.lot)
        order.left -= self.lot
        return True

    def lot_in_legs(self, name, order):
        """(leg, side, maker, quantity) of one lot within the limit, or None."""
        parts = []
        for leg, ratio in self.combos[name].items():
            side = order.side if ratio > 0 else 1 - order.side
            need = abs(ratio) * self.lot
            for maker in self.queue(leg, 1 - side):
                if maker.owner != order.owner and need:
                    quantity = min(need, maker.left)
                    parts.append((leg, side, maker, quantity))
                    need -= quantity
            if need:
                return None
        sign = -1 if order.side else 1
        return parts if sign * (self.net(name, parts) - order.price) <= 0 else None

    def net(self, name, parts):
        legs = self.combos[name]
        value = sum(
            (1 if legs[leg] > 0 else -1) * maker.price * quantity
            for leg, _, maker, quantity in parts
        )
        return value / self.lot
