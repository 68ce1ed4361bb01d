"""What the chain tells is part of the journal: its tags never change."""

import msgspec
from tests.venue import WALLET

from exchange import commands
from exchange.observations import AnyObservation, DepositSeen, SubaccountSeen


def test_observations_survive_the_journal_by_name():
    seen = (SubaccountSeen(subaccount_id=2, owner=WALLET), DepositSeen(subaccount_id=2, amount=5))
    text = msgspec.json.encode(seen)
    assert b'"type":"SubaccountSeen"' in text
    assert msgspec.json.decode(text, type=tuple[AnyObservation, ...]) == seen


def test_commands_carry_the_same_ones():
    assert commands.DepositSeen is DepositSeen
