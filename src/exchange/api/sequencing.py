"""Commands on their way to the sequencer, and what a client is told where no reply comes."""

from typing import Final

from exchange.api.errors import Busy, ExchangeError, Rejected, TimedOut, Unavailable
from exchange.api.ports import Reply, Sequencer
from exchange.commands import AnyCommand, NoteAction
from exchange.events import Refused
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)

SEQUENCER_ERRORS: Final = (SequencerBusy, SequencerStopped, SequencerUnreachable, OutcomeUnknown)


async def submit(
    sequencer: Sequencer, command: AnyCommand, *, note: NoteAction | None = None
) -> Reply:
    """The reply to a command that took effect; everything else is an `ExchangeError`."""
    reply = await sequence(sequencer, command, note=note)
    refuse_refused(reply)
    return reply


def refuse_refused(reply: Reply) -> None:
    """Raise `Rejected` for a command that was sequenced and refused."""
    for event in reply.events:
        if isinstance(event, Refused):
            raise Rejected(event.reason, event.detail)


async def sequence(
    sequencer: Sequencer, command: AnyCommand, *, note: NoteAction | None = None
) -> Reply:
    """The reply to a command that was sequenced, a refusal too."""
    try:
        return await sequencer.submit(command, note=note)
    except SEQUENCER_ERRORS as error:
        raise without_reply(error) from None


def without_reply(error: Exception) -> ExchangeError:
    """What a client is told if one of `SEQUENCER_ERRORS` came instead of a reply."""
    match error:
        case SequencerBusy():
            return Busy(str(error))
        case SequencerUnreachable():
            return Unavailable(str(error))
        case OutcomeUnknown():
            return TimedOut(str(error))
        case _:
            return Unavailable("the exchange is stopping; ask again after its restart")
