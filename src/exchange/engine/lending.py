"""What the venue lends: cash below zero, backed by tokens and options, at interest, up to a cap.

Interest accrues by the nanosecond into an exact remainder; `AccrueInterest` charges every debt as
it stands then, rounded up, and pays it to the venue's own subaccount, which bears the loans' risk.
"""

from typing import Final

from exchange.engine.state import Subaccount, Venue
from exchange.events import InterestAccrued, InterestPaid
from exchange.fixed import (
    CASH_SCALE,
    RATIO_SCALE,
    format_decimal,
    mul_div_up,
    to_seconds_down,
)
from exchange.model import FEE_SUBACCOUNT_ID
from exchange.reasons import RejectReason

YEAR_NS: Final = 365 * 86_400 * 10**9
# An accrual that could not end sooner ends there: the contract takes no charge of an old one.
CHARGE_WITHIN_S: Final = 3_600


def accumulate(venue: Venue) -> None:
    """Let interest accrue up to now: before the rate changes, and before it is charged."""
    treasury = venue.treasury
    rate = venue.parameters.interest.rate if venue.parameters and venue.parameters.interest else 0
    treasury.interest_remainder += rate * (venue.time_ns - treasury.interest_ns)
    treasury.interest_ns = venue.time_ns


def accrue_interest(venue: Venue) -> None:
    """Charge every debt what accrued, or go on with it: a full batch leaves the rest to the next.

    Complexity: O(subaccounts), and at most as many charges as a batch has room for.
    """
    assert venue.parameters is not None
    treasury = venue.treasury
    if treasury.interest_growth and _now_s(venue) - treasury.charged_s > CHARGE_WITHIN_S:
        treasury.interest_growth = treasury.charged_id = 0
    if not treasury.interest_growth:
        if venue.parameters.interest is None:
            venue.refuse(RejectReason.NOT_OFFERED, "this venue charges no interest")
            return
        _begin_accrual(venue)
    if treasury.interest_growth:
        _charge_debts(venue)


def _begin_accrual(venue: Venue) -> None:
    treasury = venue.treasury
    if treasury.charged_s == _now_s(venue):
        return  # the contract takes one accrual a second
    accumulate(venue)
    growth, treasury.interest_remainder = divmod(treasury.interest_remainder, YEAR_NS)
    if not growth:
        return
    treasury.interest_growth, treasury.charged_s = growth, _now_s(venue)
    treasury.interest_index += growth
    venue.emit(InterestAccrued(index=treasury.interest_index, growth=growth))


def _charge_debts(venue: Venue) -> None:
    """Ascending, as the contract demands, from whom the last command charged last."""
    assert venue.parameters is not None
    treasury, batches = venue.treasury, venue.batches
    lender = venue.subaccounts[FEE_SUBACCOUNT_ID].account
    waiting = (one for one in venue.subaccounts if one > treasury.charged_id)
    for subaccount_id in sorted(waiting):
        account = venue.subaccounts[subaccount_id].account
        if account.cash >= 0 or account is lender:
            continue
        if batches.pending >= venue.parameters.limits.batch_items_max:
            return
        amount = mul_div_up(-account.cash, treasury.interest_growth, RATIO_SCALE)
        account.add_cash(-amount)
        lender.add_cash(amount)
        batches.pending += 1
        treasury.charged_id = subaccount_id
        venue.emit_act(
            InterestPaid(subaccount_id=subaccount_id, amount=amount, accrued_s=treasury.charged_s)
        )
    treasury.interest_growth = treasury.charged_id = 0


def _now_s(venue: Venue) -> int:
    return to_seconds_down(venue.time_ns)


def total_debt(venue: Venue) -> int:
    """Cash below zero of all subaccounts as this command found it, micro-USDC, >= 0."""
    treasury = venue.treasury
    if treasury.debt_seq != venue.seq:
        debts = (max(0, -one.account.cash) for one in venue.subaccounts.values())
        treasury.debt_seq, treasury.debt = venue.seq, sum(debts)
    return treasury.debt


def check_debt(venue: Venue, subaccount: Subaccount, spent: int) -> tuple[RejectReason, str] | None:
    """Whether the venue can lend what is `spent` now, with what orders may spend, beyond cash.

    What rests in other subaccounts is not counted: they may overdraw the cap by as much.
    """
    assert venue.parameters is not None
    interest = venue.parameters.interest
    if interest is None:
        return None
    account = subaccount.account
    debt = max(0, -account.cash)
    more = max(0, account.spending + spent - account.cash) - debt
    if more <= 0:
        return None
    room = interest.debt_max - total_debt(venue)
    if more <= room:
        return None
    text = format_decimal(max(0, room), CASH_SCALE)
    return RejectReason.DEBT_LIMIT, f"the venue lends at most {text} USDC more; deposit USDC"
