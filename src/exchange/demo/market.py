"""The first half of the demo: fund, list, quote, trade, refuse, settle."""

import asyncio
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from exchange.demo.report import CheckFailed, Report, require
from exchange.demo.world import Person, World
from exchange.events import NonceFloorRaised, Traded
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, format_decimal, parse_decimal
from exchange.model import OrderTerms, Side
from exchange.sdk import ApiError
from exchange.sdk.types import Instrument
from exchange.signing import Domain, order_digest, sign_digest

QUOTED_EACH: Final = 12  # instruments of each underlying that makers quote
QUOTE_AMOUNT: Final = Decimal(5)
TAKE_AMOUNT: Final = Decimal("0.1")
ROUNDS: Final = 20
_SPREAD: Final = (Decimal("0.97"), Decimal("1.03"))
_SUMMARY_LINES: Final = 3  # of a recorded chain's report; the rest are dropped rows and levels
_DROPPED_SHOWN: Final = 20
_IN_FLIGHT: Final = 64


def usdc(amount: int) -> str:
    """Micro-USDC as a readable figure."""
    return f"{Decimal(amount) / CASH_SCALE:,.2f} USDC"


async def fund(world: World, report: Report) -> None:
    """Wallets open subaccounts and deposit on chain; the engine credits what was confirmed."""
    for person in world.people:
        await asyncio.to_thread(person.deposit)
    total = sum(person.cash for person in world.people)

    async def credited() -> bool:
        status = await world.admin("/admin/status")
        return bool(status["last_block"] >= world.stack.chain.head())

    await world.eventually(credited, "the engine's observation of the deposits")
    held = world.stack.chain.usdc_balance(world.stack.chain.deployment.custody)
    engine = world.replayed()
    require(held == total, f"the contract holds {held}, {total} was deposited")
    require(engine.total_cash() == total, f"the engine has {engine.total_cash()} of {total}")
    for person in world.people:
        cash = engine.subaccounts[person.subaccount_id].cash
        require(cash == person.cash, f"subaccount {person.subaccount_id} was credited {cash}")
    report.add("fund", f"{len(world.people)} deposits: contract = engine", usdc(total))


async def list_chains(world: World, report: Report) -> None:
    """BTC and ETH have options, futures and a perpetual each, and every instrument has a mark."""
    await world.connect()
    client = world.takers[0].api
    for currency in ("BTC", "ETH"):
        listed = await client.instruments(currency)
        marked = [s for s in await client.summaries(currency) if s.mark_price is not None]
        options = [one for one in listed if one.kind == "option"]
        require(options, f"no {currency} option is listed")
        require(
            f"{currency}_USDC-PERPETUAL" in {one.instrument_name for one in listed},
            f"no {currency} perpetual is listed",
        )
        require(len(marked) == len(listed), f"{len(listed) - len(marked)} have no mark")
        expiries = {one.expiration_timestamp for one in options}
        report.add(
            "list", f"{currency} options, all marked", f"{len(options)} / {len(expiries)} expiries"
        )
        report.add(
            "list", f"{currency} perpetual and futures, all marked", len(listed) - len(options)
        )


async def quote(world: World, report: Report) -> None:
    """Two makers quote over the WebSocket; the public book shows both sides."""
    chosen = await _near_the_money(world)
    recorded = world.recorded
    if recorded is not None:
        lines = recorded.report()
        for line in lines[:_SUMMARY_LINES]:
            report.add("seed", "recorded chain", line)
        dropped = lines[_SUMMARY_LINES:]
        for line in dropped[:_DROPPED_SHOWN]:
            report.add("seed", "dropped", line)
        if len(dropped) > _DROPPED_SHOWN:
            report.add("seed", "dropped", f"and {len(dropped) - _DROPPED_SHOWN} more")
        placed = await _seed(world, recorded.orders)
        report.add("seed", "recorded levels as signed orders", placed)
    plans = [_quotes(maker, instrument) for maker in world.makers for instrument in chosen]
    receipts = sum(await _bounded(plans))
    depth = 0
    for instrument in chosen:
        book = await world.takers[0].api.order_book(instrument.instrument_name)
        require(book.bids and book.asks, f"{instrument.instrument_name} has no two-sided book")
        depth += len(book.bids) + len(book.asks)
    world.quoted = [instrument.instrument_name for instrument in chosen]
    report.add("quote", "signed orders acknowledged over WebSocket", receipts)
    report.add("quote", f"two-sided books, {depth} levels", len(chosen))


