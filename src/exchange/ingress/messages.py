"""What goes through the stream and its news, as sealed bytes. Pure.

Whoever can write to Redis must not be able to trade: each message carries a code that only the
venue's own processes can make, and a gateway may send only what a client can ask for.
"""

import hashlib
import hmac
from typing import Final

import msgspec

from exchange.commands import (
    AmendOrder,
    AnyCommand,
    BidLiquidation,
    CancelAll,
    CancelOrder,
    ListCombo,
    MassQuote,
    PlaceLinked,
    PlaceOrder,
    ResetProtection,
    SetProtection,
    TradeBlock,
    TransferFunds,
    Withdraw,
)
from exchange.journal import Sender

CODE_BYTES: Final = 16

# What a client of a gateway can cause; the rest arises in the engine's process or at its operator.
CLIENT_COMMANDS: Final = (
    PlaceOrder,
    PlaceLinked,
    TradeBlock,
    AmendOrder,
    MassQuote,
    CancelOrder,
    CancelAll,
    Withdraw,
    TransferFunds,
    BidLiquidation,
    ListCombo,
    SetProtection,
    ResetProtection,
)


class Forged(Exception):
    """No process of this venue sealed these bytes for this use, or they say what none may say."""


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command on its way to the leader; when it set out, by the clock of the stream's server."""

    sender: Sender
    sent_ms: int
    command: AnyCommand


class Committed(msgspec.Struct, frozen=True, array_like=True, tag="committed", gc=False):
    """The journal reaches up to this seq: look now rather than later."""

    seq: int


class Expired(msgspec.Struct, frozen=True, array_like=True, tag="expired", gc=False):
    """These came too late: nothing was done with them, and nothing will be."""

    senders: tuple[Sender, ...]


class Told(msgspec.Struct, frozen=True, array_like=True, tag="told", gc=False):
    """Something that the leader's process knows and no journal holds, as JSON."""

    topic: str
    body: bytes


News = Committed | Expired | Told


class Seal:
    """Makes and checks codes under a secret that the processes of one or more shards share."""

    def __init__(self, secret: str, *, shard: int = 0) -> None:
        self._keys = {
            use: hashlib.sha256(f"exchange ingress {shard} {use} {secret}".encode()).digest()
            for use in ("request", "news")
        }

    def request(self, sender: Sender, sent_ms: int, command: AnyCommand) -> bytes:
        """A sealed command."""
        return self._sealed("request", _encoder.encode(Request(sender, sent_ms, command)))

    def news(self, news: News) -> bytes:
        """Sealed news."""
        return self._sealed("news", _encoder.encode(news))

    def open_request(self, sealed: bytes) -> Request:
        """A command as it was sent; raises `Forged`."""
        try:
            request = _request_decoder.decode(self._opened("request", sealed))
        except msgspec.MsgspecError as error:  # a gateway of another version
            raise Forged(f"not a command: {error}") from error
        if not isinstance(request.command, CLIENT_COMMANDS):
            raise Forged(f"no client sends {type(request.command).__name__}")
        return request

    def open_news(self, sealed: bytes) -> News:
        """News as they were said; raises `Forged`."""
        try:
            return _news_decoder.decode(self._opened("news", sealed))
        except msgspec.MsgspecError as error:
            raise Forged(f"not news: {error}") from error

    def _sealed(self, use: str, body: bytes) -> bytes:
        return hmac.digest(self._keys[use], body, "sha256")[:CODE_BYTES] + body

    def _opened(self, use: str, sealed: bytes) -> bytes:
        code, body = sealed[:CODE_BYTES], sealed[CODE_BYTES:]
        expected = hmac.digest(self._keys[use], body, "sha256")[:CODE_BYTES]
        if not hmac.compare_digest(code, expected):
            raise Forged("another venue sealed it, or nobody did")
        return body


_encoder: Final = msgspec.msgpack.Encoder()
_request_decoder: Final = msgspec.msgpack.Decoder(Request)
_news_decoder: Final[msgspec.msgpack.Decoder[News]] = msgspec.msgpack.Decoder(News)
