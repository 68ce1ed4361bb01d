// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {TokenRules} from "../interfaces/ICustody.sol";
import {IPassages, Passage} from "../interfaces/IPassages.sol";
import {Flow, FlowLib} from "../libraries/FlowLib.sol";

/// @title Passages: acts once on each thing that M of N attesters saw leave the other chain
/// @dev Knows one other chain and one contract there, both fixed, so nothing that was seen
/// elsewhere counts here. Votes are transactions, not signatures: none can be malleable, replayed
/// or counted twice, and attesters need no way to meet.
abstract contract Passages is IPassages, AccessManaged, ReentrancyGuard {
    using FlowLib for Flow;

    struct Token {
        uint128 total;
        bool listed;
        TokenRules rules;
        Flow flow;
    }

    uint256 internal constant ATTESTERS_MAX = 16;
    /// @dev Shares of the total that caps must let leave in an hour and in a day, inverted.
    uint256 internal constant HOUR_SHARE = 100;
    uint256 internal constant DAY_SHARE = 10;

    uint256 public immutable PEER_CHAIN;
    address public immutable PEER;

    address[] internal _attesters;
    uint256 internal _threshold;
    mapping(address token => Token) internal _tokens;
    mapping(bytes32 passageId => mapping(address attester => bool)) public hasAttested;
    mapping(uint64 nonce => bool) public isCompleted;
    mapping(address token => mapping(address recipient => uint256 amount)) public owed;
    uint64 public departed;

    constructor(
        address authority,
        uint256 peerChain,
        address peer,
        address[] memory list,
        uint256 threshold
    ) AccessManaged(authority) {
        if (peer == address(0) || peerChain == block.chainid) {
            revert InvalidPeer();
        }
        (PEER_CHAIN, PEER) = (peerChain, peer);
        _setAttesters(list, threshold);
    }

    // ---- attesters and everybody

    /// @inheritdoc IPassages
    function attest(Passage calldata passage) external {
        if (!_isAttester(msg.sender)) revert NotAttester();
        if (isCompleted[passage.nonce]) revert CompletedBefore();
        bytes32 id = idOf(passage);
        if (hasAttested[id][msg.sender]) revert AttestedBefore();

        hasAttested[id][msg.sender] = true;
        emit Attested(passage.nonce, id, msg.sender);
    }

    /// @inheritdoc IPassages
    function complete(Passage calldata passage) external {
        if (isCompleted[passage.nonce]) revert CompletedBefore();
        bytes32 id = idOf(passage);
        uint256 count = votes(id);
        if (count < _threshold) revert NotAttested(count);

        isCompleted[passage.nonce] = true;
        owed[passage.token][passage.recipient] += passage.amount;
        emit Completed(passage.nonce, id);
    }

    /// @inheritdoc IPassages
    function claim(address token, address recipient) external nonReentrant returns (uint256 paid) {
        uint256 due = owed[token][recipient];
        if (due == 0) revert NothingOwed();
        Token storage stored = _listed(token);
        TokenRules memory rules_ = stored.rules;
        uint256 room = stored.flow.room(rules_.hourCap, rules_.dayCap);
        paid = Math.min(Math.min(due, room), _payable(stored));
        if (paid == 0) revert CapsSpent();

        owed[token][recipient] = due - paid;
        stored.flow.add(paid, rules_.hourCap, rules_.dayCap);
        emit Paid(token, recipient, paid);
        _pay(token, recipient, paid);
    }

    // ---- governance

    /// @inheritdoc IPassages
    function setAttesters(address[] calldata list, uint256 threshold) external restricted {
        _setAttesters(list, threshold);
    }

    /// @inheritdoc IPassages
    function setRules(address token, TokenRules calldata rules_) external restricted {
        Token storage stored = _tokens[token];
        bool opens =
            rules_.hourCap > stored.total / HOUR_SHARE && rules_.dayCap > stored.total / DAY_SHARE;
        if (!opens) revert CapsTooLow();
        (stored.listed, stored.rules) = (true, rules_);
        emit RulesSet(token, rules_);
    }

    // ---- views

    /// @inheritdoc IPassages
    function idOf(Passage calldata passage) public view returns (bytes32) {
        return keccak256(abi.encode(PEER_CHAIN, PEER, block.chainid, address(this), passage));
    }

    /// @inheritdoc IPassages
    function votes(bytes32 passageId) public view returns (uint256 count) {
        for (uint256 i = 0; i < _attesters.length; i++) {
            if (hasAttested[passageId][_attesters[i]]) count++;
        }
    }

    /// @inheritdoc IPassages
    function total(address token) external view returns (uint128) {
        return _tokens[token].total;
    }

    /// @inheritdoc IPassages
    function rules(address token) external view returns (TokenRules memory) {
        return _tokens[token].rules;
    }

    /// @inheritdoc IPassages
    function attesters() external view returns (address[] memory list, uint256 threshold) {
        return (_attesters, _threshold);
    }

    // ---- inside

    /// @return what of this token could be paid at all, caps of time aside
    function _payable(Token storage stored) internal view virtual returns (uint256);

    function _pay(address token, address recipient, uint256 amount) internal virtual;

    function _listed(address token) internal view returns (Token storage stored) {
        stored = _tokens[token];
        if (!stored.listed) revert Unlisted(token);
    }

    function _depart(address token, uint128 amount, address recipient) internal {
        if (amount == 0) revert NoAmount();
        if (recipient == address(0) || recipient == PEER) revert NoRecipient();
        emit Departed(++departed, token, amount, recipient);
    }

    function _isAttester(address who) private view returns (bool) {
        for (uint256 i = 0; i < _attesters.length; i++) {
            if (_attesters[i] == who) return true;
        }
        return false;
    }

    /// @dev Ascending, so that none votes twice; a majority, so that two halves cannot disagree.
    function _setAttesters(address[] memory list, uint256 threshold) private {
        bool fits = threshold <= list.length && 2 * threshold > list.length;
        if (!fits || list.length > ATTESTERS_MAX) revert InvalidAttesters();
        address previous = address(0);
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i] <= previous) revert InvalidAttesters();
            previous = list[i];
        }
        (_attesters, _threshold) = (list, threshold);
        emit AttestersSet(list, threshold);
    }
}
