"""What was acknowledged last, in a small file beside the journal's.

A database cuts a damaged end of its log without a word. That is right where the end was never
acknowledged and a silent loss where it was; only a second witness can tell the two apart. It is
written after the commit is durable and before anybody hears of it, without an fsync of its own: a
process that dies leaves it exact, and a power cut leaves it true, though perhaps older.
"""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from exchange.journal.schema import JournalUnavailable

_RECORD: Final = struct.Struct(">Q32sI")  # seq, chain hash, checksum of both


class Acknowledged:
    """One head of one journal, overwritten in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open(path)

    @staticmethod
    def _open(path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalUnavailable(f"{path} cannot be opened: {error.strerror}") from error

    def take_over(self, seq: int, chain_hash: bytes) -> None:
        """Put a file of one's own in the place of the last leader's, who may still write to his.

        One that was frozen after his last commit would set it back when he wakes. Call it while
        nobody else can claim the lease: two that take over at once would take each other's file.
        """
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            beside.unlink(missing_ok=True)  # of one who died here
            mine = self._open(beside)
            self.close()
            self._file = mine
            self.write(seq, chain_hash)
            os.fsync(mine)  # an empty file in this place would be a witness of nothing
            beside.replace(self.path)
        except OSError as error:
            raise JournalUnavailable(f"{self.path} cannot be written: {error.strerror}") from error

    @property
    def is_replaced(self) -> bool:
        """Whether another file, or none, is in the place of this one by now."""
        return os.fstat(self._file).st_nlink == 0

    def read(self) -> tuple[int, bytes] | None:
        """(seq, chain hash) of whatever is in its place; None if nothing, or if it was torn."""
        try:
            stored = self.path.read_bytes()[: _RECORD.size]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalUnavailable(f"{self.path} cannot be read: {error.strerror}") from error
        if len(stored) < _RECORD.size:
            return None
        seq, chain_hash, checksum = _RECORD.unpack(stored)
        return (seq, chain_hash) if checksum == zlib.crc32(stored[:-4]) else None

    def write(self, seq: int, chain_hash: bytes) -> None:
        """Remember a head that is durable."""
        record = _RECORD.pack(seq, chain_hash, 0)[:-4]
        record += zlib.crc32(record).to_bytes(4)
        try:
            os.pwrite(self._file, record, 0)
        except OSError as error:
            raise JournalUnavailable(f"{self.path} cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Release the file."""
        with suppress(OSError):
            os.close(self._file)


def acknowledged_beside(url: sa.URL, shard: int) -> Acknowledged | None:
    """The witness of a journal in a file; a server's database has none."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith("file:"):
        return None
    suffix = f"-{shard}" if shard else ""
    return Acknowledged(Path(f"{url.database}-acknowledged{suffix}"))
