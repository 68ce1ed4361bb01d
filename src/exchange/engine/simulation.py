"""What margin would be: hypothetical portfolios under the marks in force. Changes nothing."""

from collections.abc import Iterable, Mapping

import msgspec

from exchange.engine.state import Venue
from exchange.engine.views import MarginSummary, TokenView, margin_summary
from exchange.fixed import ASSET_SCALE, QUANTITY_SCALE, RATIO_SCALE, mul_div_down, mul_div_up
from exchange.margin.account import MarginAccount
from exchange.margin.collateral import asset_moves
from exchange.margin.order import MarginOrder


class Hypothesis(msgspec.Struct, frozen=True, kw_only=True):
    """A portfolio to ask about: changes to what a subaccount has, or the whole of it.

    Positions are traded at their marks, so that equity changes by cash and tokens alone.
    """

    positions: Mapping[int, int]  # signed 1e-4 contracts by instrument_id; each has a mark
    collateral: Mapping[int, int]  # 1e-8 of a token by asset_id
    cash: int = 0
    added: bool = True  # to positions, tokens, cash and open orders of the subaccount


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """One risk group: profit or loss in each scenario, the basis contingency, the worst of all."""

    underlying_ids: tuple[int, ...]
    asset_ids: tuple[int, ...]  # of an isolated token
    results: tuple[int, ...]
    basis: int
    worst: int


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """Margin of a hypothetical portfolio, micro-USDC; add-ons are >= 0."""

    summary: MarginSummary
    positions: dict[int, int]
    collateral: dict[int, int]
    groups: tuple[GroupView, ...]
    initial_addons: int
    maintenance_addons: int
    initial_factor: int  # 1e-18
    maintenance_factor: int


def simulate(venue: Venue, subaccount_id: int, asked: Hypothesis) -> Simulation:
    """The margin of `asked`. Complexity: O(legs * scenarios)."""
    real = venue.subaccounts[subaccount_id].account
    account = type(real)(subaccount_id, venue.marks)
    if asked.added:
        _copy(real, account)
    account.add_cash(asked.cash)
    for asset_id, amount in asked.collateral.items():
        held = account.collateral.get(asset_id, 0)
        account.add_collateral(asset_id, max(-held, amount))
    for instrument_id, quantity in asked.positions.items():
        account.apply_fill(instrument_id, quantity)
        account.add_cash(-_value(venue.marks.mark_price(instrument_id), quantity))
    initial, maintenance = account.addons()
    return Simulation(
        summary=margin_summary(account),
        positions=dict(account.positions),
        collateral=dict(account.collateral),
        groups=tuple(
            _group_view(venue, group, vector)
            for group, vector in sorted(account.group_results().items(), reverse=True)
        ),
        initial_addons=initial,
        maintenance_addons=maintenance,
        initial_factor=venue.marks.initial_factor,
        maintenance_factor=venue.marks.parameters.maintenance_factor,
    )


def _value(mark_price: int, quantity: int) -> int:
    """What the trade costs, up: a mark need not lie on the price grid."""
    return mul_div_up(mark_price, quantity, QUANTITY_SCALE)


def _group_view(venue: Venue, group: int, vector: list[int]) -> GroupView:
    assert venue.parameters is not None
    marks = venue.marks
    underlyings = [item.underlying_id for item in venue.parameters.underlyings]
    return GroupView(
        underlying_ids=tuple(one for one in underlyings if marks.group(one) == group),
        asset_ids=tuple(
            asset.asset_id
            for asset in venue.parameters.collaterals
            if asset.isolated and marks.asset_group(asset) == group
        ),
        results=tuple(vector[:-1]),
        basis=vector[-1],
        worst=min(vector),
    )


def _copy(real: MarginAccount, account: MarginAccount) -> None:
    """Everything that margin sees of an account."""
    account.add_cash(real.equity() - real.mark_value() - real.collateral_value())
    for instrument_id, quantity in real.positions.items():
        account.apply_fill(instrument_id, quantity)
    for asset_id, amount in real.collateral.items():
        account.add_collateral(asset_id, amount)
    for order_id, order in real.orders.items():
        account.place_order(order_id, order)


def order_margin(venue: Venue, subaccount_id: int, order: MarginOrder) -> int:
    """What initial excess an order would take, fees included, micro-USDC, >= 0."""
    account = venue.subaccounts[subaccount_id].account
    return max(0, account.initial_excess() - account.initial_excess_with(order))


def resting_margins(venue: Venue, subaccount_id: int, order_ids: Iterable[int]) -> dict[int, int]:
    """By how much the initial margin would fall without each order alone, micro-USDC, >= 0.

    Of an order that waits, or is over, none is kept. Complexity: O(orders * scenarios).
    """
    real = venue.subaccounts[subaccount_id].account
    account = real.under(venue.marks)
    margin = account.initial_margin()
    found = {}
    for order_id in order_ids:
        order = real.orders.get(order_id)
        if order is None:
            found[order_id] = 0
            continue
        account.remove_order(order_id)
        found[order_id] = margin - account.initial_margin()
        account.place_order(order_id, order)
    return found


def token_views(venue: Venue, subaccount_id: int) -> tuple[TokenView, ...]:
    """Each configured token of a subaccount, and what of it may surely leave."""
    assert venue.parameters is not None
    account = venue.subaccounts[subaccount_id].account
    tokens = account.portfolio.tokens() if account.collateral_value() >= 0 else {}
    views = []
    for asset in venue.parameters.collaterals:
        counted = account.collateral.get(asset.asset_id, 0)
        idle = venue.treasury.idle.get((asset.token, subaccount_id), 0)
        value = tokens[asset.asset_id].value if counted else 0
        views.append(
            TokenView(
                asset_id=asset.asset_id,
                name=asset.name,
                amount=counted + idle,
                idle=idle,
                value=value,
                withdrawable=idle + min(counted, _surely_free(venue, account, asset.asset_id)),
            )
        )
    return tuple(views)


def _surely_free(venue: Venue, account: MarginAccount, asset_id: int) -> int:
    """How much of a token can leave: no scenario gives it more than its best move, in 1e-8."""
    if account.cash >= 0 and not account.positions and not account.orders:
        return account.collateral.get(asset_id, 0)
    asset = venue.marks.collaterals[asset_id]
    price = venue.marks.asset_price(asset)
    moves = asset_moves(venue.marks, asset.underlying_id)
    best = RATIO_SCALE**2 + max(0, *moves)  # of a token's value, in 1e-36
    factor = max(RATIO_SCALE, venue.marks.initial_factor)
    unit = mul_div_down(best * factor, max(price, 1), RATIO_SCALE**3) + 1
    return max(0, mul_div_down(account.initial_excess(), ASSET_SCALE, unit) - 1)
