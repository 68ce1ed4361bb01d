"""Margin in traders' words."""

import msgspec
import pytest
from tests.margin_world import (
    EXPIRIES,
    WBTC,
    WETH,
    account,
    collaterals,
    market,
    marks_book,
    option,
    order,
    perpetual,
    preset,
    update,
)

from exchange.fixed import CASH_SCALE
from exchange.margin.reference import FloatPortfolio, evaluate

NEAR, FAR = EXPIRIES[1], EXPIRIES[2]


def check(positions, *, cash, marks=None):
    """(initial excess, maintenance excess) in USDC; the caches are compared on the way."""
    found = account(positions, cash=cash, marks=marks)
    found.check()
    return found.initial_excess() / CASH_SCALE, found.maintenance_excess() / CASH_SCALE


def test_a_short_strangle_lives_through_a_gap_of_a_fifth():
    """Sold at 80 and 120 thousand with just enough to open: the gap stops new risk, no more."""
    marks = marks_book()
    seller = account({option(80_000, "P"): -1.0, option(120_000, "C"): -1.0}, marks=marks)
    seller.add_cash(-seller.initial_excess())
    assert seller.initial_excess() == 0
    marks.update(update(2, move=0.8))
    seller.check()
    assert seller.initial_excess() < 0 < seller.maintenance_excess()
    marks.update(update(3, move=0.7))
    seller.check()
    assert seller.maintenance_excess() < 0 < seller.equity(), "liquidatable while still solvent"


def test_a_box_is_riskless_but_gets_no_credit():
    """Long the 90-110 box: worth 20 thousand whatever comes; its margin is the discount's width."""
    box = {
        option(90_000, "C"): 1.0,
        option(110_000, "C"): -1.0,
        option(90_000, "P"): -1.0,
        option(110_000, "P"): 1.0,
    }
    value = account(box).mark_value() / CASH_SCALE
    assert value == pytest.approx(20_000, rel=0.005)
    long_margin = account(box).initial_margin() / CASH_SCALE
    assert 0 < long_margin < 0.04 * value
    results = (
        evaluate(preset(), market(), FloatPortfolio(cash=0.0, positions=box)).groups[0].results
    )
    assert max(results[:23]) - min(results[:23]) < 1e-6, "no scenario of the grid moves it"
    short = {one: -quantity for one, quantity in box.items()}
    assert account(short).initial_margin() > 0
    both = {**box}
    for one, quantity in short.items():
        both[one] = both[one] + quantity
    assert account({one: held for one, held in both.items() if held}).initial_margin() == 0


def test_a_calendar_needs_less_than_its_short_leg():
    """Short the near 100 call against the far one: the far leg pays for most of the near one."""
    calendar = {option(100_000, "C", NEAR): -1.0, option(100_000, "C", FAR): 1.0}
    short = {option(100_000, "C", NEAR): -1.0}
    spread_margin = account(calendar).initial_margin()
    naked_margin = account(short).initial_margin()
    assert 0 < spread_margin < naked_margin / 2


def test_a_vertical_never_needs_more_than_it_can_lose():
    """A call spread sold 10 thousand wide: at worst 10 thousand, and the basis of its expiry."""
    spread = {option(110_000, "C"): -1.0, option(120_000, "C"): 1.0}
    found = account(spread)
    credit = -found.mark_value()
    addons = 500 * CASH_SCALE
    assert found.initial_margin() <= 10_000 * CASH_SCALE - credit + addons + 300 * CASH_SCALE
    assert found.initial_margin() < account({option(110_000, "C"): -1.0}).initial_margin()


def test_a_call_covered_by_the_perpetual_needs_less_than_either():
    covered = {option(110_000, "C"): -1.0, perpetual(): 1.0}
    perpetual_alone, call_alone = {perpetual(): 1.0}, {option(110_000, "C"): -1.0}
    margin = account(covered).initial_margin()
    assert margin < account(perpetual_alone).initial_margin()
    assert margin < account(perpetual_alone).initial_margin() + account(call_alone).initial_margin()


def test_a_hedged_book_is_not_charged_for_its_size():
    """Synthetic forward against the perpetual: delta-neutral in every scenario."""
    hedged = {option(100_000, "C"): 10.0, option(100_000, "P"): -10.0, perpetual(): -10.0}
    naked = {perpetual(): -10.0}
    assert account(hedged).initial_margin() < 0.6 * account(naked).initial_margin()


def test_a_maker_quotes_both_sides_of_a_chain_within_margin():
    """Twelve quotes at fair prices: only fills cost margin, and each only its own worst."""
    maker = account(cash=150_000)
    for order_id, strike in enumerate(range(90_000, 120_000, 10_000)):
        for letter in "CP":
            instrument_id = option(strike, letter)
            fair = maker._marks.mark_price(instrument_id) / CASH_SCALE
            bid, ask = (
                order(instrument_id, 1, fair * 0.97, 10),
                order(instrument_id, -1, fair * 1.03, 10),
            )
            for side, quote in enumerate((bid, ask)):
                assert maker.initial_excess_with(quote) >= 0
                maker.place_order(4 * order_id + 2 * (letter == "P") + side, quote)
    worst = maker.initial_excess()
    maker.check()
    hit = maker.orders[1]
    maker.apply_fill(hit.instrument_id, hit.sign * hit.quantity)
    maker.add_cash(hit.limit_price - 10 * CASH_SCALE)
    maker.reduce_order(1, 0)
    assert maker.initial_excess() >= worst, "a fill never takes more than was set aside"


