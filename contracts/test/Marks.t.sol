// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarksLib, MarksProof} from "../src/libraries/MarksLib.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev The library behind calls, so that its arguments are calldata and its reverts are seen.
contract MarksReader {
    function rootOf(MarksProof calldata proof) external pure returns (bytes32) {
        return MarksLib.rootOf(proof);
    }

    function priceOf(bytes calldata marks, uint64 id) external pure returns (int64) {
        return MarksLib.priceOf(marks, id);
    }
}

contract MarksTest is ClearingTest {
    MarksReader internal reader = new MarksReader();

    function test_any_subset_is_proven(uint8 count, uint256 chosen) public view {
        bytes memory marks = marksOf(1 + count % 60);
        MarksProof memory proof = marksProof(marks, placesOf(marks, chosen));
        assertEq(marksRootOf(marks), reader.rootOf(proof), "root");
    }

    /// @dev Another price, another instrument, another place: each gives another root.
    function test_a_changed_proof_leads_elsewhere(
        uint8 count,
        uint256 chosen,
        uint16 which,
        bytes1 to
    ) public view {
        bytes memory marks = marksOf(2 + count % 60);
        MarksProof memory proof = marksProof(marks, placesOf(marks, chosen));
        // the price of one mark: ids keep ascending
        uint256 place = 16 * (which % (proof.marks.length / 16)) + 8 + which % 8;
        vm.assume(proof.marks[place] != to);
        proof.marks[place] = to;
        assertTrue(reader.rootOf(proof) != marksRootOf(marks), "another price");
    }

    function test_nodes_left_over_or_missing_lead_nowhere() public view {
        bytes memory marks = marksOf(9);
        MarksProof memory proof = marksProof(marks, placesOf(marks, 2));
        proof.nodes = appended(proof.nodes, bytes32(uint256(1)));
        assertEq(bytes32(0), reader.rootOf(proof), "a node too many");
        proof = marksProof(marks, placesOf(marks, 2));
        proof.nodes = new bytes32[](proof.nodes.length - 1);
        assertEq(bytes32(0), reader.rootOf(proof), "a node too few");
    }

    function test_a_price_is_found_by_its_id(uint8 count, uint64 id) public {
        bytes memory marks = marksOf(1 + count % 60);
        for (uint256 i = 0; i < marks.length / 16; i++) {
            (uint64 known, int64 price) = markAt(marks, i);
            assertEq(price, reader.priceOf(marks, known), "price");
            vm.assume(id != known);
        }
        vm.expectRevert(abi.encodeWithSelector(MarksLib.MarkMissing.selector, id));
        reader.priceOf(marks, id);
    }

    function marksOf(uint256 count) internal pure returns (bytes memory marks) {
        for (uint64 i = 0; i < count; i++) {
            marks = abi.encodePacked(marks, 3 * i + 1, int64(i * i * 1e4) - 70e4);
        }
    }

    function markAt(bytes memory marks, uint256 place) internal pure returns (uint64, int64) {
        uint128 mark = uint128(bytes16(word(abi.encodePacked(marks, bytes16(0)), 16 * place)));
        return (uint64(mark >> 64), int64(uint64(mark)));
    }

    /// @dev The places whose bits are set; the last if none is.
    function placesOf(bytes memory marks, uint256 chosen)
        internal
        pure
        returns (uint256[] memory places)
    {
        uint256 count = marks.length / 16;
        if (chosen % (1 << count) == 0) chosen = 1 << (count - 1);
        places = new uint256[](count);
        uint256 found;
        for (uint256 i = 0; i < count; i++) {
            if (chosen >> i & 1 == 1) places[found++] = i;
        }
        assembly ("memory-safe") {
            mstore(places, found)
        }
    }
}