async def _near_the_money(world: World) -> list[Instrument]:
    """The most valuable-to-quote options: two nearest expiries, strikes closest to the index."""
    client = world.takers[0].api
    chosen: list[Instrument] = []
    for currency in ("BTC", "ETH"):
        index = await client.index_price(f"{currency.lower()}_usdc")
        listed = [one for one in await client.instruments(currency) if one.kind == "option"]
        expiries = sorted({one.expiration_timestamp for one in listed})[:2]
        near = [one for one in listed if one.expiration_timestamp in expiries]
        near.sort(key=lambda one: (abs(one.strike - index), one.instrument_name))
        chosen += near[:QUOTED_EACH]
    return chosen


async def _quotes(maker: Person, instrument: Instrument) -> int:
    ticker = await maker.api.ticker(instrument.instrument_name)
    if ticker.mark_price is None:
        raise CheckFailed(f"{instrument.instrument_name} has no mark")
    tick = instrument.tick_size
    bid = to_tick(ticker.mark_price * _SPREAD[0], tick, ROUND_FLOOR)
    ask = to_tick(ticker.mark_price * _SPREAD[1], tick, ROUND_CEILING)
    count = 0
    for direction, price in (("buy", max(bid, tick)), ("sell", max(ask, 2 * tick))):
        receipt = await maker.api.place(
            direction,  # type: ignore[arg-type]  # one of two literals
            instrument.instrument_name,
            QUOTE_AMOUNT,
            price,
            post_only=True,
        )
        count += receipt.seq > 0
    return count


def to_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    """The price on the grid of `tick`."""
    return (price / tick).to_integral_value(rounding) * tick


async def _seed(world: World, orders: Sequence[Any]) -> int:
    """The recorded book: one maker signs its bids, the other its asks."""
    names = {
        one.instrument_id: one.instrument_name for one in await world.makers[0].api.instruments()
    }
    plans = []
    for order in orders:
        maker = world.makers[order.side]
        direction = "buy" if order.side is Side.BUY else "sell"
        amount = format_decimal(order.quantity, QUANTITY_SCALE)
        price = format_decimal(order.price, CASH_SCALE)
        plans.append(
            maker.api.place(
                direction,
                names[order.instrument_id],
                amount,
                price,
                post_only=True,
            )
        )
    return len(await _bounded(plans))


async def _bounded(plans: Sequence[Any]) -> list[Any]:
    """Run coroutines with a bound on how many wait at once."""
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def one(plan: Any) -> Any:
        async with slots:
            return await plan

    return await asyncio.gather(*(one(plan) for plan in plans))


async def trade(world: World, report: Report) -> None:
    """Takers cross the spread with signed orders over REST."""
    traded, volume = 0, Decimal(0)
    for number in range(ROUNDS):
        taker = world.takers[number % len(world.takers)]
        name = world.quoted[number % len(world.quoted)]
        book = await taker.api.order_book(name)
        direction, levels = ("buy", book.asks) if number % 3 else ("sell", book.bids)
        require(levels, f"{name} has nothing to {direction}")
        receipt = await taker.api.place(
            direction,  # type: ignore[arg-type]  # one of two literals
            name,
            TAKE_AMOUNT,
            levels[0][0],
            time_in_force="immediate_or_cancel",
        )
        require(receipt.trades, f"an order at the best price of {name} did not trade")
        traded += len(receipt.trades)
        volume += sum((one.amount for one in receipt.trades), Decimal(0))
    journaled = sum(isinstance(e, Traded) for entry in world.entries() for e in entry.events)
    require(journaled == traded, f"{traded} trades were answered, {journaled} are journaled")
    report.add("trade", f"signed REST orders, {volume} contracts", f"{traded} trades")


