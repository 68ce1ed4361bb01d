"""Random lives of a venue, as journals, and what a replay of one says."""

import hashlib
import random
from pathlib import Path

import msgspec
from tests.engine_flow import Flow

from exchange.engine import Engine
from exchange.journal import EntryEncoder, Journal
from exchange.sequencer import replayed


def lived(seed: int, steps: int, *, checking: bool = True) -> Flow:
    """A venue after a random life; with `checking` the engine is checked after each command."""
    flow = Flow(random.Random(seed).randint)
    flow.venue.checking = checking
    for _ in range(steps):
        flow.step()
    return flow


def write_life(flow: Flow, path: Path, group: int) -> None:
    """Write a life, so many commands in a commit."""
    encoder = EntryEncoder()
    stamped = [encoder.stamp(*entry[1:]) for entry in flow.venue.entries]
    with Journal(str(path)) as written:
        for at in range(0, len(stamped), group):
            batch = stamped[at : at + group]
            written.append([entry for entry, _ in batch], [record for _, record in batch])


def ending(path: str, engine: Engine, *, hashed_from: int = 0, believed_to: int = 0) -> str:
    """What a journal's rest makes of an engine: everything that it says, and its state."""
    with Journal(path) as written:
        said = hashlib.sha256()
        entries = written.reader.entries(engine.seq)
        for entry in replayed(entries, engine, hashed_from=hashed_from, believed_to=believed_to):
            said.update(msgspec.msgpack.encode(entry.events))
    engine.check()
    return f"{said.hexdigest()} {engine.state_hash().hex()} {engine.seq}"
