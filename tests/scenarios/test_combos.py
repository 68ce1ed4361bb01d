"""Structures at one price, told in traders' words."""

from tests.scenarios.story import check


def test_a_call_spread_crosses_the_books_of_its_legs():
    """Makers of the legs get their own prices; the buyer pays one net price for both."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        carol deposits 100,000
        spread is 1 100k-call and -1 110k-call
        110k-call is marked 1,500
        ann offers 2 100k-call at 2,500 -> rests 2
        bob bids 5 110k-call at 1,450 -> rests 5
        carol bids 3 spread at 1,060 -> trades 2 at 1,050; leg 2 at 2,500; leg 2 at 1,450; rests 1
        carol has 97,900
        carol holds 2 100k-call
        carol holds -2 110k-call
        ann holds -2 100k-call
        bob holds 2 110k-call
        spread: bids 1 at 1,060 and asks none
        110k-call: bids 3 at 1,450 and asks none
        ann offers 1 100k-call at 2,490 -> trades 1 at 1,040; leg 1 at 2,490; leg 1 at 1,450
        spread: bids none and asks none
        carol has 96,860
        """
    )


def test_two_traders_meet_in_the_spread():
    """The maker's net price; the legs stand at their marks as far as that allows."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        spread is 1 100k-call and -1 110k-call
        110k-call is marked 1,500
        ann offers 2 spread at 990 -> rests 2
        bob bids 1 spread at 1,000 -> trades 1 at 990; leg 1 at 2,490; leg 1 at 1,500
        spread: bids none and asks 1 at 990
        bob holds 1 100k-call
        bob holds -1 110k-call
        """
    )


def test_a_box_is_a_loan():
    """Four legs, all or none: whoever buys it gets the distance of the strikes back."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        carol deposits 100,000
        box is 1 100k-call and -1 110k-call and -1 100k-put and 1 110k-put
        100k-call is marked 5,000
        110k-call is marked 1,000
        100k-put is marked 4,000
        110k-put is marked 9,900
        ann offers 1 100k-call at 5,000
        ann bids 1 110k-call at 1,000
        bob bids 1 100k-put at 4,000
        carol bids 1 box at 9,900 -> rests 1
        bob offers 1 110k-put at 9,900
        carol has 90,100
        the options expire at 104,000
        carol has 100,100
        carol holds nothing
        """
    )


def test_a_straddle_waits_while_one_leg_is_outside_its_band():
    """The offer of the put is far below its mark: whoever put it there, the straddle leaves it."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        carol deposits 1,000,000
        straddle is 1 100k-call and 1 100k-put
        ann offers 1 100k-call at 2,500 -> rests 1
        bob offers 1 100k-put at 2,400 -> rests 1
        100k-put is marked 13,000
        carol bids 1 straddle at 5,000 -> rests 1
        carol holds nothing
        100k-put is marked 12,000 -> trades 1 at 4,900; leg 1 at 2,500; leg 1 at 2,400
        carol holds 1 100k-put
        """
    )


def test_a_halted_leg_halts_the_structure():
    """Nothing is lost: the order waits for its leg."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        straddle is 1 100k-call and 1 100k-put
        ann bids 1 straddle at 5,000 -> rests 1
        100k-put is halted
        bob offers 1 straddle at 5,000 -> refused instrument_halted
        straddle: bids 1 at 5,000 and asks none
        """
    )


def test_a_spread_that_pays_its_buyer_has_a_negative_price():
    """Who names it the other way round sells what he wants to buy."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        reversal is 1 90k-put and -1 110k-call
        90k-put is marked 1,300
        110k-call is marked 1,500
        ann offers 1 reversal at -200 -> rests 1
        bob bids 1 reversal at -150 -> trades 1 at -200; leg 1 at 1,300; leg 1 at 1,500
        bob has 100,200
        """
    )
