"""Stories in traders' words, each line an action or a fact, told to a real engine by `check()`.

    ann deposits 100,000
    ann offers 2 100k-call at 2,500               -> rests 2
    bob bids 3 100k-call at 2,600                 -> trades 2 at 2,500; rests 1
    ann holds -2 100k-call
    bob has 95,000

What stands behind `->` is the whole outcome, in order; a line without it must not be refused.
Quantities are contracts, amounts USDC. Words behind the price: ioc, fok, post-only, or-refuse,
reduce-only, for 60s, show 1, max-fee 5, cancel-maker, cancel-both, decrement, market (the price is
the worst one), worth 2,450 (a volatility order, and what its volatility is worth), as NAME (to
cancel, amend or reprice it later). `spread is 1 100k-call and -1 110k-call` lists a
combo and names it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.venue import (
    CHAIN,
    EXPIRY_S,
    FEE_ID,
    FEES,
    FUTURE,
    NO_FEES,
    NS,
    PERP,
    Venue,
    call,
    contracts,
    linear_venue,
    put,
    usdc,
)

from exchange.api.records import net_price
from exchange.commands import (
    AccrueFunding,
    AdvanceClock,
    CutBatch,
    DepositSeen,
    Halt,
    ListCombo,
    NonceFloorSeen,
    PricedOrder,
    Reprice,
    SessionKeySeen,
    SetSpeedBump,
)
from exchange.events import (
    AnyEvent,
    BatchCut,
    ComboListed,
    ComboTraded,
    FundingAccrued,
    FundingPaid,
    OrderAmended,
    OrderCanceled,
    OrderDelayed,
    OrderPlaced,
    OrderRepeated,
    OrderRepriced,
    PositionExpired,
    Refused,
    Traded,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, format_decimal
from exchange.model import Leg, SelfTradePrevention, Side, TimeInForce

Events = tuple[AnyEvent, ...]
PREVENTIONS: Final = {
    "cancel-maker": SelfTradePrevention.CANCEL_MAKER,
    "cancel-both": SelfTradePrevention.CANCEL_BOTH,
    "decrement": SelfTradePrevention.DECREMENT,
}
NUMBER: Final = r"(-?[\d,]+(?:\.\d+)?)"
INSTRUMENT: Final = r"(\d+k-(?:call|put)|[a-z]+)"


LINEAR: Final = {"perpetual": PERP, "future": FUTURE}


def check(text: str, *, fees: bool = False, **parameters: Any) -> "Story":
    """Tell a story to a new venue; the first line that is not so fails with its number."""
    story = Story(fees=fees, **parameters)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].strip()
        if words:
            try:
                story.tell(words)
            except AssertionError as error:
                raise AssertionError(f"line {number}: {words}\n{error}") from error
    assert story.venue.twin().state_hash() == story.venue.engine.state_hash()
    return story


def plain(number: str) -> str:
    return number.replace(",", "")


def grouped(value: int, scale: int) -> str:
    """A scaled integer as a trader writes it."""
    whole, point, fraction = format_decimal(abs(value), scale).partition(".")
    return f"{'-' * (value < 0)}{int(whole):,}{point}{fraction}"


def instrument_id(words: str) -> int:
    if words in LINEAR:
        return LINEAR[words]
    strike, kind = words.split("k-")
    return (call if kind == "call" else put)(int(strike) * 1_000)


class Story:
    """A venue, and who is who in it."""

    def __init__(self, *, fees: bool, **parameters: Any) -> None:
        self.venue: Venue = linear_venue(fees=FEES if fees else NO_FEES, **parameters)
        self.people: dict[str, int] = {}
        self.named: dict[str, Events] = {}
        self.combos: dict[str, int] = {}

    def instrument_id(self, words: str) -> int:
        """What a story names: an option, or a combo that it listed."""
        return self.combos[words] if words in self.combos else instrument_id(words)

    def tell(self, line: str) -> None:
        """One line: find what it says, do it, compare."""
        words, arrow, expected = (part.strip() for part in line.partition("->"))
        matches = ((act, re.fullmatch(pattern, words)) for pattern, act in ACTIONS)
        act, found = next(((act, found) for act, found in matches if found), (None, None))
        if act is None or found is None:
            raise ValueError(f"nobody understands: {words}")
        events = act(self, *found.groups())
        if events is None:
            assert not arrow, "a fact has no outcome"
            return
        said = "; ".join(outcome(events))
        assert said == expected if arrow else "refused" not in said, f"happened: {said}"

    def person(self, name: str) -> int:
        """Their subaccount; opened when they are first named."""
        if name == "venue":
            return FEE_ID
        if name not in self.people:
            self.people[name] = self.venue.fund(name.split("/")[0], 0)
        return self.people[name]


def outcome(events: Events) -> Iterator[str]:
    """What happened, in order, and what of the order that arrived now rests."""
    yield from filter(None, map(told, events))
    arrived = order_of(events)
    resting = 0
    for event in events:
        match event:
            case OrderPlaced() | OrderAmended():
                resting = event.quantity
            case ComboTraded(quantity=quantity):
                resting -= quantity
            case Traded(combo_id=0):
                resting -= event.quantity
            case OrderCanceled(order_id=order_id) if order_id == arrived:
                resting -= event.canceled_quantity
    if resting > 0:
        yield f"rests {grouped(resting, QUANTITY_SCALE)}"


def traded(event: ComboTraded | Traded) -> str:
    """A trade, of a combo at its net price; its legs follow."""
    is_combo = isinstance(event, ComboTraded)
    price = grouped(net_price(event) if is_combo else event.price, CASH_SCALE)
    verb = "leg" if not is_combo and event.combo_id else "trades"
    return f"{verb} {grouped(event.quantity, QUANTITY_SCALE)} at {price}"


def told(event: AnyEvent) -> str:
    """One event in traders' words; nothing for those that say nothing to them."""
    match event:
        case ComboTraded() | Traded():
            return traded(event)
        case OrderCanceled(canceled_quantity=quantity, reason=reason):
            return f"cancels {grouped(quantity, QUANTITY_SCALE)} ({reason})"
        case Refused(reason=reason):
            return f"refused {reason}"
        case OrderRepeated():
            return "repeated"
        case Withdrawn(amount=amount):
            return f"pays out {grouped(amount, CASH_SCALE)}"
        case PositionExpired(quantity=quantity, payoff=payoff):
            return f"{grouped(quantity, QUANTITY_SCALE)} pay {grouped(payoff, CASH_SCALE)}"
        case FundingAccrued(index=index):
            return f"funding stands at {grouped(index, CASH_SCALE)}"
        case FundingPaid(amount=amount):
            return f"funding pays {grouped(amount, CASH_SCALE)}"
        case BatchCut(number=number):
            return f"batch {number}"
        case _:
            return told_of_price(event)


