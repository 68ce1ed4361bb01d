"""Where commands came from that arrived by a stream: kept beside their batch, in its transaction.

So a leader that takes over knows which of the stream was applied, and a gateway that follows the
journal finds the answers to what it sent. Not in the hash chain: nothing that happened follows
from it, and a journal without it replays alike.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from exchange.journal.schema import arrivals


class StreamId(NamedTuple):
    """Place of an entry in the stream, as Redis counts: a time in ms, and a number within it."""

    time_ms: int
    number: int


START: Final = StreamId(0, 0)  # before every entry


class Sender(NamedTuple):
    """Who sent a command: a gateway, by the number that it drew at its start, and its count."""

    gateway: int
    number: int


class Arrival(NamedTuple):
    """How a command came."""

    place: StreamId
    sender: Sender


_INSERT: Final = sa.insert(arrivals)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[tuple[int, int, int]])


def insert_arrivals(
    connection: sa.Connection, shard: int, first_seq: int, found: Mapping[int, Arrival]
) -> StreamId:
    """Store those of a batch, by seq; returns the newest place, for they came in its order."""
    newest = max(arrival.place for arrival in found.values())
    senders = [(seq, *arrival.sender) for seq, arrival in found.items()]
    row = {
        "shard": shard,
        "first_seq": first_seq,
        "time_ms": newest.time_ms,
        "number": newest.number,
        "senders": _encoder.encode(senders),
    }
    connection.execute(_INSERT, row)
    return newest


def newest_place(shard: int) -> sa.Select[Any]:
    """Asks for the place of the newest command that came by the stream."""
    return (
        sa.select(arrivals.c.time_ms, arrivals.c.number)
        .where(arrivals.c.shard == shard)
        .order_by(arrivals.c.first_seq.desc())
        .limit(1)
    )


def senders_of(stored: bytes | None) -> dict[int, Sender]:
    """Who sent the commands of a batch, by seq; those that arose in the engine's process lack."""
    if stored is None:
        return {}
    return {seq: Sender(gateway, number) for seq, gateway, number in _decoder.decode(stored)}
