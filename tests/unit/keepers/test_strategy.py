"""Triggers fire once, hedges keep a delta, flatten leaves nothing."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.keepers.strategy import (
    StepKeeper,
    StrategyKeeper,
    read_step,
    read_strategy,
)
from exchange.sdk import BadArgument
from exchange.sdk.types import Account, Instrument, Position, Ticker

PERP = "BTC_USDC-PERPETUAL"
CALL = "BTC_USDC-25DEC26-100000-C"


class Nonces:
    def __init__(self):
        self.next = 100

    def allocate(self):
        self.next += 1
        return self.next


def zeros(kind, **fields):
    """A struct with zeros where nothing is given."""
    plain = {name: 0 for name in kind.__struct_fields__ if name not in fields}
    return kind(**(plain | fields))


class Venue:
    """A client that answers from fields, and remembers orders."""

    def __init__(self, **positions):
        self.nonces = Nonces()
        self.held = [
            zeros(Position, instrument_name=name, size=Decimal(size), delta=Decimal(delta))
            for name, (size, delta) in positions.items()
        ]
        self.index, self.mark, self.worth = Decimal(100_000), Decimal(200), Decimal(5_000)
        self.orders = []

    async def positions(self):
        return self.held

    async def index_price(self, _):
        return self.index

    async def ticker(self, name):
        return zeros(Ticker, instrument_name=name, mark_price=self.mark)

    async def account(self):
        return zeros(Account, equity=self.worth)

    async def instrument(self, name):
        return zeros(
            Instrument,
            instrument_name=name,
            tick_size=Decimal("0.5"),
            lot_size=Decimal("0.1"),
            min_trade_amount=Decimal("0.1"),
        )

    async def place(self, direction, name, amount, price, **options):
        assert options.pop("time_in_force") == "immediate_or_cancel"
        self.orders.append((direction, name, amount, price, options))


def keeper_of(tmp_path: Path, venue: Venue, text: str) -> StrategyKeeper:
    file = tmp_path / "mine.toml"
    file.write_text("subaccount_id = 7\n" + text)
    return StrategyKeeper(venue, read_strategy(file), tmp_path / "mine.fired.json")


def work(keeper: StrategyKeeper) -> list[str]:
    """Look and do everything; the names."""

    async def both():
        actions = await keeper.look()
        for action in actions:
            assert action.needed
            await action.work()
        return [action.name for action in actions]

    return asyncio.run(both())


HEDGE = f"""
[[hedge]]
currency = "BTC"
instrument = "{PERP}"
band = "0.2"
slippage = "0.01"
amount_max = "2"
"""


@pytest.mark.parametrize(
    ("delta", "orders"),
    [
        ("0.2", []),
        ("0.55", [("sell", PERP, Decimal("0.5"), Decimal(198), {})]),
        ("-3", [("buy", PERP, Decimal(2), Decimal(202), {})]),
    ],
)
def test_a_hedge_acts_beyond_its_band(tmp_path: Path, delta: str, orders: list[object]) -> None:
    """By the difference, rounded down to lots, at most so much at once, within the slippage."""
    venue = Venue(**{CALL: ("1", delta), "ETH_USDC-PERPETUAL": ("9", "9")})
    work(keeper_of(tmp_path, venue, HEDGE))
    assert venue.orders == orders


def trigger(watch: str, bound: str, of: str = "") -> str:
    return f"""
[[trigger]]
name = "once"
watch = "{watch}"
of = "{of}"
{bound}
instrument = "{CALL}"
direction = "sell"
amount = "0.3"
reduce_only = true
"""


@pytest.mark.parametrize(
    ("watch", "of", "value"),
    [
        ("index_price", "btc_usdc", 100_000),
        ("mark_price", CALL, 200),
        ("equity", "", 5_000),
        ("position", CALL, 2),
    ],
)
def test_a_trigger_fires_once_beyond_its_bound(
    tmp_path: Path, watch: str, of: str, value: int
) -> None:
    """Above or below; a restart knows that it did, by the nonce that was written first."""
    for bound, fires in (
        (f"above = {value - 1}", True),
        (f"above = {value}", False),
        (f"below = {value + 1}", True),
        (f"below = {value}", False),
    ):
        (tmp_path / "mine.fired.json").unlink(missing_ok=True)
        venue = Venue(**{CALL: ("2", "1")})
        text = trigger(watch, bound, of)
        for _ in range(2):
            work(keeper_of(tmp_path, venue, text))
        options = {"nonce": 101, "reduce_only": True}
        sold = [("sell", CALL, Decimal("0.3"), Decimal(199), options)]
        assert venue.orders == (sold if fires else []), bound


def test_flatten_reduces_everything(tmp_path: Path) -> None:
    """In one currency or all; dust below a lot is left."""
    venue = Venue(**{CALL: ("2", "1"), PERP: ("-0.4", "-0.4"), "ETH_USDC-PERPETUAL": ("0.05", "0")})
    text = '[[flatten]]\ncurrency = "{}"\namount_max = "1"\n'
    work(keeper_of(tmp_path, venue, text.format("ETH")))
    assert venue.orders == []
    work(keeper_of(tmp_path, venue, text.format("any")))
    assert [(order[0], order[1], order[2]) for order in venue.orders] == [
        ("sell", CALL, Decimal(1)),
        ("buy", PERP, Decimal("0.4")),
    ]
    assert all(order[4] == {"reduce_only": True} for order in venue.orders)


def test_without_a_mark_nothing_is_sent(tmp_path: Path) -> None:
    """There is no price to be near to."""
    venue = Venue(**{CALL: ("2", "1")})
    venue.mark = None
    keeper = keeper_of(tmp_path, venue, "[[flatten]]\n")
    with pytest.raises(BadArgument, match="has no mark"):
        work(keeper)
    assert venue.orders == []


BAD = [
    ("hedge = 5", "Expected `array`"),
    ("[[trigger]]\nname = ", "Invalid value"),
    (trigger("equity", ""), "wants `above` or `below`"),
    (trigger("equity", "above = 1\nbelow = 2"), "wants `above` or `below`"),
    (trigger("equity", "above = 1") * 2, "two triggers have one name"),
    ("surprise = 1", "unknown field"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
def test_a_bad_file_is_named(tmp_path: Path, text: str, why: str) -> None:
    """With what is wrong in it."""
    with pytest.raises(BadArgument, match=why):
        keeper_of(tmp_path, Venue(), text)


def test_a_python_file_is_called_once_a_round(tmp_path: Path) -> None:
    """With the client; what it does is its own business."""
    file = tmp_path / "mine.py"
    file.write_text("async def step(client):\n    client.orders.append('mine')\n")
    venue = Venue()
    [action] = asyncio.run(StepKeeper(venue, read_step(file)).look())
    assert asyncio.run(action.work()) == 0
    assert venue.orders == ["mine"]


def test_a_python_file_needs_its_function(tmp_path: Path) -> None:
    """Nor is a missing file a strategy."""
    empty = tmp_path / "empty.py"
    empty.write_text("")
    for file, why in ((empty, "no function"), (tmp_path / "none.py", "no Python file")):
        with pytest.raises(BadArgument, match=why):
            read_step(file)
