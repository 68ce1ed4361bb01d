"""What keepers may post: jobs that wait, in order, with their calldata."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.journal.test_outbox import attempt, job

from exchange.journal.outbox import JobKind, JobState, Outbox, Outcome
from exchange.settlement import pending
from exchange.settlement.pending import SHOWN_AFTER_S, PendingPosts


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(str(tmp_path / "relayer.db"))
    outbox.add([job(7, JobKind.FUNDING), job(1), job(2)])
    yield outbox
    outbox.close()


def keys(posts: PendingPosts) -> list[str]:
    return [post.key for post in posts.read()]


def test_what_waits_for_ten_seconds_is_shown(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built or sent; what is on chain or refused is not, and a new one begins to wait."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    posts = PendingPosts(outbox)
    assert keys(posts) == []
    now[0] += SHOWN_AFTER_S
    outbox.add([job(3)])
    assert keys(posts) == ["funding:7", "batch:1", "batch:2"]
    first = posts.read()[0]
    funding, batch, *_ = outbox.jobs()
    assert (first.kind, first.data, first.waiting_s) == ("funding", "0x" + "00ff" * 7, 10)
    assert first.to == funding.to
    outbox.send(batch, attempt("0xaa"))
    outbox.move(funding, JobState.MINED, Outcome(tx_hash="", block=5))
    assert keys(posts) == ["batch:1", "batch:2"]


def test_it_is_bounded(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by bytes; the first ones are those that can go in."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    outbox.add([job(number) for number in range(3, 20)])
    posts = PendingPosts(outbox)
    posts.read()
    now[0] += SHOWN_AFTER_S
    assert len(keys(posts)) == 8
    monkeypatch.setattr(pending, "_BYTES_MAX", 17)
    assert keys(posts) == ["funding:7", "batch:1"]


def test_index_samples_hide_nothing(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """One comes every minute: a delivery price behind an hour of them is shown all the same."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    outbox.add([job(number, JobKind.INDEX) for number in range(100, 180)])
    outbox.add([job(9, JobKind.DELIVERY)])
    posts = PendingPosts(outbox)
    posts.read()
    now[0] += SHOWN_AFTER_S
    kinds = [post.kind for post in posts.read()]
    assert kinds == ["funding", "batch", "batch", *["index"] * 64, "delivery"]
