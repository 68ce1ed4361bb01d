"""Restart from snapshots: the newest good one, else an older one, else the whole journal."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from tests.signed_venue import traded_venue
from tests.unit.test_replayed import forged, write

from exchange.api.gateway import Gateway
from exchange.api.settings import GatewaySettings
from exchange.api.view_snapshot import frozen_view
from exchange.api.views import VenueView
from exchange.bootstrap import recovery as module
from exchange.bootstrap.market_feed import stress_rules
from exchange.bootstrap.recovery import recover, run_snapshot, snapshot_for_ever, take_snapshot
from exchange.bootstrap.standby import Follower
from exchange.config import Settings
from exchange.engine import Engine
from exchange.history.store import HistoryStore
from exchange.journal import EntryEncoder, Journal, JournalCorrupt, JournalReader
from exchange.journal.snapshots import SnapshotFolder
from exchange.oracle.dev_market import load_dev_market
from exchange.sequencer import Sequencer, replay


class Life:
    """A venue whose journal grows part by part."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.settings = Settings(state_dir=str(path), **settings)
        self.venue = traded_venue()

    def write(self, count: int = 10**9) -> int:
        """Journal so many more entries; the seq of the last."""
        with Journal(self.settings.journal_location, shard=self.settings.shard) as journal:
            for _, *entry in self.venue.entries[journal.last_seq :][:count]:
                encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
                stamped, record = encoder.stamp(*entry)
                journal.append([stamped], [record])
            return journal.last_seq

    def recovered(self) -> tuple[int, list[str]]:
        """Seq of the snapshot that a restart uses, and why it left others; checked to the end."""
        with structlog.testing.capture_logs() as logs:
            reader = JournalReader(self.settings.journal_location)
            found = recover(self.settings, reader)
        seq = found.seq
        whole, view = Engine(), VenueView()
        replay(reader.entries(), whole)
        for entry in reader.entries():
            view.apply(entry)
        for entry in reader.entries(seq):
            found.view.apply(entry)
            replay((entry,), found.engine)
        reader.close()
        assert found.engine.state_hash() == whole.state_hash()
        assert frozen_view(found.view) == frozen_view(view)
        return seq, [line["reason"] for line in logs]


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def newest(life: Life) -> Path:
    return SnapshotFolder(life.settings.snapshot_dir).paths()[0]


def test_without_snapshots_the_whole_journal_is_replayed(life):
    """The empty beginning."""
    life.write()
    assert life.recovered() == (0, [])


def test_a_restart_goes_on_from_the_newest(life):
    """Each is taken from the one before and what came since."""
    for count in (4, 2, 1):
        last_seq = life.write(count)
        assert take_snapshot(life.settings) == last_seq
        assert take_snapshot(life.settings) == last_seq  # there is one: nothing is done
        assert life.recovered() == (last_seq, [])
    life.write()
    assert life.recovered() == (7, [])


def test_a_bad_snapshot_gives_way_to_the_one_before(life):
    """With a line in the log; and with none left, to the journal."""
    life.write(4)
    take_snapshot(life.settings)
    life.write(3)
    take_snapshot(life.settings)
    life.write()
    newest(life).write_bytes(newest(life).read_bytes()[:-1])
    assert life.recovered() == (4, ["it is torn or damaged"])
    SnapshotFolder(life.settings.snapshot_dir).paths()[1].write_bytes(b"")
    assert life.recovered() == (0, ["it is torn or damaged"] * 2)
    last_seq = take_snapshot(life.settings)
    assert last_seq > 7
    assert life.recovered()[0] == last_seq


def test_what_outlives_a_process_is_checked_first(life, monkeypatch):
    """Neither a snapshot nor the read model takes an order that only a later hash disproves."""
    venue, entries = forged(cut=True)
    write(entries, life.settings.journal_location)
    *_, (seq, *_), _ = entries
    for last_seq in (seq, seq + 1):  # of the snapshot's reader; the writer went on, or not
        monkeypatch.setattr(JournalReader, "last_seq", lambda _, seq=last_seq: seq)
        with pytest.raises(JournalCorrupt, match=f"seq {seq} replays"):
            take_snapshot(life.settings)
    monkeypatch.undo()
    assert not SnapshotFolder(life.settings.snapshot_dir).paths()
    for _ in range(2):
        past = HistoryStore(life.settings.history_location)
        follower = Follower(life.settings, past)
        with pytest.raises(JournalCorrupt, match=f"seq {seq} replays"):
            follower.catch_up()
        past.close()
        assert past.last_seq < seq
    past = HistoryStore(life.settings.history_location)
    past.append(seq, [(seq, 0, 1, "order", 0, 0, b"{}")])  # readers know it already
    follower = Follower(life.settings, past)
    with pytest.raises(JournalCorrupt, match=f"seq {seq + 1} replays"):
        follower.catch_up()
    past.close()
    assert venue.engine.seq == seq + 1


