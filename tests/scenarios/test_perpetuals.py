"""Perpetuals and futures, told in traders' words."""

from tests.scenarios.story import check


def test_a_long_pays_a_short_for_a_premium():
    """288 above the index costs 0.01 a second and contract; a fill realises it to the cent."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        bob offers 2 perpetual at 100,000               -> rests 2
        ann bids 2 perpetual at 100,000                 -> trades 2 at 100,000
        ann has 1,000,000
        perpetual is marked 100,288
        ann is worth 1,000,576
        20 seconds pass
        funding moves                                   -> funding stands at 0.2
        ann has 1,000,000
        ann is worth 1,000,575.6
        bob is worth 999,424.4
        bob bids 2 perpetual at 100,288                 -> rests 2
        ann offers 2 perpetual at 100,288
        ann has 1,000,575.6
        bob has 999,424.4
        ann holds nothing
        """
    )


def test_a_short_pays_for_a_discount_and_a_stranger_pays_nothing():
    """Who opened after the index moved owes for what comes later only."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        eve deposits 1,000,000
        bob offers 1 perpetual at 100,000
        ann bids 1 perpetual at 100,000                 -> trades 1 at 100,000
        perpetual is marked 99,712
        10 seconds pass
        funding moves                                   -> funding stands at -0.1
        ann offers 1 perpetual at 99,712
        eve bids 1 perpetual at 99,712                  -> funding pays 0.1; trades 1 at 99,712
        ann has 999,712.1
        10 seconds pass
        funding moves                                   -> funding stands at -0.2
        eve is worth 1,000,000.1
        bob is worth 1,000,287.8
        """
    )


def test_a_position_that_turns_pays_once():
    """Long 1 becomes short 2 in one fill: the old one is realised, the new one starts from zero."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        bob offers 1 perpetual at 99,000
        ann bids 1 perpetual at 99,000                  -> trades 1 at 99,000
        bob bids 3 perpetual at 101,000
        ann offers 3 perpetual at 101,000               -> trades 3 at 101,000
        ann has 1,002,000
        ann holds -2 perpetual
        ann is worth 1,004,000
        bob has 998,000
        bob is worth 996,000
        """
    )


def test_a_future_is_delivered_at_the_index():
    """Options and futures of one expiry end together, at one price."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        bob offers 2 future at 100,000
        ann bids 2 future at 100,000                    -> trades 2 at 100,000
        ann offers 2 100k-call at 2,500
        bob bids 2 100k-call at 2,500                   -> trades 2 at 2,500
        ann has 1,005,000
        everything expires at 106,000
        ann has 1,005,000
        bob has 995,000
        """
    )


def test_losses_on_a_perpetual_lead_to_liquidation():
    """Without a cent of cash moving; and nothing of what is lost can be withdrawn."""
    check(
        """
        ann deposits 60,000
        bob deposits 1,000,000
        bob offers 1 perpetual at 100,000
        ann bids 1 perpetual at 100,000                 -> trades 1 at 100,000
        ann withdraws 10,001                            -> refused insufficient_cash
        perpetual is marked 70,000
        ann has 60,000
        ann is worth 30,000
        ann is not liquidatable
        ann withdraws 1                                 -> refused insufficient_cash
        perpetual is marked 55,000
        ann is liquidatable
        """
    )


def test_a_covered_call_with_the_perpetual():
    """A long perpetual carries most of what a short call can lose."""
    check(
        """
        ann deposits 52,000
        bob deposits 1,000,000
        bob offers 1 perpetual at 100,000
        ann bids 1 perpetual at 100,000                 -> trades 1 at 100,000
        bob bids 1 110k-call at 2,500
        ann offers 1 110k-call at 2,500 max-fee 0       -> trades 1 at 2,500
        ann has 54,500
        """
    )
