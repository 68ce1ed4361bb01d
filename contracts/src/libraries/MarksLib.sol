// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RiskProofLib} from "./RiskProofLib.sol";

/// @notice Some of an epoch's packed marks, and what leads from them to its marks root.
struct MarksProof {
    bytes marks; // 16 bytes each, ascending
    uint32 leafCount; // of the whole tree
    bytes places; // of each mark its place among the leaves, two bytes
    bytes32[] nodes; // the missing ones, level by level from the left
}

/// @title MarksLib: packed marks and the root over them
/// @dev The twin of margin/merkle.py. A mark is 16 bytes: uint64 id | int64 price in 1e-6 USDC,
/// ascending by id. The id is an instrument's; or, of kind 0, that of an underlying
/// (`underlying << 51`), whose price is its index: those come first. The tree is that of
/// RiskProofLib over the hashes of the 16 bytes.
library MarksLib {
    error MarksMalformed();
    error MarkMissing(uint64 id);

    uint256 internal constant SIZE = 16;
    uint256 private constant UNDERLYING_SHIFT = 51;

    /// @return The id under which an underlying's index price is kept.
    function indexId(uint32 underlying) internal pure returns (uint64) {
        return uint64(underlying) << uint64(UNDERLYING_SHIFT);
    }

    /// @return Whole marks; reverts on a part of one.
    function count(bytes calldata marks) internal pure returns (uint256) {
        if (marks.length % SIZE != 0) revert MarksMalformed();
        return marks.length / SIZE;
    }

    /// @notice The mark at a place below `count`.
    function markAt(bytes calldata marks, uint256 place)
        internal
        pure
        returns (uint64 id, int64 price)
    {
        assembly ("memory-safe") {
            let word := calldataload(add(marks.offset, shl(4, place)))
            id := shr(192, word)
            price := signextend(7, and(shr(128, word), 0xffffffffffffffff))
        }
    }

    /// @notice The price under an id, found by bisection; reverts with MarkMissing.
    function priceOf(bytes calldata marks, uint64 id) internal pure returns (int64 price) {
        (uint256 low, uint256 high) = (0, count(marks));
        while (low < high) {
            uint256 middle = (low + high) / 2;
            uint64 found;
            (found, price) = markAt(marks, middle);
            if (found == id) return price;
            if (found < id) low = middle + 1;
            else high = middle;
        }
        revert MarkMissing(id);
    }

    /// @notice The root over all marks of an epoch.
    function rootOf(bytes calldata marks) internal pure returns (bytes32 root) {
        bytes32[] memory level = _leaves(marks);
        assembly ("memory-safe") {
            let nodes := add(level, 0x20)
            for { let width := mload(level) } gt(width, 1) { width := shr(1, add(width, 1)) } {
                let to := nodes
                let from := nodes
                for { let end := add(nodes, shl(5, and(width, not(1)))) } lt(from, end) {} {
                    let left := mload(from)
                    let right := mload(add(from, 0x20))
                    let larger := shl(5, gt(left, right))
                    mstore(larger, left)
                    mstore(xor(larger, 0x20), right)
                    mstore(to, keccak256(0, 0x40))
                    to := add(to, 0x20)
                    from := add(from, 0x40)
                }
                if and(width, 1) { mstore(to, mload(from)) }
            }
            root := mload(nodes)
        }
    }

    /// @notice The root that proven marks lie under; zero if hashes or nodes are left over.
    function rootOf(MarksProof calldata proof) internal pure returns (bytes32) {
        bytes32[] memory hashes = _leaves(proof.marks);
        return RiskProofLib.climb(hashes, proof.places, proof.leafCount, proof.nodes);
    }

    /// @dev Ascending, so no id has two prices.
    function _leaves(bytes calldata marks) private pure returns (bytes32[] memory hashes) {
        uint256 length = count(marks);
        if (length == 0) revert MarksMalformed();
        hashes = new bytes32[](length);
        bool ascending = true;
        assembly ("memory-safe") {
            let from := marks.offset
            let previous := 0
            let to := add(hashes, 0x20)
            for { let end := add(to, shl(5, length)) } lt(to, end) { to := add(to, 0x20) } {
                let word := calldataload(from)
                let id := shr(192, word)
                ascending := and(ascending, gt(id, previous))
                previous := id
                mstore(0, word)
                mstore(to, keccak256(0, 0x10))
                from := add(from, 0x10)
            }
        }
        if (!ascending) revert MarksMalformed();
    }
}
