"""Perpetuals and futures from the engine to a real Anvil: all its figures are the engine's."""

import random
from pathlib import Path
from typing import Any

import pytest
from tests.settlement_world import FUNDS, Trader, World
from tests.signed_venue import write_journal
from tests.venue import FEES, FUNDING, INDEX, Venue

from exchange.audit import BatchAudit, Replay
from exchange.commands import AccrueFunding, CutBatch, DepositSeen, PlaceOrder, SubaccountSeen
from exchange.events import FundingAccrued, FundingPaid, Refused, Traded
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind, JobState
from exchange.model import InstrumentTerms, Kind, Side, pack_instrument_id
from exchange.settlement.holdings import Held, expected_holdings
from exchange.signing import order_digest, sign_digest

pytestmark = pytest.mark.integration

PERPETUAL = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))


class Desk:
    """An engine over the accounts of a chain, with real signatures."""

    def __init__(self, world: World, **parameters: Any) -> None:
        script = world.script
        self.domain, self.traders = script.domain, (script.maker, script.taker)
        usdc = world.chain.deployment.usdc
        rules = {"fees": FEES, "funding": FUNDING, "collateral": usdc} | parameters
        self.venue = Venue(clearing=self.domain.clearing, **rules)
        self.venue.wait_until(max(self.venue.now_s, world.chain.block_time()))
        self.expiry = script.expiry
        self.future = pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, self.expiry))
        self.ids = [PERPETUAL, self.future]
        self.venue.list_instruments(*self.ids)
        self.price(INDEX)
        for trader in self.traders:
            subaccount_id = trader.subaccount_id
            self.venue.observe(
                SubaccountSeen(
                    subaccount_id=subaccount_id, owner=trader.address, standard=trader.standard
                ),
                DepositSeen(subaccount_id=subaccount_id, amount=FUNDS),
            )

    def price(self, mark: int) -> None:
        """A fresh index, and marks."""
        self.venue.index()
        self.venue.mark(dict.fromkeys(self.ids, mark))

    def trade(self, side: Side, instrument_id: int, quantity: int, price: int) -> None:
        """The taker is on `side`; quantity in hundredths of a contract."""
        maker, taker = self.traders
        self._place(maker, side.opposite, instrument_id, quantity, price)
        events = self._place(taker, side, instrument_id, quantity, price)
        assert any(isinstance(event, Traded) for event in events)

    def _place(
        self, trader: Trader, side: Side, instrument_id: int, quantity: int, price: int
    ) -> tuple[object, ...]:
        terms = self.venue.terms(
            trader.subaccount_id,
            side,
            quantity / 100,
            price,
            instrument_id,
            deadline=self.venue.now_s + 60,
        )
        signature = sign_digest(order_digest(self.domain, terms), trader.key)
        events = self.venue.send(PlaceOrder(terms=terms, signature=signature))
        assert not any(isinstance(event, Refused) for event in events), events
        return events

    def held(self, trader: Trader) -> tuple[int, dict[int, Held]]:
        """Cash and positions as the engine has them."""
        account = self.venue.engine.subaccounts[trader.subaccount_id].account
        return account.cash, {
            instrument_id: Held(*position) for instrument_id, position in account.linear.items()
        }


def settle(world: World, desk: Desk, path: Path) -> list[JobKind]:
    """Write the engine's life as a journal and let a relayer settle it."""
    write_journal(desk.venue, path)
    world.reader.close()
    world.reader = JournalReader(str(path))
    _, relayer, outbox = world.relayer()
    for _ in range(400):
        if not relayer.step():
            break
    jobs = outbox.jobs()
    assert {job.state for job in jobs} == {JobState.CONFIRMED}
    outbox.close()
    return [job.kind for job in jobs]


def same_everywhere(world: World, desk: Desk) -> None:
    """Engine, chain and the fold of the events agree on every figure."""
    last = len(desk.venue.entries)
    folded = expected_holdings(world.reader.entries(), settled_seq=last, observed_seq=last)
    folded.check()
    for trader in desk.traders:
        subaccount_id = trader.subaccount_id
        engine = desk.held(trader)
        assert world.chain.cash_and_positions(subaccount_id, desk.ids) == engine
        assert (folded.cash[subaccount_id], folded.positions_of(subaccount_id)) == engine


@pytest.mark.parametrize("seed", [1, 2])
def test_random_trades_with_funding_settle_to_the_last_unit(
    world: World, tmp_path: Path, seed: int
) -> None:
    """Positions grow, shrink and cross zero at odd prices, with funding between batches."""
    rng = random.Random(seed)
    desk = Desk(world)
    for _ in range(25):
        price = INDEX + rng.randrange(-500, 500)
        side = rng.choice((Side.BUY, Side.SELL))
        desk.trade(side, rng.choice(desk.ids), rng.randrange(1, 120), price)
        if rng.random() < 0.4:
            desk.price(INDEX + rng.randrange(-300, 300))
            desk.venue.wait(25)
            desk.venue.send(AccrueFunding())
            desk.price(price)
        if rng.random() < 0.2:
            desk.venue.send(CutBatch())
    desk.price(INDEX)
    desk.trade(Side.BUY, PERPETUAL, 1, INDEX)  # its batch refers to the last index
    desk.venue.send(CutBatch())
    events = [event for _, _, _, events in desk.venue.entries for event in events]
    assert any(isinstance(event, FundingPaid) for event in events)
    posted = sum(isinstance(event, FundingAccrued) for event in events)
    kinds = settle(world, desk, tmp_path / "engine.db")
    assert kinds.count(JobKind.FUNDING) == posted > 1
    same_everywhere(world, desk)
    audit = BatchAudit()
    Replay(world.reader, witness=audit).run()
    assert audit.compare(world.chain.all_settled()) == kinds.count(JobKind.BATCH)


def test_a_future_is_delivered(world: World, tmp_path: Path) -> None:
    """At the delivery price, less what it cost; the perpetual stays."""
    desk = Desk(world)
    desk.trade(Side.BUY, desk.future, 150, 99_500)
    desk.trade(Side.SELL, desk.future, 50, 100_250)
    desk.trade(Side.BUY, PERPETUAL, 10, 100_000)
    desk.venue.send(CutBatch())
    for second in range(desk.expiry - 1_810, desk.expiry + 1, 10):
        desk.venue.wait_until(second)
        desk.venue.index(INDEX + 1)
    desk.venue.wait(1)
    desk.venue.expire(desk.expiry)
    desk.venue.send(CutBatch())
    kinds = settle(world, desk, tmp_path / "engine.db")
    assert kinds.count(JobKind.DELIVERY) == 1
    same_everywhere(world, desk)
    gained = 750 * CASH_SCALE // 2 + 501 * CASH_SCALE
    fees = FUNDS + gained - world.chain.cash_and_positions(3, [])[0]
    assert fees == 105 * CASH_SCALE  # 0.05 % of 2.1 contracts
