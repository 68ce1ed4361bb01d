"""Positions and what they lose in each scenario."""

from tests.margin_world import EXPIRIES, instruments, marks_book, option, perpetual

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.portfolio import Portfolio

CALL, PUT = option(110_000, "C"), option(90_000, "P")


def naive_results(positions, marks, group):
    """The definition, one scenario at a time, in exact integers."""
    parameters = marks.parameters
    buckets = {}
    for instrument_id, quantity in positions.items():
        row = marks.row(instrument_id)
        if row.group == group:
            buckets.setdefault(row.bucket, []).append((row, quantity))
    results = [0] * (marks.scenario_count + 1)
    for legs in buckets.values():
        risk = legs[0][0].expiry_risk
        value = sum(row.mark_price * quantity for row, quantity in legs)
        sums = [
            sum(row.shocked[scenario] * quantity for row, quantity in legs)
            for scenario in range(marks.scenario_count)
        ]
        for scenario, total in enumerate(sums):
            discount = risk.discount_long if total >= 0 else risk.discount_short
            exact = total * discount - value * RATIO_SCALE
            if parameters.absolute[scenario]:
                exact = -abs(exact)
            exact *= parameters.weights[scenario]
            results[scenario] += exact // (QUANTITY_SCALE * RATIO_SCALE**2)
        moves = [sums[at] - value for at in (parameters.basis_up, parameters.basis_down)]
        basis = min(*moves, 0) * risk.basis_weight
        results[-1] += basis // (QUANTITY_SCALE * RATIO_SCALE)
    return results


def test_results_are_the_definition_to_the_last_unit():
    marks = marks_book()
    portfolio = Portfolio(marks)
    positions = {one: (at * 7919 % 2001 - 1000) * 13 for at, one in enumerate(instruments())}
    positions = {one: quantity for one, quantity in positions.items() if quantity}
    for instrument_id, quantity in positions.items():
        portfolio.change(instrument_id, quantity)
    found = portfolio.group_results()
    assert sorted(found) == [-2, -1]
    for group, results in found.items():
        assert results == naive_results(positions, marks, group)


def test_an_expiry_without_positions_leaves_no_trace():
    portfolio = Portfolio(marks_book())
    empty = portfolio.caches()
    for instrument_id in (CALL, PUT, perpetual()):
        portfolio.change(instrument_id, 5)
    portfolio.change(PUT, -5)
    assert len(portfolio.group_results()[-1]) == 34
    portfolio.change(CALL, -5)
    portfolio.change(perpetual(), -5)
    assert portfolio.positions == {}
    assert portfolio.caches() == empty


def test_mark_value_rounds_down_over_the_whole_portfolio():
    marks = marks_book()
    portfolio = Portfolio(marks)
    portfolio.change(CALL, -1)
    assert portfolio.mark_value() == -marks.mark_price(CALL) // QUANTITY_SCALE


def test_addons_are_those_of_the_preset():
    """0.2 % and 0.3 % of index for each naked short, 1 % and 3 % of perpetual notional."""
    portfolio = Portfolio(marks_book())
    portfolio.change(CALL, -10_000)
    portfolio.change(PUT, 30_000)
    assert portfolio.addons() == (200 * CASH_SCALE, 300 * CASH_SCALE)
    portfolio.change(perpetual(), -10_000)
    notional = 100_050
    assert portfolio.addons() == (
        200 * CASH_SCALE + notional * CASH_SCALE // 100,
        300 * CASH_SCALE + notional * CASH_SCALE * 3 // 100,
    )


def test_strikes_of_different_expiries_are_naked_apart():
    portfolio = Portfolio(marks_book())
    portfolio.change(option(100_000, "C", EXPIRIES[0]), -10_000)
    portfolio.change(option(100_000, "C", EXPIRIES[1]), 10_000)
    assert portfolio.addons()[1] == 300 * CASH_SCALE


def test_sums_of_an_expiry_can_be_asked():
    marks = marks_book()
    portfolio = Portfolio(marks)
    assert portfolio.bucket_sum(marks.row(CALL), 0) == 0
    portfolio.change(CALL, 3)
    assert portfolio.bucket_sum(marks.row(PUT), 0) == 3 * marks.row(CALL).shocked[0]
