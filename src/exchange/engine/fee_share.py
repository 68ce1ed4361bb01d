"""The insurance fund's share of the trading fees, where the fund is not the venue's own subaccount.

`booking` counts what the fund is owed, to 1e-18 micro-USDC. An hour after the first fee it is paid,
in whole micro-USDC; the rest stays owed. Like all that nobody signed it ends its batch, and the
contract checks again: out of cash of the venue's own subaccount that backs nothing. Without that an
operator could owe the fund's depositors money which nobody ever paid in, and be one of them.
"""

from typing import Final

from exchange.engine.state import Venue
from exchange.engine.takeover import close_batch, fund
from exchange.events import FeesShared
from exchange.fixed import RATIO_SCALE, div_down
from exchange.model import FEE_SUBACCOUNT_ID

INTERVAL_NS: Final = 3_600 * 10**9


def share_fees(venue: Venue) -> None:
    """Pay what is payable; not in a command that ended a batch."""
    amount = payable(venue)
    if not amount or venue.batches.last_seq == venue.seq:
        return
    payer, payee = venue.subaccounts[FEE_SUBACCOUNT_ID], fund(venue)
    payer.account.add_cash(-amount)
    payee.account.add_cash(amount)
    venue.treasury.fees_owed -= amount * RATIO_SCALE
    venue.treasury.fees_since_ns = 0
    close_batch(venue)
    venue.emit_act(
        FeesShared(
            subaccount_id=payer.subaccount_id,
            fund_subaccount_id=payee.subaccount_id,
            amount=amount,
        )
    )


def payable(venue: Venue) -> int:
    """What the fund gets now, micro-USDC; 0 before its time, or while something stands against it.

    Losses first: what the fund is said to have lost must be what it owes on chain.
    """
    since_ns = venue.treasury.fees_since_ns
    if not since_ns or venue.time_ns - since_ns < INTERVAL_NS:
        return 0
    if venue.losses or venue.exits.escaped or not _may_pay(venue):
        return 0
    amount = div_down(max(0, venue.treasury.fees_owed), RATIO_SCALE)
    account = venue.subaccounts[FEE_SUBACCOUNT_ID].account
    return amount if amount <= min(account.cash, account.initial_excess()) else 0


def _may_pay(venue: Venue) -> bool:
    """Whether the venue's own subaccount holds nothing and nobody looks at it; and has a payee."""
    assert venue.parameters is not None
    if venue.parameters.liquidation is None or FEE_SUBACCOUNT_ID in venue.treasury.held:
        return False
    payer = venue.subaccounts[FEE_SUBACCOUNT_ID]
    flat = not payer.account.positions and FEE_SUBACCOUNT_ID not in venue.liquidations
    return flat and fund(venue) is not payer
