"""Whoever attacks, the venue goes on: no command stops it, makes money, or cannot be journaled.

Each seed is one life of `tests.hostile_flow`; `HOSTILE_LIVES` asks for more of them, and
`HOSTILE_SEED` for others.
"""

import os
import random
from collections import Counter

from tests.hostile_flow import HostileFlow

LIVES = int(os.environ.get("HOSTILE_LIVES", 40 if "CI" in os.environ else 6))
SEED = int(os.environ.get("HOSTILE_SEED", 20261121))
COMMANDS = 300


def test_no_attack_stops_the_venue():
    """`Venue.send` checks every invariant after each command; then a twin and the journal agree."""
    seen: Counter[str] = Counter()
    for seed in range(SEED, SEED + LIVES):
        print(f"hostile flow: seed {seed}, {COMMANDS} steps")
        flow = HostileFlow(random.Random(seed).randint)
        for _ in range(COMMANDS):
            flow.step()
        flow.finish()
        seen += flow.seen
    reached = {"ComboTraded", "LiquidationStarted", "LiquidationSliced", "PortfolioTransferred"}
    assert not reached - set(seen), "attacks that go nowhere prove nothing"
