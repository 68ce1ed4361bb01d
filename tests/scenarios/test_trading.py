"""A trading day, told in traders' words."""

import pytest
from tests.scenarios.story import check


def test_two_makers_and_a_taker():
    """The better price trades first, then the older order; money and positions follow."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        carol deposits 100,000
        ann offers 2 100k-call at 2,510              -> rests 2
        bob offers 2 100k-call at 2,500              -> rests 2
        carol bids 3 100k-call at 2,600              -> trades 2 at 2,500; trades 1 at 2,510
        100k-call: bids none and asks 1 at 2,510
        ann has 102,510
        bob has 105,000
        carol has 92,490
        carol holds 3 100k-call
        bob holds -2 100k-call
        """
    )


def test_fees_go_to_the_venue():
    """30 a contract for each side at an index of 100,000; 12.5 % of small premiums."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        ann offers 2 100k-call at 2,500              -> rests 2
        bob bids 2 100k-call at 2,500                -> trades 2 at 2,500
        ann has 104,940
        bob has 94,940
        venue has 120
        100k-put is marked 10
        ann offers 1 100k-put at 10                  -> rests 1
        bob bids 1 100k-put at 10                    -> trades 1 at 10
        venue has 122.5
        bob bids 1 100k-call at 2,500 max-fee 29     -> refused max_fee_too_low
        """,
        fees=True,
    )


def test_orders_of_all_kinds():
    """Immediate, whole, or waiting; shown in part; stepping back rather than trading."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        ann offers 5 100k-call at 2,500 show 1       -> rests 5
        100k-call: bids none and asks 1 at 2,500
        bob bids 6 100k-call at 2,500 fok            -> refused fok_not_fillable
        bob bids 2 100k-call at 2,500 fok            -> trades 1 at 2,500; trades 1 at 2,500
        bob bids 1 100k-call at 2,600 post-only      -> rests 1
        100k-call: bids 1 at 2,499.99 and asks 1 at 2,500
        bob bids 1 100k-call at 2,600 post-only or-refuse  -> refused post_only_would_trade
        ann offers 3 100k-call at 2,450 ioc          -> trades 1 at 2,499.99; cancels 2 (immediate_or_cancel)
        """  # noqa: E501 -- one line, one order
    )


def test_an_owner_never_trades_with_herself():
    """Her two subaccounts meet in the book; the arriving order says who gives way."""
    check(
        """
        ann/1 deposits 100,000
        ann/2 deposits 100,000
        ann/1 offers 2 100k-call at 2,500                -> rests 2
        ann/2 bids 3 100k-call at 2,500                  -> cancels 3 (self_trade)
        ann/2 bids 1 100k-call at 2,500 decrement        -> cancels 1 (self_trade); cancels 1 (self_trade)
        100k-call: bids none and asks 1 at 2,500
        ann/2 bids 3 100k-call at 2,500 cancel-maker     -> cancels 1 (self_trade); rests 3
        ann/1 holds nothing
        """  # noqa: E501 -- one line, one order
    )


def test_amending_and_canceling():
    """Less keeps the place in the line, a new price may trade, a canceled order is gone."""
    check(
        """
        ann deposits 100,000
        bob deposits 100,000
        ann offers 2 100k-call at 2,500 as first         -> rests 2
        bob offers 1 100k-call at 2,500 as second        -> rests 1
        first moves to quantity 1
        carol deposits 100,000
        carol bids 1 100k-call at 2,500                  -> trades 1 at 2,500
        ann holds -1 100k-call
        carol bids 1 100k-call at 2,400 as bid           -> rests 1
        bid moves to price 2,500                         -> trades 1 at 2,500
        second is canceled                               -> refused unknown_order
        100k-call: bids none and asks none
        """
    )


