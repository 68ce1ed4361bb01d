// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ExpiryRisk, IMargin, MarginProof, UnderlyingRisk} from "../interfaces/IMargin.sol";

/// @title RiskProofLib: that risk rows lie under an epoch's root
/// @dev The twin of margin/merkle.py. Leaves are hashes of packed numbers, pairs hash in sorted
/// order, an odd last one rises unchanged. Header, underlyings and expiries are 24, 32 or 48, and
/// 72 bytes long, rows 80 or more, for Margin takes no fewer than five scenarios: so no leaf is as
/// long as a node, nor as one of another kind, and none can pass for it. So places need no proof:
/// wrong ones give another root.
library RiskProofLib {
    uint256 internal constant UNSCALED = 1e18;
    uint256 internal constant ROW_HEAD = 5; // instrument, mark price, volatility, delta, vega

    /// @notice Bytes of one packed row.
    function rowLength(uint256 scenarios) internal pure returns (uint256) {
        return 8 * (ROW_HEAD + scenarios);
    }

    /// @notice The root that the proof's rows lie under; reverts unless they ascend.
    function rootOf(MarginProof calldata proof, uint256 scenarios) internal pure returns (bytes32) {
        bytes32[] memory hashes = _leaves(proof, rowLength(scenarios));
        return climb(hashes, proof.places, proof.leafCount, proof.nodes);
    }

    /// @notice The root above some leaves of a tree `width` wide, by a multiproof.
    /// @return root zero if hashes or nodes are left over
    function climb(
        bytes32[] memory hashes,
        bytes calldata places,
        uint256 width,
        bytes32[] calldata nodes
    ) internal pure returns (bytes32 root) {
        uint256[] memory where = _places(places, hashes.length);
        uint256 count = hashes.length;
        uint256 cursor;
        assembly ("memory-safe") {
            cursor := nodes.offset
        }
        for (; width > 1; width = (width + 1) >> 1) {
            (count, cursor) = _level(hashes, where, count, width, cursor);
        }
        assembly ("memory-safe") {
            cursor := shr(5, sub(cursor, nodes.offset))
        }
        if (count != 1 || cursor != nodes.length) return 0;
        return hashes[0];
    }

    function _leaves(MarginProof calldata proof, uint256 length)
        private
        pure
        returns (bytes32[] memory hashes)
    {
        uint256 count = proof.rows.length / length;
        hashes = new bytes32[](1 + proof.underlyings.length + proof.expiries.length + count);
        hashes[0] = keccak256(abi.encodePacked(proof.epoch, proof.stablecoinPrice));
        uint256 next = 1;
        for (uint256 i = 0; i < proof.underlyings.length; i++) {
            hashes[next++] = _underlyingLeaf(proof.underlyings[i]);
        }
        for (uint256 i = 0; i < proof.expiries.length; i++) {
            hashes[next++] = _expiryLeaf(proof.expiries[i]);
        }
        if (!_addRowLeaves(hashes, next, proof.rows, length)) revert IMargin.NotAscending();
    }

    /// @return ascending whether each row's instrument is above the one before
    function _addRowLeaves(
        bytes32[] memory hashes,
        uint256 next,
        bytes calldata rows,
        uint256 length
    ) private pure returns (bool ascending) {
        ascending = true;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let to := add(add(hashes, 0x20), shl(5, next))
            let last := add(add(hashes, 0x20), shl(5, mload(hashes)))
            let from := rows.offset
            let previous := 0
            for {} lt(to, last) { to := add(to, 0x20) } {
                let instrument := shr(192, calldataload(from))
                ascending := and(ascending, gt(instrument, previous))
                previous := instrument
                calldatacopy(free, from, length)
                mstore(to, keccak256(free, length))
                from := add(from, length)
            }
        }
    }

    /// @dev A scan of 1 is left out.
    function _underlyingLeaf(UnderlyingRisk calldata risk) private pure returns (bytes32) {
        bytes memory head =
            abi.encodePacked(uint64(risk.underlying), risk.indexPrice, risk.confidence);
        return keccak256(risk.scan == UNSCALED ? head : abi.encodePacked(head, risk.scan));
    }

    function _expiryLeaf(ExpiryRisk calldata risk) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint64(risk.underlying),
                risk.expiry,
                risk.forwardPrice,
                risk.discountLong,
                risk.discountShort,
                risk.basisWeight
            )
        );
    }

    function _places(bytes calldata packed, uint256 count)
        private
        pure
        returns (uint256[] memory places)
    {
        places = new uint256[](count);
        if (packed.length != 2 * count) return places; // another root
        assembly ("memory-safe") {
            let to := add(places, 0x20)
            let from := packed.offset
            for { let end := add(from, packed.length) } lt(from, end) { from := add(from, 2) } {
                mstore(to, shr(240, calldataload(from)))
                to := add(to, 0x20)
            }
        }
    }

    /// @dev One level, in place: every hash given takes part, for at the end only one may be left.
    /// @param cursor of the next node in calldata; beyond the nodes lies another argument, but the
    /// caller counts them
    function _level(
        bytes32[] memory hashes,
        uint256[] memory places,
        uint256 count,
        uint256 width,
        uint256 cursor
    ) private pure returns (uint256 left, uint256 next) {
        assembly ("memory-safe") {
            let write := add(hashes, 0x20)
            let step := sub(places, hashes) // from a hash to its place
            let read := write
            for { let end := add(read, shl(5, count)) } lt(read, end) {} {
                let hash := mload(read)
                let place := mload(add(read, step))
                read := add(read, 0x20)
                if lt(xor(place, 1), width) {
                    let other := 0
                    if lt(read, end) {
                        if eq(mload(add(read, step)), xor(place, 1)) {
                            other := mload(read)
                            read := add(read, 0x20)
                        }
                    }
                    if iszero(other) {
                        other := calldataload(cursor)
                        cursor := add(cursor, 0x20)
                    }
                    let larger := shl(5, gt(hash, other))
                    mstore(larger, hash)
                    mstore(xor(larger, 0x20), other)
                    hash := keccak256(0, 0x40)
                }
                mstore(write, hash)
                mstore(add(write, step), shr(1, place))
                write := add(write, 0x20)
            }
            left := shr(5, sub(sub(write, hashes), 0x20))
            next := cursor
        }
    }
}
