// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Debts} from "./Debts.sol";
import {Queues} from "./Queues.sol";
import {Storage} from "./Storage.sol";
import {Terms} from "./interfaces/IClearing.sol";
import {MarginProof} from "./interfaces/IMargin.sol";
import {Halt, Queued} from "./interfaces/IReleases.sol";

/// @title Releases: mature withdrawals, and what holds them up
/// @dev A module of Clearing. Two colluding accounts can trade at a bad price and the winner
/// withdraw; while that waits, anyone can prove the loser's equity negative.
contract Releases is Queues, Debts {
    using SafeCast for int256;
    using SafeCast for uint256;

    uint64 private constant DELAY_MAX = 7 days;
    /// @dev So that `release` can look at all of them.
    uint256 private constant HALTS_MAX = 16;

    constructor(Terms memory terms_) Storage(terms_) {}

    /// @notice As IReleases.release.
    function release(Queued calldata withdrawal, MarginProof calldata proof) external {
        uint64 maturesAt_ = _take(withdrawal);
        if (block.timestamp < maturesAt_) revert NotMature(maturesAt_);
        _requireNoHalt();
        _requireMargin(withdrawal.subaccountId, proof);

        emit WithdrawalReleased(withdrawal.subaccountId, withdrawal.nonce, withdrawal.requested);
        _custody().pay(withdrawal.token, withdrawal.recipient, withdrawal.amount);
    }

    /// @notice As IReleases.takeBack.
    function takeBack(Queued calldata withdrawal) external notEscaped {
        uint64 id = withdrawal.subaccountId;
        if (_accounts[id].owner != msg.sender) revert NotOwner();
        _take(withdrawal);

        if (withdrawal.token == USDC) {
            _accounts[id].cash += withdrawal.amount.toInt256().toInt80();
            _remember(id, withdrawal.amount);
        } else {
            _collateral[id][withdrawal.token] += withdrawal.amount;
        }
        emit WithdrawalTakenBack(id, withdrawal.nonce, withdrawal.requested);
        emit Deposited(id, withdrawal.token, withdrawal.amount);
    }

    /// @notice As IReleases.halt.
    /// @dev Not in an escape: roots may still be posted there, and nobody could end it.
    function halt(uint64 subaccountId, MarginProof calldata proof) external notEscaped {
        int256 equity = _equity(subaccountId, proof);
        if (equity >= 0) revert NotNegative(equity);

        uint64 until = uint64(block.timestamp) + HALTED_FOR;
        _place(Halt(subaccountId, until));
        emit Halted(subaccountId, msg.sender, until, equity);
    }

    /// @notice As IReleases.liftHalt.
    function liftHalt(uint64 subaccountId, MarginProof calldata proof) external {
        uint256 place = _placeOf(subaccountId);
        if (place == _halts.length) revert NotHalting(subaccountId);
        int256 equity = _equity(subaccountId, proof);
        if (equity < 0) revert StillNegative(equity);

        _halts[place] = _halts[_halts.length - 1];
        _halts.pop();
        emit HaltLifted(subaccountId, msg.sender, equity);
    }

    /// @notice As IReleases.setWithdrawalDelay.
    function setWithdrawalDelay(uint64 delay) external {
        if (delay == 0 || delay > DELAY_MAX) revert DelayOutOfBounds();
        _withdrawalDelay = delay;
        emit WithdrawalDelaySet(delay);
    }

    // ---- inside

    /// @dev Out of the queue, once.
    function _take(Queued calldata withdrawal) private returns (uint64 maturesAt_) {
        bytes32 key = _key(withdrawal);
        maturesAt_ = _queued[key];
        if (maturesAt_ == 0) revert NotQueued();
        delete _queued[key];
    }

    function _requireNoHalt() private view {
        for (uint256 i = 0; i < _halts.length; i++) {
            Halt memory one = _halts[i];
            if (block.timestamp <= one.until) {
                revert WithdrawalsHalted(one.subaccountId, one.until);
            }
        }
    }

    /// @dev What backs nothing may always leave. In an escape there are no roots to prove by, and
    /// the ledger that all are paid from does not have this money.
    function _requireMargin(uint64 subaccountId, MarginProof calldata proof) private view {
        Account storage account = _accounts[subaccountId];
        if (_escape.startedAt != 0 || account.positions == 0 && account.cash >= 0) return;
        if (address(_margin) == address(0)) revert MarginNotSet();
        (int256 initial,) = _margin.excess(subaccountId, proof);
        if (initial < 0) revert MarginShort(initial);
    }

    function _equity(uint64 subaccountId, MarginProof calldata proof)
        private
        view
        returns (int256 equity)
    {
        if (address(_margin) == address(0)) revert MarginNotSet();
        (equity,,) = _margin.health(subaccountId, proof);
    }

    /// @dev In the account's own place, else in that of a lapsed halt, else in a new one.
    function _place(Halt memory one) private {
        uint256 count = _halts.length;
        uint256 place = _placeOf(one.subaccountId);
        for (uint256 i = 0; i < count && place == count; i++) {
            if (block.timestamp > _halts[i].until) place = i;
        }
        if (place != count) {
            _halts[place] = one;
        } else {
            if (count == HALTS_MAX) revert TooManyHalts();
            _halts.push(one);
        }
    }

    function _placeOf(uint64 subaccountId) private view returns (uint256 place) {
        while (place < _halts.length && _halts[place].subaccountId != subaccountId) place++;
    }
}
