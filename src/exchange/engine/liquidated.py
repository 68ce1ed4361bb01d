"""What the engine remembers of liquidations: those that run, proofs, and losses being shared.

Plain records without rules; `liquidation`, `forces` and `takeover` have those.
"""

import msgspec

from exchange.model import LiquidationStage


class Liquidation(msgspec.Struct, kw_only=True):
    """A subaccount in liquidation; all of it is in the past but for the stage."""

    subaccount_id: int
    stage: LiquidationStage
    started_ns: int
    swept_ns: int = 0  # when it was last looked at
    sliced_ns: int = 0  # when its last slice was tried
    waited_ns: int = 0  # of its auction in this stage, suspensions apart
    auctioned_ns: int = 0  # of its auction in all stages
    step: int = 0  # slices and transfers so far


class Force(msgspec.Struct, kw_only=True):
    """What the newest proof on chain allows; see `ForceSeen`."""

    until: int
    contracts: int
    budget: int
    spent: int = 0  # by takers ever, settled or not


class Loss(msgspec.Struct, kw_only=True):
    """A loss that is being shared: who still pays what, ascending."""

    liquidated_id: int
    declared: int  # all of it, until somebody paid; then 0
    shares: list[tuple[int, int]]
