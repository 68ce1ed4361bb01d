"""Restart: the newest good snapshot, then the rest of the journal; and the taking of snapshots.

A snapshot holds what the engine's process builds from entries: the engine's state, the gateway's
view, the steward's memory. It is taken by a process of its own that restores the last one, replays
what came since and checks it, so the engine never waits (ADR 0032).
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import msgspec
import structlog

from exchange.api.history_feed import rows_of
from exchange.api.view_snapshot import frozen_view, thawed_view
from exchange.api.views import VenueView
from exchange.bootstrap.market_feed import stress_rules
from exchange.bootstrap.memory import look_seldom
from exchange.config import Settings, as_environment
from exchange.engine import Engine
from exchange.freeze import Foreign
from exchange.history.shared import Heir
from exchange.history.store import HistoryStore
from exchange.journal import Entry, JournalReader
from exchange.journal.snapshots import Snapshot, SnapshotFolder, SnapshotUnusable
from exchange.oracle.dev_market import load_dev_market
from exchange.oracle.steward_memory import StewardMemory
from exchange.sequencer import Sequencer, catch_up

POLL_S: Final = 5.0
_PATIENCE: Final = 10  # niceness of the process that takes snapshots

Past = HistoryStore | Heir

log = structlog.get_logger(__name__)


class Recovered:
    """What a snapshot gave, or the empty beginning."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.view = VenueView()
        self.steward = StewardMemory(stress_rules(load_dev_market()))

    @property
    def seq(self) -> int:
        """The newest command in it."""
        return self.engine.seq

    @classmethod
    def restored(cls, snapshot: Snapshot) -> "Recovered":
        """All of a snapshot, the state's hash recomputed; raises `SnapshotUnusable`."""
        recovered = cls()
        try:
            recovered.engine = Engine.restored(snapshot.sections["engine"])
            recovered.view = thawed_view(snapshot.sections["view"])
            recovered.steward.restore(snapshot.sections["steward"])
        except (Foreign, KeyError, msgspec.MsgspecError) as error:
            raise SnapshotUnusable(f"another version took it: {error}") from error
        found = (recovered.engine.seq, recovered.view.seq, recovered.engine.state_hash())
        if found != (snapshot.seq, snapshot.seq, snapshot.state_hash):
            raise SnapshotUnusable("its content is not the state that it names")
        return recovered

    def follow(
        self, reader: JournalReader, past: Past | None = None, *, trust_hashes: bool = False
    ) -> Iterator[Entry]:
        """Take what the journal holds beyond this, entry by entry; the read model `past` too.

        What `past` was told is believed; what it is told now, and what has none, is checked first:
        that outlives this process.
        """
        told = past.last_seq if past is not None else 0
        for entry in catch_up(reader, self.engine, trust_hashes=trust_hashes, believed_to=told):
            touched = self.view.apply(entry)
            self.steward.take(entry)
            if past is not None and entry.seq > past.last_seq:
                past.append(entry.seq, rows_of(self.view, entry, touched))
            yield entry

    def snapshot(self, shard: int, chain_hash: bytes) -> Snapshot:
        """All of this, as of its newest command."""
        return Snapshot(
            shard=shard,
            seq=self.seq,
            chain_hash=chain_hash,
            state_hash=self.engine.state_hash(),
            sections={
                "engine": self.engine.snapshot(),
                "view": frozen_view(self.view),
                "steward": self.steward.snapshot(),
            },
        )


def recover(settings: Settings, reader: JournalReader, *, at_most: int | None = None) -> Recovered:
    """From the newest snapshot that is whole, of this program and of this journal.

    And not beyond the seq `at_most`: the read model's rows are made of the view as it was.
    """
    folder = SnapshotFolder(settings.snapshot_dir, shard=reader.shard)
    for path in folder.paths():
        try:
            snapshot = folder.read(path)
            if at_most is not None and snapshot.seq > at_most:
                raise SnapshotUnusable(f"the past is written up to seq {at_most} only")
            _require_same_journal(snapshot, reader)
            return Recovered.restored(snapshot)
        except SnapshotUnusable as error:
            log.warning("snapshot_ignored", file=str(path), reason=str(error))
    return Recovered()


def _require_same_journal(snapshot: Snapshot, reader: JournalReader) -> None:
    try:
        known = reader.entry(snapshot.seq).chain_hash
    except LookupError:
        raise SnapshotUnusable("it is ahead of the journal") from None
    if known != snapshot.chain_hash:
        raise SnapshotUnusable("it belongs to another journal")


def run_snapshot(settings: Settings) -> int:
    """`take_snapshot` in a process of its own, behind everybody else who wants the processor."""
    os.nice(_PATIENCE)
    look_seldom()
    return take_snapshot(settings)


def take_snapshot(settings: Settings) -> int:
    """Write a snapshot of everything committed so far, unless there is one; returns its seq."""
    with closing(JournalReader(settings.journal_location, shard=settings.shard)) as reader:
        last_seq = reader.last_seq()
        recovered = recover(settings, reader)
        if recovered.seq == last_seq:
            return last_seq
        for entry in recovered.follow(reader, trust_hashes=settings.trust_state_hashes):
            if entry.seq == last_seq:  # as of the start: a busy venue never ends
                folder = SnapshotFolder(settings.snapshot_dir, shard=reader.shard)
                folder.write(recovered.snapshot(reader.shard, entry.chain_hash))
                break
    return last_seq


async def snapshot_for_ever(settings: Settings, sequencer: Sequencer, seq: int) -> None:
    """Let a process take a snapshot whenever so many commands came since the one at `seq`."""
    while settings.snapshot_commands:
        if sequencer.last_seq - seq >= settings.snapshot_commands:
            seq = sequencer.last_seq
            await _take_beside(settings)
        await asyncio.sleep(POLL_S)


async def _take_beside(settings: Settings) -> None:
    environment = {**os.environ, **as_environment(settings)}
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exchange", "snapshot", env=environment
        )
    except OSError as error:  # no process or file is left: perhaps later
        log.warning("snapshot_failed", reason=str(error))
        return
    try:
        if await process.wait():
            log.warning("snapshot_failed", code=process.returncode)
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