def changed(life: Life, **changes: object) -> None:
    """Replace the newest snapshot by one that is whole and says something else."""
    folder, path = SnapshotFolder(life.settings.snapshot_dir), newest(life)
    snapshot = folder.read(path)
    sections = {**snapshot.sections, **changes.pop("sections", {})}
    folder.write(msgspec.structs.replace(snapshot, sections=sections, **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chain_hash": bytes(32)}, "it belongs to another journal"),
        ({"state_hash": bytes(32)}, "its content is not the state that it names"),
        ({"sections": {"engine": b""}}, "another version took it: "),
        ({"sections": {"view": b"\x92\x90\x01"}}, "another version took it: "),
        ({"sections": {"steward": b"\x01"}}, "another version took it: "),
    ],
    ids=repr,
)
def test_a_foreign_snapshot_is_left_alone(life, changes, reason):
    """Of another journal, of other code, or of another state than it says."""
    life.write(9)
    take_snapshot(life.settings)
    changed(life, **changes)
    seq, (told,) = life.recovered()
    assert seq == 0
    assert told.startswith(reason)


def test_a_snapshot_ahead_of_the_journal_is_left_alone(life):
    """An older copy of the journal was put back."""
    life.write(9)
    take_snapshot(life.settings)
    for file in life.settings.state.glob("journal.db*"):
        file.unlink()
    life.write(5)
    assert life.recovered() == (0, ["it is ahead of the journal"])


def test_the_steward_forgets_nothing(life):
    """Index prices and liquidations come back with the snapshot."""
    life.write()
    take_snapshot(life.settings)
    reader = JournalReader(life.settings.journal_location)
    found, whole = (
        recover(life.settings, reader),
        module.StewardMemory(stress_rules(load_dev_market())),
    )
    for entry in reader.entries():
        whole.take(entry)
    reader.close()
    assert found.steward.snapshot() == whole.snapshot()
    assert any(tracker.hours[1] for tracker in whole.trackers.values())


def test_the_command_stands_behind_others(life, monkeypatch):
    """It is nice to the engine."""
    given: list[int] = []
    monkeypatch.setattr(module.os, "nice", given.append)
    life.write(3)
    assert run_snapshot(life.settings) == 3
    assert given == [10]


class Counted:
    """As much of a sequencer as the watch needs."""

    last_seq = 0


def watched(
    life: Life,
    monkeypatch: pytest.MonkeyPatch,
    story: Callable[[Counted, list[int]], Awaitable[None]],
) -> None:
    """Run a story beside the watch; `taken` is what the sequencer's seq was at each snapshot."""

    async def main() -> None:
        counted, taken = Counted(), list[int]()

        async def take(_: Settings) -> None:
            taken.append(counted.last_seq)

        monkeypatch.setattr(module, "_take_beside", take)
        settings = msgspec.structs.replace(life.settings, snapshot_commands=10)
        watch = asyncio.create_task(snapshot_for_ever(settings, counted, 5))
        await story(counted, taken)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(main())


def test_snapshots_are_taken_every_so_many_commands(life, monkeypatch):
    """Counted from the last one; with 0 never."""
    monkeypatch.setattr(module, "POLL_S", 0)

    async def story(counted: Counted, taken: list[int]) -> None:
        for seq in (5, 14, 15, 16, 24, 25, 90):
            counted.last_seq = seq
            for _ in range(5):
                await asyncio.sleep(0)
        assert taken == [15, 25, 90]

    watched(life, monkeypatch, story)
    never = msgspec.structs.replace(life.settings, snapshot_commands=0)
    asyncio.run(snapshot_for_ever(never, Counted(), 0))


def test_a_process_takes_it(life):
    """The engine's own child: a snapshot appears."""
    last_seq = life.write()
    asyncio.run(module._take_beside(life.settings))
    assert life.recovered() == (last_seq, [])


def python(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let children run this instead."""
    fake = folder / "python"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))


def test_a_child_that_cannot_start_is_told(life, monkeypatch):
    """The engine lives on: perhaps there is room later."""
    monkeypatch.setattr(sys, "executable", str(life.settings.state / "nowhere"))
    with structlog.testing.capture_logs() as logs:
        asyncio.run(module._take_beside(life.settings))
    assert [line["event"] for line in logs] == ["snapshot_failed"]


def test_a_failed_child_is_told_and_harms_nobody(life, monkeypatch, tmp_path):
    """The next one may do better."""
    python(monkeypatch, tmp_path, "exit 3")
    with structlog.testing.capture_logs() as logs:
        asyncio.run(module._take_beside(life.settings))
    assert [(line["event"], line["code"]) for line in logs] == [("snapshot_failed", 3)]


def test_a_child_does_not_outlive_the_engine(life, monkeypatch, tmp_path):
    """It is killed when the engine stops."""
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    python(monkeypatch, tmp_path, f"echo started > {pipe}; exec sleep 600")

    async def main() -> None:
        taking = asyncio.create_task(module._take_beside(life.settings))
        assert await asyncio.to_thread(pipe.read_text) == "started\n"
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(asyncio.wait_for(main(), 120))


def test_a_gateway_goes_on_from_a_snapshot(life):
    """Writer and view join where the snapshot ends, and meet at the journal's end."""
    life.write(6)
    take_snapshot(life.settings)
    last_seq = life.write()
    with Journal(life.settings.journal_location) as journal:
        found = recover(life.settings, journal.reader)
        assert found.seq == 6
        sequencer = Sequencer(found.engine, journal)
        history = found.steward.follow(journal.reader.entries(found.view.seq))
        gateway = Gateway(sequencer, GatewaySettings(), history, view=found.view)
        gateway.stop()
        assert found.seq == gateway.view.seq == sequencer.last_seq == last_seq
        assert found.engine.state_hash() == life.venue.engine.state_hash()
        assert gateway.view.trades
