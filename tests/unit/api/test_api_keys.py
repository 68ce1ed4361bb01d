"""The registry of API keys: scopes, networks, secrets, and what survives a restart."""

import pytest
from tests.unit.api.world import MAKER, TAKER, MemoryStore

from exchange.api.api_keys import (
    KEYS_PER_OWNER,
    OWNER_SCOPE,
    ApiKeys,
    allows,
    key_scope,
    narrowed,
    networks,
)
from exchange.api.errors import BadRequest, InvalidCredentials, InvalidParams, NotFound
from exchange.api.key_store import SealedFile
from exchange.signing import address_of


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def keys(store):
    return ApiKeys(store)


def create(keys, owner=TAKER, scope="trade:read_write", **terms):
    return keys.create(owner, "bot", scope, 1_000, **terms)


def test_a_key_has_a_session_key_of_its_own(keys):
    first, second = create(keys), create(keys)
    assert first.signer == address_of(first.session_key)
    assert len({first.signer, second.signer}) == 2
    assert len({first.client_secret, second.client_secret}) == 2
    assert (first.id, second.id) == (1, 2)
    assert list(keys) == [first, second]


def test_secrets_stay_out_of_logs(keys):
    key = create(keys)
    for text in (repr(key), str(key), f"{key!r}"):
        assert key.client_secret not in text
        assert repr(key.session_key) not in text


def test_a_restart_knows_them_all_and_repeats_no_number(keys, store):
    create(keys)
    keys.remove(create(keys))
    again = ApiKeys(store)
    assert again.of(TAKER) == keys.of(TAKER)
    assert create(again).id == 3


def test_what_cannot_be_kept_is_not_done(keys, store):
    key = create(keys)
    store.fails = True
    with pytest.raises(OSError, match="space"):
        keys.remove(key)
    assert keys.is_current(key)


def test_owners_see_their_own_alone(keys):
    key = create(keys)
    assert keys.of(MAKER) == []
    with pytest.raises(NotFound):
        keys.own(MAKER, key.id)
    assert keys.own(TAKER, key.id) is key


def test_without_a_store_there_are_no_keys():
    with pytest.raises(BadRequest, match="seal"):
        create(ApiKeys())


def test_an_owner_has_only_so_many(keys):
    for _ in range(KEYS_PER_OWNER):
        create(keys)
    with pytest.raises(BadRequest):
        create(keys)
    create(keys, owner=MAKER)


def test_each_change_makes_another_key_of_it(keys):
    key = create(keys)
    changed = keys.change(key, name="other")
    assert not keys.is_current(key)
    assert keys.is_current(changed)
    assert keys.reset(changed).client_secret != key.client_secret
    disabled = keys.change(keys.of(TAKER)[0], enabled=False)
    assert not keys.is_current(disabled)


def test_only_its_own_secret_opens_it(keys):
    key, other = create(keys), create(keys)
    assert keys.by_secret(key.client_id, key.client_secret, "") is key
    for client_id, secret in (
        (key.client_id, other.client_secret),
        (key.client_id, ""),
        ("unknown", key.client_secret),
        ("unknown", "no such key"),
        (key.client_id, key.client_secret + "0"),
    ):
        with pytest.raises(InvalidCredentials):
            keys.by_secret(client_id, secret, "")


def test_a_disabled_or_removed_key_opens_nothing(keys):
    key = create(keys)
    keys.change(key, enabled=False)
    with pytest.raises(InvalidCredentials):
        keys.by_secret(key.client_id, key.client_secret, "")
    keys.remove(keys.of(TAKER)[0])
    with pytest.raises(InvalidCredentials):
        keys.by_secret(key.client_id, key.client_secret, "")


@pytest.mark.parametrize(
    ("address", "admitted"),
    [("10.1.2.3", True), ("192.0.2.7", True), ("192.0.2.8", False), ("::1", False), ("", False)],
)
def test_a_key_works_from_its_networks(keys, address, admitted):
    key = create(keys, ip_whitelist=networks(("10.0.0.0/8", "192.0.2.7")))
    if admitted:
        assert keys.by_secret(key.client_id, key.client_secret, address) is key
    else:
        with pytest.raises(InvalidCredentials, match="network"):
            keys.by_secret(key.client_id, key.client_secret, address)


def test_networks_are_addresses_or_ranges():
    assert networks(("10.0.0.1", "2001:db8::/32")) == ("10.0.0.1/32", "2001:db8::/32")
    for text in ("10.0.0.1/8", "localhost", "300.1.1.1"):
        with pytest.raises(InvalidParams):
            networks((text,))


def test_scopes():
    assert allows("trade:read_write", "trade:read")
    assert not allows("trade:read", "trade:read_write")
    assert not allows("account:read_write", "trade:read")
    assert narrowed(OWNER_SCOPE, "trade:read session:bot") == "trade:read"
    assert narrowed("trade:read", "trade:read_write wallet:read_write") == "trade:read"
    assert narrowed("trade:read", "connection") == "trade:read"
    assert key_scope("trade:read_write account:read") == "account:read trade:read_write"


@pytest.mark.parametrize(
    "scope", ["", "trade:none", "wallet:read", "wallet:read_write", "trade:all", "everything"]
)
def test_scopes_that_no_key_gets(scope):
    with pytest.raises(InvalidParams):
        key_scope(scope)


def test_no_key_manages_keys():
    with pytest.raises(InvalidParams, match="keys"):
        key_scope("account:read_write")


def test_gateways_share_their_keys(tmp_path):
    """Numbers never repeat; a session lives where its record is still the same."""
    one, two = (ApiKeys(SealedFile(tmp_path / "api_keys", b"k" * 32)) for _ in range(2))
    first = create(one)
    second = create(two)  # which has seen the first by then
    assert (first.id, second.id) == (1, 2)
    mine = two.own(TAKER, 1)
    one.refresh()
    assert one.own(TAKER, 1) is first
    assert one.is_current(first)
    changed = one.reset(first)
    two.refresh()
    assert not two.is_current(mine)
    assert two.own(TAKER, 1) == changed
    with pytest.raises(BadRequest, match="another gateway"):
        two.remove(mine)
    two.remove(two.own(TAKER, 1))
    one.refresh()
    assert not one.is_current(changed)
    assert [key.id for key in one] == [2]
