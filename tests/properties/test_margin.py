"""What must hold for every portfolio, order and market."""

import functools
import itertools
import random
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.margin_world import (
    EXPIRIES,
    WBTC,
    WETH,
    account,
    collaterals,
    floats,
    instruments,
    market,
    marks_book,
    option,
    order,
    perpetual,
    preset,
    update,
)

from exchange.commands import ConcentrationTerms
from exchange.fixed import ASSET_SCALE, CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.margin.marks import MarksBook
from exchange.margin.order import MarginOrder
from exchange.margin.reference import evaluate
from exchange.margin.remargin import liquidatable
from exchange.margin.scenarios import margin_parameters
from exchange.model import Kind, Leg, combo_number, unpack_instrument_id

# Few instruments close to one another meet more often than many.
CHAIN = [
    option(strike, letter, expiry)
    for expiry in EXPIRIES[:2]
    for strike in (80_000, 100_000, 120_000)
    for letter in "CP"
]
BOOK = [*CHAIN, perpetual(1), option(3500, "C", underlying_id=2), perpetual(2)]
NEAR, FAR = EXPIRIES[:2]
STRUCTURES = [
    {option(80_000, "C", NEAR): 1, option(100_000, "C", NEAR): -1},
    {option(100_000, "C", FAR): 1, option(100_000, "P", FAR): 1},
    {option(80_000, "P", NEAR): 1, option(120_000, "C", NEAR): -1},
    {option(100_000, "C", NEAR): 1, option(120_000, "C", NEAR): -3},
    {option(100_000, "C", NEAR): 2, option(100_000, "C", FAR): -1},
    {
        option(80_000, "C", FAR): 1,
        option(80_000, "P", FAR): -1,
        option(120_000, "C", FAR): -1,
        option(120_000, "P", FAR): 1,
    },
    {option(100_000, "C", FAR): 1, option(100_000, "P", FAR): -1, perpetual(1): -1},
    {option(100_000, "P", NEAR): 1, option(80_000, "P", FAR): -2, perpetual(1): 1},
]
PACKAGES = {
    combo_number(at): tuple(Leg(*leg) for leg in sorted(legs.items()))
    for at, legs in enumerate(STRUCTURES, 1)
}
ORDERED = [*BOOK, *PACKAGES]
CONTRACTS = st.integers(-200_000, 200_000).filter(bool)
POSITIONS = st.dictionaries(st.sampled_from(BOOK), CONTRACTS, max_size=8)
TOKENS = st.dictionaries(st.sampled_from((WETH, WBTC)), st.integers(1, 10**11), max_size=2)
MARKETS = {
    "calm": {},
    "doubt": {"confidence": 0.5},
    "depeg": {"stablecoin": 0.9},
    "crash": {"move": 0.5},
    "stretched": {"scan": 1.4},
}
GROUPED = msgspec.structs.replace(margin_parameters(preset()), risk_groups=((1, 1), (2, 1)))
FACTORED = msgspec.structs.replace(GROUPED, initial_factor=RATIO_SCALE * 13 // 10 + 1)
# Only the skew scenarios count: their results are neither concave nor additive.
SKEWED = msgspec.structs.replace(
    margin_parameters(preset()),
    weights=tuple(RATIO_SCALE * skew for skew in margin_parameters(preset()).absolute),
)
CONCENTRATED = msgspec.structs.replace(
    margin_parameters(preset()),
    concentration=ConcentrationTerms(
        rate=RATIO_SCALE // 30, share=0, free_notional=100_000 * CASH_SCALE
    ),
)
PARAMETERS = {
    "default": None,
    "grouped": GROUPED,
    "factored": FACTORED,
    "skewed": SKEWED,
    "concentrated": CONCENTRATED,
}


def with_packages(marks):
    for number, legs in PACKAGES.items():
        marks.add_package(number, legs)
    return marks


BOOKS = {
    (name, parameters): with_packages(marks_book(parameters=PARAMETERS[parameters], **changes))
    for name, changes in MARKETS.items()
    for parameters in PARAMETERS
}
MARKS = st.sampled_from(sorted(BOOKS)).map(BOOKS.__getitem__)


def hold(positions, marks, cash=0, tokens=None):
    found = account(cash=cash, marks=marks)
    for asset_id, amount in (tokens or {}).items():
        found.add_collateral(asset_id, amount)
    for instrument_id, quantity in positions.items():
        found.apply_fill(instrument_id, quantity)
    return found


@st.composite
def orders(draw, marks):
    """Orders around the mark: generous, fair and bad ones."""
    instrument_id = draw(st.sampled_from(ORDERED))
    mark = marks.mark_price(instrument_id)
    ratio = draw(st.integers(50, 150))
    price = mark * ratio // 100 // 10_000 * 10_000
    if instrument_id not in PACKAGES:
        price = max(10_000, price)
    sign = draw(st.sampled_from((-1, 1)))
    fee = draw(st.sampled_from((0, 1, 30 * CASH_SCALE + 1)))
    return MarginOrder(instrument_id, sign, draw(st.integers(1, 100_000)), price, fee)


def fill(found, one, quantity):
    """The worst fill: at the limit, at the largest fee."""
    for instrument_id, ratio in PACKAGES.get(one.instrument_id, [(one.instrument_id, 1)]):
        found.apply_fill(instrument_id, one.sign * ratio * quantity)
    found.add_cash(-one.sign * one.limit_price * quantity // QUANTITY_SCALE)
    found.add_cash(-(one.max_fee * quantity // QUANTITY_SCALE))


@given(st.data(), POSITIONS, TOKENS, MARKS)
def test_no_subset_of_fills_leaves_less_than_initial_excess_promised(
    data, positions, tokens, marks
):
    """Brute force over all subsets of open orders, each filled whole at its worst."""
    found = hold(positions, marks, cash=100_000, tokens=tokens)
    open_orders = [data.draw(orders(marks)) for _ in range(data.draw(st.integers(1, 5)))]
    for order_id, one in enumerate(open_orders):
        found.place_order(order_id, one)
    promised = found.initial_excess()
    for count in range(len(open_orders) + 1):
        for subset in itertools.combinations(open_orders, count):
            filled = hold(positions, marks, cash=100_000, tokens=tokens)
            for one in subset:
                fill(filled, one, one.quantity)
            assert filled.initial_excess() >= promised


@given(st.data(), POSITIONS, MARKS)
def test_partial_fills_never_break_the_promise_beyond_rounding(data, positions, marks):
    """Parts round apart: at most one micro-USDC for each rounding of each fill."""
    found = hold(positions, marks, cash=100_000)
    for order_id in range(data.draw(st.integers(1, 4))):
        found.place_order(order_id, data.draw(orders(marks)))
    promised = found.initial_excess()
    slack = 0
    for order_id in list(found.orders):
        one = found.orders[order_id]
        part = data.draw(st.integers(1, one.quantity))
        fill(found, one, part)
        found.reduce_order(order_id, one.quantity - part)
        slack += 24
        assert found.initial_excess() >= promised - slack
    found.check()


@given(st.data(), POSITIONS, TOKENS, MARKS)
def test_placing_then_canceling_is_identity(data, positions, tokens, marks):
    found = hold(positions, marks, cash=1000, tokens=tokens)
    found.place_order(1, data.draw(orders(marks)))
    before = found.state(), found.initial_excess(), found.maintenance_excess()
    one = data.draw(orders(marks))
    expected = found.initial_excess_with(one)
    found.place_order(2, one)
    assert found.initial_excess() == expected <= before[1]
    found.remove_order(2)
    assert (found.state(), found.initial_excess(), found.maintenance_excess()) == before
    found.check()


@given(POSITIONS, MARKS, st.randoms(use_true_random=False))
def test_the_order_of_fills_does_not_matter(positions, marks, rng):
    fills = [
        (one, part) for one, all_ in positions.items() for part in (all_ // 3, all_ - all_ // 3)
    ]
    rng.shuffle(fills)
    shuffled = account(cash=5, marks=marks)
    for one, quantity in fills:
        if quantity:
            shuffled.apply_fill(one, quantity)
        shuffled.maintenance_excess()
    straight = hold(positions, marks, cash=5)
    assert shuffled.state() == straight.state()
    assert shuffled.initial_excess() == straight.initial_excess()
    assert shuffled.maintenance_excess() == straight.maintenance_excess()
    shuffled.check()


@given(POSITIONS, POSITIONS, TOKENS, MARKS)
def test_margin_of_two_portfolios_together_is_never_more_than_apart(one, other, tokens, marks):
    """Sub-additive, up to the rounding of each part; skew results may add a discount's width.

    Concentration is meant to be the opposite.
    """
    plain = msgspec.structs.replace(
        marks.parameters, absolute=(False,) * marks.scenario_count, concentration=None
    )
    linear = marks_book(parameters=plain)
    both = {key: one.get(key, 0) + other.get(key, 0) for key in {*one, *other}}
    both = {key: quantity for key, quantity in both.items() if quantity}
    together = hold(both, linear, tokens=tokens)
    parts = [hold(one, linear, tokens=tokens), hold(other, linear)]
    for margin in ("initial_margin", "maintenance_margin"):
        apart = sum(getattr(part, margin)() for part in parts)
        assert getattr(together, margin)() <= apart + 10


@given(POSITIONS, st.sampled_from(CHAIN), st.integers(1, 100_000), MARKS)
def test_excess_falls_with_added_short_options(positions, short, quantity, marks):
    """Selling an option at its mark to a portfolio of shorts never frees margin."""
    shorts = {one: -abs(held) for one, held in positions.items() if one in CHAIN}
    shorts = {one: held for one, held in shorts.items() if one & 1 == short & 1}
    before, after = hold(shorts, marks), hold(shorts, marks)
    after.apply_fill(short, -quantity)
    after.add_cash(marks.mark_price(short) * quantity // QUANTITY_SCALE)
    assert after.initial_excess() <= before.initial_excess() + 2
    assert after.maintenance_excess() <= before.maintenance_excess() + 2


@given(POSITIONS, TOKENS, st.sampled_from((WETH, WBTC)), st.integers(1, 10**12), MARKS)
def test_tokens_never_lower_excess_unless_positions_are_short_of_nothing(
    positions, tokens, asset_id, amount, marks
):
    """Adding a token beside any portfolio leaves at least its own worst value, never below 0."""
    before, after = hold(positions, marks, tokens=tokens), hold(positions, marks, tokens=tokens)
    after.add_collateral(asset_id, amount)
    assert after.maintenance_excess() >= before.maintenance_excess() - 5
    if marks.confidence_shortfall(1) == 0 and marks.initial_factor <= RATIO_SCALE:
        assert after.initial_excess() >= before.initial_excess() - 5
    after.check()


@given(POSITIONS, TOKENS, MARKS)
def test_isolated_tokens_need_no_less_than_shared_ones(positions, tokens, marks):
    alone = marks_book(parameters=marks.parameters, assets=collaterals(isolated=True))
    together = marks_book(parameters=marks.parameters)
    apart, shared = hold(positions, alone, tokens=tokens), hold(positions, together, tokens=tokens)
    assert apart.equity() == shared.equity()
    for margin in ("initial_margin", "maintenance_margin"):
        assert getattr(apart, margin)() >= getattr(shared, margin)() - 5
    apart.check()


@given(POSITIONS, MARKS)
def test_requirements_are_never_negative_and_initial_is_the_larger(positions, marks):
    found = hold(positions, marks)
    assert found.initial_margin() >= found.maintenance_margin() - 1
    assert found.maintenance_margin() >= 0


@pytest.mark.parametrize("name", MARKETS)
def test_integers_differ_from_floats_by_the_stated_bound(name):
    """One micro-USDC for each contract held, and one for each expiry and scenario."""
    rng = random.Random(name)
    marks = marks_book(**MARKETS[name])
    preset_, world = preset(), market(**MARKETS[name])
    factor = preset_.initial_factor(world.stablecoin_price)
    for _ in range(100):
        chosen = rng.sample(instruments(), rng.randint(1, 40))
        positions = {one: rng.choice((-1, 1)) * rng.randint(1, 500_000) for one in chosen}
        tokens = {
            one: rng.randint(1, 10**12) for one in rng.sample((WETH, WBTC), rng.randint(0, 2))
        }
        found = hold(positions, marks, cash=rng.randint(-(10**6), 10**6), tokens=tokens)
        expected = evaluate(preset_, world, floats(found))
        contracts = sum(abs(quantity) for quantity in positions.values()) / QUANTITY_SCALE
        scale = abs(expected.worst) + abs(expected.equity)
        float_error = 1e-12 * scale * CASH_SCALE + 1e-9 * contracts * CASH_SCALE
        contracts += sum(tokens.values()) / ASSET_SCALE  # the index is off by half a unit too
        bound = (contracts + len(expected.expiries)) * factor + 6 + float_error
        for excess in ("initial_excess", "maintenance_excess"):
            difference = getattr(found, excess)() - getattr(expected, excess) * CASH_SCALE
            assert abs(difference) <= bound
        for group in expected.groups:
            (underlying_id,) = group.underlying_ids
            integers = found.portfolio.group_results()[-underlying_id]
            exact = [*group.results, group.basis_contingency]
            for integer, real in zip(integers, exact, strict=True):
                assert abs(integer - real * CASH_SCALE) <= bound + 0.1 * contracts


class AccountMachine(RuleBasedStateMachine):
    """Any sequence of fills, orders, ticks and epochs leaves caches equal to a fresh start."""

    def __init__(self):
        super().__init__()
        self.marks = with_packages(marks_book())
        self.account = account(cash=10_000, marks=self.marks)
        self.next_id = 1

    @rule(instrument_id=st.sampled_from(BOOK), quantity=CONTRACTS)
    def trade(self, instrument_id, quantity):
        self.account.apply_fill(instrument_id, quantity)

    @rule(data=st.data())
    def place(self, data):
        self.account.place_order(self.next_id, data.draw(orders(self.marks)))
        self.next_id += 1

    @precondition(lambda self: self.account.orders)
    @rule(data=st.data())
    def shrink(self, data):
        order_id = data.draw(st.sampled_from(sorted(self.account.orders)))
        quantity = self.account.orders[order_id].quantity
        self.account.reduce_order(order_id, data.draw(st.integers(0, quantity)))

    @precondition(lambda self: self.account.positions)
    @rule(data=st.data())
    def close(self, data):
        instrument_id = data.draw(st.sampled_from(sorted(self.account.positions)))
        self.account.apply_fill(instrument_id, -self.account.position(instrument_id))

    @rule(name=st.sampled_from(sorted(MARKETS)))
    def epoch(self, name):
        self.marks.update(update(self.marks.epoch + 1, **MARKETS[name]))

    @rule(parameters=st.sampled_from(sorted(PARAMETERS)))
    def configure(self, parameters):
        self.marks.configure(PARAMETERS[parameters] or margin_parameters(preset()))

    @rule(asset_id=st.sampled_from((WETH, WBTC)), amount=st.integers(1, 10**12))
    def deposit(self, asset_id, amount):
        self.account.add_collateral(asset_id, amount)

    @precondition(lambda self: self.account.collateral)
    @rule(data=st.data())
    def withdraw(self, data):
        asset_id = data.draw(st.sampled_from(sorted(self.account.collateral)))
        amount = data.draw(st.integers(1, self.account.collateral[asset_id]))
        self.account.add_collateral(asset_id, -amount)

    @rule(isolated=st.booleans(), cap=st.integers(0, 10**12))
    def change_terms(self, isolated, cap):
        assets = collaterals()
        self.marks.set_collaterals(
            msgspec.structs.replace(one, isolated=isolated, account_cap=cap) for one in assets
        )

    @rule(amount=st.integers(-(10**12), 10**12))
    def move_cash(self, amount):
        self.account.add_cash(amount)

    @rule()
    def ask(self):
        self.account.initial_excess()
        self.account.maintenance_excess()

    @invariant()
    def caches_equal_a_fresh_computation(self):
        self.account.check()


TestAccountMachine = AccountMachine.TestCase


STEPS = st.lists(st.sampled_from(("place", "reduce", "fill", "trade", "ask")), max_size=8)


@given(st.data(), STEPS, POSITIONS, MARKS, st.sampled_from((10_000, 300_000, 10**7)))
def test_the_bound_answers_as_the_exact_question_does(data, steps, positions, marks, cash):
    """Whatever came, went and filled since somebody last asked exactly."""
    found = hold(positions, marks, cash=cash)
    for order_id, step in enumerate(steps):
        one = data.draw(orders(marks))
        exact = found.under(marks).initial_excess_with(one)
        least = found.least_excess_with(one)
        assert least == exact if exact < 0 else 0 <= least <= exact
        known = data.draw(st.sampled_from(sorted(found.orders))) if found.orders else None
        if step == "place" or known is None:
            found.place_order(order_id, one)
        elif step == "reduce":
            remaining = data.draw(st.integers(0, found.orders[known].quantity))
            found.reduce_order(known, remaining)
        elif step == "fill":
            fill(found, found.orders[known], found.orders[known].quantity)
            found.remove_order(known)
        elif step == "trade":
            found.apply_fill(data.draw(st.sampled_from(BOOK)), data.draw(CONTRACTS))
        else:
            found.initial_excess()
    found.check()


@given(st.data(), POSITIONS, MARKS)
def test_a_fill_of_a_risk_reducing_order_never_lowers_excess(data, positions, marks):
    """Whatever part of it fills, and with any other orders open, up to rounding."""
    found = hold(positions, marks)
    found.place_order(1, data.draw(orders(marks)))
    if not positions:
        return
    instrument_id = data.draw(st.sampled_from(sorted(positions)))
    held = positions[instrument_id]
    mark = marks.mark_price(instrument_id)
    ratio = data.draw(st.integers(90, 110))
    price = max(10_000, mark * ratio // 1_000_000 * 10_000)
    close = MarginOrder(instrument_id, 1 if held < 0 else -1, abs(held), price, 0)
    if found.risk_reducing(close):
        before = found.initial_excess()
        part = data.draw(st.integers(1, abs(held)))
        found.apply_fill(instrument_id, close.sign * part)
        found.add_cash(-(close.sign * price * part) // QUANTITY_SCALE)
        assert found.initial_excess() >= before - 12


def test_the_perpetual_is_a_linear_instrument():
    assert unpack_instrument_id(perpetual()).kind is Kind.PERPETUAL
    long, short = account({perpetual(): 1.0}), account({perpetual(): -1.0})
    assert long.initial_margin() == short.initial_margin()
    assert order(perpetual(), 1, 5).limit_price == 5_000_000


LONG_CALL, SHORT_PUT = (option(120_000, "C"), 1), (option(80_000, "P"), -1)


@pytest.mark.parametrize("contracts", [2, 5, 8, 12, 20, 40])
@pytest.mark.parametrize(
    ("held", "traded"), [(LONG_CALL, SHORT_PUT), (SHORT_PUT, LONG_CALL)], ids=["sell", "buy"]
)
def test_gains_on_both_sides_of_the_skew_do_not_cheat_the_bound(held, traded, contracts):
    """Long calls and a short put both gain from the tilt, and together count as a larger loss."""
    only_linear_skew = tuple(RATIO_SCALE * (at == 31) for at in range(33))
    marks = MarksBook(msgspec.structs.replace(SKEWED, weights=only_linear_skew))
    no_basis = [msgspec.structs.replace(one, basis_weight=0) for one in update().expiries]
    marks.update(msgspec.structs.replace(update(), expiries=tuple(no_basis)))
    found = account({held[0]: 10.0 * held[1]}, cash=1_000_000, marks=marks)
    price = marks.mark_price(traded[0]) / CASH_SCALE
    one = order(traded[0], contracts * traded[1], price, 0)
    promised = found.initial_excess_with(one)
    fill(found, one, one.quantity)
    assert found.initial_excess() >= promised


@functools.cache
def gridded(confidence, stablecoin):
    """Marks on the price grid and an odd index: nothing but the stated roundings has any slack."""
    good = update(1, move=1.0000012345, confidence=confidence, stablecoin=stablecoin)
    values = list(struct.unpack(f"<{len(good.rows) // 8}q", good.rows))
    for at in range(0, len(values), 37):
        values[at] = max(10_000, values[at] // 10_000 * 10_000)
    marks = MarksBook(margin_parameters(preset()))
    marks.update(msgspec.structs.replace(good, rows=struct.pack(f"<{len(values)}q", *values)))
    return with_packages(marks)


@given(
    st.lists(
        st.tuples(st.sampled_from(ORDERED), st.sampled_from((-1, 1)), st.integers(1, 9)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from((1.0, 0.5)),
    st.sampled_from((1.0, 0.9, 0.8501)),
)
def test_not_even_the_smallest_orders_are_promised_a_fraction_too_much(
    legs, confidence, stablecoin
):
    marks = gridded(confidence, stablecoin)
    found = account(marks=marks)
    open_orders = [
        MarginOrder(instrument_id, sign, quantity, marks.mark_price(instrument_id), 0)
        for instrument_id, sign, quantity in legs
    ]
    for order_id, one in enumerate(open_orders):
        found.place_order(order_id, one)
    promised = found.initial_excess()
    for count in range(len(open_orders) + 1):
        for subset in itertools.combinations(open_orders, count):
            filled = account(marks=marks)
            for one in subset:
                fill(filled, one, one.quantity)
            assert filled.initial_excess() >= promised


@pytest.mark.parametrize("stablecoin", [1.0, 0.9, 0.8501])
def test_fractions_of_many_expiries_never_add_up_to_a_broken_promise(stablecoin):
    """Bought together, results of several expiries round down apart; the bound must have paid."""
    marks, rng = gridded(1.0, stablecoin), random.Random(2)
    options = [one for one in instruments() if unpack_instrument_id(one).kind is Kind.OPTION]
    for _ in range(300):
        chosen = rng.sample(options, rng.randint(2, 5))
        open_orders = [
            MarginOrder(one, 1, rng.randint(1, 9), marks.mark_price(one), 0) for one in chosen
        ]
        found, filled = account(marks=marks), account(marks=marks)
        for order_id, one in enumerate(open_orders):
            found.place_order(order_id, one)
            fill(filled, one, one.quantity)
        assert filled.initial_excess() >= found.initial_excess()


LINEAR = [perpetual(1), perpetual(2)]
FILLS = st.lists(
    st.tuples(st.sampled_from(LINEAR), CONTRACTS, st.integers(1_000, 20_000_000)), max_size=12
)


@given(FILLS, POSITIONS, MARKS, st.integers(-100, 100))
def test_a_linear_position_is_worth_its_mark_less_what_it_cost(fills, positions, marks, funded):
    """Every excess is that of the same position given for nothing, with its price paid in cash."""
    found = hold(positions, marks, cash=100_000)
    twin = hold(positions, marks, cash=100_000)
    paid = 0
    for instrument_id, quantity, cents in fills:
        found.trade(instrument_id, quantity, cents * 10_000)
        twin.apply_fill(instrument_id, quantity)
        paid += quantity * cents
    twin.add_cash(-paid)
    questions = ("equity", "initial_excess", "maintenance_excess", "initial_margin")
    for question in questions:
        assert getattr(found, question)() == getattr(twin, question)()
    found.check()
    before = [getattr(found, question)() for question in questions[:3]]
    try:
        marks.set_funding(LINEAR[0], funded * 10_000)
        due = found.position(LINEAR[0]) * funded
        for question, old in zip(questions, before, strict=False):
            assert getattr(found, question)() == old - due
        assert liquidatable(marks, [found]) == [7] * (found.maintenance_excess() < 0)
        assert found.realise_funding(LINEAR[0]) == -due
        assert found.unrealised_funding(LINEAR[0]) == 0
        found.check()
    finally:
        marks.set_funding(LINEAR[0], 0)


@given(FILLS.filter(bool), MARKS, st.randoms(use_true_random=False))
def test_the_order_of_linear_fills_changes_no_margin(fills, marks, rng):
    """Cash and cost may differ, cash less cost does not."""
    shuffled = rng.sample(fills, len(fills))
    accounts = []
    for sequence in (fills, shuffled):
        found = hold({}, marks, cash=1_000_000)
        for instrument_id, quantity, cents in sequence:
            found.trade(instrument_id, quantity, cents * 10_000)
        accounts.append(found)
    one, other = accounts
    assert one.net_cash() == other.net_cash()
    assert one.initial_excess() == other.initial_excess()
    assert one.maintenance_excess() == other.maintenance_excess()


@given(FILLS, MARKS, st.data())
def test_a_risk_reducing_question_leaves_no_trace_of_cost(fills, marks, data):
    """Asking what an order would do changes neither entry cost nor cash."""
    found = hold({}, marks, cash=1_000)
    for instrument_id, quantity, cents in fills:
        found.trade(instrument_id, quantity, cents * 10_000)
    before = found.state()
    found.risk_reducing(data.draw(orders(marks)))
    assert found.state() == before
