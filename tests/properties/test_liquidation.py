"""Any market, any book, any bids: cash is conserved, and no step leaves its account worse off.

`Venue.send` asserts after every command that cash is deposits less withdrawals and that positions
net to zero; the engine asserts that no slice or transfer lowers the maintenance excess.
"""

import random
from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.liquidation_world import bid, liquidating_venue, rules, sweep
from tests.unit.engine.test_remedies import entry_of
from tests.venue import CHAIN, FEE_ID, FEES, NS, usdc

from exchange.commands import DepositSeen
from exchange.events import (
    FeesShared,
    InsuranceUsed,
    LiquidationSliced,
    LossSocialised,
    PortfolioTransferred,
    Refused,
    Traded,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import Side
from exchange.settlement.holdings import expected_holdings

RULES = rules(slicing_ns=2 * NS, fast_ns=4 * NS, slow_ns=8 * NS, insolvent_ns=6 * NS)


class Market:
    """Four people short and long of six options, a maker, a keeper, and what may happen to them."""

    rules = RULES

    def __init__(self, draw) -> None:
        self.draw = draw
        self.venue = liquidating_venue(liquidation=self.rules, fees=FEES)
        self.fund = self.open_fund()
        self.maker = self.venue.fund("maker", 10_000_000)
        self.keeper = self.venue.fund("keeper", draw(20, 400) * 1_000)
        self.people = [self.venue.fund(f"person{n}", draw(8, 40) * 1_000) for n in range(4)]
        self.seen: Counter[str] = Counter()
        for who in self.people:
            for _ in range(draw(1, 3)):
                key, side = CHAIN[draw(0, 5)], Side(draw(0, 1))
                quantity = f"{draw(0, 3)}.{draw(1, 9)}"
                for one, its in ((self.maker, side.opposite), (who, side)):
                    terms = self.venue.terms(one, its, quantity, 2_500, key)
                    self.venue.place(terms)

    def open_fund(self) -> int:
        return FEE_ID

    @property
    def steps(self):
        return (self.jump, self.sweep, self.sweep, self.quote, self.bid, self.deposit)

    def step(self) -> None:
        for event in self.steps[self.draw(0, len(self.steps) - 1)]():
            self.seen[type(event).__name__] += not isinstance(event, Refused)
            if isinstance(event, LiquidationSliced):
                assert event.excess_after > event.excess_before
            elif isinstance(event, PortfolioTransferred):
                assert event.legs
                assert event.discount >= 0
            elif isinstance(event, LossSocialised):
                assert sum(amount for _, amount in event.shares) == event.amount
            elif isinstance(event, InsuranceUsed):
                assert event.amount > 0

    def jump(self):
        moves = {key: (100, 1_000, 2_500, 4_000, 6_000, 12_000)[self.draw(0, 5)] for key in CHAIN}
        return self.venue.mark(moves)

    def sweep(self):
        return sweep(self.venue, self.draw(0, 5))

    def quote(self):
        key, side = CHAIN[self.draw(0, 5)], Side(self.draw(0, 1))
        away = -side.sign * self.draw(-200, 900)
        price = max(1, self.venue.marks[key] // 10**6 + away)
        terms = self.venue.terms(self.maker, side, 1, price, key)
        return self.venue.place(terms)

    def bid(self):
        running = self.venue.engine.liquidations()
        if not running:
            return ()
        whom = running[self.draw(0, len(running) - 1)].subaccount_id
        fraction = (10**18, 3 * 10**17, 10**16, 1)[self.draw(0, 3)]
        return bid(self.venue, self.keeper, whom, fraction)

    def deposit(self):
        who = (*self.people, self.fund)[self.draw(0, 4)]
        amount = usdc(self.draw(1, 3_000))
        return self.venue.observe(DepositSeen(subaccount_id=who, amount=amount))

    def finish(self) -> None:
        assert self.venue.twin().state_hash() == self.venue.engine.state_hash()


@given(st.data())
@settings(deadline=None)
def test_liquidations_conserve_cash_and_never_add_risk(data):
    drawn_life(Market, data)


def drawn_life(market_of: type[Market], data) -> None:
    """Up to thirty steps, as Hypothesis draws them."""
    market = market_of(lambda low, high: data.draw(st.integers(low, high)))
    for _ in range(data.draw(st.integers(1, 30))):
        market.step()
    market.finish()


def seen_in_lives(market_of: type[Market]) -> Counter[str]:
    """What happened in twelve lives of sixty steps, the same in every run."""
    seen: Counter[str] = Counter()
    for seed in range(12):
        market = market_of(random.Random(seed).randint)
        for _ in range(60):
            market.step()
        market.finish()
        seen += market.seen
    return seen


class SharingMarket(Market):
    """Its fund is its depositors' and gets a third of the fees, hourly."""

    rules = msgspec.structs.replace(RULES, fund_subaccount_id=2, fee_share=RATIO_SCALE // 3)

    def open_fund(self) -> int:
        return self.venue.fund("depositors", self.draw(0, 20) * 100)

    @property
    def steps(self):
        return (*super().steps, self.hour)

    def hour(self):
        self.venue.wait(1_800)
        return (*self.venue.index(), *self.venue.mark({}))

    def finish(self) -> None:
        """What was charged is where it should be: the fund's third paid, or owed."""
        super().finish()
        fees = shared = 0
        for *_, events in self.venue.entries:
            for event in events:
                if isinstance(event, Traded):
                    fees += event.maker_fee + event.taker_fee
                elif isinstance(event, FeesShared):
                    shared += event.amount
        owed = self.venue.engine._venue.treasury.fees_owed
        assert shared * RATIO_SCALE + owed == fees * self.rules.fee_share
        entries = [entry_of(*one) for one in self.venue.entries]
        folded = expected_holdings(entries, settled_seq=len(entries), observed_seq=len(entries))
        for number, subaccount in self.venue.engine.subaccounts.items():
            assert folded.cash[number] == subaccount.cash


@given(st.data())
@settings(deadline=None)
def test_fees_are_shared_to_the_last_unit_whatever_is_liquidated(data):
    drawn_life(SharingMarket, data)


def test_fees_are_shared_among_losses():
    """The property above would be empty if the fund never got any."""
    seen = seen_in_lives(SharingMarket)
    for name in ("FeesShared", "PortfolioTransferred", "InsuranceUsed", "LossSocialised"):
        assert seen[name], name


def test_every_kind_of_step_is_taken():
    """The property above would be empty if nothing of this ever happened."""
    seen = seen_in_lives(Market)
    for name in (
        "LiquidationStarted",
        "LiquidationSliced",
        "LiquidationAuctionStarted",
        "PortfolioTransferred",
        "InsuranceUsed",
        "LossSocialised",
        "LiquidationEnded",
    ):
        assert seen[name], name
