"""What is remembered of the chain: the newest spans, each to be found by its last block."""

from exchange.engine.chain_memory import SPANS_MAX, ChainMemory, Span


def spans(count: int) -> ChainMemory:
    memory = ChainMemory()
    memory.spans.extend(Span(number, f"hash {number}", ()) for number in range(1, count + 1))
    return memory


def test_lost_spans_come_newest_first():
    """Those after the block that is still there."""
    lost = spans(5).lost_after(2, "hash 2")
    assert lost is not None
    assert [span.last_block for span in lost] == [5, 4, 3]


def test_nothing_is_lost_after_the_newest_an_unknown_or_another_block():
    """Of each there is nothing to undo."""
    memory = spans(5)
    for block, block_hash in ((5, "hash 5"), (6, "hash 6"), (2, "hash 3"), (0, "")):
        assert memory.lost_after(block, block_hash) is None


def test_the_memory_is_bounded():
    """The oldest spans are forgotten: what is deeper a person must mend."""
    memory = spans(SPANS_MAX + 1)
    assert memory.last_block == SPANS_MAX + 1
    assert memory.lost_after(1, "hash 1") is None
    assert memory.lost_after(2, "hash 2") is not None
    assert ChainMemory().last_block == 0
