"""What lost blocks leave in the journal: their tags never change."""

import msgspec

from exchange.events import AnyEvent
from exchange.reversals import (
    BatchReverted,
    BlocksReverted,
    DepositReverted,
    NonceFloorReverted,
    SubaccountReverted,
)

EVENTS = (
    DepositReverted(subaccount_id=2, amount=5, token="0xee", missing=1),
    SubaccountReverted(subaccount_id=2, owner="ann"),
    NonceFloorReverted(subaccount_id=2, floor=7),
    BatchReverted(number=3),
    BlocksReverted(last_block=8, lost_block=9),
)


def test_they_survive_the_journal_by_name() -> None:
    text = msgspec.json.encode(EVENTS)
    for event in EVENTS:
        assert f'"type":"{type(event).__name__}"'.encode() in text
    assert msgspec.json.decode(text, type=tuple[AnyEvent, ...]) == EVENTS
