// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IClearingBase, PriceBands} from "../interfaces/IClearing.sol";
import {IOracle} from "../interfaces/IOracle.sol";
import {InstrumentLib} from "./InstrumentLib.sol";
import {MarksLib, MarksProof} from "./MarksLib.sol";

/// @notice What fills of one batch may cost, in memory; see BandLib.
type BandsNow is uint256;

/// @title BandLib: every price within a band of a mark proven in its batch
/// @dev Two accounts of one owner could otherwise trade at any price, and the winner withdraw.
/// The twin of engine/published.py, which lets nothing trade that would be refused here.
/// @dev In memory three words, the first and the last second of a fill and a mask, and behind them
/// a hash table (open addressing, a power of two of words): id 64 | lowest int96 | highest int96.
library BandLib {
    uint256 internal constant RATE_MIN = 1e15; // 0.1 %
    uint256 internal constant RATE_MAX = 5e17; // 50 %
    uint256 internal constant AGE_MIN = 1 minutes;
    uint256 internal constant AGE_MAX = 1 hours;
    uint256 private constant RATE_SCALE = 1e18;
    uint256 private constant HEAD = 0x60; // bytes before the table
    /// @dev Odd, so ids that differ spread; nobody chooses them.
    uint256 private constant MIX =
        0x9e3779b97f4a7c15f39cc0605cedc8341082276bf3a27251f86c6a11d0c18e95;

    /// @notice The hard bounds: what no governance can go beyond.
    function withinBounds(PriceBands calldata bands) internal pure returns (bool) {
        return bands.optionRate >= RATE_MIN && bands.optionRate <= RATE_MAX
            && bands.linearRate >= RATE_MIN && bands.linearRate <= RATE_MAX
            && bands.maxAge >= AGE_MIN && bands.maxAge <= AGE_MAX;
    }

    /// @notice The bands around proven marks of an epoch that the Oracle knows.
    function load(PriceBands memory rules, IOracle oracle, uint64 epoch, MarksProof calldata proof)
        internal
        view
        returns (BandsNow bands)
    {
        (uint64 time, bytes32 root) = oracle.marksOf(epoch);
        if (MarksLib.rootOf(proof) != root) revert IClearingBase.WrongMarks();
        bytes calldata marks = proof.marks;
        uint256 count = MarksLib.count(marks);
        bands = _create(count, time, uint256(time) + rules.maxAge);
        uint64 indexId; // of the underlying whose index was needed last
        int64 index;
        for (uint256 i = 0; i < count; i++) {
            (uint64 id, int256 mark) = MarksLib.markAt(marks, i);
            if (id >> InstrumentLib.KIND_SHIFT == 0) continue; // an index
            uint64 wanted = MarksLib.indexId(InstrumentLib.underlyingOf(id));
            if (wanted != indexId) (indexId, index) = (wanted, MarksLib.priceOf(marks, wanted));
            uint256 rate = InstrumentLib.isLinear(id) ? rules.linearRate : rules.optionRate;
            // forge-lint: disable-next-line(unsafe-typecast)
            int256 width = index <= 0 ? int256(0) : int256(rate * uint64(index) / RATE_SCALE);
            _put(bands, id, mark - width, mark + width);
        }
    }

    /// @notice Reverts unless a fill of an instrument may cost so much at that time.
    function check(BandsNow bands, uint64 instrument, int256 price, uint256 time) internal pure {
        uint256 limits;
        bool ofAnotherTime;
        bool outside;
        assembly ("memory-safe") {
            ofAnotherTime := or(lt(time, mload(bands)), gt(time, mload(add(bands, 0x20))))
            let mask := mload(add(bands, 0x40))
            let table := add(bands, HEAD)
            let cell := and(shr(240, mul(instrument, MIX)), mask)
            limits := mload(add(table, cell))
            for {} and(iszero(eq(shr(192, limits), instrument)), gt(limits, 0)) {} {
                cell := and(add(cell, 0x20), mask)
                limits := mload(add(table, cell))
            }
            let low := sar(160, shl(64, limits))
            let high := sar(160, shl(160, limits))
            outside := or(slt(price, low), sgt(price, high))
        }
        if (limits == 0) revert MarksLib.MarkMissing(instrument);
        if (ofAnotherTime) revert IClearingBase.MarksOfAnotherTime();
        if (outside) revert IClearingBase.PriceOutsideBand(instrument, price);
    }

    /// @dev At most half of the table is in use: a free cell exists.
    function _create(uint256 count, uint256 from, uint256 until)
        private
        pure
        returns (BandsNow bands)
    {
        uint256 cells = 4;
        while (cells < 2 * count) cells <<= 1;
        bytes memory room = new bytes(HEAD + 32 * cells); // zeros
        assembly ("memory-safe") {
            bands := add(room, 0x20)
            mstore(bands, from)
            mstore(add(bands, 0x20), until)
            mstore(add(bands, 0x40), shl(5, sub(cells, 1)))
        }
    }

    /// @dev Ids ascend, so none comes twice. Marks and indices have 64 bits and a rate is at most a
    /// half, so the limits fit 96.
    function _put(BandsNow bands, uint64 id, int256 low, int256 high) private pure {
        assembly ("memory-safe") {
            let mask := mload(add(bands, 0x40))
            let table := add(bands, HEAD)
            let cell := and(shr(240, mul(id, MIX)), mask)
            for {} mload(add(table, cell)) { cell := and(add(cell, 0x20), mask) } {}
            let limits := or(shr(64, shl(160, low)), shr(160, shl(160, high)))
            mstore(add(table, cell), or(shl(192, id), limits))
        }
    }
}
