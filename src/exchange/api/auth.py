"""Who is calling: sign-in with Ethereum (EIP-4361), API keys, sessions and their tokens.

The text names our domain, our chain and a nonce that we issued; each nonce serves once. Tokens are
random, kept only as hashes, and die with the process: a restart asks everybody to sign in again.
"""

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.api.api_keys import OWNER_SCOPE, ApiKey, ApiKeys, narrowed
from exchange.api.errors import InvalidCredentials, Unauthorized
from exchange.api.schemas import parse_address, parse_hex
from exchange.api.settings import GatewaySettings
from exchange.signing import recover_signer

ISSUED_AGE_MAX_S: Final = 600
ISSUED_AHEAD_MAX_S: Final = 60
NONCES_MAX: Final = 10_000
LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")

_TEXT: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?P<domain>[^\s/?#]+)"
    r" wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n\n"
    r"(?:(?P<statement>[^\n]+)\n)?\n"
    r"URI: (?P<uri>[^\n]+)\n"
    r"Version: 1\n"
    r"Chain ID: (?P<chain_id>[0-9]{1,18})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,64})\n"
    r"Issued At: (?P<issued>[^\n]+)"
    r"(?:\nExpiration Time: (?P<ends>[^\n]+))?"
    r"(?:\nNot Before: (?P<not_before>[^\n]+))?"
    r"(?:\nRequest ID: [^\n]*)?"
    r"(?:\nResources:(?:\n- [^\n]+)*)?"
)


