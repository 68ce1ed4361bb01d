"""API keys: credentials of stock clients, each with a session key that this gateway holds.

The owner creates a key here and allows its session key on chain, with a deadline; then the gateway
signs the orders of whoever has the secret. A record is never changed but replaced, and a session
lives only as long as the very record that opened it: every edit ends its sessions at once.
"""

import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

import msgspec

from exchange.api.errors import (
    BadRequest,
    InvalidCredentials,
    InvalidParams,
    NotFound,
    Unavailable,
)
from exchange.api.key_store import KeyStore, StoreBusy
from exchange.signing import address_of

KEYS_PER_OWNER: Final = 20
KEYS_MAX: Final = 10_000
AREAS: Final = ("account", "trade", "wallet")
OWNER_SCOPE: Final = "account:read_write trade:read_write wallet:read_write"
KEY_SCOPE: Final = "account:read trade:read_write"
_LEVELS: Final = {"none": 0, "read": 1, "read_write": 2}
_NOBODY: Final = "no such key"  # compared with, where there is none: the time tells nothing


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key; `signer` is its session key's address, `subaccount_id` 0 for all of the owner's."""

    id: int
    client_id: str
    client_secret: str
    session_key: bytes
    signer: str
    owner: str
    name: str
    scope: str
    created_ms: int
    subaccount_id: int = 0
    enabled: bool = True
    ip_whitelist: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ApiKey({self.id}, {self.client_id})"  # secrets stay out of logs

    @property
    def trades(self) -> bool:
        """Whether it may enter orders."""
        return allows(self.scope, "trade:read_write")

    def admits(self, address: str) -> bool:
        """Whether a network address may use it."""
        if not self.ip_whitelist:
            return True
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in ip_network(network) for network in self.ip_whitelist)


def levels(scope: str, param: str = "max_scope") -> dict[str, int]:
    """What a scope grants by area; words such as trade:read_write, and nothing else."""
    found = dict.fromkeys(AREAS, 0)
    for word in scope.split():
        area, _, level = word.partition(":")
        if area not in found or level not in _LEVELS:
            raise InvalidParams(f"{word[:32]} is no scope", param)
        found[area] = max(found[area], _LEVELS[level])
    return found


@lru_cache(maxsize=256)
def allows(scope: str, needed: str) -> bool:
    """Whether a scope grants one word, such as trade:read."""
    area, _, level = needed.partition(":")
    return levels(scope)[area] >= _LEVELS[level]


def scope_text(granted: dict[str, int]) -> str:
    """The words of a scope."""
    names = {number: name for name, number in _LEVELS.items()}
    return " ".join(f"{area}:{names[level]}" for area, level in granted.items() if level)


def narrowed(scope: str, asked: str) -> str:
    """The part of a scope that a client asks for; words that name no area are left aside."""
    words = [word for word in asked.split() if word.partition(":")[0] in AREAS]
    if not words:
        return scope
    most, wanted = levels(scope), levels(" ".join(words), "scope")
    return scope_text({area: min(most[area], wanted[area]) for area in AREAS})


def key_scope(asked: str) -> str:
    """The scope of a new key; it never reaches money, nor other keys."""
    granted = levels(asked)
    if granted["wallet"]:
        raise InvalidParams("an API key never moves money: no wallet scope", "max_scope")
    if granted["account"] > _LEVELS["read"]:
        raise InvalidParams("an API key never manages keys: account:read at most", "max_scope")
    if not any(granted.values()):
        raise InvalidParams("grant something", "max_scope")
    return scope_text(granted)


def networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Network addresses, or ranges such as 10.0.0.0/8, in their usual form."""
    try:
        return tuple(str(ip_network(text)) for text in texts)
    except ValueError:
        raise InvalidParams("an address, or a range such as 10.0.0.0/8", "ip_whitelist") from None


