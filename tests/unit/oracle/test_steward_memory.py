"""What the steward remembers, through a snapshot and back."""

import msgspec
import pytest

from exchange.commands import CutBatch
from exchange.events import IndexUpdated, LiquidationStarted
from exchange.journal import Entry
from exchange.model import LiquidationStage
from exchange.oracle.steward_memory import StewardMemory
from exchange.oracle.stress import StressRules

RULES = {1: StressRules(base_volatility=0.5), 2: StressRules(base_volatility=0.7)}
HOUR_NS = 3_600 * 10**9


def entry(seq: int, *events: object) -> Entry:
    return Entry(seq=seq, time_ns=seq * HOUR_NS, command=CutBatch(), events=events, chain_hash=b"")


def sample(underlying_id: int, index_price: int) -> IndexUpdated:
    return IndexUpdated(underlying_id=underlying_id, index_price=index_price)


def history() -> list[Entry]:
    """A month of hours that swing, and a liquidation each day."""
    started = LiquidationStarted(
        subaccount_id=5, stage=LiquidationStage.SLICING, equity=1, maintenance_margin=2
    )
    return [
        entry(
            hour,
            IndexUpdated(underlying_id=1 + hour % 2, index_price=10**9 * (100 + hour % 5)),
            *((started,) if hour % 24 == 0 else ()),
        )
        for hour in range(1, 720)
    ]


def test_a_snapshot_forgets_nothing():
    """Forecasts and counts are the same, and stay so with what comes after."""
    entries, whole, first = history(), StewardMemory(RULES), StewardMemory(RULES)
    assert list(whole.follow(entries)) == entries
    for one in entries[:300]:
        first.take(one)
    second = StewardMemory(RULES)
    second.restore(first.snapshot())
    for one in entries[300:]:
        second.take(one)
    assert second.snapshot() == whole.snapshot()
    assert second.liquidations == whole.liquidations
    assert len(whole.liquidations) == 29
    for key in RULES:
        assert second.trackers[key].forecast() == whole.trackers[key].forecast()


def test_an_underlying_that_left_is_forgotten():
    """And one that came starts anew; other bytes are refused."""
    memory = StewardMemory(RULES)
    for one in history():
        memory.take(one)
    fewer = StewardMemory({2: RULES[2], 3: RULES[1]})
    fewer.restore(memory.snapshot())
    assert fewer.trackers[2].hours == memory.trackers[2].hours
    assert fewer.trackers[3].hours == StewardMemory(RULES).trackers[1].hours
    with pytest.raises(msgspec.MsgspecError):
        fewer.restore(b"\x01")
