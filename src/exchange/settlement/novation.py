"""What a journaled novation makes of the batch that it amends. Pure.

A `Novate` comes after the cut of its batch. The batch is built again from the same entries, each
replaced side now the venue's own order: so any relayer and any auditor builds the same one.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Final

import msgspec

from exchange.commands import Novate, NovatedFill, RefusedAct, RefusedMove
from exchange.events import ActRefused, FillNovated, MoveRefused, Traded
from exchange.journal import Entry
from exchange.model import FEE_SUBACCOUNT_ID, OrderTerms

# By trade_id and whether it is the maker's side; moves and acts by their own keys.
Replaced = NovatedFill | RefusedMove | RefusedAct
Novations = Mapping[tuple[int, bool], Replaced]

_NONCE_BASE: Final = 1 << 63  # people count from below, so these meet none of theirs


def novations_in(entries: Iterable[Entry]) -> dict[tuple[int, bool], Replaced]:
    """What accepted novations in these entries replaced, or let not happen."""
    found: dict[tuple[int, bool], Replaced] = {}
    for entry in entries:
        command = entry.command
        if isinstance(command, Novate) and is_novated(entry):
            found |= {one.key: one for one in command.replaced}
    return found


def is_novated(entry: Entry) -> bool:
    """Whether the entry replaced sides of trades, or undid moves of money or acts."""
    return any(isinstance(event, FillNovated | MoveRefused | ActRefused) for event in entry.events)


def amended(trade: Traded, novated: Container[tuple[int, bool]]) -> Traded:
    """The trade with the venue in place of each replaced side, under a number of its own."""
    trade_id = trade.trade_id
    if (trade_id, True) in novated:
        trade = msgspec.structs.replace(
            trade,
            maker_subaccount_id=FEE_SUBACCOUNT_ID,
            maker_signed_seq=house_number(trade_id, maker=True),
            maker_fee=0,
            maker_combo=False,
        )
    if (trade_id, False) in novated:
        trade = msgspec.structs.replace(
            trade,
            taker_subaccount_id=FEE_SUBACCOUNT_ID,
            taker_signed_seq=house_number(trade_id, maker=False),
            taker_fee=0,
            taker_combo=False,
        )
    if trade.combo_id and not (trade.maker_combo or trade.taker_combo):
        return msgspec.structs.replace(trade, combo_id=0)
    return trade


def house_number(trade_id: int, *, maker: bool) -> int:
    """What stands for the signature of the venue's order: below zero, where no seq is."""
    return -(2 * trade_id + maker)


def house_order(number: int, novations: Novations) -> NovatedFill:
    """The venue's order with this number."""
    found = novations[-number // 2, bool(-number % 2)]
    assert isinstance(found, NovatedFill)
    return found


def house_terms(trade: Traded, *, maker: bool, deadline: int, signer: str) -> OrderTerms:
    """What the venue signs to take a side of a trade: exactly that, and for no fee."""
    return OrderTerms(
        subaccount_id=FEE_SUBACCOUNT_ID,
        instrument_id=trade.instrument_id,
        side=trade.taker_side.opposite if maker else trade.taker_side,
        quantity=trade.quantity,
        limit_price=trade.price,
        max_fee=0,
        nonce=_NONCE_BASE + 2 * trade.trade_id + maker,
        deadline=deadline,
        signer=signer,
    )


def replacement(trade: Traded, terms: OrderTerms, signature: bytes, *, maker: bool) -> NovatedFill:
    """A side of a trade and the venue's order in its place."""
    return NovatedFill(
        trade_id=trade.trade_id,
        maker=maker,
        subaccount_id=trade.maker_subaccount_id if maker else trade.taker_subaccount_id,
        fee=trade.maker_fee if maker else trade.taker_fee,
        terms=terms,
        signature=signature,
    )


def check_novation(trade: Traded, fill: NovatedFill) -> None:
    """Assert that a novation tells of its trade what the journal does."""
    terms = fill.terms
    wanted = house_terms(trade, maker=fill.maker, deadline=terms.deadline, signer=terms.signer)
    same = replacement(
        trade,
        msgspec.structs.replace(wanted, nonce=terms.nonce),
        fill.signature,
        maker=fill.maker,
    )
    assert same == fill, f"the novation of trade {trade.trade_id} is not of that trade"
