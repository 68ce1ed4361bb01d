// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TokenRules} from "./ICustody.sol";

/// @notice What left one chain for the other.
struct Passage {
    uint64 nonce; // of the contract that it left, from 1 without gap
    address token; // on the second chain, whichever way it goes
    uint128 amount; // in token units
    address recipient; // on the chain that it goes to
}

/// @title IPassages: what Gateway (second chain) and GatewayHub (hub) have in common
/// @notice Tokens are locked at the Gateway and exist on the hub as wrapped ones, which the hub
/// burns when they go back. Each side acts on what M of N attesters saw on the other.
interface IPassages {
    error InvalidAttesters();
    error InvalidPeer();
    error NotAttester();
    error AttestedBefore();
    error NotAttested(uint256 votes);
    error CompletedBefore();
    error Unlisted(address token);
    error CapsTooLow();
    error NoAmount();
    error NoRecipient();
    error NothingOwed();
    error CapsSpent();

    event AttestersSet(address[] attesters, uint256 threshold);
    event RulesSet(address indexed token, TokenRules rules);
    /// @notice Something left for the other chain; attesters there act on it.
    event Departed(uint64 indexed nonce, address indexed token, uint128 amount, address recipient);
    event Attested(uint64 indexed nonce, bytes32 indexed passageId, address attester);
    event Completed(uint64 indexed nonce, bytes32 indexed passageId);
    event Paid(address indexed token, address indexed recipient, uint256 amount);

    /// @notice Says that `passage` left the other chain. Only attesters, each once, and only of
    /// what is final there.
    function attest(Passage calldata passage) external;

    /// @notice Owes a passage to its recipient once enough attesters saw it. Anyone may call; each
    /// nonce once, for ever.
    function complete(Passage calldata passage) external;

    /// @notice Pays what `recipient` is owed, as far as the caps allow. Anyone may call.
    function claim(address token, address recipient) external returns (uint256 paid);

    /// @notice Replaces the attesters, ascending; more than half of them are the threshold.
    /// Governance.
    function setAttesters(address[] calldata attesters, uint256 threshold) external;

    /// @notice Lists a token, with caps on its total here and on what is paid within an hour and a
    /// day, in token units; `open` lets the Gateway lock more of it. Governance.
    /// @dev Caps may not lock money in: a hundredth of the total in an hour, a tenth in a day.
    function setRules(address token, TokenRules calldata rules) external;

    function idOf(Passage calldata passage) external view returns (bytes32);

    /// @return how many of today's attesters saw it
    function votes(bytes32 passageId) external view returns (uint256);
    function hasAttested(bytes32 passageId, address attester) external view returns (bool);
    function isCompleted(uint64 nonce) external view returns (bool);

    /// @return the nonce of what left last
    function departed() external view returns (uint64);
    function owed(address token, address recipient) external view returns (uint256);

    /// @return of the token, what is here for the other chain: locked, or minted; with what is owed
    function total(address token) external view returns (uint128);
    function rules(address token) external view returns (TokenRules memory);
    function attesters() external view returns (address[] memory list, uint256 threshold);
}
