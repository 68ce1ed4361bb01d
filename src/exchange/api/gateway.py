"""What all methods share: the view, the way to the sequencer, sessions, limits, channels.

One object a process. The listener keeps the view in step with the journal; if that ever fails, this
gateway answers "unavailable" rather than show a wrong picture, and the exchange behind it goes on.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Final, NoReturn, TypeVar

import msgspec
import structlog

from exchange.api import results
from exchange.api.api_keys import ApiKeys, allows
from exchange.api.auth import Session, Sessions
from exchange.api.channels import Channels, notification
from exchange.api.connection import Connection
from exchange.api.contract_owners import AskContract, ContractOwners
from exchange.api.errors import (
    Busy,
    ExchangeError,
    Forbidden,
    InvalidParams,
    Rejected,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnknownInstrument,
)
from exchange.api.history_feed import rows_of
from exchange.api.key_auth import KeyProofs, SignedRequest, is_key_header
from exchange.api.key_store import KeyStore
from exchange.api.limits import Payer, RateLimits
from exchange.api.ports import (
    EngineState,
    Entry,
    History,
    Liquidation,
    Margin,
    Reply,
    Sequencer,
    Token,
)
from exchange.api.receipts import ReceiptSigner
from exchange.api.records import Touched
from exchange.api.rfq import Rfq, Rfqs
from exchange.api.schemas import cash_number
from exchange.api.sequencing import sequence, submit
from exchange.api.settings import GatewaySettings
from exchange.api.signatures import SignatureWorkers
from exchange.api.views import VenueView
from exchange.commands import AnyCommand, CancelAll, Configure, ObserveBlocks
from exchange.events import NonceFloorRaised, OrderArmed, OrderPlaced, RejectReason
from exchange.fixed import to_milliseconds_down, to_seconds_down
from exchange.model import Instrument, OrderStatus, seq_and_place
from exchange.signing import DOMAIN_NAME, DOMAIN_VERSION, Domain

T = TypeVar("T")

TICK_S: Final = 0.1
BUMP_TIMEOUT_S: Final = 3.0  # the longest bump is a second
CANCEL_TRIES: Final = 60  # of what a lost connection asked for
CANCEL_RETRY_S: Final = 0.5
PORTFOLIO_TICKS: Final = 10  # portfolios follow marks once a second
_ENTERED: Final = (OrderPlaced, OrderArmed)
_log: Final = structlog.get_logger("gateway")


@cache
def _domain(chain_id: int, clearing: str) -> Domain:
    return Domain(chain_id, clearing)  # one object: its separator costs four hashes


class Caller(msgspec.Struct, kw_only=True):
    """Who makes one call; `after` runs once its reply is on the way."""

    address: str  # network address
    session: Session | None = None  # of the bearer token
    connection: Connection | None = None
    after: list[Callable[[], None]] = []

    @property
    def current_session(self) -> Session | None:
        """The session now: on a WebSocket, an earlier message may have opened it."""
        return self.connection.session if self.connection else self.session

    @property
    def payer(self) -> Payer:
        """Whose credits the call spends."""
        session = self.current_session
        return Payer(session.address if session else "", self.address)


class Counters(msgspec.Struct):
    """Totals since start, for the metrics page."""

    requests: dict[str, int] = {}
    errors: dict[str, int] = {}
    disconnected: int = 0


class Gateway:
    """The state behind the dispatch table."""

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        sequencer: Sequencer,
        settings: GatewaySettings,
        history: Iterable[Entry] = (),
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        key_store: KeyStore | None = None,
        past: History | None = None,
        view: VenueView | None = None,
        ask_contract: AskContract | None = None,
    ) -> None:
        self.sequencer = sequencer
        self.history = past
        self.settings = settings
        self.view = view or VenueView()
        self.keys = ApiKeys(key_store)
        self.proofs = KeyProofs(self.keys, self.now_ms)
        self.sessions = Sessions(settings, monotonic_s, self.keys)
        self.rfqs = Rfqs(settings.rfq_url)
        self.receipts = ReceiptSigner(settings.receipt_key)
        self.order_nonces: dict[int, int] = {}  # the last that we gave, by subaccount
        self.limits = RateLimits(settings, monotonic_s)
        self.signatures = SignatureWorkers(settings.signature_workers)
        self.contracts = ContractOwners(ask_contract)
        self.channels = Channels(self.view, self._may_see)
        self.connections: set[Connection] = set()
        self.account_cancels: set[str] = set()  # whose every line cancels all: Session.account
        self.counters = Counters()
        self.pending_posts: tuple[msgspec.Struct, ...] = ()  # what the relayer cannot get in
        self._entering: dict[int, asyncio.Future[None]] = {}  # orders at a speed bump, by id
        self._broken = False
        self._unsubscribe: Callable[[], None] | None = None
        for entry in history:
            self._take(entry)
        self._drain_books()

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Follow the sequencer from here on; `history` must reach up to its last entry."""
        self._unsubscribe = self.sequencer.subscribe(self._on_entries)

    def stop(self) -> None:
        """Stop following."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _drain_books(self) -> None:
        for book in self.view.books.values():
            book.cut()

    def _on_entries(self, entries: Sequence[Entry]) -> None:
        if self._broken:
            return
        self.receipts.note(entries)
        try:
            for entry in entries:
                if entry.seq > self.view.seq:
                    touched = self._take(entry)
                    self.channels.publish(touched)
                    if self._entering:
                        self._tell_entered(touched)
        except Exception:  # noqa: BLE001  a bug here must not stop the writer that called us
            self._broken = True
            _log.exception("the view failed; this gateway must be restarted", seq=self.view.seq)

    def _take(self, entry: Entry) -> Touched:
        touched = self.view.apply(entry)
        if isinstance(entry.command, ObserveBlocks):
            self._follow_floors(entry)
        if self.history is not None and entry.seq > self.history.last_seq:
            self.history.append(entry.seq, rows_of(self.view, entry, touched))
        return touched

    def _follow_floors(self, entry: Entry) -> None:
        """What an owner voided on chain includes the nonces that we would give next."""
        for event in entry.events:
            if isinstance(event, NonceFloorRaised) and event.subaccount_id in self.order_nonces:
                last = self.order_nonces[event.subaccount_id]
                self.order_nonces[event.subaccount_id] = max(last, event.floor - 1)

    async def run_ticks(self) -> None:
        """Speak on the 100 ms channels until cancelled."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            try:
                self.channels.tick()
                if self.channels.wants_liquidations:
                    self.channels.send_liquidations(await self.liquidations())
                if ticks % PORTFOLIO_TICKS == 0:
                    await self._send_portfolios()
            except Exception:  # noqa: BLE001  one bad message must not silence the rest
                _log.exception("a tick failed")

    async def _send_portfolios(self) -> None:
        dirty = self.channels.dirty_subaccounts.copy()
        self.channels.dirty_subaccounts.clear()
        for channel, connection in self.channels.portfolio_members():
            for subaccount_id in sorted(dirty):
                if self._may_see(connection, subaccount_id):
                    data = await self.summary(subaccount_id)
                    connection.outbox.put_latest(
                        f"{channel}#{subaccount_id}", notification(channel, data)
                    )

    # -- questions ------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether the view follows the journal."""
        return not self._broken

    def configured(self) -> Configure:
        """The venue's parameters."""
        if self._broken:
            raise Unavailable("this gateway lost its view and must be restarted")
        if self.view.parameters is None:
            raise Unavailable("the venue has no parameters yet")
        return self.view.parameters

    def domain(self) -> Domain:
        """Where orders must be signed for."""
        parameters = self.configured()
        return _domain(parameters.chain_id, parameters.clearing)

    def instrument(self, name: str) -> Instrument:
        """A listed instrument, live or expired."""
        self.configured()
        instrument_id = self.view.instrument_ids.get(name)
        if instrument_id is None:
            raise UnknownInstrument(f"no instrument {name}", "instrument_name")
        return self.view.instruments[instrument_id]

    def underlying_of_index(self, name: str) -> int:
        """The underlying whose index is called `name`."""
        for underlying in self.configured().underlyings:
            if results.index_name(underlying.name) == name:
                return underlying.underlying_id
        raise UnknownInstrument(f"no index {name}", "index_name")

    def underlying_of(self, currency: str) -> int:
        """The underlying that a currency names."""
        for underlying in self.configured().underlyings:
            if underlying.name == currency.upper():
                return underlying.underlying_id
        raise UnknownInstrument(f"no currency {currency}", "currency")

    def select(
        self, currency: str, kind: str = "any", *, expired: bool = False
    ) -> list[Instrument]:
        """Instruments of a currency (USDC and any: all) and kind."""
        names = {u.name: u.underlying_id for u in self.configured().underlyings}
        wanted = currency.upper()
        if wanted not in names and wanted not in ("USDC", "ANY"):
            raise UnknownInstrument(f"no currency {currency}", "currency")
        return [
            instrument
            for number, instrument in self.view.instruments.items()
            if (number in self.view.expired) == expired
            and (wanted not in names or instrument.underlying_id == names[wanted])
            and results.kind_matches(instrument, kind)
        ]

    # -- sessions -------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Venue time in milliseconds."""
        return to_milliseconds_down(self.sequencer.now_ns())

    def session_of(self, request: SignedRequest) -> Session | None:
        """The session that an HTTP request's `Authorization` header shows; None without one."""
        if is_key_header(request.authorization):
            return self.sessions.once(self.proofs.of_request(request))
        return self.sessions.of_header(request.authorization, request.address)

    def session(self, caller: Caller) -> Session:
        """The caller's live session."""
        session = caller.current_session
        if session is None or not self.sessions.is_live(session):
            raise Unauthorized("this method needs a session: call public/auth")
        return session

    def subaccount(self, caller: Caller, subaccount_id: int | None) -> int:
        """The subaccount asked for, if the session may touch it; by default its first."""
        allowed = self.subaccounts(caller)
        if subaccount_id is None:
            if not allowed:
                raise InvalidParams("this address has no subaccount yet", "subaccount_id")
            return allowed[0]
        if subaccount_id not in allowed:
            raise Forbidden("not a subaccount of this session", "subaccount_id")
        return subaccount_id

    def subaccounts(self, caller: Caller) -> list[int]:
        """All that the session may touch, ascending."""
        return self.subaccounts_of(self.session(caller))

    def subaccounts_of(self, session: Session) -> list[int]:
        """All that a live session may touch; of a trading API key while the chain allows it."""
        found = self.view.subaccounts_of(session.address, self.sequencer.now_ns())
        return [number for number in found if self._reaches(session, number)]

    def _reaches(self, session: Session, subaccount_id: int) -> bool:
        """Whether a session's API key, if it has one, reaches this subaccount of its address."""
        key = session.key
        if key is None:
            return True
        deadline = self.view.session_keys.get(key.signer, {}).get(key.owner, 0)
        return (
            self.view.owners[subaccount_id] == key.owner
            and key.subaccount_id in (0, subaccount_id)
            and (not key.trades or deadline > to_seconds_down(self.sequencer.now_ns()))
        )

    def require(self, caller: Caller, scope: str) -> None:
        """Refuse a call that the session's scope does not cover."""
        session = caller.current_session
        if session is not None and not allows(session.scope, scope):
            raise Forbidden(f"the session's scope lacks {scope}")

    def _may_see(self, connection: Connection, subaccount_id: int) -> bool:
        session = connection.session
        return (
            session is not None
            and self.sessions.is_live(session)
            and self.view.may_access(subaccount_id, session.address, self.sequencer.now_ns())
            and self._reaches(session, subaccount_id)
        )

    # -- to the sequencer -----------------------------------------------------------------------

    async def check_signature(self, digest: bytes, signature: bytes, signer: str) -> None:
        """Refuse a signature that is not the signer's over our domain."""
        recovered = await self.signatures.recover(digest, signature)
        if recovered != signer:
            self._refuse_signature(recovered, signer)

    async def check_owner(
        self, digest: bytes, signature: bytes, signer: str, subaccount_id: int
    ) -> bool:
        """The same of an owner, who may be a contract; whether it is one."""
        recovered = await self.signatures.recover(digest, signature)
        if recovered == signer:
            return False
        owns = bool(signer) and self.view.owners.get(subaccount_id) == signer
        if not owns or not await self.contracts.approves(signer, digest, signature):
            self._refuse_signature(recovered, signer)
        return True

    def _refuse_signature(self, recovered: str | None, signer: str) -> NoReturn:
        domain = self.domain()
        expected = (
            f"expected {signer} over EIP-712 domain name={DOMAIN_NAME!r} version={DOMAIN_VERSION}"
            f" chainId={domain.chain_id} verifyingContract={domain.clearing}"
        )
        found = f"recovered {recovered}" if recovered else "not a canonical 65-byte signature"
        raise Rejected(RejectReason.BAD_SIGNATURE, f"{found}; {expected}")

    async def submit(self, command: AnyCommand) -> Reply:
        """Send a command; returns when it is durable, raises `Rejected` when it was refused."""
        return await submit(self.sequencer, command)

    def receipt(self, reply: Reply) -> results.Result:
        """Where a command stands in the journal, with our signature."""
        return self.receipts.fields(self.domain(), reply)

    async def sequence(self, command: AnyCommand) -> Reply:
        """Send a command; the reply may be a refusal."""
        return await sequence(self.sequencer, command)

    def tell_rfq(self, rfq: Rfq, for_makers: object, for_taker: object) -> None:
        """Speak of a request on its channels; None has nothing to say."""
        base = self.view.underlying_name(self.view.instruments[rfq.instrument_id].underlying_id)
        for currency in (base, base.lower(), "USDC", "usdc", "any"):
            for role, data in (("maker", for_makers), ("taker", for_taker)):
                channel = f"block_rfq.{role}.{currency}"
                members = self.channels.members(channel) if data is not None else ()
                for connection in members:
                    if self._hears_rfq(connection, rfq, role):
                        connection.outbox.put(notification(channel, data))

    def _hears_rfq(self, connection: Connection, rfq: Rfq, role: str) -> bool:
        session = connection.session
        if session is None or not self.sessions.is_live(session):
            return False
        if role == "maker":
            return rfq.invites(session.address)
        return self._may_see(connection, rfq.subaccount_id)

    async def entered(self, order_id: int) -> None:
        """Return once an order that a speed bump held has entered, or is over; or after a while."""
        order = self.view.orders.get(order_id)
        if order is None or order.status is not OrderStatus.UNTRIGGERED:
            return
        waiting = asyncio.get_running_loop().create_future()
        known = self._entering.setdefault(order_id, waiting)
        try:
            async with asyncio.timeout(BUMP_TIMEOUT_S):
                await asyncio.shield(known)
        except TimeoutError:  # a halt came in between: the answer shows the order as it waits
            self._entering.pop(order_id, None)

    def _tell_entered(self, touched: Touched) -> None:
        for order_id in self._entering.keys() & touched.orders.keys():
            if touched.orders[order_id].status is not OrderStatus.UNTRIGGERED:
                self._entering.pop(order_id).set_result(None)

    async def cancel_after(self, connection: Connection) -> None:
        """Cancel what a connection that has ended asked to have canceled then.

        Once at once, and again when the calls that were under way have done what they did.
        """
        await self._cancel_for(connection)
        if connection.calls:
            await connection.idle()
            await self._cancel_for(connection)

    async def _cancel_for(self, connection: Connection) -> None:
        session = connection.session
        if session is None:
            return
        if not connection.cancel_on_disconnect and session.account not in self.account_cancels:
            return
        if session.account in self.account_cancels:
            subaccounts = self.subaccounts_of(session)
            commands = [CancelAll(subaccount_id=number) for number in subaccounts]
        else:
            commands = list(self._cancels_of(connection))
        for command in commands:
            try:
                await self._cancel_surely(command)
            except ExchangeError as error:
                _log.warning(
                    "orders stay after a disconnect",
                    subaccount_id=command.subaccount_id,
                    why=str(error),
                )

    async def _cancel_surely(self, command: CancelAll) -> None:
        """Nobody is there to try again while the way to the engine is down.

        A later try takes what is open now alone: its owner may be back by then, with new orders.
        """
        again = self._of_now(command)
        for _ in range(CANCEL_TRIES - 1):
            try:
                await self.submit(command)
            except (Busy, Unavailable, TimedOut):
                if self.sequencer.stopped:
                    raise
                await asyncio.sleep(CANCEL_RETRY_S)
            else:
                return
            if not again.order_ids:
                return
            command = again
        await self.submit(command)

    def _of_now(self, command: CancelAll) -> CancelAll:
        """The same cancel of exactly those orders that it would take now."""
        if command.order_ids:
            return command
        found = self.view.open_orders.get(command.subaccount_id, {}).values()
        order_ids = [one.order_id for one in found if one.is_quote or not command.quotes_only]
        return msgspec.structs.replace(command, order_ids=tuple(order_ids))

    def _cancels_of(self, connection: Connection) -> Iterator[CancelAll]:
        """What takes off the orders and quotes that came by one connection."""
        yield from (
            CancelAll(subaccount_id=number, quotes_only=True)
            for number in sorted(connection.quoted)
        )
        own: dict[int, list[int]] = {}
        for order_id in sorted(connection.order_ids):
            order = self.view.orders.get(order_id)
            if order is not None and self._is_open(order_id):
                own.setdefault(order.subaccount_id, []).append(order_id)
        for subaccount_id, order_ids in own.items():
            yield CancelAll(subaccount_id=subaccount_id, order_ids=tuple(order_ids))

    def note_placed(self, caller: Caller, reply: Reply) -> None:
        """Remember which connection placed the orders that a command brought."""
        if caller.connection is not None:
            own = [
                event.order_id
                for event in reply.events
                if isinstance(event, _ENTERED) and seq_and_place(event.order_id)[0] == reply.seq
            ]
            caller.connection.note_orders(own, self._is_open)

    def _is_open(self, order_id: int) -> bool:
        order = self.view.orders.get(order_id)
        return order is not None and order_id in self.view.open_orders[order.subaccount_id]

    async def with_trails(self, rows: list[results.Result]) -> list[results.Result]:
        """Order results, those of trailing stops with the trigger price that they have now."""
        trailing = {
            int(row["order_id"]): row
            for row in rows
            if row["order_type"] == "trailing_stop" and row["order_state"] == "untriggered"
        }
        if trailing:
            found = await self.sequencer.read(partial(_trigger_prices, tuple(trailing)))
            for order_id, price in found.items():
                trailing[order_id]["trigger_price"] = cash_number(price)
        return rows

    async def liquidations(self) -> Sequence[Liquidation]:
        """Every liquidation that runs, as it stands now."""
        return await self.sequencer.read(lambda engine: engine.liquidations())

    async def summary(self, subaccount_id: int) -> results.Result:
        """`private/get_account_summary` of one subaccount."""
        read = await self.sequencer.read(partial(_margin, subaccount_id))
        return self._summary(subaccount_id, read)

    def _summary(self, subaccount_id: int, read: tuple[Margin, bool]) -> results.Result:
        margin, suspended = read
        figures = results.summary_of_account(self.view, subaccount_id, margin)
        return figures | {"trading_suspended": suspended}

    async def summaries(self, subaccount_id: int) -> list[results.Result]:
        """Cash with margin, then each collateral token."""
        read, tokens = await self.sequencer.read(partial(_margin_and_tokens, subaccount_id))
        account = self._summary(subaccount_id, read)
        collaterals = {asset.asset_id: asset for asset in self.configured().collaterals}
        indices = self.view.index_prices
        return [account] + [
            results.token_summary(
                account,
                token,
                indices.get(collaterals[token.asset_id].underlying_id, (0, 0))[0],
            )
            for token in tokens
        ]


def _trigger_prices(order_ids: tuple[int, ...], engine: EngineState) -> dict[int, int]:
    prices = ((order_id, engine.trigger_price(order_id)) for order_id in order_ids)
    return {order_id: price for order_id, price in prices if price is not None}


def _margin(subaccount_id: int, engine: EngineState) -> tuple[Margin, bool]:
    """The account's figures, and whether it may only reduce."""
    return engine.margin(subaccount_id), subaccount_id in engine.suspended


def _margin_and_tokens(
    subaccount_id: int, engine: EngineState
) -> tuple[tuple[Margin, bool], tuple[Token, ...]]:
    return _margin(subaccount_id, engine), engine.token_views(subaccount_id)
