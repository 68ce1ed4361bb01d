"""`exchange bench failover`: how long a venue is away when the process that leads is killed.

Two engines on one journal take turns: the leader dies by SIGKILL while somebody trades, the other
takes over, and the dead one stands by anew. Measured from the signal until the first order is
acknowledged, by a client that asks every few milliseconds. No chain; a journal in a file.
"""

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.progress import track
from tests.bench.matching import machine
from tests.live_venue import eventually
from tests.pair import Pair

from exchange.sdk import Client, SdkError

ROUNDS = 10
ORDERS = 200  # before each kill
NAMES = ("leader", "standby")


def run() -> dict[str, Any]:
    """Seconds from death to the first acknowledged order."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(Path(folder))
        try:
            pair.start("leader")
            pair.fund("leader", 1)
            rounds = track(range(ROUNDS), description="killing leaders")
            waits = [one_round(pair, NAMES[n % 2], NAMES[1 - n % 2]) for n in rounds]
            takeover_s = pair.settings["leader"].takeover_s
        finally:
            pair.close()
    waits.sort()
    return {
        "machine": machine(),
        "figures": {
            "rounds": ROUNDS,
            "silence_awaited_s": takeover_s,
            "failover_p50_s": round(waits[len(waits) // 2], 3),
            "failover_max_s": round(waits[-1], 3),
        },
    }


def one_round(pair: Pair, leads: str, waits: str) -> float:
    pair.start(waits, "--standby")
    with pair.client(leads, 0) as client:
        name = client.instruments("BTC")[0].instrument_name
        for _ in range(ORDERS):
            order = client.buy(name, "0.1", "10", post_only=True)
            client.cancel(order.order.order_id)
    died_s = pair.kill(leads)
    client = eventually(lambda: _started(pair.client(waits, 0)), f"the {waits} leads")
    eventually(lambda: _acknowledges(client, name), f"the {waits} takes orders")
    took_s = time.monotonic() - died_s
    client.stop()
    return took_s


def _started(client: Client) -> Client | None:
    """The client, which stops itself where it cannot start, and then is of no more use."""
    with contextlib.suppress(SdkError, httpx.HTTPError):
        client.start()
        return client
    return None


def _acknowledges(client: Client, name: str) -> bool:
    with contextlib.suppress(SdkError, httpx.HTTPError):
        client.buy(name, "0.1", "10", post_only=True)
        return True
    return False
