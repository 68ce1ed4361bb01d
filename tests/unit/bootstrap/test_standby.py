"""Before an engine leads: silence by its own clock, the state of the journal, and no gap."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.journals import append
from tests.unit.bootstrap.test_recovery import Life

from exchange.api.view_snapshot import frozen_view
from exchange.bootstrap import standby
from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.recovery import take_snapshot
from exchange.bootstrap.standby import (
    BEAT_S,
    POLL_S,
    Follower,
    Silence,
    beat_for_ever,
    beating_aside,
)
from exchange.commands import CancelAll
from exchange.engine import Engine
from exchange.history.store import HistoryStore
from exchange.journal import EntryEncoder, Journal, JournalCorrupt, Lease, LeaseLost
from exchange.sequencer import replay


def follower_of(life: Life) -> Follower:
    return Follower(life.settings, HistoryStore(life.settings.history_location))


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_silence_is_counted_from_the_last_sign_of_life():
    """A new epoch is one, too; a journal that nobody has led is silent."""
    clock = Clock()
    silence = Silence(clock)
    looks = [
        (1.0, Lease(), 0), (5.0, Lease(), 4), (6.0, Lease(1, 1), 0), (8.0, Lease(1, 1), 2),
        (9.5, Lease(1, 1), 3.5), (10.0, Lease(1, 2), 0), (10.5, Lease(1, 2), 0.5),
        (11.0, Lease(2, 2), 0), (11.9, Lease(2, 2), 0.9),
    ]  # fmt: skip
    for clock.now_s, lease, silent_s in looks:
        assert silence.after(lease) == pytest.approx(silent_s)


def test_it_follows_to_the_state_of_who_led(tmp_path: Path):
    """Part by part: engine, view and read model; then it leads, and the other cannot write."""
    life = Life(tmp_path)
    life.write(5)
    follower = follower_of(life)
    assert follower.catch_up() == 5
    last_seq = life.write()
    assert last_seq > 5
    with Journal(life.settings.journal_location) as leader:
        seen = leader.reader.lease()
        journal = follower.lead(seen)
        assert follower.recovered.seq == journal.last_seq == last_seq
        assert follower.recovered.engine.state_hash() == life.venue.engine.state_hash()
        whole = follower_of(life)
        whole.catch_up()
        assert frozen_view(follower.recovered.view) == frozen_view(whole.recovered.view)
        assert follower.past.last_seq == whole.past.last_seq
        with pytest.raises(LeaseLost):
            append(leader)
        with pytest.raises(LeaseLost):
            whole.lead(seen)
        journal.close()


def test_it_waits_until_the_leader_is_silent(tmp_path: Path):
    """As long as there are beats it does not lead; then it does, with what came last."""
    life = Life(tmp_path)
    life.write(5)
    clock = Clock()

    async def run() -> None:
        follower = follower_of(life)
        with Journal(life.settings.journal_location) as leader:
            waiting = asyncio.create_task(follower.wait_to_lead(clock))
            for _ in range(8):
                leader.beat()
                clock.now_s += 0.9 * life.settings.takeover_s
                await asyncio.sleep(2 * POLL_S)
                assert not waiting.done()
            last_seq = life.write(3)  # somebody else leads by now, and ends
            while not waiting.done():
                clock.now_s += 0.9 * life.settings.takeover_s
                await asyncio.sleep(POLL_S)
            journal = await waiting
            assert journal.last_seq == follower.recovered.seq == last_seq
            journal.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_of_two_that_stand_by_one_begins(tmp_path: Path):
    """A journal that nobody has led yet; the other waits."""
    life = Life(tmp_path)
    clock = Clock()

    async def run() -> None:
        both = [follower_of(life), follower_of(life)]
        waiting = [asyncio.create_task(one.wait_to_lead(clock)) for one in both]
        while not any(task.done() for task in waiting):
            clock.now_s += 0.6 * life.settings.takeover_s
            await asyncio.sleep(2 * POLL_S)
        await asyncio.sleep(4 * POLL_S)
        [leads] = [task for task in waiting if task.done()]
        assert leads.result().reader.lease() == Lease(1, 1)
        for task in waiting:
            task.cancel()
        leads.result().close()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_leader_with_nothing_to_write_shows_that_it_lives(tmp_path: Path):
    """Until another leads: then it ends."""
    life = Life(tmp_path)

    async def run() -> None:
        with Journal(life.settings.journal_location) as leader:
            beating = asyncio.create_task(beat_for_ever(leader))
            for _ in range(6_000):
                if leader.reader.lease().beat >= 3:
                    break
                await asyncio.sleep(0.01)
            Journal(life.settings.journal_location).close()
            with pytest.raises(LeaseLost):
                await beating

    asyncio.run(asyncio.wait_for(run(), 60))


def test_it_beats_while_its_listener_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """That may take longer than another standby waits."""

    class Slow:
        should_exit = False

        def __init__(self, _: object) -> None:
            pass

        async def serve(self) -> None:
            while not self.should_exit:  # noqa: ASYNC110  it is told by an attribute
                await asyncio.sleep(POLL_S)
            await asyncio.sleep(5 * BEAT_S)

    monkeypatch.setattr(standby, "Server", Slow)
    life = Life(tmp_path)
    life.settings = msgspec.structs.replace(life.settings, takeover_s=0.1)

    async def run() -> None:
        journal = await follower_of(life).stand_by()
        assert journal.reader.lease().beat >= 2
        journal.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def within_a_minute(condition: Callable[[], bool]) -> None:
    """Without a loop."""
    for _ in range(6_000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("a minute went by")


def beats() -> bool:
    """Whether a thread does."""
    return any(thread.name == "beats" for thread in threading.enumerate())


def test_it_beats_while_a_start_holds_the_loop(tmp_path: Path):
    """From a thread, until the loop goes on."""
    with Journal(Life(tmp_path).settings.journal_location) as leader:
        before = leader.reader.lease().beat
        with beating_aside(leader):
            within_a_minute(lambda: leader.reader.lease().beat >= before + 3)
        assert not beats()


def test_a_start_that_lost_its_role_ends(tmp_path: Path):
    """Another led meanwhile."""
    location = Life(tmp_path).settings.journal_location

    def start() -> None:
        with Journal(location) as leader, beating_aside(leader):
            Journal(location).close()
            within_a_minute(lambda: not beats())

    with pytest.raises(LeaseLost):
        start()


def test_a_monitor_sees_that_it_stands_by(tmp_path: Path):
    """How far it is, and nothing that only a leader shows."""
    life = Life(tmp_path)
    life.write(5)
    follower = follower_of(life)
    follower.catch_up()

    async def page() -> str:
        transport = httpx.ASGITransport(standby._waiting(follower))
        async with httpx.AsyncClient(transport=transport, base_url="http://standby") as client:
            return (await client.get("/metrics")).text

    lines = asyncio.run(page()).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["exchange_standby_seq 5.0"]


def test_a_gap_ends_it(tmp_path: Path):
    """What misses an entry must not lead."""
    life = Life(tmp_path)
    life.write()
    follower = follower_of(life)
    with sqlite3.connect(life.settings.journal_location) as database:
        assert database.execute("delete from journal_batches where first_seq = 4").rowcount == 1
    with pytest.raises(JournalCorrupt, match="does not follow seq 3"):
        asyncio.run(follower.wait_to_lead())


def test_a_journal_that_went_back_is_not_led(tmp_path: Path):
    """A backup put back under a standby: what it holds is not what the journal gives."""
    life = Life(tmp_path)
    last_seq = life.write()
    follower = follower_of(life)
    follower.catch_up()
    (tmp_path / "journal.db-acknowledged").unlink()
    with sqlite3.connect(life.settings.journal_location) as database:
        database.execute("delete from journal_batches where last_seq = ?", (last_seq,))
        database.execute("delete from journal_checkpoints where seq = ?", (last_seq,))
    with pytest.raises(JournalCorrupt, match=f"seq {last_seq} is gone or another command"):
        asyncio.run(follower.wait_to_lead())


def test_a_quiet_spell_leaves_snapshots_of_use(tmp_path: Path):
    """Commands that leave nothing in the read model are known there all the same."""
    life = Life(tmp_path)
    life.write()

    def quiet(count: int) -> int:
        engine = Engine()
        with Journal(life.settings.journal_location) as journal:
            replay(journal.reader.entries(), engine)
            for _ in range(count):
                encoder = EntryEncoder(journal.last_seq, journal.chain_hash)
                command = CancelAll(subaccount_id=77)
                events = engine.apply(journal.last_seq + 1, engine.time_ns, command)
                entry, record = encoder.stamp(engine.time_ns, command, events)
                journal.append([entry], [record])
            return journal.last_seq

    def start() -> int:
        follower = follower_of(life)
        follower.catch_up()
        follower.past.close()
        return follower.snapshot_seq

    start()
    quiet(20)
    first = take_snapshot(life.settings)
    assert start() == 0, "beyond what the read model knows"
    assert start() == first
    quiet(20)
    second = take_snapshot(life.settings)
    assert start() == first, "the newest is beyond it"
    assert start() == second


def test_a_read_model_that_is_ahead_belongs_to_another_journal(tmp_path: Path):
    """It says what to do."""
    life = Life(tmp_path)
    life.write()
    past = HistoryStore(life.settings.history_location)
    past.append(10**6, [(10**6, 0, 1, "trade", 0, 0, b"{}")])
    past.close()
    with pytest.raises(StartFailed, match="delete it"):
        follower_of(life)
