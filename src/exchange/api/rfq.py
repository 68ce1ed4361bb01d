"""Requests for quote: who asks for what, and what makers answer, until it trades or ends.

Words before a trade, so they live in this gateway's memory and die with it; what counts is signed
and journaled when the request ends in a block. Everything is bounded and expires. Makers see
requests without their taker unless it is disclosed, and never each other's quotes.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import count
from typing import Final

import msgspec

from exchange.api.errors import BadRequest, NotFound, TooManyRequests, Unavailable
from exchange.commands import PlaceOrder
from exchange.fixed import to_milliseconds_down
from exchange.model import Side

REQUESTS_MAX: Final = 1_000
REQUESTS_PER_TAKER: Final = 10
QUOTES_PER_REQUEST: Final = 200
KEPT_AFTER_MS: Final = 60_000  # how long a request that is over still answers questions


class RfqState(StrEnum):
    """Life of a request."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "cancelled"
    EXPIRED = "expired"


class RfqQuote(msgspec.Struct, kw_only=True):
    """A maker's signed answer: an order on the other side, good until the request ends."""

    quote_id: int
    subaccount_id: int
    order: PlaceOrder
    created_ms: int

    @property
    def ends_ms(self) -> int:
        """When the maker's signature is over."""
        return self.order.terms.deadline * 1_000

    @property
    def side(self) -> Side:
        """What the maker does; the taker does the opposite."""
        return self.order.terms.side


class Rfq(msgspec.Struct, kw_only=True):
    """A request; `side` None asks for both, `makers` empty asks everybody."""

    rfq_id: int
    subaccount_id: int
    owner: str
    instrument_id: int
    hedge_id: int = 0  # the leg that is the hedge; 0: none is
    quantity: int
    side: Side | None
    disclosed: bool
    makers: tuple[str, ...]
    label: str
    created_ms: int
    ends_ms: int
    state: RfqState = RfqState.OPEN
    quotes: dict[int, RfqQuote] = {}  # by quote_id
    seq: int = 0  # of the block that filled it
    taking: bool = False  # an acceptance is under way: there is never a second

    def invites(self, address: str) -> bool:
        """Whether an address may answer."""
        return address != self.owner and (not self.makers or address in self.makers)

    def best_first(self, side: Side) -> list[RfqQuote]:
        """Quotes that a taker on `side` may take, the best price first, then the oldest."""
        found = [quote for quote in self.quotes.values() if quote.side is side.opposite]
        return sorted(found, key=lambda q: (side.sign * q.order.terms.limit_price, q.quote_id))


class Rfqs:
    """Every request of this gateway, or of the one `elsewhere` that has them all."""

    def __init__(self, elsewhere: str = "") -> None:
        self._elsewhere = elsewhere
        self._requests: dict[int, Rfq] = {}
        self._numbers = count(1)

    def require_here(self) -> None:
        """Name the place where requests are served, if this is not it."""
        if self._elsewhere:
            raise Unavailable(f"requests for quote are served at {self._elsewhere}")

    def create(self, now_ms: int, **fields: object) -> Rfq:
        """A new request."""
        self.expire(now_ms)
        rfq = Rfq(rfq_id=next(self._numbers), created_ms=now_ms, **fields)  # type: ignore[arg-type]  # checked by the only caller
        live = [other for other in self._requests.values() if other.state is RfqState.OPEN]
        mine = sum(other.owner == rfq.owner for other in live)
        if len(live) >= REQUESTS_MAX or mine >= REQUESTS_PER_TAKER:
            raise TooManyRequests(f"at most {REQUESTS_PER_TAKER} open requests")
        self._make_room()
        self._requests[rfq.rfq_id] = rfq
        return rfq

    def _make_room(self) -> None:
        """Forget the oldest that is over, or whoever asks and cancels would shut others out."""
        if len(self._requests) >= REQUESTS_MAX:
            over = (rfq for rfq in self._requests.values() if rfq.state is not RfqState.OPEN)
            del self._requests[next(over).rfq_id]

    def get(self, rfq_id: int, now_ms: int) -> Rfq:
        """A request that is remembered."""
        self.expire(now_ms)
        found = self._requests.get(rfq_id)
        if found is None:
            raise NotFound("no such request for quote", "block_rfq_id")
        return found

    def open(self, rfq_id: int, now_ms: int) -> Rfq:
        """A request that may still be answered and taken."""
        rfq = self.get(rfq_id, now_ms)
        if rfq.state is not RfqState.OPEN:
            raise BadRequest(f"the request is {rfq.state.value}", "block_rfq_id")
        return rfq

    def add_quote(self, rfq: Rfq, subaccount_id: int, order: PlaceOrder, now_ms: int) -> RfqQuote:
        """A maker's quote, in the place of its earlier one on the same side."""
        for quote in list(rfq.quotes.values()):
            if (quote.subaccount_id, quote.side) == (subaccount_id, order.terms.side):
                del rfq.quotes[quote.quote_id]
        if len(rfq.quotes) >= QUOTES_PER_REQUEST:
            raise TooManyRequests("this request has all the quotes that it can hold")
        quote = RfqQuote(
            quote_id=next(self._numbers),
            subaccount_id=subaccount_id,
            order=order,
            created_ms=now_ms,
        )
        rfq.quotes[quote.quote_id] = quote
        return quote

    def finish(self, rfq: Rfq, state: RfqState, now_ms: int, seq: int = 0) -> None:
        """End a request; its quotes are void."""
        rfq.state, rfq.ends_ms, rfq.seq = state, min(rfq.ends_ms, now_ms), seq
        rfq.quotes.clear()

    def expire(self, now_ms: int) -> list[Rfq]:
        """End what ran out of time, and forget what ended a while ago; returns the former."""
        self.require_here()
        ended = []
        for rfq in list(self._requests.values()):
            for quote in list(rfq.quotes.values()):
                if quote.ends_ms < now_ms:
                    del rfq.quotes[quote.quote_id]
            if rfq.state is RfqState.OPEN and rfq.ends_ms <= now_ms:
                self.finish(rfq, RfqState.EXPIRED, now_ms)
                ended.append(rfq)
            elif rfq.state is not RfqState.OPEN and rfq.ends_ms + KEPT_AFTER_MS <= now_ms:
                del self._requests[rfq.rfq_id]
        return ended

    def __iter__(self) -> Iterator[Rfq]:
        return iter(self._requests.values())


def ends_ms(now_ms: int, seconds: int) -> int:
    """When a request of so many seconds ends."""
    return now_ms + to_milliseconds_down(seconds * 10**9)
