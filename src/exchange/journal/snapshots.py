"""Snapshots: files of opaque bytes that stand for a journal up to a seq.

A snapshot is a shortcut and never the truth: whatever is wrong with one, the next older one or the
whole journal takes its place. A file appears under its name complete or not at all, and carries a
checksum, the chain hash of the journal that it belongs to and the hash of the state in it.
"""

import hashlib
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

FORMAT: Final = 1
KEPT: Final = 2  # the newest ones: if that is bad after all, there is another
_MAGIC: Final = b"exchange"
_DIGEST: Final = 32


class SnapshotUnusable(Exception):
    """Why a file is no snapshot of this journal, or of this program."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """State by section as of a seq."""

    format: int = FORMAT
    shard: int
    seq: int
    chain_hash: bytes
    state_hash: bytes
    sections: dict[str, bytes]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Snapshot)


class SnapshotFolder:
    """The snapshots of one shard, in a folder that is made when the first is written."""

    def __init__(self, folder: Path, *, shard: int = 0) -> None:
        self._folder = folder
        self._shard = shard

    def paths(self) -> list[Path]:
        """Files that may be snapshots, the newest first."""
        return sorted(self._folder.glob(f"{self._shard}-*.snapshot"), reverse=True)

    def write(self, snapshot: Snapshot) -> Path:
        """Put a snapshot down, durable and whole, and delete old ones."""
        assert snapshot.shard == self._shard
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._shard}-{snapshot.seq:020}.snapshot"
        body = zlib.compress(_encoder.encode(snapshot), 1)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        self._sync()
        for old in (*self.paths()[KEPT:], *self._folder.glob(f"{self._shard}-*.draft")):
            with suppress(FileNotFoundError):
                old.unlink()
        return path

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, path: Path) -> Snapshot:
        """What a file holds; raises `SnapshotUnusable`."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SnapshotUnusable(f"it cannot be read: {error.strerror}") from error
        start = len(_MAGIC) + _DIGEST
        body = data[start:]
        if data[:start] != _MAGIC + hashlib.sha256(body).digest():
            raise SnapshotUnusable("it is torn or damaged")
        try:
            snapshot = _decoder.decode(zlib.decompress(body))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise SnapshotUnusable(f"another program wrote it: {error}") from error
        if (snapshot.format, snapshot.shard) != (FORMAT, self._shard):
            raise SnapshotUnusable(f"format {snapshot.format}, shard {snapshot.shard}")
        return snapshot
