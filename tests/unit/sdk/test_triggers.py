"""What an order waits for, in the words of the wire and as it is signed."""

import pytest

from exchange.model import PriceSource, Trigger, TriggerKind
from exchange.sdk import BadArgument
from exchange.sdk.triggers import trigger_of


def test_words_become_what_is_signed():
    """A stop has a price, a trail an offset."""
    assert trigger_of("stop_limit", "last_price", "1.5", None) == Trigger(
        kind=TriggerKind.STOP, source=PriceSource.LAST, trigger_price=1_500_000
    )
    assert trigger_of("trailing_stop", "index_price", None, 2) == Trigger(
        kind=TriggerKind.TRAILING, source=PriceSource.INDEX, trail_offset=2_000_000
    )


def test_other_types_do_not_wait():
    assert trigger_of("market", "", None, None) is None


def test_the_price_to_watch_must_be_named():
    with pytest.raises(BadArgument, match="mark_price"):
        trigger_of("stop_limit", "", 1, None)
