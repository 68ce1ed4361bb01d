"""Snapshot files: whole or not there, checked when read, few."""

import zlib
from pathlib import Path

import msgspec
import pytest

from exchange.journal import snapshots as module
from exchange.journal.snapshots import KEPT, Snapshot, SnapshotFolder, SnapshotUnusable


def snapshot(seq: int = 7, **changes) -> Snapshot:
    return Snapshot(
        **{
            "shard": 0,
            "seq": seq,
            "chain_hash": b"c" * 32,
            "state_hash": b"s" * 32,
            "sections": {"engine": b"x" * 5_000, "view": b""},
            **changes,
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path / "var" / "snapshots")


def test_a_snapshot_comes_back(folder):
    """Every field; the folder is made when it is needed."""
    assert folder.paths() == []
    path = folder.write(snapshot())
    assert folder.paths() == [path]
    assert folder.read(path) == snapshot()


def test_old_ones_are_deleted(folder):
    """The newest stay, by seq and not by name or time; drafts of the dead go too."""
    (draft := folder._folder / "0-5.draft").parent.mkdir(parents=True)
    draft.write_bytes(b"half")
    for seq in (99, 1_000, 100, 20):
        folder.write(snapshot(seq))
    seqs = [folder.read(path).seq for path in folder.paths()]
    assert seqs == [1_000, 100]
    assert len(seqs) == KEPT
    assert not list(folder._folder.glob("*.draft"))


def test_shards_do_not_mix(folder):
    """In one folder each sees its own, and takes no other's for its own."""
    other = SnapshotFolder(folder._folder, shard=3)
    mine, theirs = folder.write(snapshot()), other.write(snapshot(shard=3))
    assert (folder.paths(), other.paths()) == ([mine], [theirs])
    with pytest.raises(SnapshotUnusable, match="shard 3"):
        folder.read(theirs)


def test_every_torn_or_changed_file_is_refused(folder):
    """Wherever it ends, whichever byte is wrong."""
    path = folder.write(snapshot())
    whole = path.read_bytes()
    for at in range(len(whole)):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]):
            path.write_bytes(content)
            with pytest.raises(SnapshotUnusable, match="torn or damaged"):
                folder.read(path)
    path.write_bytes(whole)
    assert folder.read(path) == snapshot()


def test_a_crash_leaves_the_last_snapshot_alone(folder, monkeypatch):
    """At every step of writing: what is under a snapshot's name is whole."""
    first = folder.write(snapshot(1))

    class Crash(Exception):
        pass

    def crash(*_):
        raise Crash

    for owner, name in ((module.os, "fsync"), (Path, "rename"), (Path, "unlink")):
        if name == "unlink":
            folder.write(snapshot(2))
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, crash)
            with pytest.raises(Crash):
                folder.write(snapshot(3))
        found = [folder.read(path) for path in folder.paths()]
        assert snapshot(1) in found or found[0].seq > 1
        assert all(one.sections == snapshot().sections for one in found)
    assert first.exists()
    folder.write(snapshot(4))
    assert [folder.read(path).seq for path in folder.paths()] == [4, 3]


def sealed(folder: SnapshotFolder, body: bytes) -> Path:
    path = folder.write(snapshot())
    path.write_bytes(module._MAGIC + module.hashlib.sha256(body).digest() + body)
    return path


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no zlib", "another program"),
        (zlib.compress(b"\xc1"), "another program"),
        (zlib.compress(msgspec.msgpack.encode({"seq": 1})), "another program"),
        (zlib.compress(msgspec.msgpack.encode(snapshot(format=2))), "format 2"),
    ],
)
def test_other_formats_are_refused(folder, body, reason):
    """Whole files of another program, or of another time."""
    with pytest.raises(SnapshotUnusable, match=reason):
        folder.read(sealed(folder, body))


def test_a_file_that_cannot_be_read_is_named(folder):
    """It may be gone by now."""
    with pytest.raises(SnapshotUnusable, match="cannot be read: No such file"):
        folder.read(folder._folder / "0-1.snapshot")
