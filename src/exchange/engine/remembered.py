"""What the engine remembers for long, in pages whose digests are made anew only where they changed.

The hash of the state is computed in every settlement batch, and what an order was is remembered
until long after its deadline: to encode all of it each time would hold everybody up, the longer the
more was traded. Digests follow from what is on the pages alone, whenever and however often somebody
asks.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.model import seq_and_place

if TYPE_CHECKING:
    from exchange.engine.records import Order

ORDERS_SHIFT: Final = 6  # of a seq: what 64 commands placed is on a page
GROUP_SHIFT: Final = 8  # of a page: digests of 256 pages have one of their own
WORD_SHIFT: Final = 8  # of a nonce: the bits of a word
NONCE_PAGES: Final = 256
_WORD_BITS: Final = (1 << WORD_SHIFT) - 1
_encoder: Final = msgspec.msgpack.Encoder()


class Digests:
    """One for each page that is not empty, one for each group of them, and one of all."""

    __slots__ = ("_groups", "_stale", "_tops", "_total")

    def __init__(self) -> None:
        self._groups: dict[int, dict[int, bytes]] = {}  # by page, by group
        self._tops: dict[int, bytes] = {}  # by group
        self._total = _joined({})
        self._stale: set[int] = set()

    def touch(self, page: int) -> None:
        """Something on the page changed."""
        self._stale.add(page)

    def total(self, content: Callable[[int], bytes]) -> bytes:
        """sha256 over all pages, by number; `content` is a page's bytes, none if it is empty."""
        if self._stale:
            for number in {page >> GROUP_SHIFT for page in self._stale}:
                self._groups.setdefault(number, {})
            for page in self._stale:
                group = self._groups[page >> GROUP_SHIFT]
                if data := content(page):
                    group[page] = hashlib.sha256(data).digest()
                else:
                    group.pop(page, None)
            for number in {page >> GROUP_SHIFT for page in self._stale}:
                self._tops[number] = _joined(self._groups[number])
                if not self._groups[number]:
                    del self._groups[number], self._tops[number]
            self._stale.clear()
            self._total = _joined(self._tops)
        return self._total


def _joined(digests: Mapping[int, bytes]) -> bytes:
    whole = hashlib.sha256()
    for number in sorted(digests):
        whole.update(number.to_bytes(8, "big") + digests[number])
    return whole.digest()


class EndedOrders:
    """Orders until they are forgotten, those that are over on pages."""

    __slots__ = ("_digests", "_open", "_pages")

    def __init__(self) -> None:
        self._open: dict[int, Order] = {}  # by order_id; some may be over by now
        self._pages: dict[int, dict[int, Order]] = {}
        self._digests = Digests()

    def watch(self, order: "Order") -> None:
        """Know a new order."""
        self._open[order.order_id] = order

    def forget(self, order: "Order") -> None:
        """Let go an order, which is over."""
        if self._open.pop(order.order_id, None) is None:
            number = _page_of(order.order_id)
            page = self._pages[number]
            del page[order.order_id]
            if not page:
                del self._pages[number]
            self._digests.touch(number)

    def touch(self, order: "Order") -> None:
        """An order that may be over changed."""
        if order.order_id not in self._open:
            self._digests.touch(_page_of(order.order_id))

    def state(self) -> tuple[object, ...]:
        """Canonical content: the orders that are not over, and the digest of the others."""
        for order in [one for one in self._open.values() if one.is_over]:
            del self._open[order.order_id]
            number = _page_of(order.order_id)
            self._pages.setdefault(number, {})[order.order_id] = order
            self._digests.touch(number)
        standing = [self._open[key] for key in sorted(self._open)]
        return standing, self._digests.total(self._content)

    def _content(self, number: int) -> bytes:
        page = self._pages.get(number)
        return _encoder.encode([page[key] for key in sorted(page)]) if page else b""

    def check(self, orders: Mapping[int, "Order"]) -> None:
        """Assert that it knows just these, and that no page changed behind its back."""
        found, again = self.state(), EndedOrders()
        for order in orders.values():
            again.watch(order)
        assert again.state() == found, "an order changed after its end, or is not known"


class Nonces:
    """A set of nonces that only grows, but for a few: bits in words, and words on pages.

    Who counts up has few words, who scatters one for each nonce; neither is on more pages.
    """

    __slots__ = ("_digests", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, int]] = {}  # words by their number, by page
        self._digests = Digests()

    def __contains__(self, nonce: int) -> bool:
        word = nonce >> WORD_SHIFT
        page = self._pages.get(word % NONCE_PAGES)
        return page is not None and bool(page.get(word, 0) >> (nonce & _WORD_BITS) & 1)

    def add(self, nonce: int) -> None:
        """Know a nonce from now on."""
        self._put(nonce >> WORD_SHIFT, lambda bits: bits | 1 << (nonce & _WORD_BITS))

    def discard(self, nonce: int) -> None:
        """Know it no longer."""
        self._put(nonce >> WORD_SHIFT, lambda bits: bits & ~(1 << (nonce & _WORD_BITS)))

    def _put(self, word: int, change: Callable[[int], int]) -> None:
        number = word % NONCE_PAGES
        page = self._pages.setdefault(number, {})
        page[word] = change(page.get(word, 0))
        if not page[word]:
            del page[word]
        if not page:
            del self._pages[number]
        self._digests.touch(number)

    def state(self) -> bytes:
        """Canonical content, as a digest."""
        return self._digests.total(self._content)

    def _content(self, number: int) -> bytes:
        page = self._pages.get(number, {})
        return b"".join(
            word.to_bytes(8, "big") + page[word].to_bytes(32, "big") for word in sorted(page)
        )

    def distrust(self) -> None:
        """Make all digests anew when they are asked for."""
        self._digests = Digests()
        for number in self._pages:
            self._digests.touch(number)

    def check(self) -> None:
        """Assert that the digests are those of what is there."""
        found = self.state()
        assert all(page and all(page.values()) for page in self._pages.values()), "an empty page"
        self.distrust()
        assert self.state() == found


def _page_of(order_id: int) -> int:
    return seq_and_place(order_id)[0] >> ORDERS_SHIFT
