"""EIP-712: what owners sign, hashed, signed and recovered.

Pure: no I/O, no clock. The type strings here and in `contracts/src/libraries/OrderLib.sol` are the
same text; `tests/vectors/` proves it. Hashing is written out with fixed-width packing because a
generic typed-data encoder costs a hundred times as much and accepts loose types.
"""

import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange import curve
from exchange.model import (
    NO_TRIGGER,
    BidTerms,
    Legs,
    OrderTerms,
    Quote,
    SheetTerms,
    TransferTerms,
    Trigger,
    WithdrawalTerms,
    sheet_orders,
)

DOMAIN_NAME: Final = "Hybrid Options Exchange"
DOMAIN_VERSION: Final = "1"
DOMAIN_TYPE: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
ORDER_TYPE: Final = (
    "Order(uint64 subaccountId,uint256 instrument,uint8 side,uint64 quantity,int64 limitPrice,"
    "uint64 maxFee,bool reduceOnly,bytes32 triggerHash,uint64 nonce,uint32 version,uint64 deadline,"
    "address signer)"
)
WITHDRAWAL_TYPE: Final = (
    "Withdrawal(uint64 subaccountId,address token,uint256 amount,address recipient,uint64 nonce,"
    "uint64 deadline,address signer)"
)
TRANSFER_TYPE: Final = (
    "Transfer(uint64 subaccountId,uint64 toSubaccountId,address token,uint256 amount,uint64 nonce,"
    "uint64 deadline,address signer)"
)
SHEET_TYPE: Final = (
    "QuoteSheet(uint64 subaccountId,uint64 sheetNonce,uint64 deadline,bytes32 root,address signer)"
)
BID_TYPE: Final = (
    "LiquidationBid(uint64 subaccountId,uint64 liquidatedId,uint64 fraction,int64 priceLimit,"
    "uint64 expectedStep,uint64 nonce,uint64 deadline,address signer)"
)
RECEIPT_TYPE: Final = "Receipt(uint64 seq,bytes32 journalHash)"
RECEIPTS_TYPE: Final = "Receipts(bytes32 root)"
SIGNATURE_BYTES: Final = 65
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_ORDER: Final = _CURVE_ORDER >> 1
_ORDER_TYPEHASH: Final = keccak(ORDER_TYPE.encode())
_WITHDRAWAL_TYPEHASH: Final = keccak(WITHDRAWAL_TYPE.encode())
_TRANSFER_TYPEHASH: Final = keccak(TRANSFER_TYPE.encode())
_SHEET_TYPEHASH: Final = keccak(SHEET_TYPE.encode())
_BID_TYPEHASH: Final = keccak(BID_TYPE.encode())
_RECEIPT_TYPEHASH: Final = keccak(RECEIPT_TYPE.encode())
_RECEIPTS_TYPEHASH: Final = keccak(RECEIPTS_TYPE.encode())
# Every field is one 32-byte word; `x` are its leading zero bytes.
_ORDER_WORDS: Final = struct.Struct(">32s24xQ32s31xB24xQ24sq24xQ31x?32s24xQ28xI24xQ12x20s")
_WITHDRAWAL_WORDS: Final = struct.Struct(">32s24xQ12x20s32s12x20s24xQ24xQ12x20s")
_TRANSFER_WORDS: Final = struct.Struct(">32s24xQ24xQ12x20s32s24xQ24xQ12x20s")
_SHEET_WORDS: Final = struct.Struct(">32s24xQ24xQ24xQ32s12x20s")
_BID_WORDS: Final = struct.Struct(">32s24xQ24xQ24xQ24sq24xQ24xQ24xQ12x20s")
_TRIGGER_BYTES: Final = struct.Struct(">BBqq")
_SIGN_EXTENSION: Final = (bytes(24), b"\xff" * 24)


def _address_bytes(address: str) -> bytes:
    raw = bytes.fromhex(address[2:])
    assert len(raw) == 20, "struct would pad or cut it"
    return raw


class Domain(msgspec.Struct, frozen=True, dict=True):
    """Where a signature is valid: one chain and one Clearing contract."""

    chain_id: int
    clearing: str

    @cached_property
    def separator(self) -> bytes:
        """The EIP-712 domain separator, 32 bytes."""
        return keccak(
            keccak(DOMAIN_TYPE.encode())
            + keccak(DOMAIN_NAME.encode())
            + keccak(DOMAIN_VERSION.encode())
            + self.chain_id.to_bytes(32, "big")
            + bytes(12)
            + _address_bytes(self.clearing)
        )


