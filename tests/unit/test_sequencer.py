"""The single writer: durable before visible, in order, and nobody waits in vain."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.venue import CLEARING, NS, START_S, WALLET, configuration, open_venue

from exchange import sequencer as module
from exchange.commands import AdvanceClock, AnyCommand, CutBatch, NoteAction, UpdateIndex
from exchange.engine import Engine
from exchange.events import BatchCut, ClockAdvanced, Configured, Refused
from exchange.journal import (
    Arrival,
    Entry,
    EntryEncoder,
    Journal,
    JournalCorrupt,
    JournalUnavailable,
    Sender,
    StreamId,
)
from exchange.sequencer import STAGES, Sequencer, SequencerStopped, replay


class Clock:
    """The machine's clock, in a test's hand."""

    def __init__(self) -> None:
        self.now_ns = START_S * NS

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


class SlowJournal:
    """A journal whose commits wait for the test, or fail."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.calls: list[list[int]] = []
        self.gate: Callable[[], None] = lambda: None

    def __getattr__(self, name: str):
        return getattr(self._journal, name)

    def append(self, entries: Sequence[Entry], records: Sequence[bytes], *more: object) -> None:
        self.calls.append([entry.seq for entry in entries])
        self.gate()
        self._journal.append(entries, records, *more)


