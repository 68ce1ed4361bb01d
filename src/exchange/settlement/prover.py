"""Shows the chain who is below maintenance, so that the exchange may liquidate them.

Follows the journal: whom the engine began to liquidate, what the chain allowed so far, which marks
it was shown. A proof that the chain would refuse is not sent: its account may have recovered there,
or its last batch is still under way. Anybody else may bring the same proofs.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from exchange.commands import Configure, UpdateMarks
from exchange.events import (
    Configured,
    ForceGranted,
    LiquidationEnded,
    LiquidationStarted,
    MarksUpdated,
)
from exchange.journal import Entry
from exchange.journal.outbox import Job, JobKind, Outbox
from exchange.model import LiquidationStage
from exchange.settlement.chain import Chain
from exchange.settlement.holdings import Holdings
from exchange.settlement.margin_proof import EpochProver

FORCE_S: Final = 3600  # that a proof lasts, as in Liquidations.sol
RENEW_S: Final = 600  # before a proof runs out
USABLE_S: Final = 60  # after which another one is built
_EPOCHS: Final = 3  # published ones that are remembered
_PAUSE_S: Final = 1.0

log = structlog.get_logger(__name__)


class Prover:
    """`follow` every entry in order; `step` often."""

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        *,
        sender: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chain = chain
        self._outbox = outbox
        self._sender = sender
        self._venue: Configure | None = None
        self._liquidated: set[int] = set()
        self._until: dict[int, int] = {}
        self._epochs: dict[int, UpdateMarks] = {}  # published, the oldest first
        self._clock = clock
        self._next = 0.0

    def follow(self, entry: Entry) -> None:
        """Take in the next entry of the journal."""
        for event in entry.events:
            match event, entry.command:
                case Configured(), Configure() as command:
                    self._venue = command
                case MarksUpdated(published=True), UpdateMarks() as update:
                    self._epochs[update.epoch] = update
                    if len(self._epochs) > _EPOCHS:
                        del self._epochs[next(iter(self._epochs))]
                case LiquidationStarted(), _ if event.stage is not LiquidationStage.UNWINDING:
                    self._liquidated.add(event.subaccount_id)
                case LiquidationEnded(), _:
                    self._liquidated.discard(event.subaccount_id)
                case ForceGranted(), _:
                    self._until[event.subaccount_id] = event.until
                case _:
                    pass

    def step(self, holdings: Holdings) -> bool:
        """Build what is missing, of what batches settled; whether there was something."""
        if not self._liquidated or self._clock() < self._next:
            return False
        self._next = self._clock() + _PAUSE_S
        now_s = self._chain.block_time()
        due = [one for one in sorted(self._liquidated) if self._until.get(one, 0) < now_s + RENEW_S]
        update = self._epochs.get(self._chain.risk_epoch())
        if not due or update is None or self._venue is None:
            return False
        under_way = {job.last_seq for job in self._outbox.unfinished() if _is_proof(job)}
        jobs = [
            job
            for one in due
            if one not in under_way and (job := self._job(one, holdings, update, now_s))
        ]
        self._outbox.add(jobs)
        return bool(jobs)

    def _job(
        self, subaccount_id: int, holdings: Holdings, update: UpdateMarks, now_s: int
    ) -> Job | None:
        assert self._venue is not None
        held = holdings.positions_of(subaccount_id)
        rows = set(update.instrument_ids)
        prover = EpochProver(update, self._venue.margin, self._venue.collaterals)
        live, expired = held.keys() & rows, held.keys() - rows
        data = prover.calldata("flag", subaccount_id, live, expired)
        refusal = self._chain.refusal(self._sender, self._chain.deployment.liquidations, data)
        if refusal is not None:
            log.info("no proof yet", subaccount=subaccount_id, why=str(refusal))
            return None
        return Job(
            key=f"{JobKind.PROOF}:{subaccount_id}:{update.epoch}:{now_s}",
            kind=JobKind.PROOF,
            number=now_s,
            last_seq=subaccount_id,
            batch_hash=b"",
            to=self._chain.deployment.liquidations,
            data=data,
            time_s=now_s,
        )


def _is_proof(job: Job) -> bool:
    return job.kind is JobKind.PROOF
