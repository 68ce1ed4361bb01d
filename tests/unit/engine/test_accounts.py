"""An account as operators see it: complete, frozen, and level with the engine's own answers."""

import msgspec
from tests.venue import C, Venue

from exchange.commands import HoldWithdrawals
from exchange.engine import AccountView
from exchange.engine.state import Subaccount
from exchange.observations import SessionKeySeen

SHOWN_AS = {
    "account": {"margin", "positions", "linear", "tokens"},
    "open_orders": {"orders"},
    "sheet": {"sheet_nonce"},
    "owner_key": {"owner"},
}
NOT_SHOWN = {"orders", "reducing", "used_nonces"}  # what is over, and what follows from the rest


def test_a_view_shows_every_field_of_a_subaccount():
    """A new field is shown, or listed above."""
    shown = {field.name for field in msgspec.structs.fields(AccountView)}
    names = getattr(Subaccount, "__mypyc_attrs__", None) or Subaccount.__slots__  # compiled or not
    for name in set(names) - NOT_SHOWN:
        assert SHOWN_AS.get(name, {name}) <= shown


def test_an_account_is_shown_as_the_engine_answers(venue: Venue, ann: int, bob: int):
    venue.sell(ann, 3, 2_500)
    venue.buy(bob, 2, 2_500)
    owner = venue.engine.subaccounts[ann].owner
    venue.observe(SessionKeySeen(owner=owner, key="0xkey", deadline=venue.now_s + 60))
    venue.send(HoldWithdrawals(subaccount_id=ann, held=True, detail="odd"))
    found = venue.engine.account(ann)
    assert found is not None
    assert found.margin == venue.engine.margin(ann)
    assert found.positions == venue.engine.positions(ann) == {C: -20_000}
    assert list(found.orders) == venue.engine.open_orders(ann)
    assert found.tokens == venue.engine.token_views(ann)
    assert (found.owner, found.withdrawals_held) == (owner, True)
    assert found.session_keys == {"0xkey": venue.now_s + 60}
    assert (found.liquidation, found.exit, found.sheet_nonce) == (None, None, 0)
    assert venue.engine.account(99) is None