def test_reduce_only_never_turns_a_position():
    """A sweep through all her offers leaves her flat, not short."""
    check(
        """
        ann deposits 100,000
        bob deposits 1,000,000
        bob offers 5 100k-call at 2,500                   -> rests 5
        ann bids 5 100k-call at 2,500                     -> trades 5 at 2,500
        ann offers 3 100k-call at 2,600 reduce-only       -> rests 3
        ann offers 4 100k-call at 2,700 reduce-only       -> cancels 2 (reduce_only); rests 2
        bob bids 9 100k-call at 2,700 ioc                 -> trades 3 at 2,600; trades 2 at 2,700; cancels 4 (immediate_or_cancel)
        ann holds nothing
        ann offers 1 100k-call at 2,700 reduce-only       -> refused reduce_only_increases
        """  # noqa: E501 -- one line, one order
    )


def test_deadlines_keys_and_nonces():
    """Three ways in which an order ends without its owner canceling it."""
    check(
        """
        ann deposits 100,000
        ann offers 1 100k-call at 2,500 for 60s       -> rests 1
        59 seconds pass
        1 seconds pass                                -> cancels 1 (deadline)
        ann lets phone trade for 7200s
        the index is 100,000
        ann by phone offers 2 100k-call at 2,500      -> rests 2
        ann revokes phone                             -> cancels 2 (session_key_revoked)
        ann by phone offers 2 100k-call at 2,500      -> refused unauthorized_signer
        ann offers 3 100k-call at 2,500               -> rests 3
        ann voids all nonces so far                   -> cancels 3 (nonce_floor)
        """
    )


def test_no_price_no_new_risk():
    """Without a fresh index orders wait; canceling works always."""
    check(
        """
        ann deposits 100,000
        ann offers 1 100k-call at 2,500 as resting    -> rests 1
        31 seconds pass
        ann offers 1 100k-call at 2,500               -> refused stale_index
        resting is canceled                           -> cancels 1 (by_owner)
        the index is 100,000
        ann bids 1 100k-call at 12,600                -> refused price_outside_band
        """
    )


def test_a_story_that_is_not_so_fails():
    """The helper itself must notice; it names the line and what happened instead."""
    with pytest.raises(AssertionError, match=r"line 3: ann has 5\nhas 100,000"):
        check("\nann deposits 100,000\nann has 5")
    with pytest.raises(AssertionError, match="happened: rests 1"):
        check("ann deposits 100,000\nann bids 1 100k-call at 10 -> trades 1 at 10")
    with pytest.raises(AssertionError, match="refused insufficient_margin"):
        check("ann deposits 1\nann offers 1 100k-call at 10")
    with pytest.raises(ValueError, match="nobody understands: ann dances"):
        check("ann dances")


def test_market_orders_icebergs_and_volatilities():
    """At most the band, a slice at a time, and never beyond the worst price."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        ann offers 5 100k-call at 2,600 show 2       -> rests 5
        100k-call: bids none and asks 2 at 2,600
        bob bids 3 100k-call at 900,000 market       -> trades 2 at 2,600; trades 1 at 2,600
        100k-call: bids none and asks 1 at 2,600
        bob bids 1 100k-call at 2,590 worth 2,500 as follower  -> rests 1
        the volatility of follower is worth 2,550    -> is at 2,550
        the volatility of follower is worth 2,700    -> is at 2,590
        100k-call: bids 1 at 2,590 and asks 1 at 2,600
        ann offers 1 100k-call at 2,590              -> trades 1 at 2,590
        """
    )


def test_a_maker_leaves_before_a_taker_comes():
    """Takers wait two seconds; cancels and quotes do not."""
    check(
        """
        ann deposits 1,000,000
        bob deposits 1,000,000
        takers of 100k-call wait 2s
        ann offers 1 100k-call at 2,500 as stale     -> rests 1
        ann offers 1 100k-call at 2,520              -> rests 1
        bob bids 1 100k-call at 2,600                -> waits
        1 seconds pass
        stale is canceled                            -> cancels 1 (by_owner)
        1 seconds pass                               -> trades 1 at 2,520; batch 1
        bob holds 1 100k-call
        """
    )
