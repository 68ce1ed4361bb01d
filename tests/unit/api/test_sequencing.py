"""Who sends a command learns of a refusal, and of why there is no reply."""

import asyncio

import pytest
from tests.unit.api.world import World

from exchange.api.errors import Busy, Rejected, TimedOut, Unavailable
from exchange.api.sequencing import sequence, submit
from exchange.commands import CutBatch
from exchange.events import Refused, RejectReason
from exchange.sequencer import (
    OutcomeUnknown,
    SequencerBusy,
    SequencerStopped,
    SequencerUnreachable,
)


@pytest.fixture
def sequencer():
    world = World()
    yield world.sequencer
    world.gateway.stop()


def test_a_refusal_of_the_engine_is_raised(sequencer):
    with pytest.raises(Rejected) as caught:
        asyncio.run(submit(sequencer, CutBatch()))
    assert caught.value.reject_reason is RejectReason.NOTHING_TO_SETTLE


def test_who_wants_refusals_gets_them_as_replies(sequencer):
    (event,) = asyncio.run(sequence(sequencer, CutBatch())).events
    assert isinstance(event, Refused)


@pytest.mark.parametrize(
    ("failure", "error", "words"),
    [
        (SequencerBusy("16,384 wait"), Busy, "16,384 wait"),
        (SequencerUnreachable("the way is down"), Unavailable, "the way is down"),
        (OutcomeUnknown("look for its nonce"), TimedOut, "look for its nonce"),
        (SequencerStopped("no space left on /var/x"), Unavailable, "ask again after its restart"),
    ],
)
def test_without_a_reply_the_client_is_told_why(sequencer, failure, error, words):
    sequencer.failure = failure
    with pytest.raises(error, match=words) as caught:
        asyncio.run(submit(sequencer, CutBatch()))
    assert "/var" not in str(caught.value), "the disk is the operator's business"
