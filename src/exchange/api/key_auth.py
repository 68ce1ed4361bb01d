"""What an API key's secret proves: Deribit's ways to sign in, and that each signed call comes once.

`client_credentials` shows the secret; `client_signature` signs timestamp, nonce and data, each
on a line; the header `deri-hmac-sha256` signs a whole HTTP request. A signature counts for a
minute around the venue's clock and once: what was seen is remembered for that long, and what is
older than this process is refused, since a process forgets.
"""

import base64
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from exchange.api.api_keys import ApiKey, ApiKeys
from exchange.api.errors import InvalidCredentials, TooManyRequests

WINDOW_MS: Final = 60_000
SEEN_PER_KEY_MAX: Final = 100_000
HMAC_SCHEME: Final = "deri-hmac-sha256"
BASIC_SCHEME: Final = "basic"

_FIELD: Final = re.compile(r"\s*(id|ts|sig|nonce)=([A-Za-z0-9_.-]{1,128})\s*")


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as its sender signed it; `target` is the path with its query."""

    authorization: str
    method: str
    target: bytes
    body: bytes
    address: str


class KeyProofs:
    """Checks credentials against the registry."""

    def __init__(self, keys: ApiKeys, now_ms: Callable[[], int]) -> None:
        self._keys = keys
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._seen: dict[str, OrderedDict[str, int]] = {}  # by client_id: signature: when it came

    def of_signature(
        self, client_id: str, stamped: tuple[int, str], data: bytes, signature: str, address: str
    ) -> ApiKey:
        """The key that signed `data`; `stamped` is (timestamp in ms, nonce)."""
        timestamp, nonce = stamped
        self._check_time(timestamp)
        text = f"{timestamp}\n{nonce}\n".encode() + data
        key = self._keys.by_signature(client_id, text, signature, address)
        self._count_once(client_id, signature.lower())
        return key

    def of_request(self, request: SignedRequest) -> ApiKey:
        """The key of an `Authorization: deri-hmac-sha256` or `Basic` header."""
        scheme, _, rest = request.authorization.partition(" ")
        if scheme.lower() == BASIC_SCHEME:
            client_id, client_secret = _basic(rest)
            return self._keys.by_secret(client_id, client_secret, request.address)
        fields = _fields(rest)
        signed = request.method.upper().encode() + b"\n" + request.target + b"\n" + request.body
        return self.of_signature(
            fields["id"],
            (_timestamp(fields["ts"]), fields["nonce"]),
            signed + b"\n",
            fields["sig"],
            request.address,
        )

    def _check_time(self, timestamp: int) -> None:
        if abs(timestamp - self._now_ms()) > WINDOW_MS:
            raise InvalidCredentials("over a minute from the venue's clock", "timestamp")
        if timestamp < self._started_ms:
            raise InvalidCredentials("older than this gateway: sign again", "timestamp")

    def _count_once(self, client_id: str, signature: str) -> None:
        seen = self._seen.setdefault(client_id, OrderedDict())
        oldest = self._now_ms() - 2 * WINDOW_MS  # stamped up to a minute ahead when it came
        while seen and next(iter(seen.values())) < oldest:
            seen.popitem(last=False)
        if signature in seen:
            raise InvalidCredentials("this signature was used before", "signature")
        if len(seen) >= SEEN_PER_KEY_MAX:
            raise TooManyRequests("too many signed calls: use public/auth and its token")
        seen[signature] = self._now_ms()


def is_key_header(authorization: str) -> bool:
    """Whether a header shows an API key rather than a token."""
    return authorization.partition(" ")[0].lower() in (HMAC_SCHEME, BASIC_SCHEME)


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        match = _FIELD.fullmatch(part)
        if match is None or match[1] in found:
            raise InvalidCredentials(f"{HMAC_SCHEME} id=…,ts=…,sig=…,nonce=…", "authorization")
        found[match[1]] = match[2]
    if len(found) < 4:
        raise InvalidCredentials(f"{HMAC_SCHEME} id=…,ts=…,sig=…,nonce=…", "authorization")
    return found


def _timestamp(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise InvalidCredentials("ts is UTC milliseconds", "authorization")
    return int(text)


def _basic(text: str) -> tuple[str, str]:
    try:
        client_id, _, client_secret = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:  # not base64, not ASCII, not UTF-8
        raise InvalidCredentials("Basic needs base64 of id:secret", "authorization") from None
    return client_id, client_secret
