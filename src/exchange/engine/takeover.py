"""Portfolios that change hands: to keepers, to the insurance fund, and who bears the loss.

Legs move as fills at their marks, so a transfer costs its seller the discount and nothing else.
What nobody can pay comes from the fund, up to its limit, and the rest from everybody with equity,
each exactly its share. Cash is conserved to the last unit by each function here.
"""

from collections import Counter
from typing import Final

from exchange.commands import LiquidationParameters
from exchange.engine.booking import limit_reduce_only
from exchange.engine.forces import spend, within_budget
from exchange.engine.liquidated import Liquidation, Loss
from exchange.engine.positions import move_position
from exchange.engine.published import allows, allows_index, is_published, is_stale
from exchange.engine.stages import begin
from exchange.engine.state import Subaccount, Venue
from exchange.events import (
    InsuranceUsed,
    LossSocialised,
    PortfolioTransferred,
    TransferredLeg,
    TransferredToken,
)
from exchange.fixed import RATIO_SCALE, mul_div_down, to_nanoseconds
from exchange.margin.account import MarginAccount
from exchange.margin.liquidation import (
    Cause,
    Part,
    discount,
    legs_of,
    released_requirement,
    share_loss,
    tokens_of,
)
from exchange.model import FEE_SUBACCOUNT_ID, InstrumentStatus, LiquidationStage

SHARES_MAX: Final = 200  # of a loss that one command takes: 2.5 million gas


def rules(venue: Venue) -> LiquidationParameters:
    """How this venue liquidates; asked only where it does."""
    assert venue.parameters is not None
    assert venue.parameters.liquidation is not None
    return venue.parameters.liquidation


def fund(venue: Venue) -> Subaccount:
    """The insurance fund; the venue's own subaccount until the configured one is open on chain."""
    found = venue.subaccounts.get(rules(venue).fund_subaccount_id)
    return found or venue.subaccounts[FEE_SUBACCOUNT_ID]


def is_tradable(venue: Venue, instrument_id: int) -> bool:
    """Whether an instrument is live, has time left and a mark on chain that is not too old."""
    expiry = venue.instruments[instrument_id].expiry
    if expiry and to_nanoseconds(expiry) <= venue.time_ns:
        return False
    if not is_published(venue, instrument_id) or is_stale(venue):
        return False
    return venue.statuses[instrument_id] is InstrumentStatus.LIVE


def why_suspended(venue: Venue, account: MarginAccount) -> str:
    """Why an account cannot be judged now: its prices are old, or moved away; empty if it can."""
    assert venue.parameters is not None
    if venue.parameters.liquidation is None:
        return "liquidation is off"
    parameters = rules(venue)
    if not account.positions and not account.collateral:
        return ""
    if venue.time_ns - venue.marks_time_ns > parameters.marks_age_ns_max:
        return "the risk arrays are stale"
    held = {venue.instruments[instrument_id].underlying_id for instrument_id in account.positions}
    held |= {venue.marks.collaterals[asset_id].underlying_id for asset_id in account.collateral}
    for underlying_id in sorted(held):
        age_ns = venue.time_ns - venue.index_times_ns.get(underlying_id, 0)
        if age_ns > venue.parameters.limits.index_age_ns_max:
            return "the index is stale"
        made_with = venue.marks.underlying_risk(underlying_id).index_price
        moved = abs(venue.marks.index_price(underlying_id) - made_with)
        if moved * RATIO_SCALE > parameters.drift_rate_max * made_with:
            return "the index has moved since the risk arrays were made"
    return ""


def why_not_for_sale(venue: Venue, account: MarginAccount) -> str:
    """Why no part of an account can change hands now; empty if it can."""
    if not all(is_tradable(venue, instrument_id) for instrument_id in account.positions):
        return "an instrument of it is halted or at its expiry"
    legs = part_of(venue, account, RATIO_SCALE).legs
    if not all(allows(venue, leg.instrument_id, leg.price) for leg in legs):
        return "the marks have left those that the chain knows"
    held = {venue.marks.collaterals[asset_id].underlying_id for asset_id in account.collateral}
    if not all(allows_index(venue, underlying_id) for underlying_id in held):
        return "the index has left the one that the chain knows"
    return why_suspended(venue, account)


def part_of(venue: Venue, account: MarginAccount, fraction: int) -> Part:
    """A fraction of an account: legs in lots at their marks, tokens at the index."""
    lots = {key: venue.instruments[key].lot_size for key in account.positions}
    legs = legs_of(account.positions, fraction, lots, venue.marks)
    return Part(legs, tokens_of(account.collateral, fraction, venue.marks))


