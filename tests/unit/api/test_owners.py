"""Who may touch which subaccount, as the chain says it."""

from exchange.api.owners import Owners
from exchange.events import SessionKeySet, SubaccountOpened, WithdrawalVoided
from exchange.reversals import SubaccountReverted

NOW = 1_000 * 10**9


def test_owners_and_their_live_keys_may() -> None:
    """Nobody else, and no key after its deadline or its end."""
    owners = Owners()
    owners.on_subaccount(SubaccountOpened(subaccount_id=2, owner="ann"))
    owners.on_subaccount(SubaccountOpened(subaccount_id=3, owner="ann"))
    owners.on_session_key(SessionKeySet(owner="ann", key="key", deadline=1_001))
    for address, may in (("ann", True), ("key", True), ("bob", False)):
        assert owners.may_access(2, address, NOW) is may
        assert owners.subaccounts_of(address, NOW) == ([2, 3] if may else [])
    assert not owners.may_access(2, "key", NOW + 10**9)
    assert not owners.may_access(9, "ann", NOW)
    owners.on_session_key(SessionKeySet(owner="ann", key="key", deadline=0))
    owners.on_session_key(SessionKeySet(owner="bob", key="never", deadline=0))
    assert owners.subaccounts_of("key", NOW) == []


def test_a_lost_subaccount_is_nobodys() -> None:
    """Not even of an empty address; opened again it is as before."""
    owners = Owners()
    owners.on_subaccount(SubaccountOpened(subaccount_id=2, owner="ann"))
    owners.on_reverted(SubaccountReverted(subaccount_id=2, owner="ann"))
    assert not any(owners.may_access(2, address, NOW) for address in ("ann", ""))
    assert owners.subaccounts_of("ann", NOW) == []
    owners.on_subaccount(SubaccountOpened(subaccount_id=2, owner="bob"))
    assert owners.subaccounts_of("bob", NOW) == [2]


def test_a_void_withdrawal_is_refused_unless_the_chain_lost_that() -> None:
    """As a move that the chain let nobody make."""
    owners = Owners()
    owners.on_withdrawal_voided(WithdrawalVoided(subaccount_id=4, nonce=7))
    assert owners.refused == {(4, 7)}
    owners.on_withdrawal_voided(WithdrawalVoided(subaccount_id=4, nonce=7, void=False))
    assert not owners.refused
