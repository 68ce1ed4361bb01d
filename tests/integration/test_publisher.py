"""The oracle's publisher on a real Anvil: samples, epochs and delivery prices within the guards."""

from pathlib import Path

import msgspec
import pytest
from tests.integration.test_linear_settlement import PERPETUAL, Desk, settle
from tests.settlement_world import ORACLE_KEYS, World
from tests.venue import INDEX, NS

from exchange.commands import CutBatch, PublicationParameters
from exchange.events import DeliveryPriceFixed
from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.journal.outbox import JobKind, Outbox
from exchange.model import Side
from exchange.settlement.process import build_relayer
from exchange.settlement.status import StatusReader

pytestmark = pytest.mark.integration

RULES = PublicationParameters(
    heartbeat_ns=300 * NS,
    move_rate=RATIO_SCALE // 100,
    age_max_ns=600 * NS,
    band_rate=RATIO_SCALE // 10,
    linear_band_rate=RATIO_SCALE // 10,
)


def test_a_quorum_delivers_what_it_sampled(world: World, tmp_path: Path) -> None:
    """Two of three keys post half an hour of samples; the engine's average agrees with theirs."""
    desk = Desk(world, publication=RULES)
    venue = desk.venue
    desk.trade(Side.BUY, desk.future, 10, INDEX)
    venue.send(CutBatch())
    venue.wait_until(desk.expiry - 1_830)
    for step in range(64):
        venue.index(INDEX + 40 * (step % 7))
        venue.wait(30)
    events = venue.expire(desk.expiry)
    [fixed] = [event for event in events if isinstance(event, DeliveryPriceFixed)]
    venue.send(CutBatch())
    two = msgspec.structs.replace(world.settings(), oracle_keys=ORACLE_KEYS[:2])
    world.settings = lambda outbox="relayer.db": two
    kinds = settle(world, desk, tmp_path / "engine.db")
    assert kinds.count(JobKind.INDEX) > 30
    assert kinds.count(JobKind.DELIVERY) == 1
    assert world.chain.delivery_price(1, desk.expiry) == fixed.price
    average = world.chain.call(world.chain.oracle, "twap", 1, desk.expiry - 1_800, desk.expiry)
    assert abs(average - fixed.price) < 200 * CASH_SCALE


def test_the_relayer_tells_how_old_its_feeds_are(world: World, tmp_path: Path) -> None:
    """Fresh after a step, stale after a silence."""
    desk = Desk(world, publication=RULES)
    desk.trade(Side.BUY, PERPETUAL, 10, INDEX)
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "engine.db")
    outbox = Outbox(str(tmp_path / "other.db"))
    feed, relayer = build_relayer(world.settings(), world.chain, world.reader, outbox)
    relayer.step()
    reader = StatusReader(
        world.chain, outbox, relayer.address, underlyings=lambda: feed.underlyings
    )
    status = reader.read()
    assert status.published_age_s < 600
    assert status.index_age_s < 600
    assert "oracle_stale" not in status.alarms
    world.chain.advance_time(world.chain.block_time() + 601)
    status = reader.read()
    assert status.index_age_s > 600
    assert "oracle_stale" in status.alarms
    outbox.close()