def told_of_price(event: AnyEvent) -> str:
    """Of orders that wait at a speed bump or follow a volatility."""
    match event:
        case OrderDelayed():
            return "waits"
        case OrderRepriced(limit_price=price):
            return f"is at {grouped(price, CASH_SCALE)}"
        case _:
            return ""


def order_of(events: Events) -> int:
    """The order that arrived, or 0."""
    orders = [e.order_id for e in events if isinstance(e, OrderPlaced | OrderAmended)]
    return orders[0] if orders else 0


def deposit(story: Story, name: str, amount: str) -> Events:
    who = story.person(name)
    return story.venue.observe(DepositSeen(subaccount_id=who, amount=usdc(plain(amount))))


def order(
    story: Story, name: str, verb: str, quantity: str, what: str, price: str, words: str
) -> Events:
    name, _, key = name.partition(" by ")
    changes, label = instructions(story, words)
    if key:
        changes["signer"] = key
    number = story.instrument_id(what)
    events = story.venue.order(
        story.person(name),
        Side.BUY if verb == "bids" else Side.SELL,
        plain(quantity),
        plain(price),
        number,
        legs_hash=story.venue.engine.instruments[number].legs_hash,
        **changes,
    )
    if label:
        story.named[label] = events
    return events


def instructions(story: Story, words: str) -> tuple[dict[str, Any], str]:
    """What the words behind the price change, and the name that the order gets."""
    changes: dict[str, Any] = {}
    label = ""
    tokens = iter(words.split())
    for token in tokens:
        match token:
            case "ioc" | "fok":
                changes["time_in_force"] = TimeInForce[token.upper()]
            case "post-only":
                changes["post_only"] = True
            case "or-refuse":
                changes["reject_post_only"] = True
            case "reduce-only":
                changes["reduce_only"] = True
            case "for":
                changes["deadline"] = story.venue.now_s + int(next(tokens).rstrip("s"))
            case "show":
                changes["max_show"] = contracts(next(tokens))
            case "max-fee":
                changes["max_fee"] = usdc(next(tokens))
            case "as":
                label = next(tokens)
            case _:
                changes |= instruction(token, tokens)
    return changes, label