def transfer(
    venue: Venue,
    liquidation: Liquidation,
    taker: Subaccount,
    fraction: int,
    part: Part,
    cost: int,
) -> None:
    """Move a part at its prices; the seller pays `cost`, or the fund if the seller has nothing."""
    seller = venue.subaccounts[liquidation.subaccount_id]
    before = seller.account.maintenance_excess()
    by_fund = liquidation.stage is LiquidationStage.INSOLVENT
    for leg in part.legs:
        instrument = venue.instruments[leg.instrument_id]
        move_position(venue, seller.subaccount_id, instrument, -leg.quantity, leg.price)
        move_position(venue, taker.subaccount_id, instrument, leg.quantity, leg.price)
    for token in part.tokens:
        seller.account.add_collateral(token.asset_id, -token.amount)
        taker.account.add_collateral(token.asset_id, token.amount)
        _pay(taker.account, seller.account, token.value)
    liquidation.step += 1
    spend(venue, seller.subaccount_id, cost)
    close_batch(venue)
    payer = fund(venue) if by_fund else seller
    venue.emit_act(
        PortfolioTransferred(
            subaccount_id=seller.subaccount_id,
            taker_subaccount_id=taker.subaccount_id,
            step=liquidation.step,
            fraction=fraction,
            legs=tuple(TransferredLeg(**leg._asdict()) for leg in part.legs),
            tokens=tuple(
                TransferredToken(
                    **token._asdict(),
                    token=venue.marks.collaterals[token.asset_id].token,
                    underlying_id=venue.marks.collaterals[token.asset_id].underlying_id,
                )
                for token in part.tokens
            ),
            discount=cost,
            by_fund=by_fund,
        ),
        payer.subaccount_id,
    )
    _pay_discount(venue, liquidation.subaccount_id, taker, cost, by_fund=by_fund)
    for leg in part.legs:
        limit_reduce_only(venue, taker, leg.instrument_id)
    assert seller.account.maintenance_excess() >= before, "a step that did not reduce risk"


def _pay_discount(
    venue: Venue, seller_id: int, taker: Subaccount, cost: int, *, by_fund: bool
) -> None:
    if not by_fund:
        _pay(venue.subaccounts[seller_id].account, taker.account, cost)
        return
    used = _use_insurance(venue, seller_id, taker, cost)
    if used is not None:
        venue.emit(used)


def _pay(payer: MarginAccount, payee: MarginAccount, amount: int) -> None:
    assert amount >= 0
    payer.add_cash(-amount)
    payee.add_cash(amount)


def _use_insurance(
    venue: Venue, liquidated_id: int, payee: Subaccount, amount: int
) -> InsuranceUsed | None:
    """The fund pays what nobody else can; beyond its limit everybody does. What to tell of it."""
    if amount == 0:
        return None
    payer = fund(venue)
    able = mul_div_down(max(0, payer.account.equity()), rules(venue).fund_rate_max, RATIO_SCALE)
    if amount > able:
        socialise(venue, liquidated_id, amount - able)
    _pay(payer.account, payee.account, amount)
    close_batch(venue)
    return InsuranceUsed(
        fund_subaccount_id=payer.subaccount_id,
        liquidated_id=liquidated_id,
        subaccount_id=payee.subaccount_id,
        amount=amount,
    )


def socialise(venue: Venue, liquidated_id: int, loss: int) -> None:
    """Everybody with equity owes the fund its share of a loss; `share_on` takes it."""
    apart = (fund(venue).subaccount_id, liquidated_id)
    owed: Counter[int] = Counter()
    for known in venue.losses:
        owed.update(dict(known.shares))
    equities = (
        (subaccount_id, subaccount.account.equity() - owed[subaccount_id])
        for subaccount_id, subaccount in venue.subaccounts.items()
        if subaccount_id not in apart
    )
    shares = list(share_loss(loss, equities))
    if shares:
        declared = sum(amount for _, amount in shares)
        found = Loss(liquidated_id=liquidated_id, declared=declared, shares=shares)
        venue.losses.append(found)


def share_on(venue: Venue) -> None:
    """Take the next shares of a loss: so many that one settlement transaction holds them."""
    if not venue.losses or venue.batches.last_seq == venue.seq:
        return
    loss, payee = venue.losses[0], fund(venue)
    shares, loss.shares = tuple(loss.shares[:SHARES_MAX]), loss.shares[SHARES_MAX:]
    for subaccount_id, amount in shares:
        _pay(venue.subaccounts[subaccount_id].account, payee.account, amount)
    close_batch(venue)
    venue.emit_act(
        LossSocialised(
            fund_subaccount_id=payee.subaccount_id,
            liquidated_id=loss.liquidated_id,
            amount=sum(amount for _, amount in shares),
            shares=shares,
            declared=loss.declared,
        )
    )
    loss.declared = 0
    if not loss.shares:
        venue.losses.pop(0)


def close_batch(venue: Venue) -> None:
    """End the settlement batch with this command, in which nothing trades any more.

    So what liquidations move between subaccounts comes last in its batch, in whatever order the
    contract takes the rest.
    """
    assert venue.parameters is not None
    full = venue.parameters.limits.batch_items_max
    venue.batches.pending = max(venue.batches.pending + 1, full)


def cover(venue: Venue, liquidation: Liquidation) -> None:
    """Pay off the debt of an account that holds nothing any more."""
    subaccount = venue.subaccounts[liquidation.subaccount_id]
    debt = max(0, -subaccount.account.equity())
    used = _use_insurance(venue, subaccount.subaccount_id, subaccount, debt)
    if used is not None:
        venue.emit_act(used)


def take_over(venue: Venue, liquidation: Liquidation) -> None:
    """The fund takes everything that is left, at the price that the auction ended with."""
    account = venue.subaccounts[liquidation.subaccount_id].account
    part = part_of(venue, account, RATIO_SCALE)
    equity = account.equity()
    cost = 0
    if equity > 0:
        released = released_requirement(account, part)
        wanted = discount(RATIO_SCALE, RATIO_SCALE, equity, released)
        cost = within_budget(venue, liquidation.subaccount_id, wanted)
    taker = fund(venue)
    transfer(venue, liquidation, taker, RATIO_SCALE, part, cost)
    cover(venue, liquidation)
    if taker.subaccount_id not in venue.liquidations:
        begin(venue, taker, Cause.TAKEN_OVER)
