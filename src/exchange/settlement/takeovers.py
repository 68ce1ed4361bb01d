"""What is moved besides fills, as the contract takes it: takeovers, losses, the fund's fees.

Pure. The structs mirror `Takeover` and `Due` in `contracts/src/interfaces/IClearing.sol`. They come
last in a batch, because the engine ends the batch with the command that caused them.
"""

from enum import IntEnum
from typing import Final

import msgspec

from exchange.commands import BidLiquidation
from exchange.events import (
    FeesShared,
    InsuranceUsed,
    LossSocialised,
    PortfolioTransferred,
    Traded,
)
from exchange.fixed import QUANTITY_SCALE, mul_div_up, to_seconds_down
from exchange.journal import Entry
from exchange.model import BidTerms, OrderTerms, Side
from exchange.settlement.packed import SignedOrder

_LEG_TYPE: Final = "(uint64,int64,int64)"
_AMOUNT_TYPE: Final = "(address,uint128,uint128)"
_BID_TYPE: Final = "(uint64,uint64,uint64,int64,uint64,uint64,uint64,address)"
TAKEOVER_TYPE: Final = (
    f"(uint32,uint64,uint64,uint64,uint128,bool,{_LEG_TYPE}[],{_AMOUNT_TYPE}[],{_BID_TYPE},bytes)"
)
DUE_TYPE: Final = "(uint32,uint8,uint64,uint128)"
DUE_EVENTS: Final = (InsuranceUsed, LossSocialised, FeesShared)
TAKEOVER_EVENTS: Final = (PortfolioTransferred, *DUE_EVENTS)
DueEvent = InsuranceUsed | LossSocialised | FeesShared

FORCED_NUMBER: Final = 1 << 128  # of a forced order, with its order_id; above all that are signed
FORCED_NONCE: Final = 2**64 - 1
_NO_DEADLINE: Final = 2**40 - 1
_NOBODY: Final = (0, 0, 0, 0, 0, 0, 0, "0x" + "00" * 20)  # of a takeover by the fund


class DueKind(IntEnum):
    """What cash between a subaccount and the fund is for."""

    COVER = 0  # the fund pays the debt of a liquidated subaccount
    LOSS = 1  # the flat fund lost this itself
    SHARE = 2  # a subaccount pays the fund its part of a loss
    FEES = 3  # the venue's own subaccount pays the fund its share of fees


class Takeover(msgspec.Struct, frozen=True, kw_only=True):
    """A fraction of a subaccount that changed hands at `time`, UTC second."""

    time: int
    event: PortfolioTransferred
    act_id: int  # not part of the struct on chain
    bid: BidTerms | None = None  # None: the fund took it
    signature: bytes = b""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Cash between a subaccount and the fund."""

    time: int
    kind: DueKind
    subaccount_id: int  # 0 of a loss
    amount: int
    act_id: int = 0  # not part of the struct on chain

    @property
    def words(self) -> tuple[int, int, int, int]:
        """`Due` of the contract."""
        return self.time, self.kind, self.subaccount_id, self.amount


def takeover_of(entry: Entry, event: PortfolioTransferred, act_id: int) -> Takeover:
    """The takeover, with the signature of the keeper where one bid for it."""
    time, command = to_seconds_down(entry.time_ns), entry.command
    if not isinstance(command, BidLiquidation):
        return Takeover(time=time, event=event, act_id=act_id)
    return Takeover(
        time=time, event=event, act_id=act_id, bid=command.terms, signature=command.signature
    )


def dues_of(time: int, event: DueEvent, act_id: int) -> list[Due]:
    """What the contract must move for it; a discount that the fund pays is part of its takeover."""
    if isinstance(event, InsuranceUsed):
        if event.subaccount_id != event.liquidated_id:
            return []
        found = [(DueKind.COVER, event.subaccount_id, event.amount)]
    elif isinstance(event, FeesShared):
        found = [(DueKind.FEES, event.subaccount_id, event.amount)]
    else:
        found = [(DueKind.SHARE, payer, amount) for payer, amount in event.shares]
        if event.declared and event.liquidated_id == event.fund_subaccount_id:
            found.insert(0, (DueKind.LOSS, 0, event.declared))
    return [
        Due(time=time, kind=kind, subaccount_id=one, amount=amount, act_id=act_id)
        for kind, one, amount in found
    ]


def in_turn(dues: list[Due]) -> tuple[Due, ...]:
    """Shares last: the contract wants a loss before anybody shares it."""
    return tuple(sorted(dues, key=lambda due: due.kind is DueKind.SHARE))


def by_fund_instead(takeover: Takeover, fund_id: int) -> Takeover:
    """The same with the fund in the keeper's place."""
    event = msgspec.structs.replace(takeover.event, taker_subaccount_id=fund_id)
    return Takeover(time=takeover.time, event=event, act_id=takeover.act_id)


def takeover_words(takeover: Takeover) -> tuple[object, ...]:
    """`Takeover` of the contract."""
    event = takeover.event
    return (
        takeover.time,
        event.subaccount_id,
        event.taker_subaccount_id,
        event.fraction,
        event.discount,
        event.by_fund,
        [(leg.instrument_id, leg.quantity, leg.price) for leg in event.legs],
        [(token.token, token.amount, token.value) for token in event.tokens],
        msgspec.structs.astuple(takeover.bid) if takeover.bid else _NOBODY,
        takeover.signature,
    )


def taker_number(trade: Traded) -> int:
    """What stands for the taker's order: its signature's, or the forced order's own."""
    return FORCED_NUMBER + trade.taker_order_id if is_forced(trade) else trade.taker_signed_seq


def is_forced(trade: Traded) -> bool:
    """Whether nobody signed for the taker."""
    return trade.taker_signed_seq == 0


def forced_orders(trades: list[Traded]) -> dict[int, SignedOrder]:
    """The orders of slices, by their numbers: each what its own fills make of it."""
    fills: dict[int, list[Traded]] = {}
    for trade in filter(is_forced, trades):
        fills.setdefault(taker_number(trade), []).append(trade)
    seen: dict[int, int] = {}  # forced orders by subaccount
    orders = {}
    for number, own in fills.items():
        subaccount_id = own[0].taker_subaccount_id
        version = seen.setdefault(subaccount_id, 0)
        seen[subaccount_id] += 1
        orders[number] = _forced_order(own, version)
    return orders


def _forced_order(fills: list[Traded], version: int) -> SignedOrder:
    side = fills[0].taker_side
    worst = max if side is Side.BUY else min
    terms = OrderTerms(
        subaccount_id=fills[0].taker_subaccount_id,
        instrument_id=fills[0].instrument_id,
        side=side,
        quantity=sum(fill.quantity for fill in fills),
        limit_price=worst(fill.price for fill in fills),
        max_fee=max(mul_div_up(fill.taker_fee, QUANTITY_SCALE, fill.quantity) for fill in fills),
        reduce_only=True,
        nonce=FORCED_NONCE,
        version=version,
        deadline=_NO_DEADLINE,
        signer="",
    )
    return SignedOrder(terms=terms, forced=True)
