"""Replays on demand: one at a time, and what came of each is told."""

import asyncio

import pytest

from exchange.api.errors import TooManyRequests
from exchange.api.replays import REMEMBERED, Replays


async def settled():
    """Nothing waits for anything but turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_runs_at_a_time_and_each_is_remembered():
    async def scenario():
        answer = asyncio.get_running_loop().create_future()

        async def replay(until_seq):
            if until_seq == 2:
                raise ValueError("broken")
            return await answer if until_seq == 1 else {"commands": until_seq}

        replays = Replays(replay)
        first = replays.start(1, 7)
        assert (first.state, first.started_ns) == ("running", 7)
        with pytest.raises(TooManyRequests):
            replays.start(2, 8)
        answer.set_result({"commands": 1})
        for until_seq in range(2, REMEMBERED + 3):
            await settled()
            replays.start(until_seq, until_seq)
        await settled()
        return first, replays.rows

    first, rows = asyncio.run(scenario())
    assert (first.state, first.figures) == ("done", {"commands": 1})
    assert [row.number for row in rows] == list(range(REMEMBERED + 2, 2, -1))
    assert {row.state for row in rows} == {"done"}


def test_what_cannot_be_carried_out_failed():
    async def scenario():
        async def replay(_):
            raise ValueError("broken")

        replays = Replays(replay)
        row = replays.start(1, 0)
        await settled()
        return row

    row = asyncio.run(scenario())
    assert (row.state, row.figures) == ("failed", {})