def test_two_accounts_that_trade_at_the_mark_keep_their_equity():
    buyer, seller = account(cash=50_000), account(cash=50_000)
    call = option(100_000, "C")
    price = buyer._marks.mark_price(call)
    before = buyer.equity() + seller.equity()
    for trader, sign in ((buyer, 1), (seller, -1)):
        trader.apply_fill(call, sign * 10_000)
        trader.add_cash(-sign * price)
    assert buyer.equity() + seller.equity() == before
    assert seller.initial_margin() > buyer.initial_margin() > 0


def test_a_falling_stablecoin_asks_for_more_before_it_liquidates_anybody():
    calm = check({option(110_000, "C"): -1.0}, cash=30_000)
    depegged = check({option(110_000, "C"): -1.0}, cash=30_000, marks=marks_book(stablecoin=0.95))
    assert depegged[0] < calm[0]
    assert depegged[1] == calm[1]


def test_a_doubtful_oracle_asks_shorts_for_more_and_longs_for_nothing():
    doubt = marks_book(confidence=0.5)
    short, long = {option(110_000, "C"): -1.0}, {option(110_000, "C"): 1.0}
    assert check(short, cash=0, marks=doubt)[0] == check(short, cash=0)[0] - 50_000
    assert check(long, cash=0, marks=doubt) == check(long, cash=0)


def test_a_call_covered_by_weth_needs_no_cash():
    """Ten WETH and ten calls sold: a rally that loses on the calls wins on the tokens."""
    calls = {option(4_000, "C", NEAR, 2): -10.0}
    covered = account(calls, tokens={WETH: 10})
    naked = account(calls)
    tokens = account(tokens={WETH: 10})
    covered.check()
    assert covered.initial_excess() > 0
    assert covered.initial_margin() < tokens.initial_margin(), "the calls hedge the tokens"
    assert covered.initial_margin() < 0.65 * (naked.initial_margin() + tokens.initial_margin())
    for move in (0.6, 1.5, 3.0):
        moved = account(calls, tokens={WETH: 10}, marks=marks_book(move=move))
        assert moved.maintenance_excess() > 0, f"covered at {move}"
    assert account(calls, cash=35_000, marks=marks_book(move=3.0)).maintenance_excess() < 0


def test_wbtc_covers_no_eth_call():
    """Each underlying is its own group: what hedges one does not hedge the other."""
    calls = {option(4_000, "C", NEAR, 2): -10.0}
    other = account(calls, tokens={WBTC: 0.35})
    own = account(calls, tokens={WETH: 10})
    assert other.equity() == own.equity()
    assert other.initial_margin() > 1.5 * own.initial_margin()


def test_an_isolated_token_hedges_nothing_not_even_its_own_underlying():
    """The same ten WETH and ten calls, once WETH is a risk group of its own: both ask for all."""
    calls = {option(4_000, "C", NEAR, 2): -10.0}
    alone = marks_book(assets=collaterals(isolated=True))
    covered, apart = (
        account(calls, tokens={WETH: 10}),
        account(calls, tokens={WETH: 10}, marks=alone),
    )
    naked, tokens = account(calls), account(tokens={WETH: 10})
    apart.check()
    assert apart.equity() == covered.equity()
    parts = naked.initial_margin() + tokens.initial_margin()
    assert abs(apart.initial_margin() - parts) <= CASH_SCALE
    assert apart.initial_margin() > covered.initial_margin()


def test_asset_classes_may_share_their_scenarios_or_not():
    """Short ETH and long BTC futures of one size: hedged where both move together, else not."""
    hedged = {perpetual(1): 1.0, perpetual(2): -25.0}
    two_groups = account(hedged)
    together = msgspec.structs.replace(two_groups._marks.parameters, risk_groups=((1, 0), (2, 0)))
    one_group = account(hedged, marks=marks_book(parameters=together))
    one_group.check()
    assert one_group.initial_margin() < 0.5 * two_groups.initial_margin()


def test_calls_bought_with_weth_leave_a_debt_that_tokens_back():
    """Cash goes below zero; the account stands while tokens less shocks exceed the debt."""
    call = option(4_000, "C", NEAR, 2)
    buyer = account(tokens={WETH: 10})
    bid = order(call, 20, buyer._marks.mark_price(call) / CASH_SCALE)
    assert buyer.initial_excess_with(bid) > 0
    buyer.apply_fill(call, bid.quantity)
    buyer.add_cash(-bid.limit_price * 20)
    buyer.check()
    assert buyer.cash < 0 < buyer.initial_excess()
