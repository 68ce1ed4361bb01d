"""Margin, withdrawals, expiry and settlement, told in traders' words."""

import msgspec
from tests.scenarios.story import check
from tests.venue import MARGIN, usdc

from exchange.commands import ConcentrationTerms
from exchange.fixed import RATIO_SCALE


def test_margin_stops_what_one_cannot_pay():
    """A buyer pays the premium, a seller carries the worst scenario; closing is always allowed."""
    check(
        """
        ann deposits 5,000
        bob deposits 1,000,000
        ann bids 3 100k-call at 2,500                   -> refused insufficient_margin
        ann offers 2 100k-call at 2,500                 -> refused insufficient_margin
        ann offers 1 100k-call at 2,500                 -> rests 1
        bob bids 1 100k-call at 2,500                   -> trades 1 at 2,500
        ann is not liquidatable
        100k-call is marked 6,500
        ann is liquidatable
        bob offers 1 100k-call at 6,500                 -> rests 1
        ann bids 1 100k-call at 6,500                   -> refused insufficient_margin
        ann bids 1 100k-call at 6,500 reduce-only       -> trades 1 at 6,500
        ann holds nothing
        ann has 1,000
        """
    )


def test_a_spread_needs_less_than_its_legs():
    """A long call at 110k limits what a short one at 100k can lose."""
    check(
        """
        ann deposits 3,600
        bob deposits 1,000,000
        bob offers 1 110k-call at 2,500                 -> rests 1
        ann bids 1 110k-call at 2,500                   -> trades 1 at 2,500
        ann offers 1 100k-call at 2,500                 -> rests 1
        ann offers 1 100k-call at 2,500                 -> refused insufficient_margin
        """
    )


def test_cash_that_is_needed_stays():
    """Free cash leaves at once, the rest after the position is closed."""
    check(
        """
        ann deposits 10,000
        bob deposits 100,000
        bob bids 1 100k-call at 2,500                   -> rests 1
        ann offers 1 100k-call at 2,500                 -> trades 1 at 2,500
        ann withdraws 10,000                            -> refused insufficient_cash
        ann withdraws 5,000                             -> pays out 5,000
        a batch is cut                                  -> batch 1
        a batch is cut                                  -> refused nothing_to_settle
        bob offers 1 100k-call at 2,400                 -> rests 1
        ann bids 1 100k-call at 2,400                   -> trades 1 at 2,400
        ann withdraws 5,100                             -> pays out 5,100
        ann has 0
        """
    )


def test_an_expiry_pays_in_the_money_options():
    """A steady index of 104,000: the call pays 4,000, the put nothing, and all is closed."""
    check(
        """
        ann deposits 50,000
        bob deposits 50,000
        ann offers 2 100k-call at 2,500                 -> rests 2
        bob bids 2 100k-call at 2,500                   -> trades 2 at 2,500
        bob offers 1 90k-put at 2,500                   -> rests 1
        ann bids 1 90k-put at 2,500                     -> trades 1 at 2,500
        the options expire at 104,000                   -> 1 pay 0; -1 pay 0; -2 pay -8,000; 2 pay 8,000
        ann has 44,500
        bob has 55,500
        ann holds nothing
        ann bids 1 100k-call at 2,500                   -> refused instrument_expired
        a batch is cut                                  -> batch 1
        ann withdraws 44,500                            -> pays out 44,500
        """  # noqa: E501 -- one line, one order
    )


def test_fees_and_payoffs_leave_nothing_behind():
    """Everybody takes everything out: the venue is left with its fees."""
    story = check(
        """
        ann deposits 50,000
        bob deposits 50,000
        ann offers 1 110k-put at 2,500                  -> rests 1
        bob bids 1 110k-put at 2,500                    -> trades 1 at 2,500
        the options expire at 109,999.99                -> -1 pay -0.01; 1 pay 0.01
        ann withdraws 52,469.99                         -> pays out 52,469.99
        bob withdraws 47,470.01                         -> pays out 47,470.01
        ann has 0
        bob has 0
        venue has 60
        """,
        fees=True,
    )
    assert story.venue.engine.total_cash() == 60 * 10**6


def test_a_whale_pays_for_what_the_market_cannot_take_back():
    """5 % of the index for each contract beyond five, or beyond a fifth of all that is open.

    The market's size is counted when marks come. Whoever stays while others leave is asked for
    more before a new trade, and is not liquidated for it.
    """
    whales = ConcentrationTerms(
        rate=RATIO_SCALE // 20, share=RATIO_SCALE // 5, free_notional=usdc(500_000)
    )
    check(
        """
        whale deposits 1,000,000
        bob deposits 10,000,000
        ann deposits 10,000,000
        bob offers 20 100k-call at 2,500                -> rests 20
        whale bids 20 100k-call at 2,500                -> trades 20 at 2,500
        whale has 900,000 free                          # 25,000 at worst, and 15 contracts beyond
        bob offers 180 110k-call at 2,500               -> rests 180
        ann bids 180 110k-call at 2,500                 -> trades 180 at 2,500
        whale has 900,000 free                          # as it was when the marks came
        100k-call is marked 2,500
        whale has 975,000 free                          # 20 of 200 are not many
        whale withdraws 940,000
        ann offers 180 110k-call at 2,500               -> rests 180
        bob bids 180 110k-call at 2,500                 -> trades 180 at 2,500
        100k-call is marked 2,500
        whale has -40,000 free
        whale is not liquidatable
        whale bids 1 100k-call at 2,500                 -> refused insufficient_margin
        bob bids 20 100k-call at 2,500                  -> rests 20
        whale offers 10 100k-call at 2,500 reduce-only  -> trades 10 at 2,500
        whale has 22,500 free
        """,
        margin=msgspec.structs.replace(MARGIN, concentration=whales),
    )
