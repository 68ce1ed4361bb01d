"""A ladder keeps its levels in order, whatever comes and goes."""

import random

from tests.source import load_source

ladder = load_source("ladder")
Ladder = ladder.Ladder
doubled = ladder.doubled


def test_doubled_keeps_the_words_and_adds_zeros():
    words = Ladder(1).words
    words[3] = 7
    assert list(doubled(words)) == list(words) + [0] * len(words)


def test_levels_stay_in_order_through_random_inserts_and_removals():
    rng = random.Random(1)
    found, expected = Ladder(1), {}
    for step in range(1, 2000):
        rank = rng.randint(-30, 30)
        position = found.seek(rank)
        assert position == sum(other < rank for other in expected)
        if rank in expected:
            found.remove(position)
            del expected[rank]
        else:
            found.insert(position, rank, step)
            expected[rank] = step
        ranks = sorted(expected)
        words, count, room = list(found.words), found.count, found.room
        assert words[:count] == ranks
        assert words[room : room + count] == [expected[rank] for rank in ranks]
        assert count <= room == len(words) // 2
