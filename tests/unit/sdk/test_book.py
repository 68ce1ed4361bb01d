"""A mirror shows the venue's book, or says that it is stale."""

from decimal import Decimal

from exchange.sdk.book import BookMirror


def snapshot(change_id=1, bids=(), asks=()):
    rows = {
        "bids": [["new", *level] for level in bids],
        "asks": [["new", *level] for level in asks],
    }
    return {"type": "snapshot", "change_id": change_id, **rows}


def change(previous, change_id, bids=(), asks=()):
    return {
        "type": "change",
        "prev_change_id": previous,
        "change_id": change_id,
        "bids": bids,
        "asks": asks,
    }


def test_a_mirror_is_stale_until_its_snapshot():
    mirror = BookMirror("X")
    assert mirror.stale
    assert not mirror.apply(change(0, 1))
    assert mirror.apply(snapshot(5, [(10, 1), (11, 2)], [(12, 3)]))
    assert not mirror.stale
    assert mirror.bids() == [(Decimal(11), Decimal(2)), (Decimal(10), Decimal(1))]
    assert mirror.best_ask == (Decimal(12), Decimal(3))
    assert mirror.best_bid == (Decimal(11), Decimal(2))


def test_changes_step_the_levels():
    mirror = BookMirror("X")
    mirror.apply(snapshot(1, [(10, 1)], [(12, 3), (13, 1)]))
    assert mirror.apply(change(1, 2, [["new", 9, 5], ["change", 10, 2]], [["delete", 12, 0]]))
    assert mirror.bids(1) == [(Decimal(10), Decimal(2))]
    assert mirror.asks() == [(Decimal(13), Decimal(1))]


def test_a_gap_makes_it_stale_until_a_snapshot():
    mirror = BookMirror("X")
    mirror.apply(snapshot(1, [(10, 1)]))
    assert not mirror.apply(change(2, 3, [["new", 11, 1]]))
    assert mirror.stale
    assert not mirror.apply(change(1, 2))
    assert mirror.apply(snapshot(4))
    assert mirror.bids() == []
    assert mirror.best_bid is None
