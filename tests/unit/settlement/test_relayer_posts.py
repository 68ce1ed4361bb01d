"""What the relayer does with index samples, and with refusals that are no order's fault."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.fake_chain import SAMPLE_SELECTOR, FakeChain
from tests.settlement_world import NS
from tests.unit.settlement.test_relayer import RIVAL_KEY, Bench, opened, posted

from exchange.journal.outbox import JobState
from exchange.settlement.errors import BatchRefused, Reverted


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path, FakeChain())


def test_index_samples_are_posted_in_order(bench: Bench) -> None:
    """Each before what the journal has after it."""
    bench.script.sample(10**11)
    bench.batch()
    posted(bench)
    assert bench.relayer.step()
    assert bench.states() == [JobState.CONFIRMED] * 2
    assert bench.chain.index_time(1) == bench.outbox.jobs()[0].time_s


def test_an_index_sample_that_a_later_one_overtook_is_not_posted(bench: Bench) -> None:
    """Nor one whose time is up."""
    bench.script.sample(10**11)
    bench.script.time_ns += 60 * NS
    bench.script.sample(10**11)
    posted(bench)
    bench.relayer._feed.pull()
    bench.chain.settle_as(RIVAL_KEY, bench.outbox.jobs()[-1].data)
    bench.relayer.step()
    assert (bench.states(), bench.chain.sent) == ([JobState.CONFIRMED] * 2, [])
    bench.script.time_ns += 60 * NS
    bench.script.sample(10**11)
    posted(bench, 3_601)
    bench.relayer.step()
    assert (bench.states(), bench.chain.sent) == ([JobState.CONFIRMED] * 3, [])


def test_an_index_sample_that_the_chain_refuses_stops_nothing(bench: Bench) -> None:
    """A jump that not every signer signed: it is alarmed, and batches settle."""
    bench.script.sample(10**11)
    posted(bench)
    bench.chain.refuses = Reverted("NotEnoughSignatures", (3,))
    bench.relayer.step()
    bench.batch()
    assert bench.states() == [JobState.REVERTED]
    bench.chain.refuses = None
    estimate = bench.chain.estimate_gas

    def picky(sender: str, to: str, data: bytes) -> int:
        if data[:4] == SAMPLE_SELECTOR:
            raise Reverted("NotEnoughSignatures", (3,))
        return estimate(sender, to, data)

    bench.chain.estimate_gas = picky
    assert bench.relayer.step()
    assert bench.states() == [JobState.REVERTED, JobState.CONFIRMED]
    assert not bench.relayer.step()


@pytest.mark.parametrize(
    ("error", "asked"), [("PriceOutsideBand", []), ("MarksNotPosted", []), ("LimitCrossed", [1])]
)
def test_what_no_order_is_at_fault_for_is_not_novated(
    bench: Bench, error: str, asked: list[int]
) -> None:
    """The venue's own order at the same price would be refused alike."""
    seen: list[int] = []
    replace = lambda number: bool(seen.append(number) or True)  # noqa: E731
    bench.relayer._novator = SimpleNamespace(replace=replace)  # type: ignore[assignment]
    bench.batch()
    bench.chain.refuses = Reverted(error, ())
    if asked:
        bench.relayer.step()
    else:
        with pytest.raises(BatchRefused, match=error):
            bench.relayer.step()
    assert seen == asked
