"""The demo's other products: a perpetual with its funding, a combo, a volatility order, collateral.

Each figure is computed here once more from what the journal recorded or what books showed before,
by formulas that share nothing with the engine's.
"""

import asyncio
import struct
from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from math import log, sqrt
from statistics import NormalDist
from typing import Final

from exchange.commands import FundingParameters, UpdateIndex, UpdateMarks
from exchange.demo.market import TAKE_AMOUNT, to_tick, usdc
from exchange.demo.report import CheckFailed, Report, require
from exchange.demo.world import World
from exchange.events import FundingAccrued, MarksUpdated
from exchange.fixed import ASSET_SCALE, CASH_SCALE, RATIO_SCALE
from exchange.journal import Entry
from exchange.sdk.types import Instrument, Ticker

PERPETUAL: Final = "BTC_USDC-PERPETUAL"
_ABOVE: Final = (Decimal("1.003"), Decimal("1.004"))  # of the index: a premium to pay for
_BOUGHT: Final = Decimal("0.5")
_SOLD: Final = Decimal("0.3")
_STEPS: Final = 12
_STEP_S: Final = 25  # shorter than an index price is fresh
_PERIOD_NS: Final = 8 * 3600 * 10**9
_QUANTUM: Final = 10_000  # micro-USDC: what a funding index moves by
_YEAR_S: Final = 365 * 86_400
_COIN: Final = "WETH"
_COINS: Final = 2


async def perpetual(world: World, report: Report) -> None:
    """A taker buys dear, pays funding for the premium, and sells a part back."""
    maker, taker = world.makers[0], world.takers[0]
    instrument = await taker.api.instrument(PERPETUAL)
    index = await taker.api.index_price("btc_usdc")
    bid, ask = (to_tick(index * part, instrument.tick_size, ROUND_DOWN) for part in _ABOVE)
    await maker.api.place("sell", PERPETUAL, 5, ask, post_only=True)
    await maker.api.place("buy", PERPETUAL, 5, bid, post_only=True)
    before = (await taker.api.account()).balance
    at_once = {"time_in_force": "immediate_or_cancel"}
    bought = await taker.api.buy(PERPETUAL, _BOUGHT, ask, **at_once)
    for _ in range(_STEPS):
        await world.advance(_STEP_S)
    sold = await taker.api.sell(PERPETUAL, _SOLD, bid, **at_once)
    cash = (await taker.api.account()).balance - before
    await maker.api.cancel_all()

    entries = world.entries()
    moves = [
        (entry.seq, event)
        for entry in entries
        for event in entry.events
        if isinstance(event, FundingAccrued) and event.instrument_id == instrument.instrument_id
    ]
    require(moves, "no funding accrued")
    _check_funding(entries, instrument.instrument_id, _funding_terms(world))
    report.add(
        "perpetual",
        f"funding index, {len(moves)} moves = integral of premiums",
        usdc(moves[-1][1].index),
    )
    paid = (_index_at(moves, sold.seq) - _index_at(moves, bought.seq)) / Decimal(CASH_SCALE)
    fees = sum((one.fee for one in (*bought.trades, *sold.trades)), Decimal(0))
    expected = _SOLD * (bid - ask) - _BOUGHT * paid - fees
    require(cash == expected, f"cash moved by {cash}, prices, funding and fees say {expected}")
    report.add("perpetual", f"bought {_BOUGHT}, sold {_SOLD}: price, funding, fees", f"{cash} USDC")


def _funding_terms(world: World) -> FundingParameters:
    parameters = world.replayed().parameters
    if parameters is None or parameters.funding is None:
        raise CheckFailed("the venue has no funding parameters")
    return parameters.funding


def _index_at(moves: Iterable[tuple[int, FundingAccrued]], seq: int) -> int:
    """The funding index that a trade at `seq` met."""
    return max(((at, event.index) for at, event in moves if at < seq), default=(0, 0))[1]


def _check_funding(entries: list[Entry], instrument_id: int, terms: FundingParameters) -> None:
    """Every journaled index is the integral of damped, capped premiums, less what is no quantum."""
    fresh_ns = 30 * 10**9  # without an index for so long nobody pays
    accrued = rate = Fraction(0)  # micro-USDC a contract; a nanosecond of it
    since_ns = seen_ns = 0
    for entry in entries:
        command = entry.command
        until_ns = min(entry.time_ns, seen_ns + fresh_ns)
        accrued += rate * max(0, until_ns - since_ns)
        since_ns = entry.time_ns
        if isinstance(command, UpdateIndex) and command.underlying_id == 1:
            seen_ns = entry.time_ns
        for event in entry.events:
            if isinstance(event, MarksUpdated) and isinstance(command, UpdateMarks):
                rate = _rate(command, instrument_id, terms)
            elif isinstance(event, FundingAccrued) and event.instrument_id == instrument_id:
                apart = abs(accrued - event.index)
                require(apart < _QUANTUM + 1, f"funding {event.index} lies {float(apart)} off")


