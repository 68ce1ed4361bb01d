"""Combos from the engine to a real Anvil: legs and cash on chain are the engine's."""

from pathlib import Path

import msgspec
import pytest
from tests.settlement_world import FUNDS, Trader, World
from tests.signed_venue import write_journal
from tests.venue import FEES, FUNDING, Venue, call

from exchange.audit import BatchAudit, Replay
from exchange.commands import (
    CutBatch,
    DepositSeen,
    ListCombo,
    PlaceOrder,
    SubaccountSeen,
    TradeBlock,
)
from exchange.events import ComboListed, ComboTraded, Refused, Traded
from exchange.journal import JournalReader
from exchange.journal.outbox import JobState
from exchange.model import InstrumentTerms, Kind, Leg, Side, TimeInForce, pack_instrument_id
from exchange.settlement.holdings import Held, expected_holdings
from exchange.signing import order_digest, sign_digest

pytestmark = pytest.mark.integration

MARKS = (2_500, 1_500, 100_000)


class Desk:
    """An engine over the accounts of a chain, with real signatures: a spread and its legs."""

    def __init__(self, world: World) -> None:
        script = world.script
        self.domain, self.maker, self.taker = script.domain, script.maker, script.taker
        self.venue = Venue(clearing=self.domain.clearing, fees=FEES, funding=FUNDING)
        self.venue.wait_until(max(self.venue.now_s, world.chain.block_time()))
        low, high = (call(strike, expiry=script.expiry) for strike in (100_000, 110_000))
        perpetual = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))
        self.ids = [low, high, perpetual]
        self.venue.list_instruments(*self.ids)
        self.venue.index()
        self.venue.mark(dict(zip(self.ids, MARKS, strict=True)))
        for trader in (self.maker, self.taker):
            subaccount_id = trader.subaccount_id
            self.venue.observe(
                SubaccountSeen(subaccount_id=subaccount_id, owner=trader.address),
                DepositSeen(subaccount_id=subaccount_id, amount=FUNDS),
            )

    def combo(self, *legs: tuple[int, int]) -> int:
        listed = self.venue.send(ListCombo(legs=tuple(Leg(self.ids[at], r) for at, r in legs)))[-1]
        assert isinstance(listed, ComboListed)
        assert listed.factor == 1
        return listed.instrument_id

    def place(
        self, trader: Trader, side: Side, instrument_id: int, contracts: float, price: float
    ) -> list[object]:
        """A signed order; the trades that it makes."""
        order = self.sign(trader, side, instrument_id, contracts, price)
        events = self.venue.send(msgspec.structs.replace(order, time_in_force=TimeInForce.GTC))
        assert not any(isinstance(event, Refused) for event in events), events
        return [event for event in events if isinstance(event, Traded | ComboTraded)]

    def sign(
        self, trader: Trader, side: Side, instrument_id: int, contracts: float, price: float
    ) -> PlaceOrder:
        """A signed order, fill or kill."""
        legs_hash = self.venue.engine.instruments[instrument_id].legs_hash
        terms = self.venue.terms(
            trader.subaccount_id,
            side,
            contracts,
            price,
            instrument_id,
            deadline=self.venue.now_s + 60,
            legs_hash=legs_hash,
        )
        signature = sign_digest(order_digest(self.domain, terms), trader.key)
        return PlaceOrder(terms=terms, signature=signature, time_in_force=TimeInForce.FOK)


def settle(world: World, desk: Desk, path: Path, *others: Trader) -> None:
    """A relayer settles the engine's life; then engine, chain, events and auditor agree."""
    write_journal(desk.venue, path)
    world.reader.close()
    world.reader = JournalReader(str(path))
    _, relayer, outbox = world.relayer()
    for _ in range(100):
        if not relayer.step():
            break
    assert {job.state for job in outbox.jobs()} == {JobState.CONFIRMED}
    outbox.close()
    last = len(desk.venue.entries)
    folded = expected_holdings(world.reader.entries(), settled_seq=last, observed_seq=last)
    folded.check()
    for trader in (desk.maker, desk.taker, *others):
        subaccount_id = trader.subaccount_id
        account = desk.venue.engine.subaccounts[subaccount_id].account
        held = {
            instrument_id: Held(quantity)
            for instrument_id, quantity in desk.venue.engine.positions(subaccount_id).items()
        } | {instrument_id: Held(*position) for instrument_id, position in account.linear.items()}
        assert world.chain.cash_and_positions(subaccount_id, desk.ids) == (account.cash, held)
        assert (folded.cash[subaccount_id], folded.positions_of(subaccount_id)) == (
            account.cash,
            held,
        )
    audit = BatchAudit()
    Replay(world.reader, witness=audit).run()
    assert audit.compare(world.chain.all_settled()) == len(audit.batches) > 0


def test_combos_settle_against_leg_books_and_against_combos(world: World, tmp_path: Path) -> None:
    """Two levels of a leg in one command, a rest that fills in the next batch, then two combos."""
    desk = Desk(world)
    low, high, _ = desk.ids
    spread = desk.combo((0, 1), (1, -1))
    desk.place(desk.maker, Side.SELL, low, 1, 2_500)
    desk.place(desk.maker, Side.SELL, low, 2, 2_510)
    desk.place(desk.maker, Side.BUY, high, 5, 1_490)
    events = desk.place(desk.taker, Side.BUY, spread, 5, 1_030)
    legs = [event for event in events if isinstance(event, Traded)]
    assert len(legs) >= 4
    assert all(event.taker_combo and not event.maker_combo for event in legs)
    desk.venue.send(CutBatch())
    # What is left of it rests, and a better leg makes it trade as the maker.
    events = desk.place(desk.maker, Side.SELL, low, 1, 2_505)
    assert any(isinstance(event, ComboTraded) for event in events)
    # Combo against combo, at a net price that its legs are allotted from the marks.
    desk.place(desk.maker, Side.SELL, spread, 3, 1_035)
    events = desk.place(desk.taker, Side.BUY, spread, 3, 1_035)
    assert any(
        isinstance(event, Traded) and event.taker_combo and event.maker_combo for event in events
    )
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "engine.db")


def test_blocks_settle_like_matches(world: World, tmp_path: Path) -> None:
    """Two signed orders in one command: in a spread, then in an option of its own."""
    desk = Desk(world)
    spread = desk.combo((0, 1), (1, -1))
    for instrument_id, price in ((spread, 1_000), (desk.ids[0], 2_500)):
        maker = desk.sign(desk.maker, Side.SELL, instrument_id, 1, price)
        taker = desk.sign(desk.taker, Side.BUY, instrument_id, 1, price)
        events = desk.venue.send(TradeBlock(maker=maker, taker=taker))
        assert any(isinstance(event, Traded) for event in events), events
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "journal.db")


def test_a_ratio_with_a_perpetual_at_a_negative_net_price_settles(
    world: World, tmp_path: Path
) -> None:
    """Two calls against the perpetual: a delta hedge in one order."""
    desk = Desk(world)
    low, _, perpetual = desk.ids
    hedge = desk.combo((0, 2), (2, -1))
    desk.place(desk.maker, Side.SELL, low, 4, 2_500)
    desk.place(desk.maker, Side.BUY, perpetual, 2, 99_990)
    events = desk.place(desk.taker, Side.BUY, hedge, 1.5, -94_900)
    assert any(isinstance(event, ComboTraded) for event in events)
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "engine.db")
