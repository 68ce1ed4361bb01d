"""Who reads is kept, however slowly; who does not is let go, once."""

import asyncio

import pytest

from exchange.api.progress import Progress

INTERVAL_S = 0.01


class Transport:
    def __init__(self, sizes):
        self._sizes = sizes

    def get_write_buffer_size(self):
        return self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]


async def watched(sizes, *, stopped=False):
    over = asyncio.Event()
    let_go = []
    progress = Progress(Transport(sizes), INTERVAL_S, lambda: (let_go.append(1), over.set()))
    progress.expect()
    if stopped:
        progress.stop()
        await asyncio.sleep(10 * INTERVAL_S)
    else:
        await asyncio.wait_for(over.wait(), 10)
    return let_go, sizes


@pytest.mark.parametrize("sizes", [[5, 5], [9, 8, 7, 7], [3, 4]])
def test_once_nothing_was_read_for_an_interval(sizes):
    let_go, left = asyncio.run(watched(list(sizes)))
    assert let_go == [1]
    assert left == [sizes[-1]]  # not before: each look before saw fewer bytes


def test_nobody_is_let_go_once_stopped():
    assert asyncio.run(watched([5, 5], stopped=True))[0] == []
