// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";
import {Batch, Terms, Withdraw} from "./interfaces/IClearing.sol";
import {BatchProof, Holder} from "./interfaces/IMargin.sol";
import {BatchMargin} from "./interfaces/ISolvency.sol";
import {PackedLib} from "./libraries/PackedLib.sol";

/// @title Solvency: margin of each subaccount whose risk grew in a batch
/// @dev A module of Clearing, for batches whose ledger is stored. Two colluding accounts could
/// otherwise trade to and fro until one owes what the other withdraws. It moves nothing.
contract Solvency is Storage {
    using PackedLib for bytes;
    using PackedLib for uint256;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice The part of IClearing.settle after all else, where a batch margin is in force:
    /// nobody's risk may have grown.
    function settle(Batch calldata batch) external view {
        Holder[] calldata nobody;
        assembly ("memory-safe") {
            nobody.offset := 0
            nobody.length := 0
        }
        _requireHolders(batch, nobody);
    }

    /// @notice The part of ISolvency.settleProven after all else.
    function settleProven(Batch calldata batch, BatchProof calldata proof) external view {
        BatchMargin level = _batchMargin;
        if (level == BatchMargin.NONE) return;
        Holder[] calldata holders = proof.holders;
        _requireHolders(batch, holders);
        if (holders.length == 0) return;
        (int256[] memory initial, int256[] memory maintenance) =
            _margin.excessesAt(batch.header.riskEpoch, proof);
        int256[] memory excesses = level == BatchMargin.INITIAL ? initial : maintenance;
        for (uint256 i = 0; i < holders.length; i++) {
            if (excesses[i] < 0) revert BelowMargin(holders[i].subaccountId, excesses[i]);
        }
    }

    /// @notice As ISolvency.setBatchMargin.
    /// @dev Without bands nothing bounds the age of a batch's epoch, without a delay money leaves
    /// with the batch that debits it.
    function setBatchMargin(BatchMargin level) external {
        bool ready =
            address(_margin) != address(0) && _priceBands.optionRate != 0 && _withdrawalDelay != 0;
        if (!ready) revert BatchMarginTooEarly();
        _batchMargin = level;
        emit BatchMarginSet(level);
    }

    // ---- whose risk grew

    function _requireHolders(Batch calldata batch, Holder[] calldata holders) private view {
        _requireTraders(batch.orders, holders);
        for (uint256 i = 0; i < batch.takeovers.length; i++) {
            uint64 taker = batch.takeovers[i].takerId;
            if (taker != _fundId()) _require(taker, holders);
        }
        for (uint256 i = 0; i < batch.withdrawals.length; i++) {
            Withdraw calldata item = batch.withdrawals[i];
            if (item.toSubaccountId != 0) _require(item.withdrawal.subaccountId, holders);
        }
    }

    /// @dev Orders ascend by subaccount, and so must holders. Settler checked that there are whole
    /// records.
    function _requireTraders(bytes calldata orders, Holder[] calldata holders) private pure {
        uint256 count = orders.length / PackedLib.ORDER_SIZE;
        uint256 at = 0;
        for (uint256 i = 0; i < count; i++) {
            (uint256 head,) = orders.record(i, PackedLib.ORDER_SIZE);
            if (head.has(PackedLib.REDUCE_ONLY)) continue;
            uint64 id = head.subaccountOf();
            while (at < holders.length && holders[at].subaccountId < id) at++;
            if (at == holders.length || holders[at].subaccountId != id) revert MarginNotProven(id);
        }
    }

    function _require(uint64 subaccountId, Holder[] calldata holders) private pure {
        for (uint256 i = 0; i < holders.length; i++) {
            if (holders[i].subaccountId == subaccountId) return;
        }
        revert MarginNotProven(subaccountId);
    }
}
