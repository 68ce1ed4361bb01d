"""Who leads a journal: one row that every commit of the leader touches.

A leader has an epoch, which the next one raises, so a leader that was frozen and wakes finds
another's and can write nothing. It also counts beats, with every commit and while it is idle: a
standby that sees the same count for long enough, by its own clock alone, takes over (ADR 0037).
"""

from typing import Final

import msgspec
import sqlalchemy as sa

from exchange.journal.schema import LeaseLost, leases

_BEAT: Final = (  # made once: to make it takes longer than to run it, with every commit
    sa.update(leases)
    .where(leases.c.shard == sa.bindparam("of_shard"), leases.c.epoch == sa.bindparam("of_epoch"))
    .values(beat=leases.c.beat + 1)
)


class Lease(msgspec.Struct, frozen=True):
    """What the row said when somebody looked; two looks that are equal saw no sign of life."""

    epoch: int = 0  # 0: nobody has ever led
    beat: int = 0


def query_of(shard: int) -> sa.Select[tuple[int, int]]:
    """Asks for the row of a shard."""
    return sa.select(leases.c.epoch, leases.c.beat).where(leases.c.shard == shard)


def claim(connection: sa.Connection, shard: int, seen: Lease | None) -> int:
    """Lead from now on; returns the epoch. Raises `LeaseLost` if the row is not as it was `seen`.

    Without `seen` the newest to ask leads: a person started it.
    """
    update = sa.update(leases).where(leases.c.shard == shard)
    if seen is not None:
        update = update.where(leases.c.epoch == seen.epoch, leases.c.beat == seen.beat)
    values = {"epoch": leases.c.epoch + 1, "beat": leases.c.beat + 1}
    row = connection.execute(update.values(values).returning(leases.c.epoch)).first()
    if row is not None:
        return int(row.epoch)
    if seen is not None and seen.epoch:
        raise LeaseLost("the leader lives, or another standby was faster: stand by again")
    connection.execute(sa.insert(leases), {"shard": shard, "epoch": 1, "beat": 1})
    return 1


def renew(connection: sa.Connection, shard: int, epoch: int) -> None:
    """Count a beat; raises `LeaseLost` where another leads by now."""
    if connection.execute(_BEAT, {"of_shard": shard, "of_epoch": epoch}).rowcount != 1:
        raise LeaseLost("another engine leads this journal: this one must not go on")