def instruction(token: str, tokens: Iterator[str]) -> dict[str, Any]:
    """Where the price comes from, or whom the order must not meet."""
    match token:
        case "market":
            return {"market": True, "time_in_force": TimeInForce.IOC}
        case "worth":
            return {"volatility": 1, "worth": usdc(plain(next(tokens)))}
        case _:
            return {"self_trade_prevention": PREVENTIONS[token]}


def lists(story: Story, name: str, legs: str) -> Events:
    given = [leg.split() for leg in legs.split(" and ")]
    events = story.venue.send(
        ListCombo(legs=tuple(Leg(instrument_id(what), int(ratio)) for ratio, what in given))
    )
    (listed,) = [event for event in events if isinstance(event, ComboListed)]
    story.combos[name] = listed.instrument_id
    return events


def halts(story: Story, what: str) -> Events:
    return story.venue.send(Halt(instrument_id=story.instrument_id(what)))


def amend(story: Story, name: str, field: str, value: str) -> Events:
    change = (
        {"limit_price": usdc(plain(value))}
        if field == "price"
        else {"quantity": contracts(plain(value))}
    )
    return story.venue.amend(story.named[name], **change)


def reprice(story: Story, name: str, price: str) -> Events:
    order_id = order_of(story.named[name])
    priced = PricedOrder(order_id=order_id, price=usdc(plain(price)))
    return story.venue.send(Reprice(orders=(priced,)))


def bump(story: Story, what: str, seconds: str) -> Events:
    delay_ns = int(seconds) * NS
    return story.venue.send(SetSpeedBump(instrument_id=instrument_id(what), delay_ns=delay_ns))


def cancel(story: Story, name: str) -> Events:
    return story.venue.cancel(story.named[name])


def withdraw(story: Story, name: str, amount: str) -> Events:
    return story.venue.withdraw(story.person(name), plain(amount))


def index(story: Story, price: str) -> Events:
    return story.venue.index(plain(price))


def mark(story: Story, what: str, price: str) -> Events:
    return story.venue.mark({instrument_id(what): plain(price)})


def grant(story: Story, name: str, key: str, seconds: str) -> Events:
    deadline = story.venue.now_s + int(seconds)
    return story.venue.observe(SessionKeySeen(owner=name, key=key, deadline=deadline))


def revoke(story: Story, name: str, key: str) -> Events:
    return story.venue.observe(SessionKeySeen(owner=name, key=key, deadline=0))


def void(story: Story, name: str) -> Events:
    floor = NonceFloorSeen(subaccount_id=story.person(name), floor=story.venue.next_nonce)
    return story.venue.observe(floor)


def wait(story: Story, seconds: str) -> Events:
    story.venue.wait(int(plain(seconds)))
    return story.venue.send(AdvanceClock(by_ns=0))


