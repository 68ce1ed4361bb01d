"""A keeper: keep the delta of all BTC positions near zero with the perpetual.

    EXCHANGE_KEEPER_KEY=... .venv/bin/exchange keeper strategy examples/hedge_keeper.py

`exchange keeper` calls `step` once a round with a client that is signed in, counts what it did and
keeps going when venue or node are away. The key may be a session key, which trades and never
withdraws. The same without Python is a `[[hedge]]` in a TOML file: docs/keepers.md.
"""

from decimal import ROUND_DOWN, Decimal

from exchange.sdk import AsyncClient

PERPETUAL = "BTC_USDC-PERPETUAL"
BAND = Decimal("0.01")
AMOUNT_MAX = Decimal(1)


async def step(client: AsyncClient) -> None:
    """One immediate-or-cancel order against what lies outside the band."""
    held = [one for one in await client.positions() if one.instrument_name.startswith("BTC_")]
    delta = sum((one.delta for one in held), Decimal(0))
    if abs(delta) <= BAND:
        print(f"delta {delta}: inside the band", flush=True)
        return
    perpetual = await client.instrument(PERPETUAL)
    lots = (min(abs(delta), AMOUNT_MAX) / perpetual.lot_size).to_integral_value(ROUND_DOWN)
    amount = lots * perpetual.lot_size
    ticker = await client.ticker(PERPETUAL)
    side, price = ("sell", ticker.best_bid_price) if delta > 0 else ("buy", ticker.best_ask_price)
    if not price or amount < perpetual.min_trade_amount:
        print(f"delta {delta}: nobody to trade {amount} with", flush=True)
        return
    trade = client.sell if side == "sell" else client.buy
    receipt = await trade(PERPETUAL, amount, price, time_in_force="immediate_or_cancel")
    print(f"delta {delta}: {side} {receipt.order.filled_amount} of {amount} at {price}", flush=True)
