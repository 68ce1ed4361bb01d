// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The price that fixes the payoff of every option of one underlying and expiry.
struct DeliveryPrice {
    uint32 underlying; // index as in InstrumentLib: 1 BTC, 2 ETH
    uint64 expiry;
    uint64 price; // 1e-6 USDC, a multiple of 1e4
    uint64 deadline; // last second in which it may be posted
}

/// @notice Merkle root of the risk arrays of one epoch.
struct RiskRoot {
    uint64 epoch;
    uint64 time;
    bytes32 root;
    uint64 deadline; // last second in which it may be posted
}

/// @title Oracle: what M of N signers agreed on
/// @notice Anyone may post; only the signatures count.
interface IOracle {
    error InvalidSignerSet();
    error DeadlinePassed();
    error NotEnoughSignatures();
    error InvalidSignature(uint256 index);
    error SignersNotAscending(uint256 index);
    error UnknownSigner(address signer);
    error NotExpired();
    error PriceOffTick();
    error AlreadyFixed();
    error NotFixed(uint32 underlying, uint64 expiry);
    error EpochNotNewer();
    error TimeFell();
    error TimeTooLate();

    event DeliveryPriceFixed(uint32 indexed underlying, uint64 indexed expiry, uint64 price);
    event RiskRootPosted(uint64 indexed epoch, uint64 time, bytes32 root);

    /// @notice Fixes a delivery price, once and for all.
    /// @param signatures 65 bytes each, ordered by the signer's address
    function fixDeliveryPrice(DeliveryPrice calldata delivery, bytes[] calldata signatures) external;

    /// @notice Replaces the latest risk root by one of a higher epoch.
    /// @param signatures 65 bytes each, ordered by the signer's address
    function postRiskRoot(RiskRoot calldata risk, bytes[] calldata signatures) external;

    /// @notice Reverts with NotFixed until the price is fixed.
    function deliveryPrice(uint32 underlying, uint64 expiry) external view returns (uint64 price);

    function latestRiskRoot() external view returns (uint64 epoch, uint64 time, bytes32 root);
    function isSigner(address signer) external view returns (bool);
    function hashDeliveryPrice(DeliveryPrice calldata delivery)
        external
        view
        returns (bytes32 digest);
    function hashRiskRoot(RiskRoot calldata risk) external view returns (bytes32 digest);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