class Setup:
    """A sequencer on a journal of this test, running until the block ends."""

    def __init__(self, path: Path, *, in_loop: bool = False) -> None:
        self.clock = Clock()
        self.journal = SlowJournal(Journal(str(path)))
        self.engine = Engine()
        self.measured: list[tuple[str, float]] = []
        self.sequencer = Sequencer(
            self.engine,
            self.journal,
            machine_clock=self.clock,
            measure=lambda stage, seconds: self.measured.append((stage, seconds)),
            in_loop=in_loop,
        )
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Setup":
        self.task = asyncio.create_task(self.sequencer.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def running(path: Path, story: Callable[[Setup], Awaitable[None]], *, in_loop=False) -> None:
    """Run a story on a sequencer of its own."""

    async def main() -> None:
        async with Setup(path, in_loop=in_loop) as setup:
            await story(setup)

    asyncio.run(main())


def index(price: int = 1) -> UpdateIndex:
    return UpdateIndex(underlying_id=1, index_price=price, confidence=10**18)


def test_a_reply_is_what_the_journal_holds(path):
    """Seq, time, events and chain hash of the reply are those of the entry."""

    async def story(s: Setup) -> None:
        reply = await s.sequencer.submit(configuration())
        assert reply.seq == s.sequencer.last_seq == 1
        assert reply.events == (Configured(version=1),)
        entry = s.journal.reader.entry(1)
        assert (reply.time_ns, reply.chain_hash) == (entry.time_ns, entry.chain_hash)
        assert entry.command == configuration()

    running(path, story)


def test_refusals_are_journaled_too(path):
    """Every command has its place, also those that changed nothing."""

    async def story(s: Setup) -> None:
        reply = await s.sequencer.submit(CutBatch())
        assert isinstance(reply.events[0], Refused)
        assert s.journal.reader.last_seq() == 1

    running(path, story)


def test_nothing_is_visible_before_it_is_durable(path):
    """While a commit is under way: no reply, no listener, no read."""

    async def story(s: Setup) -> None:
        loop = asyncio.get_running_loop()
        reached, release = asyncio.Event(), asyncio.Event()

        def gate() -> None:
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

        s.journal.gate = gate
        heard: list[int] = []
        s.sequencer.subscribe(lambda entries: heard.extend(entry.seq for entry in entries))
        reply = asyncio.create_task(s.sequencer.submit(configuration()))
        await reached.wait()
        read = asyncio.create_task(s.sequencer.read(lambda engine: engine.parameters))
        for _ in range(5):
            await asyncio.sleep(0)
        assert s.engine.parameters is not None  # applied, yet nobody knows
        assert not reply.done()
        assert not read.done()
        assert s.sequencer.commit_s() > 0
        assert heard == []
        assert s.sequencer.last_seq == 0
        release.set()
        assert (await reply).seq == 1
        assert await read == configuration()
        assert heard == [1]
        assert s.sequencer.commit_s() == 0

    running(path, story)


@pytest.mark.parametrize("in_loop", [True, False])
def test_the_loop_waits_for_short_commits_of_a_local_journal(path, in_loop):
    """And for none with a journal elsewhere; what is much to write is written in a thread."""
    most = module.IN_LOOP_MAX

    async def story(s: Setup) -> None:
        places: list[bool] = []  # whether each commit was in the loop
        loop_thread = threading.get_ident()
        s.journal.gate = lambda: places.append(threading.get_ident() == loop_thread)
        await s.sequencer.submit(configuration())
        for count in (most, most + 1):
            await asyncio.gather(*(s.sequencer.submit(index()) for _ in range(count)))
        assert [len(call) for call in s.journal.calls] == [1, most, most + 1]
        assert places == [in_loop, in_loop, False]

    running(path, story, in_loop=in_loop)


def test_a_journal_is_not_closed_under_a_commit(path):
    """Who stops a sequencer waits until the thread has written."""

    async def story(s: Setup) -> None:
        loop = asyncio.get_running_loop()
        reached, release = asyncio.Event(), threading.Event()

        def gate() -> None:
            loop.call_soon_threadsafe(reached.set)
            assert release.wait(10)

        s.journal.gate = gate
        reply = asyncio.create_task(s.sequencer.submit(configuration()))
        await reached.wait()
        for _ in range(5):
            s.task.cancel()  # however often
            await asyncio.sleep(0)
        assert not s.task.done()
        release.set()
        with pytest.raises(SequencerStopped):
            await reply
        assert s.task.done()
        assert s.journal.reader.last_seq() == 1  # written, though nobody was told

    running(path, story)


def test_what_waits_is_committed_together(path):
    """Commands that came during a commit form the next group, in the order of their coming."""

    async def story(s: Setup) -> None:
        replies = await asyncio.gather(
            s.sequencer.submit(configuration()), *(s.sequencer.submit(index()) for _ in range(5))
        )
        assert [reply.seq for reply in replies] == [1, 2, 3, 4, 5, 6]
        assert s.journal.calls == [[1, 2, 3, 4, 5, 6]]
        assert [stage for stage, _ in s.measured] == list(STAGES)  # once a group
        assert all(seconds > 0 for _, seconds in s.measured)
        assert [reply.time_ns for reply in replies] == sorted(reply.time_ns for reply in replies)

    running(path, story)


def test_a_note_stands_right_before_its_command(path):
    """In one group, whoever else submits at the same moment; the reply is the command's."""
    note = NoteAction(who="ann", action="cut_batch", why="a drill", request_id="7")

    async def story(s: Setup) -> None:
        replies = await asyncio.gather(
            s.sequencer.submit(configuration()),
            s.sequencer.submit(CutBatch(), note=note),
            s.sequencer.submit(index()),
        )
        assert s.journal.calls == [[1, 2, 3, 4]]
        commands = [s.journal.reader.entry(seq).command for seq in (2, 3)]
        assert commands == [note, CutBatch()]
        assert isinstance(replies[1].events[0], Refused)
        assert s.journal.reader.entry(2).events == ()
        assert sorted(reply.seq for reply in replies) == [1, 3, 4]

    running(path, story)


def test_a_group_is_bounded(path, monkeypatch):
    """So that the first of many does not wait for all of them."""
    monkeypatch.setattr(module, "GROUP_MAX", 3)

    async def story(s: Setup) -> None:
        await asyncio.gather(*(s.sequencer.submit(configuration()) for _ in range(7)))
        assert s.journal.calls == [[1, 2, 3], [4, 5, 6], [7]]

    running(path, story)


def test_listeners_hear_everything_in_order(path):
    """Before the submitter does, in the order of subscription; until they unsubscribe."""

    async def story(s: Setup) -> None:
        heard: list[tuple[str, int]] = []

        def listener(name: str) -> Callable[[Sequence[Entry]], None]:
            return lambda entries: heard.extend((name, entry.seq) for entry in entries)

        s.sequencer.subscribe(listener("first"))
        leave = s.sequencer.subscribe(listener("second"))
        await s.sequencer.submit(configuration())
        assert heard == [("first", 1), ("second", 1)]
        leave()
        await s.sequencer.submit(index())
        assert heard[2:] == [("first", 2)]

    running(path, story)


def test_a_listener_may_unsubscribe_while_it_listens(path):
    """The others still hear the group."""

    async def story(s: Setup) -> None:
        heard: list[str] = []

        def once(_: Sequence[Entry]) -> None:
            heard.append("once")
            leave()

        leave = s.sequencer.subscribe(once)
        s.sequencer.subscribe(lambda _: heard.append("always"))
        await s.sequencer.submit(configuration())
        await s.sequencer.submit(index())
        assert heard == ["once", "always", "always"]

    running(path, story)


def test_a_failed_commit_tells_nobody_anything(path):
    """Everybody who waits gets the error, no listener hears, and the sequencer is over."""

    async def story(s: Setup) -> None:
        await s.sequencer.submit(configuration())
        heard: list[Entry] = []
        s.sequencer.subscribe(heard.extend)

        def fail() -> None:
            raise JournalUnavailable("the disk is gone")

        s.journal.gate = fail
        waiting = [asyncio.create_task(s.sequencer.submit(index())) for _ in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [SequencerStopped] * 3
        assert str(results[0]) == "the disk is gone"
        assert heard == []
        with pytest.raises(SequencerStopped, match="the disk is gone"):
            await s.sequencer.read(lambda engine: engine.index_price(1))
        assert s.sequencer.stopped
        assert s.sequencer.last_seq == 1
        with pytest.raises(SequencerStopped, match="the disk is gone"):
            await s.sequencer.submit(index())
        assert s.task is not None
        with pytest.raises(JournalUnavailable):
            await s.task

    running(path, story)


def test_those_who_queued_behind_a_failure_are_told(path, monkeypatch):
    """Not only the group that failed."""
    monkeypatch.setattr(module, "GROUP_MAX", 2)

    async def story(s: Setup) -> None:
        def fail() -> None:
            raise JournalUnavailable("no")

        s.journal.gate = fail
        tasks = [asyncio.create_task(s.sequencer.submit(index())) for _ in range(5)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [SequencerStopped] * 5
        assert s.journal.calls == [[1, 2]]

    running(path, story)


def test_a_listener_that_fails_stops_the_sequencer(path):
    """A reader that missed a group would be wrong for ever; better to restart."""

    async def story(s: Setup) -> None:
        def bad(_: Sequence[Entry]) -> None:
            raise ValueError("a bug in a view")

        s.sequencer.subscribe(bad)
        with pytest.raises(SequencerStopped, match="a bug in a view"):
            await s.sequencer.submit(configuration())
        assert s.sequencer.stopped
        assert s.journal.reader.last_seq() == 1

    running(path, story)


def test_shutting_down_leaves_nobody_waiting(path):
    """Cancelled in the middle, it answers everybody that it has stopped."""

    async def story(s: Setup) -> None:
        waiting = [asyncio.create_task(s.sequencer.submit(index())) for _ in range(3)]
        await asyncio.sleep(0)
        assert s.sequencer.queue_length() == 3
        assert s.task is not None
        s.task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [SequencerStopped] * 3
        with pytest.raises(SequencerStopped, match="CancelledError"):
            await s.sequencer.submit(index())

    running(path, story)


def test_a_caller_that_went_away_is_not_missed(path):
    """Its command stands; the others get their replies; also when the commit fails."""

    async def story(s: Setup) -> None:
        gone = asyncio.create_task(s.sequencer.submit(configuration()))
        stays = asyncio.create_task(s.sequencer.submit(index()))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).seq == 2

        def fail() -> None:
            raise JournalUnavailable("no")

        s.journal.gate = fail
        gone = asyncio.create_task(s.sequencer.submit(index()))
        stays = asyncio.create_task(s.sequencer.submit(index()))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(SequencerStopped):
            await stays

    running(path, story)


# --- time ---


def test_time_never_goes_back(path):
    """A machine clock that does is overruled until it catches up."""

    async def story(s: Setup) -> None:
        first = await s.sequencer.submit(configuration())
        s.clock.now_ns -= 3_600 * NS
        second = await s.sequencer.submit(index())
        assert second.time_ns == first.time_ns == s.sequencer.now_ns()
        s.clock.now_ns += 3_601 * NS
        third = await s.sequencer.submit(index())
        assert third.time_ns > first.time_ns

    running(path, story)


def test_an_advanced_clock_stays_advanced(path):
    """Venue time is machine time plus the journaled offset, also after a restart."""
    hour = 3_600 * NS

    async def story(s: Setup) -> None:
        await s.sequencer.submit(configuration())
        reply = await s.sequencer.submit(AdvanceClock(by_ns=hour))
        assert reply.events == (ClockAdvanced(offset_ns=hour),)
        assert s.sequencer.now_ns() == s.clock.now_ns + hour

    async def again(s: Setup) -> None:
        assert s.sequencer.now_ns() - hour <= s.clock.now_ns + hour
        reply = await s.sequencer.submit(index())
        assert reply.time_ns >= START_S * NS + hour

    running(path, story)
    running(path, again)


# --- restart ---


def commands_of_a_venue() -> list[AnyCommand]:
    """A day at a venue, as commands."""
    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    order = venue.sell(ann, 3, 2_500)
    venue.buy(bob, 1, 2_500)
    venue.amend(order, quantity=20_000)
    venue.withdraw(ann, 5, recipient=WALLET, token=CLEARING)
    venue.withdraw(ann, 5)
    venue.send(CutBatch())
    venue.cancel(order)
    return [command for _, _, command, _ in venue.entries]


def test_a_restart_equals_what_was_before(path):
    """The same state, the same head, and the same answers; then life goes on."""
    hashes: list[bytes] = []

    async def story(s: Setup) -> None:
        for command in commands_of_a_venue():
            await s.sequencer.submit(command)
        hashes.append(await s.sequencer.read(Engine.state_hash))

    async def again(s: Setup) -> None:
        assert await s.sequencer.read(Engine.state_hash) == hashes[0]
        last_seq = s.sequencer.last_seq
        assert (await s.sequencer.submit(index())).seq == last_seq + 1
        s.engine.check()

    running(path, story)
    running(path, again)


def test_a_restart_in_mid_flow_equals_one_that_never_happened(path, tmp_path):
    """Commands split over restarts give the same events as without, at the same times."""
    commands = commands_of_a_venue()
    replies: dict[str, list] = {"whole": [], "split": []}

    def part(name: str, some: list[AnyCommand]):
        async def story(s: Setup) -> None:
            s.clock.now_ns = START_S * NS
            for command in some:
                s.clock.now_ns = START_S * NS
                reply = await s.sequencer.submit(command)
                replies[name].append((reply.seq, reply.events, reply.chain_hash))

        return story

    running(tmp_path / "whole.db", part("whole", commands))
    for at in range(0, len(commands), 4):
        running(path, part("split", commands[at : at + 4]))
    assert replies["split"] == replies["whole"]


def test_checkpoints_are_the_states_of_cut_batches(path):
    """Each BatchCut's hash is beside its seq in the journal, for the audit."""

    async def story(s: Setup) -> None:
        cuts = {}
        for command in commands_of_a_venue():
            reply = await s.sequencer.submit(command)
            cuts |= {e.last_seq: e.state_hash for e in reply.events if isinstance(e, BatchCut)}
        assert len(cuts) == 1
        assert s.journal.reader.checkpoints() == cuts

    running(path, story)


def test_a_journal_that_replays_otherwise_is_corrupt(path):
    """Events that do not follow from their commands are never believed."""

    async def story(s: Setup) -> None:
        await s.sequencer.submit(configuration())
        await s.sequencer.submit(index())

    running(path, story)
    with Journal(str(path)) as journal:
        entries = list(journal.reader.entries())
    forged = Entry(
        seq=2,
        time_ns=entries[1].time_ns,
        command=entries[1].command,
        events=(),
        chain_hash=entries[1].chain_hash,
    )
    with pytest.raises(JournalCorrupt, match="seq 2 replays to other events"):
        replay([entries[0], forged], Engine())
    engine = Engine()
    replay(entries, engine)
    replay([], engine)
    assert (engine.seq, engine.time_ns) == (2, entries[1].time_ns)


def with_other_hashes(path: Path, other: Path) -> None:
    """The same journal as a version wrote it that gave the state another form."""
    with Journal(str(path)) as journal, Journal(str(other)) as copy:
        encoder = EntryEncoder()
        for entry in journal.reader.entries():
            events = tuple(
                msgspec.structs.replace(event, state_hash=b"o" * 32)
                if isinstance(event, BatchCut)
                else event
                for event in entry.events
            )
            stamped, record = encoder.stamp(entry.time_ns, entry.command, events)
            cut = {entry.seq: b"o" * 32} if events != entry.events else {}
            copy.append([stamped], [record], cut)


def test_an_upgrade_of_the_states_form_is_an_operators_word(path, tmp_path):
    """Without it a state with another hash is corruption; all other events are compared anyway."""

    async def story(s: Setup) -> None:
        for command in commands_of_a_venue():
            await s.sequencer.submit(command)

    running(path, story)
    other = tmp_path / "other.db"
    with_other_hashes(path, other)
    with Journal(str(other)) as journal:
        with pytest.raises(JournalCorrupt, match="replays to other events"):
            Sequencer(Engine(), journal)
        engine = Engine()
        Sequencer(engine, journal, trust_hashes=True)
        assert engine.seq == journal.last_seq
    with Journal(str(path)) as journal:
        assert Sequencer(engine, journal).last_seq == engine.seq


def test_what_came_by_a_stream_is_journaled_with_its_sender(path):
    """Nobody in this process waits for it."""

    async def story(s: Setup) -> None:
        arrival = Arrival(StreamId(5, 1), Sender(3, 1))
        await asyncio.gather(s.sequencer.submit(index()), s.sequencer.admit(index(2), arrival))
        await s.sequencer.submit(index(3))
        commands = [entry.command for entry in s.journal.reader.entries()]
        assert commands == [index(), index(2), index(3)]
        assert s.journal.last_place == (5, 1)
        assert s.task is not None
        s.task.cancel()
        await asyncio.gather(s.task, return_exceptions=True)
        with pytest.raises(SequencerStopped):
            await s.sequencer.admit(index(4), arrival)

    running(path, story)
