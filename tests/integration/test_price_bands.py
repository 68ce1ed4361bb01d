"""Price bands from the engine to a real Anvil: what is acknowledged settles, under proven marks."""

import random
from pathlib import Path

import pytest
from tests.integration.test_linear_settlement import PERPETUAL, Desk, settle
from tests.settlement_world import DEPLOYER_KEY, World
from tests.venue import INDEX, NS, STRIKES, call

from exchange.audit import BatchAudit, Replay
from exchange.commands import CutBatch, PublicationParameters
from exchange.events import BatchCut, MarksUpdated, Refused, RejectReason
from exchange.fixed import RATIO_SCALE
from exchange.journal.outbox import JobKind
from exchange.model import Side
from exchange.settlement.batch import encode_call
from exchange.settlement.deploy import furnish_bands
from exchange.settlement.errors import BatchRefused

pytestmark = pytest.mark.integration

PERCENT = RATIO_SCALE // 100
RULES = PublicationParameters(
    heartbeat_ns=300 * NS,
    move_rate=PERCENT,
    age_max_ns=600 * NS,
    band_rate=5 * PERCENT,
    linear_band_rate=3 * PERCENT,
)


class BandDesk(Desk):
    """Options too, marked at 2,500, on a chain with the venue's bands."""

    def __init__(self, world: World) -> None:
        super().__init__(world, publication=RULES)
        self.options = [call(strike, expiry=self.expiry) for strike in STRIKES]
        self.venue.list_instruments(*self.options)
        self.venue.mark(dict.fromkeys(self.options, 2_500))
        assert furnish_bands(world.chain, DEPLOYER_KEY, self.venue.engine.parameters)
        assert not furnish_bands(world.chain, DEPLOYER_KEY, self.venue.engine.parameters)

    def refused(self, side: Side, instrument_id: int, price: int) -> bool:
        """Whether an order is refused for its price."""
        terms = self.venue.terms(self.traders[0].subaccount_id, side, 1, price, instrument_id)
        events = self.venue.place(terms)
        return any(
            isinstance(event, Refused) and event.reason is RejectReason.PRICE_OUTSIDE_BAND
            for event in events
        )


def same_on_chain(world: World, desk: BandDesk) -> None:
    """Cash and quantities are the engine's."""
    for trader in desk.traders:
        account = desk.venue.engine.subaccounts[trader.subaccount_id].account
        ids = [PERPETUAL, desk.future, *desk.options]
        cash, held = world.chain.cash_and_positions(trader.subaccount_id, ids)
        assert cash == account.cash
        assert {key: position.quantity for key, position in held.items()} == account.positions


def test_what_the_engine_trades_while_the_market_runs_away_settles(
    world: World, tmp_path: Path
) -> None:
    """The index moves by 8 % between publications: at every edge that is left, and none beyond."""
    desk = BandDesk(world)
    option, venue = desk.options[1], desk.venue
    desk.trade(Side.BUY, option, 100, 7_500)
    desk.trade(Side.SELL, PERPETUAL, 10, 97_000)
    for index in (102_000, 104_000, 108_000):
        venue.index(index)
        assert desk.refused(Side.BUY, option, 7_501)
        desk.trade(Side.BUY, option, 100, 7_500)
    desk.ids = [PERPETUAL, desk.future]
    venue.mark(dict.fromkeys(desk.ids, 108_000) | {option: 6_000})
    assert venue.engine._venue.published.epoch == venue.epoch
    desk.trade(Side.BUY, PERPETUAL, 10, 111_000)
    desk.trade(Side.BUY, option, 100, 11_000)
    assert desk.refused(Side.BUY, option, 11_001)
    venue.send(CutBatch())
    kinds = settle(world, desk, tmp_path / "engine.db")
    assert kinds.count(JobKind.BATCH) == 2
    assert JobKind.ROOT in kinds
    same_on_chain(world, desk)
    audit = BatchAudit()
    Replay(world.reader, witness=audit).run()
    assert audit.compare(world.chain.all_settled()) == 2
    assert [len(batch.marks.marks) for batch in audit.batches] == [48, 48]


@pytest.mark.parametrize("seed", [1, 2])
def test_random_trades_settle_under_the_bands(world: World, tmp_path: Path, seed: int) -> None:
    """Marks wander, epochs are published as they do, each batch keeps to one."""
    rng = random.Random(seed)
    desk = BandDesk(world)
    marks = dict.fromkeys(desk.options, 2_500) | dict.fromkeys(desk.ids, INDEX)
    for _ in range(40):
        number = rng.choice(list(marks))
        reach = 2_000 if number in desk.ids else 1_900
        desk.trade(
            rng.choice((Side.BUY, Side.SELL)),
            number,
            rng.randrange(1, 50),
            max(1, marks[number] + rng.randrange(-reach, reach)),
        )
        if rng.random() < 0.5:
            moved = rng.choice(list(marks))
            marks[moved] = max(400, marks[moved] + rng.randrange(-900, 900))
            desk.venue.wait(1)
            desk.venue.index()
            desk.venue.mark({moved: marks[moved]})
    desk.venue.send(CutBatch())
    events = [event for _, _, _, events in desk.venue.entries for event in events]
    cuts = [event for event in events if isinstance(event, BatchCut)]
    assert len({cut.marks_seq for cut in cuts}) == len(cuts) > 2
    shown = sum(isinstance(event, MarksUpdated) and event.published for event in events)
    kinds = settle(world, desk, tmp_path / "engine.db")
    assert kinds.count(JobKind.ROOT) == shown
    assert world.chain.last_batch().number == len(cuts)
    same_on_chain(world, desk)


def test_the_chain_refuses_what_lies_outside_its_bands(world: World, tmp_path: Path) -> None:
    """Whatever the engine let through: governance narrowed them under way."""
    desk = BandDesk(world)
    desk.trade(Side.BUY, desk.options[0], 100, 3_000)
    desk.venue.send(CutBatch())
    narrow = encode_call(
        "setPriceBands", ("(uint64,uint64,uint64)",), ((RATIO_SCALE // 1000, PERCENT, 900),)
    )
    world.chain.transact(DEPLOYER_KEY, world.chain.deployment.clearing, narrow)
    with pytest.raises(BatchRefused, match="PriceOutsideBand"):
        settle(world, desk, tmp_path / "engine.db")
    assert world.chain.last_batch().number == 0
