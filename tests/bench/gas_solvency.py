"""The part of `exchange bench gas` with a batch margin in force: what proving everybody costs.

The same shapes as without, so the two compare: random pairs of accounts that hold twenty options
each, every order singly signed, and each batch with the margin of all who traded in it.
"""

import struct
import tempfile
from pathlib import Path
from typing import Final

import msgspec
from tests.bench.gas import INSTRUMENTS, INTRINSIC, PRICE, Meter
from tests.margin_world import preset
from tests.settlement_world import DEPLOYER_KEY, World
from tests.venue import Venue

from exchange.commands import Configure, ExpiryRisk, UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE
from exchange.margin.merkle import update_root
from exchange.margin.scenarios import margin_parameters
from exchange.settlement.batch import Batch, encode_call
from exchange.settlement.margin_proof import set_parameters_calldata
from exchange.settlement.solvency import batch_proof, risk_takers, settle_proven_calldata

SHAPES: Final = ((10, 20), (50, 20), (200, 20))
CASH: Final = 500_000_000 * CASH_SCALE


def solvency_figures() -> dict[str, int]:
    """Gas for each fill of proven batches, whole receipts, by fills and accounts."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            return _figures(SolvencyMeter(world))
        finally:
            world.close()


def _figures(meter: "SolvencyMeter") -> dict[str, int]:
    figures = {}
    for fills, accounts in SHAPES:
        meter.level(0)
        meter.hold_everything(accounts)
        meter.level(2)
        for _ in range(2):
            execution, calldata = meter.settle(meter.singles(fills, accounts))
        name = f"settle_margin_{fills}_fills_{accounts}_accounts"
        figures[f"{name}_execution_per_fill"] = execution // fills
        figures[f"{name}_calldata_per_fill"] = calldata // fills
        figures[f"{name}_per_fill"] = (INTRINSIC + execution + calldata) // fills
        if accounts == 20:
            figures[f"settle_gas_per_fill_{fills}_margin"] = figures[f"{name}_per_fill"]
    return figures


class SolvencyMeter(Meter):
    """A meter whose accounts are rich and whose epochs have rows of 33 scenarios."""

    def __init__(self, world: World) -> None:
        venue = Venue().entries[0][2]
        assert isinstance(venue, Configure)
        self.venue = msgspec.structs.replace(venue, margin=margin_parameters(preset()))
        self.proving = False
        super().__init__(world)
        parameters = set_parameters_calldata(self.venue.margin, ())
        self.chain.transact(DEPLOYER_KEY, self.chain.deployment.margin, parameters)
        self.govern("setWithdrawalDelay", "uint64", 3_600)
        for number in self.ids:
            self.wallet.fund(number, CASH)

    def level(self, level: int) -> None:
        """Set the batch margin: 0 none, 2 initial."""
        self.govern("setBatchMargin", "uint8", level)
        self.proving = level != 0

    def govern(self, function: str, kind: str, value: int) -> None:
        data = encode_call(function, (kind,), (value,))
        self.chain.transact(DEPLOYER_KEY, self.chain.deployment.clearing, data)

    def furnished(self, marks: UpdateMarks) -> UpdateMarks:
        """The same epoch with whole rows, an expiry and the root of both."""
        scenarios = len(self.venue.margin.weights)
        values = (PRICE, 0, 0, 0, *(PRICE + 1_000 * at for at in range(scenarios)))
        row = struct.pack(f"<{len(values)}q", *values)
        expiry = ExpiryRisk(
            underlying_id=1,
            expiry=self.expiry,
            forward_price=100_000 * CASH_SCALE,
            discount_long=RATIO_SCALE,
            discount_short=RATIO_SCALE,
            basis_weight=RATIO_SCALE // 2,
        )
        whole = msgspec.structs.replace(
            marks, rows=row * len(marks.instrument_ids), expiries=(expiry,)
        )
        return msgspec.structs.replace(whole, root=update_root(whole))

    def calldata(self, batch: Batch) -> bytes:
        """With the margin of everybody who traded, who hold all instruments."""
        if not self.proving:
            return super().calldata(batch)
        takers = risk_takers(batch)
        held = dict.fromkeys(takers, sorted(self.instruments))
        assert len(self.instruments) == INSTRUMENTS
        return settle_proven_calldata(batch, batch_proof(takers, held, self.marks, self.venue))
