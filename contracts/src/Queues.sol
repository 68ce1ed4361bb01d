// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";
import {Queued} from "./interfaces/IReleases.sol";

/// @title Queues: withdrawals between their batch and their payment
abstract contract Queues is Storage {
    /// @dev How long a proof of negative equity holds withdrawals up.
    uint64 internal constant HALTED_FOR = 7 days;

    /// @dev A nonce pays once, so no two queued withdrawals are equal.
    function _enqueue(Queued memory withdrawal) internal {
        uint64 maturesAt_ = uint64(block.timestamp) + _withdrawalDelay;
        _queued[_key(withdrawal)] = maturesAt_;
        emit WithdrawalQueued(
            withdrawal.subaccountId,
            withdrawal.token,
            withdrawal.amount,
            withdrawal.recipient,
            withdrawal.nonce,
            withdrawal.requested,
            maturesAt_
        );
    }

    function _key(Queued memory withdrawal) internal pure returns (bytes32) {
        return keccak256(abi.encode(withdrawal));
    }
}
