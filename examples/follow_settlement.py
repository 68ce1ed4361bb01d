"""Follow one trade to the chain: acknowledged, in a batch, in a block, read back from a node.

    .venv/bin/python examples/follow_settlement.py

Buys 0.1 of a quoted option, waits until its batch is final, then asks the node for the receipt:
the transaction succeeded, it called the contract that the order was signed for, and it logged.
Signs with EXCHANGE_TRADE_KEY, or as the local venue's person 0; EXCHANGE_URL and EXCHANGE_RPC_URL
name another venue and its node.
"""

import os
import sys
import time
from typing import Any

import httpx

from exchange.bootstrap.dev_keys import person
from exchange.sdk import Client

URL = os.environ.get("EXCHANGE_URL", "http://127.0.0.1:8080")
RPC_URL = os.environ.get("EXCHANGE_RPC_URL", "http://127.0.0.1:8545")
KEY = os.environ.get("EXCHANGE_TRADE_KEY") or person(0).key
TIMEOUT_S = 180.0


def ask_node(method: str, *params: Any) -> Any:
    """One JSON-RPC call."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(RPC_URL, json=body, trust_env=False).json()["result"]


def main() -> None:
    """Trade, follow, verify."""
    with Client(URL, KEY) as client:
        quoted = [row for row in client.summaries("BTC") if row.ask_price and row.mark_iv]
        if not quoted:
            sys.exit("nobody offers an option now")
        option = max(quoted, key=lambda row: row.mark_price or 0)
        assert option.ask_price is not None
        bought = client.buy(
            option.instrument_name, "0.1", option.ask_price, time_in_force="immediate_or_cancel"
        )
        if not bought.trades:
            sys.exit("the offer was gone; run it again")
        trade = bought.trades[0]
        print(f"traded {trade.amount} {trade.instrument_name} at {trade.price}, seq {bought.seq}")

        state, deadline = "", time.monotonic() + TIMEOUT_S
        while state != "confirmed":
            found = client.settlement(trade.trade_id)
            if found.state != state:
                state = found.state
                print(f"{state}" + (f" in batch {found.batch}" if found.batch else ""), flush=True)
            if time.monotonic() > deadline:
                sys.exit("not settled in time: does the relayer run?")
            time.sleep(0.2)

        receipt = ask_node("eth_getTransactionReceipt", found.transaction)
        clearing = client.domain().verifying_contract.lower()
        assert receipt["status"] == "0x1", "the batch reverted"
        assert receipt["to"].lower() == clearing, "it went elsewhere"
        assert any(log["address"].lower() == clearing for log in receipt["logs"]), (
            "it logged nothing"
        )
        assert int(receipt["blockNumber"], 16) == found.block
        print(
            f"block {found.block}, transaction {found.transaction}: "
            f"{int(receipt['gasUsed'], 16):,} gas, {len(receipt['logs'])} logs of {clearing}"
        )


if __name__ == "__main__":
    main()
