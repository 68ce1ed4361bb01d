"""Submits what marks cause: a sweep of liquidations whenever one may begin or go on.

Once for each epoch all accounts are margined side by side (`margin.remargin`, milliseconds for
thousands); those below maintenance are the suspects, whom the engine then margins exactly. Knows
the sequencer, no chain and no wire.
"""

import asyncio
from typing import Final

import structlog

from exchange.commands import SweepLiquidations
from exchange.engine import Engine
from exchange.margin.marks import MarksBook
from exchange.margin.remargin import MaintenanceSweep
from exchange.sequencer import Sequencer, SequencerBusy

TICK_S: Final = 1.0  # rounds are no faster (`LiquidationParameters.round_ns`)

log = structlog.get_logger(__name__)


class Liquidator:
    """Watches marks and liquidations; `run` until cancelled."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._epoch = 0
        self._marks: MarksBook | None = None
        self._sweep: MaintenanceSweep | None = None

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self.step()
            except SequencerBusy:  # what is due stays due
                log.warning("the sequencer is busy; liquidations wait")
            await asyncio.sleep(TICK_S)

    async def step(self) -> None:
        """Submit a sweep if there is a suspect, or something to go on with."""
        suspects, running = await self._sequencer.read(self._look)
        if suspects or running:
            await self._sequencer.submit(SweepLiquidations(suspects=tuple(suspects)))

    def _look(self, engine: Engine) -> tuple[list[int], bool]:
        """Who may have fallen below maintenance in a new epoch, and whether one is liquidated."""
        if engine.parameters is None or engine.parameters.liquidation is None:
            return [], False
        running = bool(engine.liquidated)
        if engine.epoch == self._epoch:
            return [], running
        self._epoch = engine.epoch
        if self._marks is not engine.marks or self._sweep is None:
            self._marks, self._sweep = engine.marks, MaintenanceSweep(engine.marks)
        accounts = [
            subaccount.account
            for subaccount_id, subaccount in engine.subaccounts.items()
            if subaccount_id not in engine.liquidated
        ]
        return self._sweep.liquidatable(accounts), running
