"""Those who use the exchange: traders, makers and keepers, each with a seed's own habits.

They know what a client knows: what they sent, what they heard, and public prices. Whoever hears
nothing asks what became of the order, by its nonce, and may send the same bytes again.
"""

import random
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeGuard

import msgspec

from exchange.commands import (
    AmendOrder,
    AnyCommand,
    BidLiquidation,
    CancelAll,
    CancelOrder,
    MassQuote,
    PlaceLinked,
    PlaceOrder,
    ProtectionParameters,
    SetProtection,
    TransferFunds,
    Withdraw,
)
from exchange.events import AnyEvent, OrderArmed, OrderPlaced, OrderRepeated, Refused
from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE
from exchange.model import (
    BidTerms,
    HitCondition,
    Kind,
    LinkKind,
    OrderTerms,
    PriceSource,
    Quote,
    SelfTradePrevention,
    SheetTerms,
    Side,
    TimeInForce,
    TransferTerms,
    Trigger,
    TriggerKind,
    WithdrawalTerms,
    unpack_instrument_id,
)
from exchange.observations import (
    AnyObservation,
    DepositSeen,
    NonceFloorSeen,
    NonceVoidSeen,
    SheetFloorSeen,
)
from exchange.sequencer import Reply
from exchange.signing import trigger_hash
from exchange.simulation.network import Heard
from exchange.simulation.parameters import LOT, NS, TICK, USDC, WETH, usdc

SIGNATURE: Final = b"\x01" * 65  # nobody recovers it here: the gateway's own tests do
VALID_S: Final = 6 * 3_600
MAX_FEE: Final = usdc(1_000)
RECIPIENT: Final = "0x" + "b0" * 20


class Surroundings(Protocol):
    """What people see and can do."""

    def send(self, command: AnyCommand, heard: Heard) -> None:
        """Send a message to the exchange."""

    def act_on_chain(self, *seen: AnyObservation) -> None:
        """Send transactions of one's own."""

    def now_s(self) -> int:
        """UTC second."""

    def mark_price(self, instrument_id: int) -> int:
        """The public mark; 0 while there is none."""

    def instruments(self) -> list[int]:
        """Those that are live."""

    def auctions(self) -> list[tuple[int, int]]:
        """(subaccount, step) of liquidations that keepers may bid for."""


class Sent(msgspec.Struct):
    """An order, and what its owner knows of it."""

    command: PlaceOrder
    order_id: int = 0
    refused: str = ""
    tries: int = 1

    @property
    def known(self) -> bool:
        """Whether a reply said what became of it."""
        return bool(self.order_id or self.refused)