def expire(story: Story, price: str) -> Events:
    """Half an hour of a steady index, and then the delivery."""
    for offset in range(-1_800, 1, 30):
        story.venue.wait_until(EXPIRY_S + offset)
        story.venue.index(plain(price))
    return story.venue.expire()


def fund(story: Story) -> Events:
    return story.venue.send(AccrueFunding())


def cut(story: Story) -> Events:
    return story.venue.send(CutBatch())


def has_cash(story: Story, name: str, amount: str) -> None:
    said = grouped(story.venue.cash(story.person(name)), CASH_SCALE)
    assert said == amount, f"has {said}"


def has_free(story: Story, name: str, amount: str) -> None:
    said = grouped(story.venue.engine.margin(story.person(name)).initial_excess, CASH_SCALE)
    assert said == amount, f"has {said} free"


def is_worth(story: Story, name: str, amount: str) -> None:
    said = grouped(story.venue.engine.margin(story.person(name)).equity, CASH_SCALE)
    assert said == amount, f"is worth {said}"


def holds(story: Story, name: str, quantity: str, what: str) -> None:
    held = story.venue.position(story.person(name), instrument_id(what))
    assert held == contracts(plain(quantity)), f"holds {grouped(held, QUANTITY_SCALE)}"


def holds_nothing(story: Story, name: str) -> None:
    assert story.venue.engine.positions(story.person(name)) == {}


def liquidatable(story: Story, name: str, negation: str | None) -> None:
    excess = story.venue.engine.margin(story.person(name)).maintenance_excess
    assert (excess < 0) == (negation is None), f"maintenance excess {grouped(excess, CASH_SCALE)}"


def book(story: Story, what: str, bids: str, asks: str) -> None:
    said = [
        ", ".join(
            f"{grouped(quantity, QUANTITY_SCALE)} at {grouped(price, CASH_SCALE)}"
            for price, quantity in side
        )
        or "none"
        for side in story.venue.book(story.instrument_id(what))
    ]
    assert said == [bids, asks], f"bids {said[0]} and asks {said[1]}"


ACTIONS: Final[list[tuple[str, Callable[..., Events | None]]]] = [
    (rf"(\S+) deposits {NUMBER}", deposit),
    (r"(\w+) is (-?\d \d+k-\w+(?: and -?\d \d+k-\w+)+)", lists),
    (rf"{INSTRUMENT} is halted", halts),
    (rf"(\S+(?: by \S+)?) (bids|offers) {NUMBER} {INSTRUMENT} at {NUMBER}(.*)", order),
    (rf"(\S+) moves to (price|quantity) {NUMBER}", amend),
    (r"(\S+) is canceled", cancel),
    (rf"the volatility of (\S+) is worth {NUMBER}", reprice),
    (rf"takers of {INSTRUMENT} wait (\d+)s", bump),
    (rf"(\S+) withdraws {NUMBER}", withdraw),
    (rf"the index is {NUMBER}", index),
    (rf"{INSTRUMENT} is marked {NUMBER}", mark),
    (r"(\S+) lets (\S+) trade for (\d+)s", grant),
    (r"(\S+) revokes (\S+)", revoke),
    (r"(\S+) voids all nonces so far", void),
    (rf"{NUMBER} seconds pass", wait),
    (rf"(?:the options expire|everything expires) at {NUMBER}", expire),
    (r"funding moves", fund),
    (r"a batch is cut", cut),
    (rf"(\S+) has {NUMBER}", has_cash),
    (rf"(\S+) has {NUMBER} free", has_free),
    (rf"(\S+) is worth {NUMBER}", is_worth),
    (rf"(\S+) holds {NUMBER} {INSTRUMENT}", holds),
    (r"(\S+) holds nothing", holds_nothing),
    (r"(\S+) is (not )?liquidatable", liquidatable),
    (rf"{INSTRUMENT}: bids (.*) and asks (.*)", book),
]
assert len(CHAIN) == 6  # 90k, 100k and 110k: the options that stories may name
