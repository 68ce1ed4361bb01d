"""A connection with an account behind it: it signs in, renews its session and mends its gaps."""

import asyncio
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import msgspec
import structlog

from exchange.sdk import types
from exchange.sdk.errors import ApiError, BadArgument, SdkError
from exchange.sdk.subscriptions import Subscriptions
from exchange.sdk.transport import HttpTransport, WebSocketTransport
from exchange.sdk.wallet import NonceAllocator, Wallet, sign_in_text
from exchange.signing import Domain

T = TypeVar("T")

UNAUTHORIZED: Final = 13009
DEADLINE_S: Final = 3600  # how long a signature lives unless told otherwise
SESSION_REFRESH: Final = 0.6  # of a session's life, then the client signs in again

_log: Final = structlog.get_logger("sdk")


class Session:
    """One subaccount's connection. `transport="http"` does without subscriptions."""

    def __init__(
        self,
        url: str,
        private_key: str | bytes | None = None,
        *,
        subaccount_id: int | None = None,
        transport: Literal["websocket", "http"] = "websocket",
    ) -> None:
        self.wallet = Wallet(private_key) if private_key is not None else None
        self.nonces = NonceAllocator()
        self._subaccount_id = subaccount_id
        self._subscriptions = Subscriptions()
        self._transport: HttpTransport | WebSocketTransport = (
            HttpTransport(url)
            if transport == "http"
            else WebSocketTransport(url, self._on_connect, self._subscriptions.receive)
        )
        self._domain: types.SigningDomain | None = None
        self._signing: Domain | None = None
        self._tokens: types.Tokens | None = None
        self._cancels_on_disconnect = False
        self._tasks: list[asyncio.Task[None]] = []

    # -- life -----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect, and sign in if there is a key."""
        await self._transport.start()
        if isinstance(self._transport, HttpTransport):
            await self._transport.call("public/get_time", {})  # learns the venue's clock
            if self.wallet is not None:
                await self.sign_in()
            return
        self._tasks.append(asyncio.create_task(self._mend_gaps()))
        if self.wallet is not None:
            self._tasks.append(asyncio.create_task(self._keep_session()))

    async def stop(self) -> None:
        """Disconnect; open orders stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._transport.stop()

    async def _on_connect(self) -> None:
        self._subscriptions.lost()
        await self._call_now("public/hello", {"client_name": "exchange.sdk"})
        if self.wallet is not None:
            await self.sign_in()
        if self._cancels_on_disconnect:  # the venue forgot it with the old connection
            await self._switch_cancels(on=True)
        channels = self._subscriptions.channels
        if channels:
            await self._join(channels)

    async def _keep_session(self) -> None:
        while True:
            assert self._tokens is not None
            await asyncio.sleep(self._tokens.expires_in * SESSION_REFRESH)
            try:
                await self.sign_in()
            except SdkError as error:  # the next call or reconnection signs in again
                _log.warning("could not renew the session", error=str(error))

    async def _mend_gaps(self) -> None:
        while True:
            channel = await self._subscriptions.gaps.get()
            try:
                await self._transport.call("public/unsubscribe", {"channels": [channel]})
                await self._transport.call("public/subscribe", {"channels": [channel]})
            except SdkError as error:  # a reconnection brings a snapshot by itself
                _log.info("gap not mended", channel=channel, error=str(error))

    # -- calls ----------------------------------------------------------------------------------

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Any method by name; signs in again when the session has ended."""
        try:
            return await self._transport.call(method, params or {})
        except ApiError as error:
            if error.code != UNAUTHORIZED or self.wallet is None:
                raise
        await self.sign_in()
        return await self._transport.call(method, params or {})

    async def _call_now(self, method: str, params: dict[str, Any]) -> Any:
        if isinstance(self._transport, WebSocketTransport):
            return await self._transport.call_now(method, params)
        return await self._transport.call(method, params)

    async def _typed(self, kind: type[T], method: str, params: dict[str, Any] | None = None) -> T:
        return msgspec.convert(await self.call(method, params), kind, strict=False)

    async def sign_in(self) -> types.Tokens:
        """Open a session by Ethereum signature (EIP-4361)."""
        wallet = self._wallet()
        self._transport.use_token("")  # an ended one would be refused even here
        asked = await self._call_now("public/get_sign_in_nonce", {})
        text = sign_in_text(
            domain=asked["domain"],
            uri=asked["uri"],
            address=wallet.address,
            chain_id=asked["chain_id"],
            nonce=asked["nonce"],
            time_ms=asked["timestamp"],
        )
        answer = await self._call_now(
            "public/auth",
            {"grant_type": "eip4361", "message": text, "signature": wallet.sign_text(text)},
        )
        self._tokens = msgspec.convert(answer, types.Tokens)
        self._transport.use_token(self._tokens.access_token)
        return self._tokens

    def _wallet(self) -> Wallet:
        if self.wallet is None:
            raise BadArgument("this client has no private key")
        return self.wallet

    async def subaccount_id(self) -> int:
        """The subaccount that this client trades for: as given, or the signer's first."""
        if self._subaccount_id is None:
            tokens = self._tokens
            if tokens is None or not tokens.subaccount_ids:
                tokens = await self.sign_in()
            if not tokens.subaccount_ids:
                raise BadArgument(f"{tokens.address} has no subaccount: deposit first")
            self._subaccount_id = tokens.subaccount_ids[0]
        return self._subaccount_id

    async def _signing_domain(self) -> Domain:
        if self._signing is None:
            found = await self.domain()
            self._signing = Domain(found.chain_id, found.verifying_contract)
        return self._signing

    async def domain(self) -> types.SigningDomain:
        """What orders are signed for, and the fee schedule."""
        if self._domain is None:
            answer = await self._call_now("public/get_signing_domain", {})
            self._domain = msgspec.convert(answer, types.SigningDomain, strict=False)
        return self._domain

    async def _switch_cancels(self, *, on: bool) -> None:
        verb = "enable" if on else "disable"
        await self._call_now(f"private/{verb}_cancel_on_disconnect", {"scope": "connection"})

    async def _join(self, channels: list[str]) -> None:
        for scope in ("public", "private"):
            wanted = [c for c in channels if c.startswith("user.") == (scope == "private")]
            if wanted:
                await self._call_now(f"{scope}/subscribe", {"channels": wanted})