class SignInText(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an EIP-4361 text that are checked; times in UTC seconds."""

    domain: str
    address: str
    chain_id: int
    nonce: str
    issued_s: float
    ends_s: float | None
    not_before_s: float | None


class Session(msgspec.Struct, kw_only=True):
    """A signed-in address; it may touch what it owns or holds a session key for.

    With an API key the address is the key's owner, and the key says how much of that is open.
    """

    address: str
    scope: str
    ends_s: float  # of the machine's monotonic clock
    key: ApiKey | None = None

    @property
    def account(self) -> str:
        """Whose settings for a whole account these are: the address's, or its API key's."""
        return f"{self.address}/{self.key.client_id}" if self.key else self.address


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Fresh tokens of a session."""

    session: Session
    access_token: str
    refresh_token: str
    expires_in_s: int


def parse_sign_in(text: str) -> SignInText:
    """Read an EIP-4361 text; anything that differs from the standard's form is refused."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidCredentials("the message is not an EIP-4361 text", "message")
    return SignInText(
        domain=found["domain"],
        address=parse_address(found["address"], "message"),
        chain_id=int(found["chain_id"]),
        nonce=found["nonce"],
        issued_s=_instant(found["issued"], "Issued At"),
        ends_s=_optional_instant(found["ends"], "Expiration Time"),
        not_before_s=_optional_instant(found["not_before"], "Not Before"),
    )


def _optional_instant(text: str | None, name: str) -> float | None:
    return None if text is None else _instant(text, name)


def _instant(text: str, name: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidCredentials(f"{name} is not an RFC 3339 time", "message") from None
    if instant.tzinfo is None:
        raise InvalidCredentials(f"{name} has no time zone", "message")
    return instant.astimezone(UTC).timestamp()


def personal_digest(text: str) -> bytes:
    """EIP-191 digest of a text, as wallets sign it."""
    data = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


def _token_hash(token: str) -> bytes:
    # A look-up by hash is constant-time in what matters: the table never compares the token itself.
    return hashlib.sha256(token.encode()).digest()


class Sessions:
    """Nonces, sessions and tokens; everything bounded, the oldest leaves first."""

    def __init__(
        self,
        settings: GatewaySettings,
        monotonic_s: Callable[[], float],
        keys: ApiKeys | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys or ApiKeys()
        self._monotonic_s = monotonic_s
        self._nonces: OrderedDict[str, float] = OrderedDict()
        self._access: OrderedDict[bytes, Session] = OrderedDict()
        self._refresh: OrderedDict[bytes, tuple[Session, float]] = OrderedDict()
        url = urlsplit(settings.public_url)
        self.domain = url.netloc
        port = f":{url.port}" if url.port else ""
        local = url.hostname in ("127.0.0.1", "localhost", "::1")
        # A loopback listener has several names; any other domain has exactly one.
        self._domains = {f"{host}{port}" for host in LOCAL_HOSTS} if local else {self.domain}

    def issue_nonce(self) -> str:
        """A nonce for one sign-in."""
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = self._monotonic_s() + self._settings.nonce_s
        if len(self._nonces) > NONCES_MAX:
            self._nonces.popitem(last=False)
        return nonce

    def sign_in(
        self, message: str, signature: str, chain_id: int, time_s: float, scope: str = ""
    ) -> Grant:
        """Check an EIP-4361 text and its signature; returns a new session's tokens."""
        text = parse_sign_in(message)
        if text.domain not in self._domains:
            raise InvalidCredentials(f"the domain must be {self.domain}", "message")
        if text.chain_id != chain_id:
            raise InvalidCredentials(f"Chain ID must be {chain_id}", "message")
        _check_times(text, time_s)
        ends_s = self._nonces.get(text.nonce)
        if ends_s is None or ends_s < self._monotonic_s():
            raise InvalidCredentials("unknown, used or late nonce", "message")
        signer = recover_signer(personal_digest(message), parse_hex(signature, "signature"))
        if signer != text.address:
            raise InvalidCredentials("not signed by the address in the message", "signature")
        del self._nonces[text.nonce]
        return self._grant(text.address, narrowed(OWNER_SCOPE, scope))

    def open(self, key: ApiKey, scope: str = "") -> Grant:
        """A session of an API key that has proved itself."""
        return self._grant(key.owner, narrowed(key.scope, scope), key)

    def once(self, key: ApiKey) -> Session:
        """A session for one call, without tokens."""
        ends_s = self._monotonic_s() + self._settings.session_s
        return Session(address=key.owner, scope=key.scope, ends_s=ends_s, key=key)

    def refresh(self, token: str, address: str = "") -> Grant:
        """Exchange a refresh token, once, for new tokens."""
        found = self._refresh.pop(_token_hash(token), None)
        if found is None or found[1] < self._monotonic_s():
            raise InvalidCredentials("unknown, used or late refresh token", "refresh_token")
        old = found[0]
        if old.key is not None and not self._admits(old.key, address):
            raise InvalidCredentials("the API key was changed, or is not for here", "refresh_token")
        old.ends_s = 0.0  # the old access token ends with it
        return self._grant(old.address, old.scope, old.key)

    def _admits(self, key: ApiKey, address: str) -> bool:
        return self._keys.is_current(key) and key.admits(address)

    def _grant(self, address: str, scope: str, key: ApiKey | None = None) -> Grant:
        now_s = self._monotonic_s()
        session = Session(
            address=address, scope=scope, ends_s=now_s + self._settings.session_s, key=key
        )
        access_token, refresh_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self._access[_token_hash(access_token)] = session
        self._refresh[_token_hash(refresh_token)] = (session, now_s + self._settings.refresh_s)
        for table in (self._access, self._refresh):
            if len(table) > self._settings.sessions_max:
                table.popitem(last=False)
        return Grant(
            session=session,
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in_s=int(self._settings.session_s),
        )

    def of_header(self, authorization: str | None, address: str = "") -> Session | None:
        """The session of an `Authorization` header from a network address; None without one."""
        if not authorization:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized("the Authorization header must be a bearer token")
        session = self._access.get(_token_hash(token.strip()))
        if session is None or not self.is_live(session):
            raise Unauthorized("unknown or ended access token; call public/auth")
        if session.key is not None and not session.key.admits(address):
            raise Unauthorized("this key is not for this network address")
        return session

    def is_live(self, session: Session) -> bool:
        """Whether the session has time left, and its API key is what it was."""
        key = session.key
        known = key is None or self._keys.is_current(key)
        return known and session.ends_s > self._monotonic_s()

    def end(self, session: Session) -> None:
        """End a session: its tokens stop at once."""
        session.ends_s = 0.0
        for key in [k for k, v in self._access.items() if v is session]:
            del self._access[key]
        for key in [k for k, (v, _) in self._refresh.items() if v is session]:
            del self._refresh[key]


def _check_times(text: SignInText, time_s: float) -> None:
    if text.issued_s > time_s + ISSUED_AHEAD_MAX_S:
        raise InvalidCredentials("Issued At lies in the future", "message")
    if text.issued_s < time_s - ISSUED_AGE_MAX_S:
        raise InvalidCredentials(f"Issued At is over {ISSUED_AGE_MAX_S} seconds ago", "message")
    if text.ends_s is not None and text.ends_s <= time_s:
        raise InvalidCredentials("Expiration Time has passed", "message")
    if text.not_before_s is not None and text.not_before_s > time_s:
        raise InvalidCredentials("Not Before lies in the future", "message")
