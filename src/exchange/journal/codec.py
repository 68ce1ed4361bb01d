"""Entries and their bytes: msgpack records in a hash chain.

A batch is stored as two blobs, commands and events, each a run of length-prefixed records. The
hash chain covers the commands: chain_hash(n) = sha256(chain_hash(n-1) || record(n)), where a record
is msgpack of [seq, time_ns, command]. Events follow from the commands, so they need no chain: the
audit recomputes them. sha256 because it is in hardware here and a precompile in the EVM.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from exchange.commands import AnyCommand
from exchange.events import AnyEvent

GENESIS_HASH: Final = bytes(32)
_LENGTH: Final = struct.Struct(">I")


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One command with its place in the order, what it caused, and the chain hash after it."""

    seq: int
    time_ns: int
    command: AnyCommand
    events: tuple[AnyEvent, ...]
    chain_hash: bytes


class _CommandRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    seq: int
    time_ns: int
    command: AnyCommand


_command_encoder: Final = msgspec.msgpack.Encoder()
_command_decoder: Final = msgspec.msgpack.Decoder(_CommandRecord)
_events_decoder: Final = msgspec.msgpack.Decoder(tuple[AnyEvent, ...])


def next_hash(chain_hash: bytes, record: bytes) -> bytes:
    """The chain hash after `record`."""
    return hashlib.sha256(chain_hash + record).digest()


def encode_command(seq: int, time_ns: int, command: AnyCommand) -> bytes:
    """The record that the chain hashes; the same command gives the same bytes on every machine."""
    return _command_encoder.encode(_CommandRecord(seq, time_ns, command))


def encode_events(events: Sequence[AnyEvent]) -> bytes:
    """The bytes of one command's events."""
    return _command_encoder.encode(events)


def frame(records: Sequence[bytes]) -> bytes:
    """One blob of length-prefixed records."""
    return b"".join(_LENGTH.pack(len(record)) + record for record in records)


def unframe(blob: bytes) -> Iterator[bytes]:
    """The records of a blob; a blob that ends inside a record raises ValueError."""
    start, size = 0, len(blob)
    while start < size:
        at = start + _LENGTH.size
        if at > size:
            raise ValueError("the blob ends inside a length")
        start = at + _LENGTH.unpack_from(blob, start)[0]
        if start > size:
            raise ValueError("the blob ends inside a record")
        yield blob[at:start]


class EntryEncoder:
    """Stamps entries into the hash chain. Holds the last seq and hash, nothing else."""

    def __init__(self, last_seq: int = 0, chain_hash: bytes = GENESIS_HASH) -> None:
        self.last_seq = last_seq
        self.chain_hash = chain_hash

    def stamp(
        self, time_ns: int, command: AnyCommand, events: tuple[AnyEvent, ...]
    ) -> tuple[Entry, bytes]:
        """The next entry and its command record."""
        seq = self.last_seq + 1
        record = encode_command(seq, time_ns, command)
        self.chain_hash = next_hash(self.chain_hash, record)
        self.last_seq = seq
        entry = Entry(
            seq=seq, time_ns=time_ns, command=command, events=events, chain_hash=self.chain_hash
        )
        return entry, record


def decode_entries(commands: bytes, events: bytes, chain_hash: bytes) -> Iterator[Entry]:
    """Entries of a stored batch that follows `chain_hash`; malformed bytes raise ValueError."""
    for record, outcome in zip(unframe(commands), unframe(events), strict=True):
        chain_hash = next_hash(chain_hash, record)
        stamped = _command_decoder.decode(record)
        yield Entry(
            seq=stamped.seq,
            time_ns=stamped.time_ns,
            command=stamped.command,
            events=_events_decoder.decode(outcome),
            chain_hash=chain_hash,
        )
