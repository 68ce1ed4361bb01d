"""A sheet of quotes: many two-sided quotes under one signature, replaced in one command.

Pure functions. It must never know signatures, accounts or the book: it is given hashes and what
stands, it gives roots, proofs and a plan.

The owner signs the root of a Merkle tree over the sheet's orders. A leaf is the EIP-712 struct hash
of one order, in the order of the sheet's lines, the bid before the ask. Pairs hash in sorted order,
an odd node rises unchanged, as OpenZeppelin's `MerkleProof` verifies it; a leaf, being the hash of
a longer text, cannot pass for a node.

A new sheet replaces the standing one as a whole. Whatever only shrinks keeps its priority; whatever
grows or moves is canceled and placed anew. Cancels and reductions come before every placement, so
that a maker is never exposed to both sheets at once, nor stopped by an old quote of his own.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from sha3 import keccak_256

from exchange.model import Side

QUOTES_MAX: Final = 512  # two-sided quotes in one sheet
_HASH_SIZE: Final = 32


class Quote(NamedTuple):
    """One line of a sheet. A quantity of 0 leaves that side empty; its price is then ignored."""

    instrument_id: int
    bid_price: int
    bid_quantity: int
    ask_price: int
    ask_quantity: int


class QuoteOrder(NamedTuple):
    """One side of a line; `leaf` is its number among the sheet's orders, and in the tree."""

    leaf: int
    instrument_id: int
    side: Side
    price: int
    quantity: int


class StandingQuote(NamedTuple):
    """What rests of an earlier sheet's order."""

    order_id: int
    instrument_id: int
    side: Side
    price: int
    remaining_quantity: int


class Kept(NamedTuple):
    """A standing order that goes on, with its priority, under a new order's signature."""

    order_id: int
    quantity: int  # what remains from now on
    leaf: int


class SheetPlan(NamedTuple):
    """What a new sheet does, in this order of effects; each part in a fixed order."""

    cancel: tuple[int, ...]  # order_ids, as they stand
    reduce: tuple[Kept, ...]  # in the sheet's order
    keep: tuple[Kept, ...]
    place: tuple[QuoteOrder, ...]


class SheetFault(StrEnum):
    """What is wrong with a sheet, in the order of the checks."""

    TOO_MANY_QUOTES = "too_many_quotes"  # more lines than QUOTES_MAX
    REPEATED_INSTRUMENT = "repeated_instrument"  # an instrument has one line
    NEGATIVE_QUANTITY = "negative_quantity"  # a quantity is at least 0
    CROSSED_QUOTE = "crossed_quote"  # a bid is below its own ask
    EMPTY_SHEET = "empty_sheet"  # to withdraw all quotes, cancel them


def check_sheet(quotes: Sequence[Quote]) -> SheetFault | None:
    """The first thing wrong with the form of a sheet; ticks and lots are the engine's business."""
    if len(quotes) > QUOTES_MAX:
        return SheetFault.TOO_MANY_QUOTES
    if len({quote.instrument_id for quote in quotes}) < len(quotes):
        return SheetFault.REPEATED_INSTRUMENT
    if any(min(quote.bid_quantity, quote.ask_quantity) < 0 for quote in quotes):
        return SheetFault.NEGATIVE_QUANTITY
    if any(
        quote.bid_quantity and quote.ask_quantity and quote.bid_price >= quote.ask_price
        for quote in quotes
    ):
        return SheetFault.CROSSED_QUOTE
    if not any(quote.bid_quantity or quote.ask_quantity for quote in quotes):
        return SheetFault.EMPTY_SHEET
    return None


def sheet_orders(quotes: Sequence[Quote]) -> tuple[QuoteOrder, ...]:
    """The orders of a sheet that passed `check_sheet`, numbered as the leaves of its tree."""
    sides = [
        side
        for quote in quotes
        for side in (
            (quote.instrument_id, Side.BUY, quote.bid_price, quote.bid_quantity),
            (quote.instrument_id, Side.SELL, quote.ask_price, quote.ask_quantity),
        )
        if side[3]
    ]
    return tuple(QuoteOrder(leaf, *side) for leaf, side in enumerate(sides))


def plan_sheet(standing: Sequence[StandingQuote], quotes: Sequence[Quote]) -> SheetPlan:
    """How to get from what stands to a new sheet. Complexity: O(standing + quotes).

    A standing order goes on if the new one has its price and no more than its remaining quantity.
    """
    assert check_sheet(quotes) is None
    before = {(quote.instrument_id, quote.side): quote for quote in standing}
    assert len(before) == len(standing), "a sheet has one order for each instrument and side"
    reduce: list[Kept] = []
    keep: list[Kept] = []
    place: list[QuoteOrder] = []
    kept: set[int] = set()
    for order in sheet_orders(quotes):
        old = before.get((order.instrument_id, order.side))
        if old is None or old.price != order.price or old.remaining_quantity < order.quantity:
            place.append(order)
            continue
        kept.add(old.order_id)
        changed = reduce if order.quantity < old.remaining_quantity else keep
        changed.append(Kept(old.order_id, order.quantity, order.leaf))
    cancel = tuple(quote.order_id for quote in standing if quote.order_id not in kept)
    return SheetPlan(cancel, tuple(reduce), tuple(keep), tuple(place))


def sheet_root(leaves: Sequence[bytes]) -> bytes:
    """What the owner signs: the root of one or more leaves. Complexity: O(n)."""
    _assert_leaves(leaves)
    while len(leaves) > 1:
        leaves = _parents(leaves)
    return leaves[0]


def sheet_proof(leaves: Sequence[bytes], at: int) -> tuple[bytes, ...]:
    """Siblings of leaf `at`, from the leaves up."""
    _assert_leaves(leaves)
    assert 0 <= at < len(leaves)
    proof = []
    while len(leaves) > 1:
        sibling = at ^ 1
        if sibling < len(leaves):
            proof.append(leaves[sibling])
        leaves = _parents(leaves)
        at >>= 1
    return tuple(proof)


def is_in_sheet(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` leads from `leaf` to `root`, as Solidity checks it."""
    for sibling in proof:
        leaf = _node(leaf, sibling)
    return leaf == root


def _assert_leaves(leaves: Sequence[bytes]) -> None:
    assert 0 < len(leaves) <= 2 * QUOTES_MAX
    assert all(len(leaf) == _HASH_SIZE for leaf in leaves)


def _parents(level: Sequence[bytes]) -> list[bytes]:
    parents = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    return [*parents, level[-1]] if len(level) & 1 else parents


def _node(left: bytes, right: bytes) -> bytes:
    digest: bytes = keccak_256(left + right if left < right else right + left).digest()
    return digest
