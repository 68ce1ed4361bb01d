"""What collateral tokens are worth, what each scenario takes from them, and their haircuts.

Integers only. A token is margined like its underlying held at the index: it moves by the spot shock
of each scenario, without discount or basis. Never knows an account or where the token came from.
"""

from typing import Final, NamedTuple

from exchange.commands import Collateral, MarginParameters
from exchange.fixed import ASSET_SCALE, RATIO_SCALE, div_down, div_half_even, mul_div_up
from exchange.margin.marks import MarksBook

_RESULT_SCALE: Final = ASSET_SCALE * RATIO_SCALE**2


class Holding(NamedTuple):
    """One token of one account under the marks in force, micro-USDC."""

    group: int
    value: int  # at the index, rounded down
    results: list[int]  # of each scenario, then 0 for the basis; rounded down
    initial_addon: int  # rounded up
    maintenance_addon: int


def holding(marks: MarksBook, asset_id: int, amount: int) -> Holding:
    """What `amount` (1e-8 of a token) counts. Complexity: O(scenarios).

    Nothing before the first epoch, and nothing for a token that is no longer configured.
    """
    asset = marks.collaterals.get(asset_id)
    price = marks.asset_price(asset) if asset else 0
    if asset is None or price == 0:
        return Holding(0, 0, [0] * (marks.scenario_count + 1), 0, 0)
    notional = min(amount, asset.account_cap) * price
    confidence = marks.confidence_shortfall(asset.underlying_id)
    scale = ASSET_SCALE * RATIO_SCALE
    return Holding(
        marks.asset_group(asset),
        div_down(notional, ASSET_SCALE),
        [
            *(
                div_down(notional * move, _RESULT_SCALE)
                for move in asset_moves(marks, asset.underlying_id)
            ),
            0,
        ],
        mul_div_up(notional, asset.initial_haircut + confidence, scale),
        mul_div_up(notional, asset.maintenance_haircut, scale),
    )


def asset_moves(marks: MarksBook, underlying_id: int) -> list[int]:
    """Weighted relative move of an underlying's tokens in each scenario, in 1e-36."""
    parameters = marks.parameters
    scan = marks.underlying_risk(underlying_id).scan
    spots = stretched_spots(parameters.spots, parameters.weights, scan)
    moves = []
    for spot, weight, absolute in zip(spots, parameters.weights, parameters.absolute, strict=True):
        move = (spot - RATIO_SCALE) * weight
        moves.append(-abs(move) if absolute else move)
    return moves


def stretched_spots(spots: tuple[int, ...], weights: tuple[int, ...], scan: int) -> tuple[int, ...]:
    """Spot shocks with the grid's moves stretched, as `Preset.scaled` does; half-even, 1e-18."""
    if scan == RATIO_SCALE:
        return spots
    grid = [spot for spot, weight in zip(spots, weights, strict=True) if weight >= RATIO_SCALE]
    tails = [spot for spot, weight in zip(spots, weights, strict=True) if weight < RATIO_SCALE]
    below = max((spot for spot in tails if spot < min(grid)), default=0)
    above = min((spot for spot in tails if spot > max(grid)), default=None)
    found = []
    for spot, weight in zip(spots, weights, strict=True):
        if weight >= RATIO_SCALE:
            moved = RATIO_SCALE + div_half_even((spot - RATIO_SCALE) * scan, RATIO_SCALE)
            moved = max(moved, below)
            found.append(moved if above is None else min(moved, above))
        else:
            found.append(spot)
    return tuple(found)


def wrong_terms(
    collaterals: tuple[Collateral, ...], underlying_ids: set[int], parameters: MarginParameters
) -> str:
    """What is wrong with configured collaterals, in words; empty when nothing is."""
    ids = [asset.asset_id for asset in collaterals]
    tokens = {asset.token.lower() for asset in collaterals}
    if ids != list(range(1, len(ids) + 1)) or len(tokens) != len(ids):
        return "collaterals are numbered from 1, each token once"
    for asset in collaterals:
        haircuts = (asset.initial_haircut, asset.maintenance_haircut)
        if asset.underlying_id not in underlying_ids:
            return f"{asset.name} has no underlying"
        if min(haircuts) < 0 or sum(haircuts) > RATIO_SCALE:
            return f"haircuts of {asset.name} take less than nothing or more than all"
        if min(asset.account_cap, asset.total_cap) < 0 or not 8 <= asset.decimals <= 24:
            return f"caps or decimals of {asset.name} are out of range"
    if collaterals and len(parameters.spots) != len(parameters.weights):
        return "collateral needs the spot shock of each scenario"
    return ""
