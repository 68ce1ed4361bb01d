"""A crash after every write, sync, truncation and deletion of a journal's life, with five tails.

The steps are those that SQLite really made (`tests.recording_vfs`). What a crash leaves of them is
modelled: everything up to a file's last sync, and of what came after it one of five tails. Whatever
it is, the journal opens, holds what was acknowledged and nothing that was never asked for, its
chain is whole, and it goes on.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journals import append
from tests.recording_vfs import Step, recording

from exchange.journal import Entry, Journal, JournalCorrupt
from exchange.journal.acknowledged import Acknowledged

COMMANDS = 200
GROUPS = (1, 7, 2, 13, 3, 21)
TAILS = ("whole", "lost", "torn", "alone", "noise")
Files = dict[str, bytes]


def applied(content: bytes, steps: list[Step]) -> bytes:
    """A file after writes and truncations; what was never written reads as zeros."""
    after = bytearray(content)
    for step in steps:
        if step.kind == "truncate":
            del after[step.at :]
        after.extend(bytes(max(0, step.at - len(after))))
        if step.kind == "write":
            after[step.at : step.at + len(step.data)] = step.data
    return bytes(after)


class Disk:
    """What is on it for certain, and what may be."""

    def __init__(self) -> None:
        self.synced: Files = {}
        self.pending: dict[str, list[Step]] = {}
        self.ghosts: Files = {}  # deleted, and nobody synced the folder since
        self.last = ""  # the file that was written last

    def take(self, step: Step) -> None:
        """Do a step."""
        if step.kind == "sync":
            if step.name not in self.synced and step.name != "journal.db":
                self.ghosts.clear()  # SQLite syncs the folder of a log that it made
            self.synced[step.name] = self.whole(step.name)
            self.pending.pop(step.name, None)
        elif step.kind == "delete":
            if step.name in self.synced:
                self.ghosts[step.name] = self.synced.pop(step.name)
            self.pending.pop(step.name, None)
        else:
            self.pending.setdefault(step.name, []).append(step)
            self.last = step.name

    def whole(self, name: str) -> bytes:
        """All that was written to a file."""
        return applied(self.synced.get(name, b""), self.pending.get(name, []))

    def after(self, tail: str) -> Files:
        """The files that a crash now leaves."""
        left = {name: self._left(name, tail) for name in {*self.synced, *self.pending}}
        return left if tail in ("whole", "noise") else {**self.ghosts, **left}

    def _left(self, name: str, tail: str) -> bytes:
        steps = list(self.pending.get(name, []))
        if tail == "lost":
            steps = []
        elif tail == "alone":  # the disk wrote the last one first
            steps = steps[-1:]
        elif steps and name == self.last and steps[-1].kind == "write":
            data = steps[-1].data
            if tail == "torn":
                steps[-1] = steps[-1]._replace(data=data[: len(data) // 2])
            elif tail == "noise":
                steps[-1] = steps[-1]._replace(data=hashlib.shake_128(data).digest(len(data)))
        return applied(self.synced.get(name, b""), steps)


class Life:
    """200 commands in groups: two restarts, and a log that is folded in and written over."""

    def __init__(self, path: Path) -> None:
        self.entries: list[Entry] = []
        with recording() as recorder:
            for session in range(3):
                with Journal(str(path)) as journal:
                    for count in GROUPS:
                        self._append(journal, count, recorder.steps)
                    if session == 1:
                        journal._connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)")
                        journal._connection.rollback()
                        self._append(journal, COMMANDS - 3 * sum(GROUPS), recorder.steps)
        self.steps = recorder.steps

    def _append(self, journal: Journal, count: int, steps: list[Step]) -> None:
        steps.append(Step("asked", "", journal.last_seq + count))
        self.entries += append(journal, count)
        steps.append(Step("told", "", journal.last_seq))

    def crashes(self) -> Iterator[tuple[Files, int, int]]:
        """What each crash leaves, the last seq told of and the last asked for; none twice."""
        disk, told, asked, seen = Disk(), 0, 0, set[bytes]()
        for step in self.steps:
            if step.kind == "told":
                told = step.at
            elif step.kind == "asked":
                asked = step.at
            else:
                disk.take(step)
            for tail in TAILS:
                files = disk.after(tail)
                key = hashlib.sha256(told.to_bytes(4))
                for name in sorted(files):
                    key.update(name.encode() + len(files[name]).to_bytes(4) + files[name])
                if key.digest() not in seen:
                    seen.add(key.digest())
                    yield files, told, asked


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: here the test is the disk, and syncs prove nothing."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path / "disk"
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name) / "disk"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A life that was recorded."""
    return Life(tmp_path_factory.mktemp("life") / "journal.db")


