"""Tokens besides cash: their value, their shocks, their haircuts, their caps."""

import msgspec
import pytest
from tests.margin_world import WBTC, WETH, account, collaterals, marks_book, option, preset, update

from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.margin.collateral import asset_moves, holding, stretched_spots, wrong_terms
from exchange.margin.marks import MarksBook
from exchange.margin.scenarios import margin_parameters

PARAMETERS = margin_parameters(preset())


def test_ten_tokens_count_their_index_less_the_worst_shock_and_haircuts():
    """10 WETH at 3,500: 35,000; down 18 % is the worst; 2 and 3 % are cut."""
    found = account(tokens={WETH: 10})
    assert found.collateral_value() == found.equity() == 35_000 * CASH_SCALE
    shock, cut, cut_more = 6_300, 700, 1_050
    assert found.maintenance_excess() == (35_000 - 0.8 * shock - cut) * CASH_SCALE
    assert found.initial_excess() == (35_000 - shock - cut - cut_more) * CASH_SCALE
    found.check()


def test_everything_rounds_against_the_account():
    """One hundred-millionth of a WETH is 35 millionths of a dollar."""
    one = holding(marks_book(), WETH, 1)
    assert (one.value, one.initial_addon, one.maintenance_addon) == (35, 2, 1)
    assert min(one.results) == -7, "18 % of 35, rounded down"
    assert len(one.results) == 34
    assert one.results[-1] == 0