def _rate(command: UpdateMarks, instrument_id: int, terms: FundingParameters) -> Fraction:
    """Micro-USDC a contract and nanosecond that longs pay under these marks."""
    stride = len(command.rows) // len(command.instrument_ids)
    place = command.instrument_ids.index(instrument_id) * stride
    mark = struct.unpack_from("<q", command.rows, place)[0]
    index = next(item.index_price for item in command.underlyings if item.underlying_id == 1)
    premium = Fraction(mark - index, index)
    damping, cap = (Fraction(one, RATIO_SCALE) for one in (terms.damping_rate, terms.rate_max))
    damped = max(premium - damping, Fraction(0)) + min(premium + damping, Fraction(0))
    return max(-cap, min(cap, damped)) * index / _PERIOD_NS


async def combo(world: World, report: Report) -> None:
    """A call spread trades with the books of its legs, whole, at their prices."""
    taker = world.takers[1]
    low, high = await _spread(world)
    books = [await taker.api.order_book(one.instrument_name) for one in (low, high)]
    net = books[0].asks[0][0] - books[1].bids[0][0]
    listed = await taker.api.create_combo(
        (low.instrument_name, 1, "buy"), (high.instrument_name, 1, "sell")
    )
    require(listed.direction == "buy", f"{listed.id} is the spread turned around")
    receipt = await taker.api.buy(listed.id, TAKE_AMOUNT, net, time_in_force="immediate_or_cancel")
    legs = {one.instrument_name: (one.direction, one.price, one.amount) for one in receipt.trades}
    expected = {
        low.instrument_name: ("buy", books[0].asks[0][0], TAKE_AMOUNT),
        high.instrument_name: ("sell", books[1].bids[0][0], TAKE_AMOUNT),
    }
    require(legs == expected, f"the legs traded as {legs}, their books offered {expected}")
    report.add("combo", "a call spread at the net of its legs' books", f"{net} USDC")


async def _spread(world: World) -> tuple[Instrument, Instrument]:
    """The two lowest strikes among quoted calls of BTC that expire together."""
    quoted = [await world.takers[1].api.instrument(name) for name in world.quoted]
    calls = [one for one in quoted if one.option_type == "call" and one.base_currency == "BTC"]
    for first in calls:
        together = [one for one in calls if one.expiration_timestamp == first.expiration_timestamp]
        if len(together) > 1:
            low, high, *_ = sorted(together, key=lambda one: one.strike)
            return low, high
    raise CheckFailed("no two calls of one expiry are quoted")


async def volatility(world: World, report: Report) -> None:
    """A bid in volatility rests at its Black-76 price, and follows when the index moves."""
    taker = world.takers[0]
    instrument, _ = await _spread(world)
    name, tick = instrument.instrument_name, instrument.tick_size
    ticker = await taker.api.ticker(name)
    if ticker.mark_iv is None or ticker.mark_price is None:
        raise CheckFailed(f"{name} has no mark")
    percent = ticker.mark_iv - 8  # below the quotes
    worst = max(tick, to_tick(ticker.mark_price, tick, ROUND_DOWN))
    receipt = await taker.api.buy(name, TAKE_AMOUNT, percent, advanced="implv", limit_price=worst)
    shown: list[Decimal] = []

    async def as_computed() -> bool:
        order = await taker.api.order(receipt.order.order_id)
        now = await taker.api.ticker(name)
        worth = _black76(instrument, now, float(percent) / 100)
        shown[:] = [order.price]
        return order.order_state == "open" and abs(order.price - worth) <= tick

    await world.eventually(as_computed, "a volatility order at its Black-76 price")
    first = shown[0]
    await world.advance(_STEP_S)
    await world.eventually(as_computed, "a volatility order at its new Black-76 price")
    await taker.api.cancel(receipt.order.order_id)
    report.add("implv", f"a bid of {percent} % rests at its Black-76 price", f"{first} USDC")
    report.add("implv", "and after the index moved at its new one", f"{shown[0]} USDC")


def _black76(call: Instrument, now: Ticker, deviation: float) -> Decimal:
    """A call's undiscounted price at a yearly standard deviation."""
    forward, strike = float(now.underlying_price), float(call.strike)
    years = (call.expiration_timestamp - now.timestamp) / 1000 / _YEAR_S
    spread = deviation * sqrt(years)
    upper = log(forward / strike) / spread + spread / 2
    normal = NormalDist()
    return Decimal(forward * normal.cdf(upper) - strike * normal.cdf(upper - spread))


async def collateral(world: World, report: Report) -> None:
    """Tokens count at the index beside cash, and lie in custody."""
    taker, chain = world.takers[1], world.stack.chain
    await asyncio.to_thread(taker.wallet.fund, taker.subaccount_id, _COINS * 10**18, _COIN)
    held: list[Decimal] = []

    async def counted() -> bool:
        answer = await taker.api.call("private/get_account_summaries", {})
        rows = {row["currency"]: row for row in answer["summaries"]}
        index = await taker.api.call(
            "public/get_risk_arrays", {"instrument_name": "ETH_USDC-PERPETUAL"}
        )
        price = Decimal(str(index["underlying"]["index_price"]))
        held[:] = [Decimal(str(rows["USDC"]["collateral_value"])), price]
        return _COIN in rows and rows[_COIN]["balance"] == _COINS and held[0] == _COINS * price

    await world.eventually(counted, f"{_COINS} {_COIN} at the index")
    on_chain = chain.collateral(taker.subaccount_id, _COIN)
    require(on_chain == _COINS * ASSET_SCALE, f"the chain has {on_chain} {_COIN}")
    report.add("collateral", f"{_COINS} {_COIN} on chain, counted at the index", f"{held[0]} USDC")
