"""How much of a batch is asked about: nothing that comes after is left in it."""

from pathlib import Path

from tests.signed_venue import auctioned_venue
from tests.unit.settlement.test_takeovers import batches_of, entries_of

from exchange.settlement.batch import Batch, encode_batch
from exchange.settlement.takeovers import Due, DueKind
from exchange.settlement.trials import acts_at_end, through


def a_batch(path: Path) -> Batch:
    found = batches_of(entries_of(auctioned_venue(), path))
    return next(batch for batch in found if batch.takeovers)


def test_acts_come_after_every_command(tmp_path: Path) -> None:
    """All commands without an act; then the act; and the whole is the batch itself."""
    batch = a_batch(tmp_path)
    [act_id] = acts_at_end(batch)
    last = batch.header.last_seq - batch.header.first_seq
    assert through(batch, last).takeovers == ()
    assert through(batch, last, {act_id}).takeovers == batch.takeovers
    assert encode_batch(through(batch, last, {act_id})) == encode_batch(batch)


def test_orders_of_later_fills_are_left_out(tmp_path: Path) -> None:
    """Before the first fill there is none; the header stays."""
    batch = a_batch(tmp_path)
    none = through(batch, -1)
    assert (none.orders, none.fills, none.trades, none.takeovers) == ((), (), (), ())
    assert none.header == batch.header
    first = min(fill.seq_offset for fill in batch.fills)
    assert {fill.seq_offset for fill in through(batch, first).fills} == {first}


def test_acts_are_named_once_in_the_contracts_order(tmp_path: Path) -> None:
    """Takeovers, then dues, whose parts share a number."""
    batch = a_batch(tmp_path)
    [act_id] = acts_at_end(batch)
    shares = [
        Due(time=1, kind=DueKind.SHARE, subaccount_id=who, amount=1, act_id=90 + who // 3)
        for who in (1, 2, 3)
    ]
    changed = type(batch)(header=batch.header, takeovers=batch.takeovers, dues=tuple(shares))
    assert acts_at_end(changed) == [act_id, 90, 91]
    assert [due.act_id for due in through(changed, 10**9, {91}).dues] == [91]