def test_scenarios_that_tilt_the_smile_take_tokens_in_absolute_value():
    marks = marks_book()
    moves = asset_moves(marks, 2)
    assert moves[0] == RATIO_SCALE * RATIO_SCALE * 18 // 100
    assert moves[-2:] == [0, 0]
    tilted = msgspec.structs.replace(
        marks.parameters, spots=(*marks.parameters.spots[:-1], RATIO_SCALE * 12 // 10)
    )
    marks.configure(tilted)
    assert asset_moves(marks, 2)[-1] == -RATIO_SCALE * RATIO_SCALE * 2 // 10


def test_stretched_ranges_move_tokens_like_their_underlying():
    """WETH falls as far as ETH does in the rows, to the last digit that counts."""
    found = stretched_spots(PARAMETERS.spots, PARAMETERS.weights, RATIO_SCALE * 14 // 10)
    floats = [scenario.spot for scenario in preset().scaled(1.4, 1.0).scenarios]
    assert [spot / RATIO_SCALE for spot in found] == pytest.approx(floats, rel=1e-15)
    widest = stretched_spots(PARAMETERS.spots, PARAMETERS.weights, RATIO_SCALE * 9)
    grid = [s for s, w in zip(widest, PARAMETERS.weights, strict=True) if w >= RATIO_SCALE]
    assert (min(grid), max(grid)) == (RATIO_SCALE * 67 // 100, RATIO_SCALE * 3 // 2)
    bare = stretched_spots((RATIO_SCALE * 9 // 10,), (RATIO_SCALE,), RATIO_SCALE * 2)
    assert bare == (RATIO_SCALE * 8 // 10,)
    assert stretched_spots(PARAMETERS.spots, PARAMETERS.weights, RATIO_SCALE) is PARAMETERS.spots
    wide = account(tokens={WETH: 10}, marks=marks_book(scan=1.5))
    assert wide.initial_excess() == (35_000 - 9_450 - 700 - 1_050) * CASH_SCALE


def test_what_lies_beyond_the_account_cap_counts_nothing():
    marks = marks_book(assets=collaterals(account_cap=3 * 10**8))
    capped, whole = account(tokens={WETH: 10}, marks=marks), account(tokens={WETH: 3})
    assert capped.initial_excess() == whole.initial_excess()
    assert capped.equity() == whole.equity() == 10_500 * CASH_SCALE
    assert capped.collateral == {WETH: 10 * 10**8}, "held all the same"


def test_doubt_about_an_index_costs_what_depends_on_it():
    doubt = marks_book(confidence=0.5)
    sure, unsure = account(tokens={WBTC: 1}), account(tokens={WBTC: 1}, marks=doubt)
    assert unsure.initial_excess() == sure.initial_excess() - 50_000 * CASH_SCALE
    assert unsure.maintenance_excess() == sure.maintenance_excess()


def test_confidence_at_the_floor_costs_nothing():
    """At 0.55 tokens count as if the index were certain; a little below all of the doubt counts."""
    at_floor, below = (
        account(tokens={WBTC: 1}, marks=marks_book(confidence=confidence))
        for confidence in (0.55, 0.5499)
    )
    sure = account(tokens={WBTC: 1}).initial_excess()
    assert at_floor.initial_excess() == sure
    assert below.initial_excess() == sure - 45_010 * CASH_SCALE


def test_isolated_tokens_hedge_nothing():
    call = {option(4_000, "C", underlying_id=2): -10.0}
    shared = account(call, tokens={WETH: 10})
    alone = account(call, tokens={WETH: 10}, marks=marks_book(assets=collaterals(isolated=True)))
    assert alone.initial_excess() < shared.initial_excess()
    apart = account(call).initial_excess() + account(tokens={WETH: 10}).initial_excess()
    assert alone.initial_excess() == apart
    assert len(set(map(alone._marks.asset_group, collaterals(isolated=True)))) == 2


def test_tokens_count_nothing_before_the_first_epoch_and_follow_every_later_one():
    marks = MarksBook(marks_book().parameters)
    marks.set_collaterals(collaterals())
    found = account(tokens={WETH: 1}, marks=marks)
    assert found.equity() == found.initial_excess() == 0
    marks.update(update(1))
    assert found.equity() == 3_500 * CASH_SCALE
    marks.update(update(2, move=0.5))
    assert found.equity() == 1_750 * CASH_SCALE
    marks.set_collaterals(())
    assert found.equity() == 0, "a token without terms backs nothing"
    found.check()


def test_an_epoch_must_price_every_token():
    """The index printed as 0: nobody's collateral is gone for that."""
    marks = marks_book()
    good = update(2)
    assert marks.accepts(good)
    for price in (0, -1, 2**50):
        one, other = good.underlyings
        broken = msgspec.structs.replace(other, index_price=price)
        assert not marks.accepts(msgspec.structs.replace(good, underlyings=(one, broken)))


def test_nothing_can_be_owed_in_tokens():
    found = account(tokens={WETH: 1})
    with pytest.raises(AssertionError, match="cannot be owed"):
        found.add_collateral(WETH, -(10**8) - 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asset_id": 2}, "collaterals are numbered from 1"),
        ({"underlying_id": 9}, "WETH has no underlying"),
        ({"initial_haircut": RATIO_SCALE}, "haircuts of WETH"),
        ({"maintenance_haircut": -1}, "haircuts of WETH"),
        ({"account_cap": -1}, "caps or decimals of WETH"),
        ({"decimals": 25}, "caps or decimals of WETH"),
        ({"initial_haircut": 0, "maintenance_haircut": 0}, ""),
        ({}, ""),
    ],
)
def test_terms_are_checked_before_they_bind(changes, words):
    weth = msgspec.structs.replace(collaterals()[0], **changes)
    assert wrong_terms((weth,), {1, 2}, PARAMETERS).startswith(words)
    assert (wrong_terms((weth,), {1, 2}, PARAMETERS) == "") == (words == "")


def test_a_token_is_listed_once_and_only_where_spot_shocks_are_known():
    weth = collaterals()[0]
    again = msgspec.structs.replace(weth, asset_id=2)
    assert "each token once" in wrong_terms((weth, again), {1, 2}, PARAMETERS)
    unshocked = msgspec.structs.replace(PARAMETERS, spots=())
    assert "spot shock" in wrong_terms((weth,), {1, 2}, unshocked)


def test_a_token_of_which_nothing_comes_is_not_held():
    found = account(cash=1)
    found.add_collateral(WETH, 0)
    assert found.collateral == {}
    found.check()