async def refuse(world: World, report: Report) -> None:
    """Bad orders are refused by name and change nothing."""
    before = world.replayed()
    taker, pauper = world.takers[0], world.pauper
    name = world.quoted[0]
    book = await taker.api.order_book(name)
    best = book.asks[0][0]
    instrument = await taker.api.instrument(name)

    altered = await taker.api.signed_order("buy", name, "0.1", best)
    altered["price"] = str(best + instrument.tick_size)
    foreign = await taker.api.signed_order("buy", name, "0.1", best)
    foreign["signature"] = _sign_for_another_chain(world, taker, foreign, instrument.instrument_id)
    used = await taker.api.signed_order("buy", name, "0.1", instrument.tick_size)
    await taker.api.call("private/buy", used)
    nonce = used["nonce"]
    again = await taker.api.signed_order("buy", name, "0.2", instrument.tick_size, nonce=nonce)
    last_seq = world.reader().last_seq()
    await asyncio.to_thread(pauper.wallet.raise_nonce_floor, pauper.subaccount_id, 1_000)
    await world.journaled(NonceFloorRaised, 1, last_seq)
    stale = await pauper.api.signed_order("buy", name, "0.1", best, nonce=7)
    off_tick = await taker.api.signed_order("buy", name, "0.1", best + instrument.tick_size / 2)
    poor = await pauper.api.signed_order("sell", name, "5", best)
    for what, person, direction, params, expected in (
        ("a price changed after signing", taker, "buy", altered, "bad_signature"),
        ("signed for another chain", taker, "buy", foreign, "bad_signature"),
        ("a used nonce with other content", taker, "buy", again, "nonce_used"),
        ("a nonce below the floor on chain", pauper, "buy", stale, "stale_nonce"),
        ("a price off the tick", taker, "buy", off_tick, "price_off_tick"),
        ("five naked options on 50 USDC", pauper, "sell", poor, "insufficient_margin"),
    ):
        await _expect_refusal(person, direction, params, expected)
        report.add("refuse", what, expected)
    after = world.replayed()
    for person in (taker, pauper):
        unchanged = (
            before.margin(person.subaccount_id).cash == after.margin(person.subaccount_id).cash
        )
        require(unchanged, "a refused order moved cash")
    await taker.api.cancel_all()


def _sign_for_another_chain(
    world: World, person: Person, params: dict[str, Any], instrument_id: int
) -> str:
    """A signature that would be right if the venue were on the next chain id."""
    deployment = world.stack.chain.deployment
    terms = OrderTerms(
        subaccount_id=params["subaccount_id"],
        instrument_id=instrument_id,
        side=Side.BUY,
        quantity=_scaled(params["amount"], QUANTITY_SCALE),
        limit_price=_scaled(params["price"], CASH_SCALE),
        max_fee=_scaled(params["max_fee"], CASH_SCALE),
        nonce=params["nonce"],
        deadline=params["deadline"],
        signer=params["signer"],
    )
    digest = order_digest(Domain(deployment.chain_id + 1, deployment.clearing), terms)
    return "0x" + sign_digest(digest, person.party.key).hex()


def _scaled(text: str, scale: int) -> int:
    value = parse_decimal(text, scale)
    assert value is not None
    return value


async def _expect_refusal(
    person: Person, direction: str, params: dict[str, Any], expected: str
) -> None:
    try:
        await person.api.call(f"private/{direction}", params)
    except ApiError as error:
        found = error.reject_reason
        require(found == expected, f"expected {expected}, the venue said {found or error}")
        return
    raise CheckFailed(f"an order that deserved {expected} was accepted")


async def settle(world: World, report: Report) -> None:
    """Fills are batched and settled; cash and positions on chain equal the engine's."""
    reconciled = await world.settled()
    require(reconciled.batch > 0, "nothing was settled")
    for person in world.people:
        account = await person.api.account()
        cash, _ = world.stack.chain.cash_and_positions(person.subaccount_id, [])
        shown = account.balance * CASH_SCALE
        require(shown == cash, f"subaccount {person.subaccount_id}: {shown} shown, {cash} on chain")
    report.add("settle", "batches settled and confirmed", reconciled.batch)
    report.add(
        "settle",
        f"cash and positions of {reconciled.accounts} accounts: chain = engine",
        f"{reconciled.figures} figures equal",
    )
