"""The numbers of acts: what a batch moves though nobody signed an order for it. Pure.

An act is numbered by the command that caused it and its place among that command's events, so the
journals of earlier versions have them too.
"""

from collections.abc import Iterator

import msgspec

from exchange.events import (
    ActRefused,
    AnyEvent,
    FeesShared,
    FillNovated,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    PositionExpired,
    Withdrawn,
)
from exchange.journal import Entry
from exchange.model import numbered


def numbered_events(entry: Entry) -> Iterator[tuple[AnyEvent, int]]:
    """All events of an entry, each with the number of its act; 0 of what is none.

    What the fund pays of a discount belongs to the takeover before it. Where a replaced side had
    expired, its payoff comes for both: who failed may have been flat by then, and is not on chain.
    """
    takeover = 0
    delivered: list[PositionExpired] = []
    for place, event in enumerate(entry.events):
        number = numbered(entry.seq, place)
        match event:
            case PortfolioTransferred(on_chain=False):
                takeover = number
            case InsuranceUsed() if event.subaccount_id != event.liquidated_id:
                number = takeover
            case InsuranceUsed() | LossSocialised() | FeesShared() | InterestPaid():
                pass
            case Withdrawn() if event.exit_token:
                pass
            case _:
                number = 0
        yield event, number
        if isinstance(event, PositionExpired):
            delivered.append(event)
        elif isinstance(event, FillNovated | ActRefused):
            for one in delivered:
                yield _of_giver(one, event), 0
            delivered.clear()


def _of_giver(taken: PositionExpired, replaced: FillNovated | ActRefused) -> PositionExpired:
    """The other side of what a novation delivered; the chain skips it where it paid before."""
    giver_id = replaced.subaccount_id
    if isinstance(replaced, ActRefused) and isinstance(replaced.act, PortfolioTransferred):
        giver_id = replaced.act.taker_subaccount_id
    return msgspec.structs.replace(
        taken, subaccount_id=giver_id, quantity=-taken.quantity, payoff=-taken.payoff
    )
