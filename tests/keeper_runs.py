"""Keepers run as processes beside a `LiveVenue`, and what the chain says that they cost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.live_venue import LiveVenue, eventually

from exchange.bootstrap import dev_keys
from exchange.settlement.chain import Chain

HELPER = dev_keys.person(5)
PERPETUAL = "BTC_USDC-PERPETUAL"
HOUR = 3_600
RUN_S = 120.0
WAIT_S = 60


class Run(NamedTuple):
    """What a keeper left: its books, and what it logged."""

    books: dict[str, Any]
    lines: list[dict[str, Any]]

    def actions(self, event: str) -> list[str]:
        """What it says it did, would do, or was refused."""
        return [line["action"] for line in self.lines if line["event"] == event]


class Spent(NamedTuple):
    """The transactions of one sender."""

    count: int
    gas: int
    wei: int


def run_keeper(venue: LiveVenue, folder: Path, key: bytes, *arguments: str) -> Run:
    """`exchange keeper ...` to its end."""
    books = folder / "books.json"
    words = [sys.executable, "-m", "exchange", "keeper", *arguments]
    words += ["--url", venue.stack.url, "--rpc", venue.stack.settings.rpc_url, "--json", str(books)]
    found = subprocess.run(
        words,
        env={**os.environ, "EXCHANGE_KEEPER_KEY": key.hex()},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    lines = [json.loads(line) for line in found.stderr.splitlines() if line.startswith("{")]
    return Run(json.loads(books.read_text()), lines)


def spent(chain: Chain, sender: str, after_block: int) -> Spent:
    """By the receipts of all blocks after this one."""
    count = gas = wei = 0
    for number in range(after_block + 1, chain.head() + 1):
        for sent in chain.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if sent["from"].lower() == sender.lower():
                receipt = chain.rpc("eth_getTransactionReceipt", sent["hash"])
                used = int(receipt["gasUsed"], 16)
                count, gas = count + 1, gas + used
                wei += used * int(receipt["effectiveGasPrice"], 16)
    return Spent(count, gas, wei)


class Purse:
    """A wallet whose receipts a keeper's books are compared with."""

    def __init__(self, venue: LiveVenue, address: str) -> None:
        self.venue = venue
        self.address = address
        self.block = venue.chain.head()
        self.wei = self.balance()

    def balance(self) -> int:
        return int(self.venue.chain.rpc("eth_getBalance", self.address, "latest"), 16)

    def require(self, *runs: Run, reward: Decimal = Decimal(0)) -> None:
        """Gas and wei of these runs are the chain's, and the profit follows from them."""
        found = spent(self.venue.chain, self.address, self.block)
        books = [run.books for run in runs]
        assert sum(one["gas_used"] for one in books) == found.gas
        assert sum(one["wei"] for one in books) == found.wei == self.wei - self.balance()
        assert sum(Decimal(one["reward"]) for one in books) == reward
        for one in books:
            assert Decimal(one["profit"]) == Decimal(one["reward"]) - Decimal(one["gas_cost"])


def require_cost(venue: LiveVenue, run: Run) -> None:
    """Gas in USDC, at the venue's ether index of about now."""
    ether = venue.traders[0].client.index_price("eth_usdc")
    cost = Decimal(run.books["wei"]) / 10**18 * ether
    assert abs(Decimal(run.books["gas_cost"]) - cost) <= cost / 20
    assert Decimal(run.books["gas_cost"]) > 0


def travel(venue: LiveVenue, to_s: int, step_s: int) -> None:
    """Clocks of venue and chain go there in steps; what was traded before settles."""
    while (now := now_s(venue)) < to_s:
        venue.admin("/admin/advance_clock", {"seconds": min(step_s, to_s - now)})
        venue.stack.require_alive()


def now_s(venue: LiveVenue) -> int:
    """The venue's clock."""
    return int(venue.admin("/admin/status")["time_ns"]) // 10**9


def later(venue: LiveVenue, seconds: int, step_s: int) -> None:
    """Clocks go on, and the chain knows the marks of then, which proofs are made of."""
    until_s = max(now_s(venue), venue.chain.block_time()) + seconds
    travel(venue, until_s, step_s)
    chain = venue.chain
    eventually(lambda: chain.call(chain.oracle, "latestMarks")[1] >= until_s, "new marks", WAIT_S)


def moving(folder: Path, prices: dict[int, int]) -> Iterator[LiveVenue]:
    """A venue whose BTC index is these prices, from these seconds of its life on."""
    tape = folder / "btc.csv"
    write_prices(tape, prices, hours=40)
    venue = LiveVenue(folder, recorded_sources=f"BTC=tape:{tape}")
    yield venue
    venue.close()


def write_prices(path: Path, prices: dict[int, int], *, hours: int) -> None:
    """An index for recorded sources, which changes at these seconds of the venue's life.

    A row each five seconds, never twice the same: a price that stands still is none.
    """
    rows, price = [], 0
    for second in range(0, hours * 3_600, 5):
        price = prices.get(second, price)
        rows.append(f"{second},{price + second // 5 % 2}")
    path.write_text("\n".join(rows) + "\n")
