"""Sixteen options and a hedge by request for quote: from the SDK's wallets to a real Anvil."""

import asyncio
from pathlib import Path

import pytest
from tests.integration.test_combo_settlement import Desk, settle
from tests.ports import free_port
from tests.settlement_world import FUNDS, Trader, World
from tests.unit.api.world import FakeSequencer, serving
from tests.venue import call

from exchange.api.app import METHODS, app_of
from exchange.api.dispatch import Dispatcher
from exchange.api.gateway import Gateway
from exchange.api.settings import GatewaySettings
from exchange.commands import CutBatch, DepositSeen, SubaccountSeen
from exchange.events import Traded
from exchange.model import Instrument
from exchange.sdk import ApiError, RfqClient
from exchange.sdk.rfq import BlockRfq
from exchange.settlement.wallet import OwnerWallet

pytestmark = pytest.mark.integration

OPTIONS = 16
UNITS = 2
HEDGE = "BTC_USDC-PERPETUAL"
RIVAL = Trader(b"\x38" * 32, 4)  # the second maker
Leg = tuple[str, int, str]


class Pit(Desk):
    """The desk of combos with more strikes, and a second maker, on chain as well."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        world._give_ether(RIVAL.address)
        wallet = OwnerWallet(world.chain, RIVAL.key)
        assert wallet.open_subaccount() == RIVAL.subaccount_id
        wallet.fund(RIVAL.subaccount_id, FUNDS)
        self.venue.observe(
            SubaccountSeen(subaccount_id=RIVAL.subaccount_id, owner=RIVAL.address),
            DepositSeen(subaccount_id=RIVAL.subaccount_id, amount=FUNDS),
        )
        more = [call(111_000 + 1_000 * n, expiry=world.script.expiry) for n in range(OPTIONS - 2)]
        self.venue.list_instruments(*more)
        self.venue.mark({strike: 1_400 - 50 * n for n, strike in enumerate(more)})
        self.ids += more

    def legs(self) -> list[Leg]:
        """Every option, bought and sold by turns."""
        names = [one.name for one in map(self.instrument, self.ids) if one.name != HEDGE]
        return [(name, 1, ("buy", "sell")[n % 2]) for n, name in enumerate(names)]

    def instrument(self, instrument_id: int) -> Instrument:
        return self.venue.engine.instruments[instrument_id]

    def fair(self, name: str) -> int:
        """What a unit of a combo is worth at the marks, in USDC."""
        combo = next(one for one in self.venue.engine.instruments.values() if one.name == name)
        assert len(combo.legs) == OPTIONS + 1
        marks = self.venue.marks
        return sum(leg.ratio * marks[leg.instrument_id] for leg in combo.legs) // 10**6


async def negotiate(url: str, pit: Pit) -> BlockRfq:
    """The taker asks, two makers answer by signature, the better one trades with the taker."""
    async with (
        RfqClient(url, pit.taker.key) as taker,
        RfqClient(url, pit.maker.key) as first,
        RfqClient(url, RIVAL.key) as second,
    ):
        hedge = {"instrument_name": HEDGE, "amount": str(UNITS), "direction": "sell"}
        asked = await taker.request_quotes(pit.legs(), UNITS, "buy", hedge=hedge)
        fair, side = pit.fair(asked.instrument_name), asked.taker_direction
        assert side is not None
        worse = 1 if side == "buy" else -1  # which way a price gets worse for the taker
        other = "sell" if side == "buy" else "buy"
        for maker, distance in ((first, 20), (second, 10)):
            (seen,) = await maker.requests("maker")
            await maker.quote(seen, other, fair + worse * distance)
        with pytest.raises(ApiError, match="no quote"):
            await taker.accept(asked, side, fair + worse * 5)
        return await taker.accept(asked, side, fair + worse * 15)


def test_seventeen_legs_are_asked_for_quoted_traded_and_settled(
    world: World, tmp_path: Path
) -> None:
    """One block, one settlement: everybody's cash and positions on chain are the engine's."""
    pit = Pit(world)
    port = free_port()
    sequencer = FakeSequencer(pit.venue)
    settings = GatewaySettings(public_url=f"http://127.0.0.1:{port}")
    gateway = Gateway(sequencer, settings, sequencer.entries())
    gateway.start()
    with serving(app_of(Dispatcher(gateway, METHODS)), port) as url:
        done = asyncio.run(negotiate(url, pit))
    assert done.state == "filled"
    assert done.seq is not None
    events = pit.venue.entries[done.seq - 1][3]
    trades = [event for event in events if isinstance(event, Traded)]
    assert len({trade.instrument_id for trade in trades}) == len(trades) == OPTIONS + 1
    assert {trade.maker_subaccount_id for trade in trades} == {RIVAL.subaccount_id}
    positions = pit.venue.engine.positions(pit.taker.subaccount_id)
    assert len(positions) == OPTIONS + 1
    assert set(map(abs, positions.values())) == {UNITS * 10_000}
    pit.venue.send(CutBatch())
    settle(world, pit, tmp_path / "engine.db", RIVAL)
