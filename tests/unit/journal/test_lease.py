"""Who leads: whoever opened the journal last, or a standby that saw no sign of life."""

import pytest
from tests.journals import append

from exchange.journal import Journal, Lease, LeaseLost


def test_each_commit_and_each_beat_is_a_sign_of_life(journal):
    """Nothing else is."""
    looks = [journal.reader.lease()]
    for step in (lambda: append(journal, 2), journal.beat, journal.beat):
        step()
        looks.append(journal.reader.lease())
        assert journal.reader.lease() == looks[-1]
    assert looks == [Lease(1, beat) for beat in (1, 2, 3, 4)]


def test_a_standby_leads_after_silence(path, journal):
    """It saw the row as it still is; the old leader is refused at once."""
    append(journal, 3)
    with Journal(path, seen=journal.reader.lease()) as standby:
        assert standby.last_seq == 3
        assert standby.reader.lease().epoch == 2
        with pytest.raises(LeaseLost, match="must not go on"):
            append(journal, 1)
        append(standby, 1)


@pytest.mark.parametrize("sign", [Journal.beat, append])
def test_a_standby_does_not_lead_where_somebody_lives(path, journal, sign):
    """The leader's sign of life, or another standby, came between the look and the claim."""
    seen = journal.reader.lease()
    sign(journal)
    with pytest.raises(LeaseLost, match="stand by again"):
        Journal(path, seen=seen)
    append(journal, 1)
    seen = journal.reader.lease()
    with Journal(path, seen=seen), pytest.raises(LeaseLost, match="stand by again"):
        Journal(path, seen=seen)


def test_shards_have_leaders_of_their_own(path, journal):
    """One row each."""
    with Journal(path, shard=1) as other:
        assert other.reader.lease() == Lease(1, 1)
        append(journal, 1)
        append(other, 1)


def test_a_journal_of_nobody_has_an_empty_lease(path):
    """An older version's, too: its first leader makes the row."""
    with Journal(path, seen=Lease()) as journal:
        assert journal.reader.lease() == Lease(1, 1)