class ApiKeys:
    """Every key of this gateway, in memory and in its store."""

    def __init__(
        self, store: KeyStore | None = None, secret: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._store = store
        self._secret = secret
        self._keys: dict[str, ApiKey] = {}  # by client_id
        self._last_id = 0
        if store is not None:
            self._load(store)

    def _load(self, store: KeyStore) -> None:
        """What the store has; records that are as they were stay, and so do their sessions."""
        text = store.load()
        last_id, keys = (
            msgspec.msgpack.decode(text, type=tuple[int, list[ApiKey]]) if text else (0, [])
        )
        known, self._last_id = self._keys, last_id
        self._keys = {
            key.client_id: known[key.client_id] if known.get(key.client_id) == key else key
            for key in keys
        }

    def refresh(self) -> None:
        """Take over what another gateway saved."""
        if self._store is not None and self._store.changed():
            self._load(self._store)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Inside the block nobody else changes keys, and all that others did is known."""
        if self._store is None:
            raise BadRequest("this venue keeps no API keys: it has no key to seal them with")
        with ExitStack() as held:
            try:
                held.enter_context(self._store.alone())
            except StoreBusy as error:
                raise Unavailable(f"{error}; try again") from None
            self.refresh()
            yield

    def of(self, owner: str) -> list[ApiKey]:
        """An owner's keys, the oldest first."""
        return [key for key in self._keys.values() if key.owner == owner]

    def own(self, owner: str, key_id: int) -> ApiKey:
        """One of an owner's keys."""
        for key in self.of(owner):
            if key.id == key_id:
                return key
        raise NotFound(f"no API key {key_id}", "id")

    def create(self, owner: str, name: str, scope: str, created_ms: int, **terms: Any) -> ApiKey:
        """A new key with a fresh session key, which its owner has yet to allow on chain."""
        with self._alone():
            return self._create(owner, name, scope, created_ms, **terms)

    def _create(self, owner: str, name: str, scope: str, created_ms: int, **terms: Any) -> ApiKey:
        if len(self.of(owner)) >= KEYS_PER_OWNER or len(self._keys) >= KEYS_MAX:
            raise BadRequest(f"at most {KEYS_PER_OWNER} API keys: remove one")
        session_key = self._secret(32)
        key = ApiKey(
            id=self._last_id + 1,
            client_id=self._secret(6).hex(),
            client_secret=self._secret(32).hex(),
            session_key=session_key,
            signer=address_of(session_key),
            owner=owner,
            name=name,
            scope=scope,
            created_ms=created_ms,
            **terms,
        )
        self._put(key)
        return key

    def change(self, key: ApiKey, **changes: Any) -> ApiKey:
        """Replace a key; its sessions end."""
        with self._alone():
            self._require_newest(key)
            changed = msgspec.structs.replace(key, **changes)
            self._put(changed)
        return changed

    def reset(self, key: ApiKey) -> ApiKey:
        """Give a key another secret; its session key stays."""
        return self.change(key, client_secret=self._secret(32).hex())

    def remove(self, key: ApiKey) -> None:
        """Forget a key and its session key; its sessions end."""
        with self._alone():
            self._require_newest(key)
            self._save({name: kept for name, kept in self._keys.items() if kept is not key})

    def _require_newest(self, key: ApiKey) -> None:
        if self._keys.get(key.client_id) is not key:
            raise BadRequest("the key was changed by another gateway; look again", "id")

    def is_current(self, key: ApiKey) -> bool:
        """Whether a key is still what it was, and enabled."""
        return key.enabled and self._keys.get(key.client_id) is key

    def _put(self, key: ApiKey) -> None:
        self._save(self._keys | {key.client_id: key}, max(self._last_id, key.id))

    def _save(self, keys: dict[str, ApiKey], last_id: int | None = None) -> None:
        """Durable first: what cannot be kept is not done."""
        assert self._store is not None
        last_id = self._last_id if last_id is None else last_id
        self._store.save(msgspec.msgpack.encode((last_id, list(keys.values()))))
        self._keys, self._last_id = keys, last_id

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._keys.values())

    # -- credentials ----------------------------------------------------------------------------

    def by_secret(self, client_id: str, client_secret: str, address: str) -> ApiKey:
        """The key whose secret this is."""
        key = self._keys.get(client_id)
        known = key.client_secret if key else _NOBODY
        right = hmac.compare_digest(known.encode(), client_secret.encode())
        return self._admitted(key if right else None, address)

    def by_signature(self, client_id: str, text: bytes, signature: str, address: str) -> ApiKey:
        """The key whose secret signed `text` with HMAC-SHA256, in hex."""
        key = self._keys.get(client_id)
        secret = key.client_secret if key else _NOBODY
        expected = hmac.digest(secret.encode(), text, "sha256").hex()
        right = hmac.compare_digest(expected.encode(), signature.lower().encode())
        return self._admitted(key if right else None, address)

    def _admitted(self, key: ApiKey | None, address: str) -> ApiKey:
        if key is None or not key.enabled:
            raise InvalidCredentials("no such key, or not its secret", "client_id")
        if not key.admits(address):
            raise InvalidCredentials("this key is not for this network address", "client_id")
        return key
