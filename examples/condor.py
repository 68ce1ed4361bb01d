"""Sell an iron condor as one order: four legs at one net price, all or nothing.

    .venv/bin/python examples/condor.py

Finds a put spread below the forward and a call spread above it, lists them as a combo, takes the
books of the legs, and shows what margin says to the legs together and apart.
Signs with EXCHANGE_TRADE_KEY, or as the local venue's person 0; EXCHANGE_URL names another venue.
"""

import os
import sys
from decimal import Decimal

from rich.console import Console

from exchange.bootstrap.dev_keys import person
from exchange.sdk import Client
from exchange.sdk.combos import AskedLeg
from exchange.sdk.types import Summary
from exchange.trade.account import payoff_of
from exchange.trade.tables import show_payoff

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("EXCHANGE_TRADE_KEY") or person(0).key
AMOUNT = Decimal("0.1")


def choose(client: Client) -> tuple[list[AskedLeg], dict[str, Summary]]:
    """The condor around the forward, of the latest expiry whose four strikes are all quoted."""
    rows = {row.instrument_name: row for row in client.summaries("BTC")}
    options = [one for one in client.instruments("BTC") if one.kind == "option"]
    for expiry in sorted({one.expiration_timestamp for one in options}, reverse=True):
        chain = sorted(
            (one for one in options if one.expiration_timestamp == expiry),
            key=lambda one: one.strike,
        )
        forward = rows[chain[0].instrument_name].underlying_price
        puts = [
            one.instrument_name
            for one in chain
            if one.option_type == "put" and one.strike < forward
            and rows[one.instrument_name].bid_price and rows[one.instrument_name].ask_price
        ]  # fmt: skip
        calls = [
            one.instrument_name
            for one in chain
            if one.option_type == "call" and one.strike > forward
            and rows[one.instrument_name].bid_price and rows[one.instrument_name].ask_price
        ]  # fmt: skip
        if len(puts) > 1 and len(calls) > 1:
            legs: list[AskedLeg] = [
                (puts[-2], 1, "buy"),
                (puts[-1], 1, "sell"),
                (calls[0], 1, "sell"),
                (calls[1], 1, "buy"),
            ]
            return legs, rows
    sys.exit("no expiry has two quoted puts below the forward and two calls above it")


def net_price(legs: list[AskedLeg], rows: dict[str, Summary]) -> Decimal:
    """What a unit costs at the best prices: a credit is negative."""
    total = Decimal(0)
    for name, _, way in legs:
        row = rows[name]
        assert row.bid_price is not None
        assert row.ask_price is not None
        total += row.ask_price if way == "buy" else -row.bid_price
    return total


def main() -> None:
    """List the condor, take it, and look at it."""
    with Client(URL, KEY) as client:
        legs, rows = choose(client)
        combo = client.create_combo(*legs)
        print(f"{combo.id} trades what was asked for by a {combo.direction} order")
        limit = net_price(legs, rows)
        place, price = (client.buy, limit) if combo.direction == "buy" else (client.sell, -limit)
        receipt = place(combo.id, AMOUNT, price, time_in_force="immediate_or_cancel")
        print(f"{receipt.order.order_state} {receipt.order.filled_amount} at {price} net, a unit")

        alone = sum(
            client.simulate_portfolio(
                {name: AMOUNT if way == "buy" else -AMOUNT}, add_positions=False
            ).initial_margin
            for name, _, way in legs
        )
        together = client.simulate_portfolio(
            {name: AMOUNT if way == "buy" else -AMOUNT for name, _, way in legs},
            add_positions=False,
        )
        print(
            f"initial margin of the legs apart {alone:.2f}, together {together.initial_margin:.2f}"
        )
        Console().print(show_payoff(payoff_of(client, "BTC", {}, alone=False, reach=0.3)))


if __name__ == "__main__":
    main()
