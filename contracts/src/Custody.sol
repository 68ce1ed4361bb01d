// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ICustody, ILedger, TokenRules} from "./interfaces/ICustody.sol";
import {Flow, FlowLib} from "./libraries/FlowLib.sol";

/// @title Custody: every token of the venue, and the only contract that moves them
/// @dev Knows no account: who owns what is Clearing's ledger. A token is believed only in what its
/// balances show, before and after each transfer.
contract Custody is ICustody, AccessManaged, ReentrancyGuard {
    using FlowLib for Flow;
    using SafeCast for uint256;
    using SafeERC20 for IERC20Metadata;

    struct Token {
        uint128 total; // ledger units that came in and did not leave
        uint64 unit; // token units in one ledger unit; 0 if not listed
        TokenRules rules;
        Flow flow;
    }

    uint256 internal constant LEDGER_DECIMALS = 8;
    uint256 internal constant DECIMALS_MAX = 24;
    /// @dev Shares of the total that caps must let leave in an hour and in a day, inverted.
    uint256 internal constant HOUR_SHARE = 100;
    uint256 internal constant DAY_SHARE = 10;

    address public immutable CLEARING;

    mapping(address token => Token) internal _tokens;
    /// @inheritdoc ICustody
    mapping(address token => mapping(address recipient => uint256 amount)) public heldFor;

    /// @dev Clearing deploys it, so each knows the other from the first block on.
    constructor(address authority, address usdc) AccessManaged(authority) {
        CLEARING = msg.sender;
        uint80 none = type(uint80).max;
        _setRules(usdc, TokenRules({open: true, totalCap: none, hourCap: none, dayCap: none}));
    }

    // ---- owners

    /// @inheritdoc ICustody
    function deposit(uint64 subaccountId, address token, uint256 amount)
        external
        nonReentrant
        returns (uint256 credited)
    {
        return _deposit(msg.sender, subaccountId, token, amount);
    }

    /// @inheritdoc ICustody
    function claim(address token, address recipient) external nonReentrant returns (uint256 paid) {
        uint256 owed = heldFor[token][recipient];
        if (owed == 0) revert NothingHeld();
        paid = Math.min(owed, releasable(token));
        if (paid == 0) revert CapSpent();

        heldFor[token][recipient] = owed - paid;
        emit Claimed(token, recipient, paid);
        _send(token, recipient, paid);
    }

    // ---- Clearing

    /// @inheritdoc ICustody
    function depositFrom(address from, uint64 subaccountId, address token, uint256 amount)
        external
        nonReentrant
        returns (uint256 credited)
    {
        if (msg.sender != CLEARING) revert NotClearing();
        return _deposit(from, subaccountId, token, amount);
    }

    /// @inheritdoc ICustody
    /// @dev Never reverts for what a token or a recipient does: that would stop the venue.
    function pay(address token, address recipient, uint256 amount) external nonReentrant {
        if (msg.sender != CLEARING) revert NotClearing();
        uint256 sent = Math.min(amount, releasable(token));
        if (sent > 0) {
            try this.send(token, recipient, sent) {}
            catch {
                sent = 0;
            }
        }
        if (sent == amount) return;
        heldFor[token][recipient] += amount - sent;
        emit WithdrawalHeld(token, recipient, amount - sent);
    }

    /// @dev Its own call, so that a refused transfer leaves no trace.
    function send(address token, address recipient, uint256 amount) external {
        if (msg.sender != address(this)) revert NotCustody();
        _send(token, recipient, amount);
    }

    // ---- governance

    /// @inheritdoc ICustody
    function setRules(address token, TokenRules calldata rules_) external restricted {
        _setRules(token, rules_);
    }

    // ---- views

    /// @inheritdoc ICustody
    function rules(address token) external view returns (TokenRules memory) {
        return _tokens[token].rules;
    }

    /// @inheritdoc ICustody
    function unit(address token) external view returns (uint64) {
        return _tokens[token].unit;
    }

    /// @inheritdoc ICustody
    function total(address token) external view returns (uint128) {
        return _tokens[token].total;
    }

    /// @inheritdoc ICustody
    function releasable(address token) public view returns (uint256) {
        Token storage stored = _tokens[token];
        return stored.flow.room(stored.rules.hourCap, stored.rules.dayCap);
    }

    // ---- inside

    function _deposit(address from, uint64 subaccountId, address token, uint256 amount)
        private
        returns (uint256 credited)
    {
        Token storage stored = _listed(token);
        if (!stored.rules.open) revert DepositsClosed(token);
        uint256 unit_ = stored.unit;
        uint256 total_ = stored.total;

        // Only the difference of balances tells what arrived: the one call that is not last.
        uint256 before = IERC20Metadata(token).balanceOf(address(this));
        if (before < total_ * unit_) revert TokenShort(token);
        IERC20Metadata(token).safeTransferFrom(from, address(this), amount - amount % unit_);
        credited = (IERC20Metadata(token).balanceOf(address(this)) - before) / unit_;
        if (credited == 0) revert NothingArrived();
        if (total_ + credited > stored.rules.totalCap) revert CapReached(token);

        stored.total = (total_ + credited).toUint128();
        ILedger(CLEARING).credit(subaccountId, token, credited);
    }

    function _listed(address token) private view returns (Token storage stored) {
        stored = _tokens[token];
        if (stored.unit == 0) revert NotListed(token);
    }

    function _setRules(address token, TokenRules memory rules_) private {
        Token storage stored = _tokens[token];
        if (stored.unit == 0) {
            uint256 decimals = IERC20Metadata(token).decimals();
            if (decimals > DECIMALS_MAX) revert TooManyDecimals();
            stored.unit =
                decimals > LEDGER_DECIMALS ? (10 ** (decimals - LEDGER_DECIMALS)).toUint64() : 1;
        }
        uint256 total_ = stored.total;
        bool opens = rules_.hourCap > total_ / HOUR_SHARE && rules_.dayCap > total_ / DAY_SHARE;
        if (!opens) revert CapTooLow();

        stored.rules = rules_;
        emit TokenRulesSet(token, rules_);
    }

    /// @dev Exactly `amount` leaves, or nothing does.
    function _send(address token, address recipient, uint256 amount) private {
        Token storage stored = _tokens[token];
        stored.total -= amount.toUint128();
        stored.flow.add(amount, stored.rules.hourCap, stored.rules.dayCap);

        uint256 tokenUnits = amount * stored.unit;
        uint256 before = IERC20Metadata(token).balanceOf(address(this));
        IERC20Metadata(token).safeTransfer(recipient, tokenUnits);
        if (IERC20Metadata(token).balanceOf(address(this)) + tokenUnits != before) {
            revert WrongAmountMoved();
        }
    }
}
