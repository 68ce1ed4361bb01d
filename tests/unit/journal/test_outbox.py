"""The relayer's table of jobs: order, moves, and what a restart finds."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from exchange.journal import JournalUnavailable
from exchange.journal.outbox import MOVES, Attempt, Job, JobKind, JobState, Outbox, Outcome

SENDER = "0x" + "11" * 20


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(str(tmp_path / "relayer.db"))
    yield outbox
    outbox.close()


def job(number: int, kind: JobKind = JobKind.BATCH) -> Job:
    return Job(
        key=f"{kind}:{number}",
        kind=kind,
        number=number,
        last_seq=10 * number,
        batch_hash=bytes([number]) * 32,
        to=SENDER,
        data=b"\x00\xff" * number,
        observed_block=number,
        observed_hash="0xab",
    )


def attempt(tx_hash: str, *, tx_nonce: int = 0, number: int = 1, fee: int = 10**20) -> Attempt:
    return Attempt(
        tx_hash=tx_hash,
        job_key=f"batch:{number}",
        sender=SENDER,
        tx_nonce=tx_nonce,
        raw=tx_hash.encode(),
        gas=21_000,
        max_fee=fee,
        priority_fee=1,
    )


def test_jobs_keep_their_order_and_content(outbox: Outbox) -> None:
    """What is added comes back, in order, and a known key is left alone."""
    outbox.add([job(7, JobKind.DELIVERY), job(1), job(2)])
    outbox.add([job(2), job(3)])
    found = outbox.jobs()
    assert [item.key for item in found] == ["delivery:7", "batch:1", "batch:2", "batch:3"]
    assert msgspec.structs.replace(found[1], position=0) == job(1)
    assert outbox.last_batch() == found[-1]
    assert outbox.job("batch:2") == found[2]
    assert outbox.job("batch:9") is None
    outbox.check()


def test_a_new_process_finds_everything(outbox: Outbox, tmp_path: Path) -> None:
    """Jobs, states and signed bytes are on disk."""
    assert outbox.last_batch() is None
    outbox.add([job(1)])
    outbox.send(outbox.jobs()[0], attempt("0xaa"))
    heir = Outbox(str(tmp_path / "relayer.db"))
    assert heir.jobs() == outbox.jobs()
    assert heir.attempts("batch:1") == [attempt("0xaa")]  # wei beyond 64 bits stay exact
    heir.close()


def test_finished_jobs_are_not_offered_again(outbox: Outbox) -> None:
    """Confirmed is the end, everything else is work."""
    outbox.add([job(1), job(2)])
    first = outbox.move(
        outbox.jobs()[0], JobState.MINED, Outcome(tx_hash="0xaa", block=5, gas_used=6)
    )
    first = outbox.move(first, JobState.CONFIRMED)
    assert (first.tx_hash, first.block, first.gas_used) == ("0xaa", 5, 6)
    assert outbox.job("batch:1") == first
    assert [item.key for item in outbox.unfinished()] == ["batch:2"]
    outbox.check()


@pytest.mark.parametrize("start", JobState)
@pytest.mark.parametrize("end", JobState)
def test_only_drawn_moves_are_made(outbox: Outbox, start: JobState, end: JobState) -> None:
    """`MOVES` is the whole diagram; anything else is a bug."""
    outbox.add([job(1)])
    item = msgspec.structs.replace(outbox.jobs()[0], state=start)
    if end in MOVES[start]:
        assert outbox.move(item, end).state is end
    else:
        with pytest.raises(AssertionError, match=f"{start} -> {end}"):
            outbox.move(item, end)


def test_the_page_shows_every_move() -> None:
    """The table in docs/settlement.md is `MOVES`."""
    page = (Path(__file__).parents[3] / "docs" / "settlement.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|((?: `\w+`)*) \|$", page, re.MULTILINE)
    drawn = {start: set(re.findall(r"\w+", ends)) for start, ends in rows if start in MOVES}
    assert drawn == {str(start): {str(end) for end in ends} for start, ends in MOVES.items()}


def test_a_replacement_comes_last(outbox: Outbox) -> None:
    """The newest attempt is last; rivals for a tx_nonce are found over all jobs."""
    outbox.add([job(1), job(2)])
    item = outbox.send(outbox.jobs()[0], attempt("0xaa"))
    item = outbox.send(item, attempt("0xbb"))
    outbox.send(outbox.jobs()[1], attempt("0xcc", number=2))
    outbox.send(item, attempt("0xdd", tx_nonce=1))
    assert [a.tx_hash for a in outbox.attempts("batch:1")] == ["0xaa", "0xbb", "0xdd"]
    assert [a.tx_hash for a in outbox.attempts_at(SENDER, 0)] == ["0xaa", "0xbb", "0xcc"]
    assert outbox.attempts_at("0x", 0) == []


def test_the_same_bytes_again_become_the_newest(outbox: Outbox) -> None:
    """Signing is deterministic, so a transaction may come back."""
    outbox.add([job(1)])
    item = outbox.jobs()[0]
    for tx_hash in ("0xaa", "0xbb", "0xaa"):
        item = outbox.send(item, attempt(tx_hash))
    assert [a.tx_hash for a in outbox.attempts("batch:1")] == ["0xbb", "0xaa"]


def test_failures_are_counted(outbox: Outbox) -> None:
    """A reverted transaction sends the job back to the start, with one failure more."""
    outbox.add([job(1)])
    item = outbox.send(outbox.jobs()[0], attempt("0xaa"))
    item = outbox.fail(item)
    assert (item.state, item.failures) == (JobState.BUILT, 1)
    assert outbox.jobs()[0] == item


def test_a_gap_between_batches_is_a_bug(outbox: Outbox) -> None:
    """`check` sees a missing batch and a later one that is final first."""
    outbox.add([job(1), job(3)])
    with pytest.raises(AssertionError):
        outbox.check()


def test_an_unusable_place_gives_one_line(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(JournalUnavailable, match=r"the outbox at .* cannot be opened"):
        Outbox(str(tmp_path / "missing" / "relayer.db"))


def test_lost_blocks_take_final_jobs_back(outbox: Outbox) -> None:
    """Those after the block that is still there: what was signed here is sent, the rest built."""
    outbox.add([job(1), job(2), job(3)])
    for number, item in enumerate(outbox.jobs(), start=1):
        if number != 3:
            item = outbox.send(item, attempt(f"0x{number}", tx_nonce=number, number=number))
        mined = outbox.move(item, JobState.MINED, Outcome(tx_hash=f"0x{number}", block=number))
        outbox.move(mined, JobState.CONFIRMED)
    assert outbox.reopen(1) == 2
    found = [item.state for item in outbox.jobs()]
    assert found == [JobState.CONFIRMED, JobState.SENT, JobState.BUILT]
    assert outbox.reopen(1) == 0
    outbox.check()


def test_the_newest_final_job_is_known_after_each_move(outbox: Outbox, tmp_path: Path) -> None:
    """As a table that is read anew tells it: what becomes final counts at once, and is lost so."""

    def newest(*kinds: JobKind) -> str:
        fresh = Outbox(str(tmp_path / "relayer.db"))
        found = outbox.newest_final(kinds or JobKind)
        assert found == fresh.newest_final(kinds or JobKind)
        fresh.close()
        return found.key if found else ""

    outbox.add([job(1), job(5, JobKind.ROOT), job(2)])
    assert newest() == newest(JobKind.BATCH) == ""
    for number, item in enumerate(outbox.jobs(), start=1):
        mined = outbox.move(item, JobState.MINED, Outcome(tx_hash=f"0x{number}", block=number))
        outbox.move(mined, JobState.CONFIRMED)
        assert newest() == item.key
    assert newest(JobKind.ROOT) == "root:5"
    assert outbox.newest_final(JobKind, before_block=3) == outbox.jobs()[1]
    outbox.reopen(2)
    assert newest() == "root:5"
    assert newest(JobKind.BATCH) == "batch:1"
    outbox.reopen(0)
    assert newest() == ""