class Person:
    """An owner with subaccounts, who signs for them."""

    def __init__(
        self, owner: str, subaccount_ids: list[int], draw: random.Random, world: Surroundings
    ) -> None:
        self.owner = owner
        self.subaccount_ids = subaccount_ids
        self.draw = draw
        self.world = world
        self.sent: list[Sent] = []
        self._nonce = 0

    def act(self) -> None:
        """Do one thing."""
        raise NotImplementedError

    def nonce(self) -> int:
        """The next, or one a little further, so that they come unordered."""
        self._nonce += self.draw.choice((1, 1, 1, 2))
        return self._nonce

    def subaccount(self) -> int:
        """One of one's own."""
        return self.draw.choice(self.subaccount_ids)

    def deadline(self) -> int:
        """Mostly far away."""
        return self.world.now_s() + (20 if self.draw.random() < 0.05 else VALID_S)

    def forget(self, _reply: Reply | None) -> None:
        """Of what needs no follow-up."""

    # ---- orders

    def place(self, terms: OrderTerms, **options: Any) -> None:
        """Send an order, and follow it up."""
        order = Sent(PlaceOrder(terms=terms, signature=SIGNATURE, **options))
        self.sent.append(order)
        self.world.send(order.command, lambda reply: self.hear(order, reply))

    def hear(self, order: Sent, reply: Reply | None) -> None:
        """Note what became of it; without a reply send the same again."""
        if reply is None:
            if order.tries < 3 and self.draw.random() < 0.7:
                order.tries += 1
                self.world.send(order.command, lambda again: self.hear(order, again))
            return
        for event in reply.events:
            if isinstance(event, Refused):
                order.refused = event.reason.value
            elif isinstance(event, OrderRepeated) or _is_of(event, order.command.terms):
                order.order_id = event.order_id

    def terms(
        self, instrument_id: int, side: Side, quantity: int, price: int, **changes: Any
    ) -> OrderTerms:
        """Signed terms of a new order."""
        fields: dict[str, Any] = {
            "subaccount_id": self.subaccount(),
            "instrument_id": instrument_id,
            "side": side,
            "quantity": quantity,
            "limit_price": max(TICK, price // TICK * TICK),
            "max_fee": MAX_FEE,
            "nonce": self.nonce(),
            "deadline": self.deadline(),
            "signer": self.owner,
        }
        return OrderTerms(**(fields | changes))

    def open_orders(self) -> list[Sent]:
        """Lately sent and placed; some are over by now."""
        return [order for order in self.sent[-12:] if order.order_id]


def _is_of(event: AnyEvent, terms: OrderTerms) -> TypeGuard[OrderPlaced | OrderArmed]:
    """Others' orders may enter with the same command: those that it triggers."""
    if not isinstance(event, OrderPlaced | OrderArmed):
        return False
    return (event.subaccount_id, event.nonce) == (terms.subaccount_id, terms.nonce)


class Trader(Person):
    """Takes, makes, cancels, amends, waits for prices, and moves money."""

    def act(self) -> None:
        """By weights."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (30, self._order),
            (14, self._take),
            (5, self._triggered),
            (3, self._linked),
            (8, self._cancel),
            (6, self._amend),
            (1, self._cancel_all),
            (3, self._withdraw),
            (3, self._transfer),
            (4, self._deposit),
            (1, self._on_chain),
            (2, self._repeat),
        ]
        weights = [weight for weight, _ in acts]
        self.draw.choices([act for _, act in acts], weights)[0]()

    def _order(self, **options: Any) -> None:
        """Around the mark; a linear one is larger than an option's in risk, so smaller in size."""
        live = self.world.instruments()
        if not live:
            return
        number = self.draw.choice(live)
        mark = self.world.mark_price(number)
        if not mark:
            return
        linear = unpack_instrument_id(number).kind is not Kind.OPTION
        side = self.draw.choice((Side.BUY, Side.SELL))
        width = mark // 200 if linear else mark // 20
        lots = self.draw.randint(1, 120 if linear else 300)
        price = mark + self.draw.randint(-10, 10) * width // 10
        changes: dict[str, Any] = {}
        if "trigger" in options:
            changes["trigger_hash"] = trigger_hash(options["trigger"])
        if self.draw.random() < 0.15:
            changes["reduce_only"] = True
        terms = self.terms(number, side, lots * LOT, price, **changes)
        kinds = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, *TimeInForce)
        self.place(
            terms,
            time_in_force=options.pop("time_in_force", self.draw.choice(kinds)),
            post_only=self.draw.random() < 0.1,
            self_trade_prevention=self.draw.choice(list(SelfTradePrevention)),
            max_show=LOT if self.draw.random() < 0.1 else 0,
            **options,
        )

    def _take(self) -> None:
        """Beyond the mark, at once or never."""
        live = self.world.instruments()
        if not live:
            return
        number = self.draw.choice(live)
        mark = self.world.mark_price(number)
        if not mark:
            return
        side = self.draw.choice((Side.BUY, Side.SELL))
        lots = self.draw.choice((5, 20, 100, 400))
        terms = self.terms(number, side, lots * LOT, mark + side.sign * mark // 30)
        self.place(terms, time_in_force=TimeInForce.IOC)

    def _triggered(self) -> None:
        live = self.world.instruments()
        marks = [mark for one in live if (mark := self.world.mark_price(one))]
        if not marks:
            return
        near = self.draw.choice(marks)
        trigger = Trigger(
            kind=TriggerKind.STOP,
            source=self.draw.choice(list(PriceSource)),
            trigger_price=max(TICK, near * self.draw.randint(97, 103) // 100 // TICK * TICK),
        )
        self._order(trigger=trigger, time_in_force=TimeInForce.GTC)

    def _linked(self) -> None:
        """Two orders of one subaccount, of which the first that trades ends or wakes the other."""
        live = self.world.instruments()
        if not live:
            return
        number, who = self.draw.choice(live), self.subaccount()
        mark = self.world.mark_price(number)
        if not mark:
            return
        orders = tuple(
            PlaceOrder(
                terms=self.terms(
                    number, side, 5 * LOT, mark + side.sign * mark // 100, subaccount_id=who
                ),
                signature=SIGNATURE,
            )
            for side in (Side.BUY, Side.SELL)
        )
        kind = self.draw.choice((LinkKind.OCO, LinkKind.OTO))
        command = PlaceLinked(kind=kind, condition=HitCondition.ANY_FILL, orders=orders)
        self.world.send(command, self.forget)

    def _cancel(self) -> None:
        orders = self.open_orders()
        if orders:
            order = self.draw.choice(orders)
            who = order.command.terms.subaccount_id
            command = CancelOrder(subaccount_id=who, order_id=order.order_id)
            self.world.send(command, self.forget)

    def _cancel_all(self) -> None:
        self.world.send(CancelAll(subaccount_id=self.subaccount()), self.forget)

    def _amend(self) -> None:
        orders = self.open_orders()
        if not orders:
            return
        order = self.draw.choice(orders)
        old = order.command.terms
        mark = self.world.mark_price(old.instrument_id)
        if not mark:
            return
        terms = msgspec.structs.replace(
            old,
            version=old.version + self.draw.randint(1, 3),
            quantity=self.draw.randint(1, 60) * LOT,
            limit_price=max(TICK, mark * self.draw.randint(97, 103) // 100 // TICK * TICK),
        )
        self.world.send(AmendOrder(terms=terms, signature=SIGNATURE), self.forget)

    def _repeat(self) -> None:
        """Send something of the past again, whole."""
        if self.sent:
            order = self.draw.choice(self.sent)
            self.world.send(order.command, lambda reply: self.hear(order, reply))

    # ---- money

    def _withdraw(self) -> None:
        terms = WithdrawalTerms(
            subaccount_id=self.subaccount(),
            token=USDC if self.draw.random() < 0.8 else WETH,
            amount=self.draw.randint(1, 3_000) * 10**6,
            recipient=RECIPIENT,
            nonce=self.nonce(),
            deadline=self.deadline(),
            signer=self.owner,
        )
        self.world.send(Withdraw(terms=terms, signature=SIGNATURE), self.forget)

    def _transfer(self) -> None:
        if len(self.subaccount_ids) < 2:
            return
        source, target = self.draw.sample(self.subaccount_ids, 2)
        terms = TransferTerms(
            subaccount_id=source,
            to_subaccount_id=target,
            token=USDC,
            amount=self.draw.randint(1, 5_000) * 10**6,
            nonce=self.nonce(),
            deadline=self.deadline(),
            signer=self.owner,
        )
        self.world.send(TransferFunds(terms=terms, signature=SIGNATURE), self.forget)

    def _deposit(self) -> None:
        who = self.subaccount()
        if self.draw.random() < 0.2:
            amount = self.draw.randint(1, 3 * 10**8)
            self.world.act_on_chain(DepositSeen(subaccount_id=who, amount=amount, token=WETH))
        else:
            amount = self.draw.randint(1, 8_000) * 10**6
            self.world.act_on_chain(DepositSeen(subaccount_id=who, amount=amount))

    def _on_chain(self) -> None:
        """Cancels that bind without the venue."""
        who = self.subaccount()
        kind = self.draw.randint(0, 2)
        if kind == 0:
            floor = max(1, self._nonce - self.draw.randint(0, 10))
            self.world.act_on_chain(NonceFloorSeen(subaccount_id=who, floor=floor))
        elif kind == 1:
            self.world.act_on_chain(NonceVoidSeen(subaccount_id=who, nonce=max(1, self._nonce - 1)))
        else:
            self.world.act_on_chain(SheetFloorSeen(subaccount_id=who, floor=1))


class Maker(Person):
    """Quotes sheets around the marks, under one signature each."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._sheet = 0

    def act(self) -> None:
        """Mostly a sheet."""
        if self.draw.random() < 0.05:
            self._protect()
        elif self.draw.random() < 0.05:
            command = CancelAll(subaccount_id=self.subaccount_ids[0], quotes_only=True)
            self.world.send(command, self.forget)
        else:
            self._quote()

    def _quote(self) -> None:
        lines = [line for one in self.world.instruments() if (line := self._line(one))]
        if not lines:
            return
        self._sheet += 1
        first = self._nonce + 1
        self._nonce += 2 * len(lines)
        terms = SheetTerms(
            subaccount_id=self.subaccount_ids[0],
            sheet_nonce=self._sheet,
            first_nonce=first,
            max_fee=MAX_FEE,
            deadline=self.world.now_s() + 120,
            signer=self.owner,
        )
        command = MassQuote(
            terms=terms,
            quotes=tuple(lines),
            signature=SIGNATURE,
            mmp=self.draw.random() < 0.5,
        )
        self.world.send(command, self.forget)

    def _line(self, number: int) -> Quote | None:
        mark = self.world.mark_price(number)
        if not mark or self.draw.random() < 0.3:
            return None
        linear = unpack_instrument_id(number).kind is not Kind.OPTION
        width = max(TICK, (mark // 1_000 if linear else mark // 40) // TICK * TICK)
        middle = mark // TICK * TICK + self.draw.randint(-1, 1) * TICK
        most = 200 if linear else 400
        bid, ask = max(TICK, middle - width), middle + width
        sizes = [self.draw.randint(0, most) * LOT for _ in range(2)]
        return Quote(number, bid, sizes[0], ask, sizes[1])

    def _protect(self) -> None:
        limits = ProtectionParameters(
            interval_ns=30 * NS,
            frozen_ns=self.draw.choice((5, 10)) * NS,
            quantity_limit=self.draw.randint(1, 3) * QUANTITY_SCALE,
        )
        self.world.send(
            SetProtection(
                subaccount_id=self.subaccount_ids[0],
                underlying_id=1,
                limits=self.draw.choice((limits, limits, None)),
            ),
            self.forget,
        )


class Keeper(Person):
    """Bids for fractions of those who are liquidated."""

    def act(self) -> None:
        """Bid for one, if there is one."""
        auctions = self.world.auctions()
        if not auctions:
            return
        liquidated_id, step = self.draw.choice(auctions)
        terms = BidTerms(
            subaccount_id=self.subaccount_ids[0],
            liquidated_id=liquidated_id,
            fraction=self.draw.choice((RATIO_SCALE, RATIO_SCALE // 2, RATIO_SCALE // 10)),
            price_limit=usdc(self.draw.randint(-5_000, 50_000)),
            expected_step=step,
            nonce=self.nonce(),
            deadline=self.deadline(),
            signer=self.owner,
        )
        self.world.send(BidLiquidation(terms=terms, signature=SIGNATURE), self.forget)
