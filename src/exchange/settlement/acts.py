"""The numbers of acts: what a batch moves though nobody signed an order for it. Pure.

An act is numbered by the command that caused it and its place among that command's events, so the
journals of earlier versions have them too.
"""

from collections.abc import Iterator

from exchange.events import (
    AnyEvent,
    FeesShared,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    PortfolioTransferred,
    Withdrawn,
)
from exchange.journal import Entry
from exchange.model import numbered


def numbered_events(entry: Entry) -> Iterator[tuple[AnyEvent, int]]:
    """All events of an entry, each with the number of its act; 0 of what is none.

    What the fund pays of a discount belongs to the takeover before it.
    """
    takeover = 0
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
