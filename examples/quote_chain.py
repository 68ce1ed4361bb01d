"""Quote everything on BTC around its mark, one signature a round, until Ctrl-C.

    .venv/bin/python examples/quote_chain.py

Two lines of defence: whoever takes more than 20 contracts within a second stops us for five
(market-maker protection), and a line that breaks takes all quotes with it.
Signs with EXCHANGE_TRADE_KEY, or as the local venue's person 1; EXCHANGE_URL names another venue.
"""

import asyncio
import contextlib
import os
from decimal import Decimal

from exchange.bootstrap.dev_keys import person
from exchange.sdk import AsyncClient, TwoSided, around_marks

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("EXCHANGE_TRADE_KEY") or person(1).key
LINES_MAX = 512  # of a sheet
MOVE = Decimal("0.0005")  # of the index, before quotes follow


async def sheet(client: AsyncClient) -> list[TwoSided]:
    """Options 3 % of their mark apart, perpetuals and futures 0.05 %."""
    instruments, rows = await client.instruments("BTC"), await client.summaries("BTC")
    options = [one for one in instruments if one.kind == "option"]
    linear = [one for one in instruments if one.kind == "future"]
    lines = around_marks(linear, rows, half_spread="0.0005", amount=1)
    return (lines + around_marks(options, rows, half_spread="0.03", amount=1))[:LINES_MAX]


async def main() -> None:
    """Follow the index; at each move of it replace the sheet."""
    async with AsyncClient(URL, KEY) as client:
        await client.cancel_on_disconnect()
        await client.protect("btc_usdc", interval=1, frozen_time=5, quantity_limit=20)
        prices = await client.subscribe("deribit_price_index.btc_usdc")
        quoted = Decimal(0)
        try:
            async for _, tick in prices:
                price = Decimal(tick["price"])
                if abs(price - quoted) <= quoted * MOVE:
                    continue
                quoted = price
                receipt = await client.mass_quote(await sheet(client), mmp=True, label="chain")
                print(
                    f"index {price}: {len(receipt.quotes)} quotes stand, {receipt.kept} kept, "
                    f"{receipt.refused} refused, seq {receipt.seq}",
                    flush=True,
                )
        finally:
            print(f"{await client.cancel_quotes()} quotes canceled", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
