"""What people do: valid commands, retries under the same nonce, and notes of what they heard."""

import random
from collections import Counter

import pytest

from exchange.commands import BidLiquidation, MassQuote, PlaceOrder
from exchange.events import OrderArmed, OrderRepeated, Refused
from exchange.model import Side, TimeInForce
from exchange.reasons import RejectReason
from exchange.sequencer import Reply
from exchange.simulation.parameters import START_S, plan_of, usdc
from exchange.simulation.people import Keeper, Maker, Person, Trader


class Town:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.sent = []
        self.chain = []
        self.sales = [(9, 4)]
        self.live = [one.instrument_id for one in plan_of(1).listings.listings]

    def send(self, command, heard) -> None:
        self.sent.append((command, heard))

    def act_on_chain(self, *seen) -> None:
        self.chain += seen

    def now_s(self) -> int:
        return START_S

    def mark_price(self, instrument_id: int) -> int:
        return usdc(2_000)

    def instruments(self) -> list[int]:
        return self.live

    def auctions(self) -> list[tuple[int, int]]:
        return self.sales


def person(kind: type[Person], *ids: int) -> tuple[Person, Town]:
    town = Town()
    return kind("0x" + "1" * 40, list(ids or (3, 4)), random.Random(6), town), town


def reply(*events) -> Reply:
    return Reply(seq=1, time_ns=1, events=events, chain_hash=b"")


def test_a_trader_does_all_kinds_of_things() -> None:
    """Nonces are used once but by what is sent again."""
    trader, town = person(Trader)
    for _ in range(400):
        trader.act()
        if trader.sent and not trader.sent[-1].known:
            trader.sent[-1].order_id = len(trader.sent)
    kinds = Counter(type(command).__name__ for command, _ in town.sent)
    assert {"PlaceOrder", "PlaceLinked", "CancelOrder", "AmendOrder", "Withdraw"} <= kinds.keys()
    assert {"TransferFunds", "CancelAll"} <= kinds.keys()
    assert {type(one).__name__ for one in town.chain} >= {"DepositSeen", "NonceFloorSeen"}
    own = {}
    for command, _ in town.sent:
        if isinstance(command, PlaceOrder):
            assert own.setdefault(command.terms.nonce, command) is command


def test_silence_is_answered_with_the_same_bytes() -> None:
    """Three times at most."""
    trader, town = person(Trader)
    trader.draw = random.Random(1)
    terms = trader.terms(town.live[0], Side.BUY, 100, usdc(1))
    trader.place(terms, time_in_force=TimeInForce.GTC)
    for _ in range(10):
        town.sent[-1][1](None)
    assert 1 < len(town.sent) <= 3
    assert len({id(command) for command, _ in town.sent}) == 1


@pytest.mark.parametrize(
    ("event", "order_id", "refused"),
    [
        (OrderRepeated(order_id=5, subaccount_id=3), 5, ""),
        (Refused(reason=RejectReason.STALE_NONCE), 0, "stale_nonce"),
    ],
)
def test_what_is_heard_is_noted(event, order_id: int, refused: str) -> None:
    """An order's own fate; what it triggers of others with the same nonce is not it."""
    trader, town = person(Trader)
    trader.place(trader.terms(town.live[0], Side.BUY, 100, usdc(1), subaccount_id=3, nonce=7))
    other = OrderArmed(
        order_id=9, subaccount_id=8, instrument_id=1, side=Side.BUY, quantity=1, limit_price=1,
        nonce=7, time_in_force=TimeInForce.GTC, post_only=False, reduce_only=False, label="",
        trigger=None,
    )  # fmt: skip
    town.sent[-1][1](reply(event, other))
    sent = trader.sent[-1]
    assert (sent.order_id, sent.refused, sent.known) == (order_id, refused, True)


def test_a_maker_quotes_both_sides() -> None:
    """Bids below asks, sheets ascending, nonces never shared."""
    maker, town = person(Maker, 3)
    for _ in range(60):
        maker.act()
    sheets = [command for command, _ in town.sent if isinstance(command, MassQuote)]
    assert len(sheets) > 40
    numbers = [sheet.terms.sheet_nonce for sheet in sheets]
    assert numbers == sorted(set(numbers))
    for sheet in sheets:
        assert all(line.bid_price < line.ask_price for line in sheet.quotes)
    ends = [sheet.terms.first_nonce + 2 * len(sheet.quotes) for sheet in sheets]
    starts = [sheet.terms.first_nonce for sheet in sheets]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_a_keeper_bids_where_something_is_for_sale() -> None:
    """For the step that it saw."""
    keeper, town = person(Keeper, 3)
    keeper.act()
    (bid, _), *_ = town.sent
    assert isinstance(bid, BidLiquidation)
    assert (bid.terms.liquidated_id, bid.terms.expected_step) == (9, 4)
    town.sales = []
    keeper.act()
    assert len(town.sent) == 1
