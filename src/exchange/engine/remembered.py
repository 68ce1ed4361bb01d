"""What the engine remembers for long, in pages whose digests are made anew only where they changed.

The hash of the state is computed in every settlement batch, and what an order was is remembered
until long after its deadline: to encode all of it each time would hold everybody up, the longer the
more was traded. Digests follow from what is on the pages alone, whenever and however often somebody
asks.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.model import seq_and_place

if TYPE_CHECKING:
    from exchange.engine.state import Order

ORDERS_SHIFT: Final = 6  # of a seq: what 64 commands placed is on a page
WORD_SHIFT: Final = 8  # of a nonce: the bits of a word
NONCES_SHIFT: Final = 16  # of a nonce: 256 words are on a page
_WORD_BITS: Final = (1 << WORD_SHIFT) - 1
_WORDS: Final = 1 << (NONCES_SHIFT - WORD_SHIFT)
_encoder: Final = msgspec.msgpack.Encoder()


class Digests:
    """One for each page that is not empty."""

    __slots__ = ("_by_page", "_stale")

    def __init__(self) -> None:
        self._by_page: dict[int, bytes] = {}
        self._stale: set[int] = set()

    def touch(self, page: int) -> None:
        """Something on the page changed."""
        self._stale.add(page)

    def total(self, content: Callable[[int], bytes]) -> bytes:
        """sha256 over all pages, by number; `content` is a page's bytes, none if it is empty."""
        for page in self._stale:
            if data := content(page):
                self._by_page[page] = hashlib.sha256(data).digest()
            else:
                self._by_page.pop(page, None)
        self._stale.clear()
        total = hashlib.sha256()
        for page in sorted(self._by_page):
            total.update(page.to_bytes(8, "big") + self._by_page[page])
        return total.digest()

    def distrust(self) -> None:
        """Make all of them anew when they are asked for."""
        self._stale.update(self._by_page)


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

    def distrust(self) -> None:
        """See `Digests`."""
        self._digests.distrust()

    def check(self, orders: dict[int, "Order"]) -> None:
        """Assert that it knows just these, and that no page changed behind its back."""
        known = dict(self._open)
        for number, page in self._pages.items():
            assert page, "an empty page"
            assert all(_page_of(key) == number and one.is_over for key, one in page.items())
            known |= page
        assert known.keys() == orders.keys()
        assert all(orders[key] is one for key, one in known.items())
        found = self.state()
        self.distrust()
        assert self.state() == found, "an order changed after its end"


class Nonces:
    """A set of nonces that only grows, but for a few: bits in words."""

    __slots__ = ("_digests", "_words")

    def __init__(self) -> None:
        self._words: dict[int, int] = {}
        self._digests = Digests()

    def __contains__(self, nonce: int) -> bool:
        return bool(self._words.get(nonce >> WORD_SHIFT, 0) >> (nonce & _WORD_BITS) & 1)

    def add(self, nonce: int) -> None:
        """Know a nonce from now on."""
        word = nonce >> WORD_SHIFT
        self._words[word] = self._words.get(word, 0) | 1 << (nonce & _WORD_BITS)
        self._digests.touch(nonce >> NONCES_SHIFT)

    def discard(self, nonce: int) -> None:
        """Know it no longer."""
        if nonce in self:
            word = nonce >> WORD_SHIFT
            self._words[word] ^= 1 << (nonce & _WORD_BITS)
            if not self._words[word]:
                del self._words[word]
            self._digests.touch(nonce >> NONCES_SHIFT)

    def state(self) -> bytes:
        """Canonical content, as a digest."""
        return self._digests.total(self._content)

    def _content(self, page: int) -> bytes:
        words = range(page * _WORDS, (page + 1) * _WORDS)
        found = [(word, self._words[word]) for word in words if word in self._words]
        return b"".join(w.to_bytes(8, "big") + bits.to_bytes(32, "big") for w, bits in found)

    def distrust(self) -> None:
        """See `Digests`."""
        self._digests.distrust()

    def check(self) -> None:
        """Assert that the digests are those of what is there."""
        found = self.state()
        assert all(self._words.values()), "an empty word"
        self.distrust()
        assert self.state() == found


def _page_of(order_id: int) -> int:
    return seq_and_place(order_id)[0] >> ORDERS_SHIFT