def order_struct_hash(terms: OrderTerms) -> bytes:
    """`hashStruct` of an order, 32 bytes."""
    price = terms.limit_price
    assert len(terms.trigger_hash) == 32, "struct would pad or cut it"
    assert len(terms.legs_hash) in (0, 32)
    return keccak(
        _ORDER_WORDS.pack(
            _ORDER_TYPEHASH,
            terms.subaccount_id,
            signed_instrument(terms),
            terms.side,
            terms.quantity,
            _SIGN_EXTENSION[price < 0],
            price,
            terms.max_fee,
            terms.reduce_only,
            terms.trigger_hash,
            terms.nonce,
            terms.version,
            terms.deadline,
            _address_bytes(terms.signer),
        )
    )


def signed_instrument(terms: OrderTerms) -> bytes:
    """The word `instrument` of an order, 32 bytes: a number, or the hash of a combo's legs."""
    return terms.legs_hash or terms.instrument_id.to_bytes(32, "big")


def legs_hash(legs: Legs) -> bytes:
    """A combo's identity, which an order signs as its `instrument`; 32 bytes.

    keccak256 of `abi.encode(uint256 instrument, int256 ratio)` of each leg of the canonical form
    (ascending instruments, the first ratio positive, no common divisor), one after the other.
    """
    assert list(legs) == sorted(legs)
    assert legs[0].ratio > 0
    return keccak(
        b"".join(
            leg.instrument_id.to_bytes(32, "big") + leg.ratio.to_bytes(32, "big", signed=True)
            for leg in legs
        )
    )


def trigger_hash(trigger: Trigger | None) -> bytes:
    """What the owner signs as `triggerHash`, 32 bytes; zeros for none.

    keccak256 of 18 packed bytes, in Solidity
    `abi.encodePacked(uint8 kind, uint8 source, int64 triggerPrice, int64 trailOffset)`.
    """
    if trigger is None:
        return NO_TRIGGER
    return keccak(
        _TRIGGER_BYTES.pack(
            trigger.kind, trigger.source, trigger.trigger_price, trigger.trail_offset
        )
    )


def withdrawal_struct_hash(terms: WithdrawalTerms) -> bytes:
    """`hashStruct` of a withdrawal, 32 bytes."""
    return keccak(
        _WITHDRAWAL_WORDS.pack(
            _WITHDRAWAL_TYPEHASH,
            terms.subaccount_id,
            _address_bytes(terms.token),
            terms.amount.to_bytes(32, "big"),
            _address_bytes(terms.recipient),
            terms.nonce,
            terms.deadline,
            _address_bytes(terms.signer),
        )
    )


def transfer_struct_hash(terms: TransferTerms) -> bytes:
    """`hashStruct` of a transfer, 32 bytes."""
    return keccak(
        _TRANSFER_WORDS.pack(
            _TRANSFER_TYPEHASH,
            terms.subaccount_id,
            terms.to_subaccount_id,
            _address_bytes(terms.token),
            terms.amount.to_bytes(32, "big"),
            terms.nonce,
            terms.deadline,
            _address_bytes(terms.signer),
        )
    )


def sheet_struct_hash(terms: SheetTerms, root: bytes) -> bytes:
    """`hashStruct` of a quote sheet over `root`, 32 bytes."""
    assert len(root) == 32, "struct would pad or cut it"
    return keccak(
        _SHEET_WORDS.pack(
            _SHEET_TYPEHASH,
            terms.subaccount_id,
            terms.sheet_nonce,
            terms.deadline,
            root,
            _address_bytes(terms.signer),
        )
    )


def bid_struct_hash(terms: BidTerms) -> bytes:
    """`hashStruct` of a bid in a liquidation auction, 32 bytes."""
    price = terms.price_limit
    return keccak(
        _BID_WORDS.pack(
            _BID_TYPEHASH,
            terms.subaccount_id,
            terms.liquidated_id,
            terms.fraction,
            _SIGN_EXTENSION[price < 0],
            price,
            terms.expected_step,
            terms.nonce,
            terms.deadline,
            _address_bytes(terms.signer),
        )
    )