def lay(folder: Path, life: Life, files: Files, told: int) -> str:
    """Put the files of a crash into an empty folder; the path of the journal."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    witness = Acknowledged(folder / "journal.db-acknowledged")
    if told:
        witness.write(told, life.entries[told - 1].chain_hash)
    witness.close()
    return str(folder / "journal.db")


def test_the_life_has_every_kind_of_step(life: Life) -> None:
    """Or the crashes below would prove less than they say."""
    kinds = {(step.kind, step.name.removeprefix("journal.db")) for step in life.steps}
    assert kinds >= {
        ("write", "-wal"),
        ("sync", "-wal"),
        ("delete", "-wal"),
        ("write", ""),
        ("sync", ""),
        ("write", "-journal"),
        ("sync", "-journal"),
        ("delete", "-journal"),
    }
    assert len(life.entries) == COMMANDS
    starts = [step.at for step in life.steps if step.name.endswith("-wal") and step.at == 0]
    assert len(starts) > 3, "the log was never written over"


def test_no_crash_loses_what_was_acknowledged(life: Life, disk: Path) -> None:
    """Every step, every tail: it opens, holds all that was told, and goes on."""
    crashes = 0
    for files, told, asked in life.crashes():
        crashes += 1
        with Journal(lay(disk, life, files, told)) as journal:
            assert told <= journal.last_seq <= asked
            assert list(journal.reader.entries()) == life.entries[: journal.last_seq]
            append(journal, 1)
            journal.check()
    assert crashes > len(life.steps)


def damaged(files: Files) -> Iterator[tuple[str, Files]]:
    """Ways to lose what was synced."""
    log = files["journal.db-wal"]
    for at in range(60, len(log), 12_000):
        flipped = bytearray(log)
        flipped[at] ^= 4
        yield f"a bit at {at} of the log", {**files, "journal.db-wal": bytes(flipped)}
        yield f"the log after {at}", {**files, "journal.db-wal": log[:at]}
    yield "the log", {"journal.db": files["journal.db"]}
    yield "everything", {}


def test_what_was_acknowledged_is_never_cut_off(life: Life, disk: Path) -> None:
    """A database cuts a damaged log silently; the venue does not start without what it told."""
    synced, told = Disk(), sum(GROUPS)
    for step in life.steps[: life.steps.index(Step("told", "", told))]:
        if step.kind not in ("told", "asked"):
            synced.take(step)
    files = synced.after("lost")
    with Journal(lay(disk, life, files, told)) as journal:
        assert journal.last_seq == told
    for way, left in damaged(files):
        path = lay(disk, life, left, told)
        with pytest.raises(JournalCorrupt, match=f"seq {told} was acknowledged"):
            Journal(path)
        Path(f"{path}-acknowledged").unlink()  # the operator gives up what is lost
        with Journal(path) as journal:
            assert journal.last_seq < told, way
            assert list(journal.reader.entries()) == life.entries[: journal.last_seq]


def test_an_older_copy_does_not_start(life: Life, disk: Path) -> None:
    """Nor one with another history of the same length."""
    path = lay(disk, life, {}, 0)
    with Journal(path) as journal:
        append(journal, 5)
    older = (disk / "journal.db").read_bytes()
    with Journal(path) as journal:
        append(journal, 1)
    (disk / "journal.db").write_bytes(older)
    with pytest.raises(JournalCorrupt, match=r"seq 6 was acknowledged, and .* ends at seq 5"):
        Journal(path)
    witness = Acknowledged(Path(f"{path}-acknowledged"))
    witness.write(5, bytes(32))
    witness.close()
    with pytest.raises(JournalCorrupt, match=r"seq 5 was acknowledged, and .* ends at seq 5"):
        Journal(path)
