// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title IAccessPass: who may take new risk
/// @notice Clearing asks it at deposits and at fills that are not reduce-only, if it was built with
/// one. Withdrawals, cancels, exits and reduce-only fills never need a pass.
interface IAccessPass {
    error Soulbound();
    error NotLater();

    /// @notice From now on, or where it is shorter after DELAY: the last second of the pass.
    event AccessSet(address indexed owner, uint64 until);
    /// @notice As EIP-5192: the token never moves.
    event Locked(uint256 tokenId);

    /// @notice Gives `owner` a pass until `until`, or prolongs it. The issuer.
    function issue(address owner, uint64 until) external;

    /// @notice Ends a pass at `until`, if that is earlier, but not before now + DELAY: a fill that
    /// was released before the engine saw it still settles. The issuer.
    function shorten(address owner, uint64 until) external;

    function isValidAt(address owner, uint256 time) external view returns (bool);

    /// @notice Seconds between a revocation and its effect here.
    function DELAY() external view returns (uint64);

    /// @notice As EIP-5192: always true for a pass that exists.
    function locked(uint256 tokenId) external view returns (bool);
}