def sheet_leaves(terms: SheetTerms, quotes: Sequence[Quote]) -> list[bytes]:
    """The leaves of a sheet's tree: the struct hashes of its orders."""
    return [order_struct_hash(order) for order in sheet_orders(terms, quotes)]


def typed_digest(domain: Domain, struct_hash: bytes) -> bytes:
    """The 32 bytes that EIP-712 has signed for a struct of this hash."""
    return keccak(b"\x19\x01" + domain.separator + struct_hash)


def order_digest(domain: Domain, terms: OrderTerms) -> bytes:
    """The 32 bytes that the signer of an order signs."""
    return typed_digest(domain, order_struct_hash(terms))


def sheet_digest(domain: Domain, terms: SheetTerms, root: bytes) -> bytes:
    """The 32 bytes that a maker signs for the sheet whose orders lie under `root`."""
    return typed_digest(domain, sheet_struct_hash(terms, root))


def withdrawal_digest(domain: Domain, terms: WithdrawalTerms) -> bytes:
    """The 32 bytes that the owner signs to withdraw."""
    return typed_digest(domain, withdrawal_struct_hash(terms))


def bid_digest(domain: Domain, terms: BidTerms) -> bytes:
    """The 32 bytes that a keeper signs to bid in a liquidation auction."""
    return typed_digest(domain, bid_struct_hash(terms))


def transfer_digest(domain: Domain, terms: TransferTerms) -> bytes:
    """The 32 bytes that the owner signs to move money between own subaccounts."""
    return typed_digest(domain, transfer_struct_hash(terms))


def receipt_leaf(seq: int, journal_hash: bytes) -> bytes:
    """The hash of a receipt: the command at `seq` and all before it are journaled."""
    assert len(journal_hash) == 32, "nothing else is a hash"
    return keccak(_RECEIPT_TYPEHASH + seq.to_bytes(32, "big") + journal_hash)


def receipt_digest(domain: Domain, seq: int, journal_hash: bytes) -> bytes:
    """The 32 bytes that the venue signed for one receipt alone, before it signed roots."""
    return typed_digest(domain, receipt_leaf(seq, journal_hash))


def receipts_digest(domain: Domain, root: bytes) -> bytes:
    """The 32 bytes that the venue signs for all receipts under a Merkle root."""
    return typed_digest(domain, keccak(_RECEIPTS_TYPEHASH + root))


def order_stages(domain: Domain, terms: OrderTerms) -> dict[str, str]:
    """Each stage of an order's hash as hex, for people who debug their own signing."""
    return {
        "domain_separator": "0x" + domain.separator.hex(),
        "type": ORDER_TYPE,
        "type_hash": "0x" + _ORDER_TYPEHASH.hex(),
        "struct_hash": "0x" + order_struct_hash(terms).hex(),
        "digest": "0x" + order_digest(domain, terms).hex(),
    }


def checksum_address(raw: bytes) -> str:
    """EIP-55 text of 20 address bytes."""
    text = raw.hex()
    mask = keccak(text.encode()).hex()
    pairs = zip(text, mask, strict=False)
    return "0x" + "".join(c.upper() if m in "89abcdef" else c for c, m in pairs)


def _address_of_public_key(key: bytes) -> str:
    return checksum_address(keccak(key)[12:])


def address_of(private_key: bytes) -> str:
    """Checksummed address of a 32-byte private key."""
    return _address_of_public_key(curve.public_key(private_key))


def sign_digest(digest: bytes, private_key: bytes) -> bytes:
    """65-byte signature r, s, v with v in {27, 28} and low s (RFC 6979, so deterministic)."""
    compact = curve.sign(digest, private_key)
    return compact[:64] + bytes([compact[64] + 27])


def recover_signer(digest: bytes, signature: bytes) -> str | None:
    """`recover_address` as checksummed text."""
    address = recover_address(digest, signature)
    return None if address is None else checksum_address(address)


def recover_address(digest: bytes, signature: bytes) -> bytes | None:
    """Address that signed `digest`, or None where the contract would refuse the signature.

    Refused: other lengths than 65, v outside {27, 28}, r or s of zero, s above half the order (the
    malleable twin), and points that do not exist.
    """
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:64], "big")
    if not (0 < r < _CURVE_ORDER and 0 < s <= _HALF_ORDER):
        return None
    key = curve.recover(digest, signature[:64] + bytes([signature[64] - 27]))
    return None if key is None else keccak(key)[12:]
