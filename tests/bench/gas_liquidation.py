"""What a liquidation costs on chain: whole receipts of the transactions of the tests' story."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.integration.test_liquidation_settlement import LiquidationDesk, gap, strangle
from tests.settlement_world import World

from exchange.journal.outbox import JobKind, Outbox


def liquidation_figures() -> dict[str, int]:
    """The proof of an account with two legs; a batch of one slice; one of a keeper's takeover."""
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            return _figures(world)
        finally:
            world.close()


def _figures(world: World) -> dict[str, int]:
    desk = LiquidationDesk(world)
    strangle(desk, 4_400)
    desk.settle()
    gap(desk, 14_000, 100)
    desk.sweep()
    desk.settle()
    desk.watch()
    figures = {"liquidate_proof_gas_2_legs": _last(world, JobKind.PROOF)}
    desk.place_offer(desk.put, 500, 14_000)
    desk.sweep()
    desk.settle()
    figures["liquidate_slice_gas"] = _last(world, JobKind.BATCH)
    for _ in range(12):
        desk.sweep()
    desk.settle()
    desk.bid(10**17)
    desk.settle()
    figures["liquidate_takeover_gas_2_legs"] = _last(world, JobKind.BATCH)
    return figures


def _last(world: World, kind: JobKind) -> int:
    outbox = Outbox(str(world.folder / "relayer.db"))
    used = [job.gas_used for job in outbox.jobs() if job.kind is kind]
    outbox.close()
    assert used[-1] > 0
    return used[-1]
