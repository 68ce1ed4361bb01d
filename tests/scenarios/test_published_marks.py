"""What traders see of the marks that the chain was shown."""

from tests.scenarios.story import check
from tests.unit.engine.test_published import RULES


def test_a_market_that_runs_away_from_the_published_marks():
    """Orders stay inside the band around them, and who is left behind is taken out."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        ann offers 1 100k-call at 3,000              -> rests 1
        ann bids 1 100k-call at 1,000                -> rests 1
        bob bids 1 100k-call at 7,500.01             -> refused price_outside_band
        the index is 108,000
        bob bids 1 100k-call at 7,500.01             -> refused price_outside_band
        100k-call is marked 9,000                    -> cancels 1 (price_band)
        100k-call: bids 1 at 1,000 and asks none
        bob offers 1 100k-call at 14,000             -> rests 1
        ann bids 1 100k-call at 14,000               -> trades 1 at 14,000
        """,
        publication=RULES,
    )


def test_a_new_instrument_waits_for_its_mark_on_chain():
    """Perpetuals are listed here before any mark of them was published."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        ann offers 1 perpetual at 102,000            -> rests 1
        bob bids 1 perpetual at 102,000.01           -> refused price_outside_band
        bob bids 1 perpetual at 102,000              -> trades 1 at 102,000
        """,
        publication=RULES,
    )
