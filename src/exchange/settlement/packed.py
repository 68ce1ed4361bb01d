"""Orders and fills as the contract reads them: packed, because calldata is what a batch costs most.

Pure. The twin of `contracts/src/libraries/PackedLib.sol`; docs/contracts.md draws the bytes.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.model import NO_TRIGGER, OrderTerms, Side

ORDER_SIZE: Final = 56
FILL_SIZE: Final = 48

_SELLS: Final = 1
_REDUCE_ONLY: Final = 2
_IS_LEAF: Final = 4
_IS_COMBO: Final = 8
_HAS_TRIGGER: Final = 16
_HAS_SIGNER: Final = 32
_IS_FORCED: Final = 64
_NODES_MAX: Final = 255


class SignedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order with its 65 byte signature; or a leaf, with its sheet's place and its proof.

    Or a forced order of a liquidation, which nobody signed.
    `combo` is the place of a combo order's legs among the batch's combos.
    """

    terms: OrderTerms
    signature: bytes = b""
    sheet: int | None = None
    proof: tuple[bytes, ...] = ()
    combo: int | None = None
    forced: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        """What the contract wants orders to ascend by."""
        terms = self.terms
        return terms.subaccount_id, terms.nonce, terms.version


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade; `maker` and `taker` are indices into the batch's orders, `time` a UTC second.

    `leg` is the place of the traded instrument in the combo of whichever order is one.
    """

    seq_offset: int
    time: int
    maker: int
    taker: int
    quantity: int
    price: int
    maker_fee: int
    taker_fee: int
    leg: int = 0


def pack_orders(orders: Sequence[SignedOrder]) -> bytes:
    """All orders, 56 bytes each."""
    named = _named_signers(orders)
    return b"".join(
        _pack_order(order, named=name) for order, name in zip(orders, named, strict=True)
    )


def pack_tails(orders: Sequence[SignedOrder]) -> bytes:
    """What not all orders have: signer, trigger, then a signature or a proof."""
    named = _named_signers(orders)
    return b"".join(
        _pack_tail(order, named=name) for order, name in zip(orders, named, strict=True)
    )


def pack_fills(fills: Sequence[Fill]) -> bytes:
    """All fills, 48 bytes each."""
    return b"".join(map(_pack_fill, fills))


def _named_signers(orders: Sequence[SignedOrder]) -> list[bool]:
    """Which orders name their signer: those that differ from the account's order before.

    A leaf never does: its signer is the sheet's. The first of an account does, because who owns it
    is not the journal's to say from here.
    """
    named = []
    before = (0, "")
    for order in orders:
        now = (order.terms.subaccount_id, order.terms.signer)
        named.append(order.sheet is None and now != before and not order.forced)
        before = now
    return named


def _pack_order(order: SignedOrder, *, named: bool) -> bytes:
    terms = order.terms
    flags = (
        _SELLS * (terms.side is Side.SELL)
        | _REDUCE_ONLY * terms.reduce_only
        | _IS_LEAF * (order.sheet is not None)
        | _IS_COMBO * (order.combo is not None)
        | _HAS_TRIGGER * (terms.trigger_hash != NO_TRIGGER)
        | _HAS_SIGNER * named
        | _IS_FORCED * order.forced
    )
    instrument = terms.instrument_id if order.combo is None else order.combo
    return b"".join(
        (
            terms.subaccount_id.to_bytes(8, "big"),
            terms.nonce.to_bytes(8, "big"),
            terms.version.to_bytes(2, "big"),
            terms.quantity.to_bytes(6, "big"),
            terms.deadline.to_bytes(5, "big"),
            flags.to_bytes(3, "big"),
            instrument.to_bytes(8, "big"),
            terms.limit_price.to_bytes(8, "big", signed=True),
            terms.max_fee.to_bytes(8, "big"),
        )
    )


def _pack_tail(order: SignedOrder, *, named: bool) -> bytes:
    terms = order.terms
    parts = []
    if named:
        parts.append(bytes.fromhex(terms.signer[2:]))
    if terms.trigger_hash != NO_TRIGGER:
        parts.append(terms.trigger_hash)
    if order.forced:
        assert not parts
    elif order.sheet is None:
        assert len(order.signature) == 65
        parts.append(order.signature)
    else:
        assert len(order.proof) <= _NODES_MAX
        parts += [order.sheet.to_bytes(2, "big"), len(order.proof).to_bytes(1, "big")]
        parts += order.proof
    return b"".join(parts)


def _pack_fill(fill: Fill) -> bytes:
    return b"".join(
        (
            fill.seq_offset.to_bytes(4, "big"),
            fill.time.to_bytes(4, "big"),
            fill.maker.to_bytes(3, "big"),
            fill.taker.to_bytes(3, "big"),
            fill.leg.to_bytes(2, "big"),
            fill.quantity.to_bytes(8, "big"),
            fill.price.to_bytes(8, "big", signed=True),
            fill.maker_fee.to_bytes(8, "big"),
            fill.taker_fee.to_bytes(8, "big"),
        )
    )


def traded_instruments(orders: bytes) -> set[int]:
    """Instruments of packed orders, those in combos left out."""
    found = set()
    for at in range(0, len(orders), ORDER_SIZE):
        flags = int.from_bytes(orders[at + 29 : at + 32], "big")
        if not flags & _IS_COMBO:
            found.add(int.from_bytes(orders[at + 32 : at + 40], "big"))
    return found
