// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OrderLib} from "./OrderLib.sol";

/// @title PackedLib: reads the packed parts of a batch
/// @dev The twin of settlement/packed.py. Calldata is most of a batch's cost, so nothing is padded.
///
/// An order, 56 bytes, high to low:
///   head   subaccountId 64 | nonce 64 | version 16 | quantity 48 | deadline 40 | flags 24
///   terms  instrument 64 (of a combo its place in Batch.combos) | limitPrice i64 | maxFee 64
/// Its tail: signer 20 bytes if flagged, triggerHash 32 bytes if flagged, then r 32, s 32, v 1; or,
/// of a quote sheet's leaf, the sheet's place 2 bytes, depth 1 byte and so many nodes of 32 bytes.
/// A signer that is not there is, of a leaf, the sheet's; else that of the account's order before,
/// and of its first order the owner. A forced order has no tail, the highest nonce and both of
/// REDUCE_ONLY and IS_FORCED: nobody signed it.
///
/// A fill, 48 bytes, high to low:
///   match  seqOffset 32 | time 32 | maker 24 | taker 24 | leg 16 | quantity 64 | price i64
///   fees   maker 64 | taker 64
library PackedLib {
    uint256 internal constant ORDER_SIZE = 56;
    uint256 internal constant FILL_SIZE = 48;

    uint256 internal constant SELLS = 1;
    uint256 internal constant REDUCE_ONLY = 2;
    uint256 internal constant IS_LEAF = 4;
    uint256 internal constant IS_COMBO = 8;
    uint256 internal constant HAS_TRIGGER = 16;
    uint256 internal constant HAS_SIGNER = 32;
    uint256 internal constant IS_FORCED = 64;

    /// @dev The caller has checked that there are whole records and i is below their number.
    function record(bytes calldata list, uint256 i, uint256 size)
        internal
        pure
        returns (uint256 first, uint256 second)
    {
        assembly ("memory-safe") {
            let place := add(list.offset, mul(i, size))
            first := calldataload(place)
            second := shr(mul(8, sub(64, size)), calldataload(add(place, 0x20)))
        }
    }

    /// @dev The same caller; reads the flags alone.
    function isForced(bytes calldata orders, uint256 i) internal pure returns (bool) {
        uint256 head;
        assembly ("memory-safe") {
            head := calldataload(add(orders.offset, mul(i, ORDER_SIZE)))
        }
        return head & IS_FORCED != 0;
    }

    /// @dev A word of the tails; the caller checks at the end that it did not read beyond them.
    function tail(bytes calldata tails, uint256 cursor) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(tails.offset, cursor))
        }
    }

    // ---- an order's head and terms

    function subaccountOf(uint256 head) internal pure returns (uint64) {
        return uint64(head >> 192);
    }

    function nonceOf(uint256 head) internal pure returns (uint64) {
        return uint64(head >> 128);
    }

    function versionOf(uint256 head) internal pure returns (uint256) {
        return uint16(head >> 112);
    }

    function quantityOf(uint256 head) internal pure returns (uint256) {
        return uint48(head >> 64);
    }

    function deadlineOf(uint256 head) internal pure returns (uint256) {
        return uint40(head >> 24);
    }

    function has(uint256 head, uint256 flag) internal pure returns (bool) {
        return head & flag != 0;
    }

    function instrumentOf(uint256 terms) internal pure returns (uint64) {
        return uint64(terms >> 128);
    }

    function limitOf(uint256 terms) internal pure returns (int64) {
        return int64(uint64(terms >> 64));
    }

    function maxFeeOf(uint256 terms) internal pure returns (uint256) {
        return uint64(terms);
    }

    /// @notice The struct hash that the order's signer signed.
    function structHash(
        uint256 head,
        uint256 terms,
        uint256 instrument,
        bytes32 triggerHash,
        address signer
    ) internal pure returns (bytes32 digest) {
        bytes32 typehash = OrderLib.ORDER_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            mstore(add(free, 0x20), shr(192, head))
            mstore(add(free, 0x40), instrument)
            mstore(add(free, 0x60), and(head, 1))
            mstore(add(free, 0x80), and(shr(64, head), 0xffffffffffff))
            mstore(add(free, 0xa0), signextend(7, shr(64, terms)))
            mstore(add(free, 0xc0), and(terms, 0xffffffffffffffff))
            mstore(add(free, 0xe0), and(shr(1, head), 1))
            mstore(add(free, 0x100), triggerHash)
            mstore(add(free, 0x120), and(shr(128, head), 0xffffffffffffffff))
            mstore(add(free, 0x140), and(shr(112, head), 0xffff))
            mstore(add(free, 0x160), and(shr(24, head), 0xffffffffff))
            mstore(add(free, 0x180), signer)
            digest := keccak256(free, 0x1a0)
        }
    }

    // ---- a fill

    function seqOffsetOf(uint256 match_) internal pure returns (uint256) {
        return match_ >> 224;
    }

    function timeOf(uint256 match_) internal pure returns (uint256) {
        return uint32(match_ >> 192);
    }

    function makerOf(uint256 match_) internal pure returns (uint256) {
        return uint24(match_ >> 168);
    }

    function takerOf(uint256 match_) internal pure returns (uint256) {
        return uint24(match_ >> 144);
    }

    function legOf(uint256 match_) internal pure returns (uint256) {
        return uint16(match_ >> 128);
    }

    function filledOf(uint256 match_) internal pure returns (uint256) {
        return uint64(match_ >> 64);
    }

    function priceOf(uint256 match_) internal pure returns (int64) {
        return int64(uint64(match_));
    }
}
