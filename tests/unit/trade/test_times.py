"""Moments as people write and read them."""

import pytest

from exchange.sdk import BadArgument
from exchange.trade.times import milliseconds, moment


def test_a_moment_there_and_back():
    assert moment(1_798_185_600_000) == "2026-12-25 08:00:00"
    assert milliseconds("2026-12-25T08:00") == 1_798_185_600_000
    assert milliseconds("2026-12-25T09:00+01:00") == 1_798_185_600_000
    assert milliseconds("2026-12-25") == 1_798_156_800_000


def test_what_is_no_time_is_named():
    with pytest.raises(BadArgument, match="christmas"):
        milliseconds("christmas")
