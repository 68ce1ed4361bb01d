"""One subaccount whole, as operators see it: money, risk, orders, who may act, what is held.

A frozen copy, made between commits.
"""

import msgspec

from exchange.engine.exit_memory import ForcedExit
from exchange.engine.records import Sheet
from exchange.engine.simulation import token_views
from exchange.engine.state import Subaccount, Venue
from exchange.engine.views import MarginSummary, OrderView, TokenView, margin_summary, order_view
from exchange.margin.linear import LinearPosition
from exchange.model import LiquidationStage


class AccountView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A subaccount; money in micro-USDC, quantities in 1e-4 contracts, tokens in 1e-8 of each."""

    subaccount_id: int
    owner: str
    margin: MarginSummary
    positions: dict[int, int]  # signed, by instrument_id
    linear: dict[int, LinearPosition]  # entry cost and funding index of perpetuals and futures
    tokens: tuple[TokenView, ...]
    orders: tuple[OrderView, ...]  # open ones, as entered
    sheet_nonce: int  # of the newest quote sheet; 0: none came
    nonce_floor: int
    sheet_floor: int
    session_keys: dict[str, int]  # deadline by key, of the owner
    access_until: int  # UTC second of the owner's pass; 0: none
    withdrawals_held: bool
    trading_suspended: bool
    liquidation: LiquidationStage | None
    exit: ForcedExit | None


def account_view(venue: Venue, subaccount: Subaccount) -> AccountView:
    """A copy of everything that belongs to a subaccount."""
    number, account, access = subaccount.subaccount_id, subaccount.account, venue.access
    liquidation = venue.liquidations.get(number)
    request = venue.exits.requests.get(number)
    return AccountView(
        subaccount_id=number,
        owner=subaccount.owner,
        margin=margin_summary(account),
        positions=dict(sorted(account.positions.items())),
        linear=dict(sorted(account.linear.items())),
        tokens=token_views(venue, number),
        orders=tuple(order_view(order) for order in subaccount.open_orders.values()),
        sheet_nonce=_sheet_nonce(subaccount.sheet),
        nonce_floor=subaccount.nonce_floor,
        sheet_floor=subaccount.sheet_floor,
        session_keys={
            key: deadline
            for (owner, key), deadline in sorted(access.keys.items())
            if owner == subaccount.owner
        },
        access_until=access.passes.get(subaccount.owner, 0),
        withdrawals_held=number in venue.treasury.held,
        trading_suspended=number in access.suspended,
        liquidation=liquidation.stage if liquidation is not None else None,
        exit=msgspec.structs.replace(request) if request is not None else None,
    )


def _sheet_nonce(sheet: Sheet | None) -> int:
    return sheet.terms.sheet_nonce if sheet is not None else 0
