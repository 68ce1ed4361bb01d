// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {DeliveryPrice, IOracle, RiskRoot} from "./interfaces/IOracle.sol";

/// @title Oracle: keeps what M of N signers agreed on
/// @dev Knows no source of prices, no position and no administrator: the signer set is fixed at
/// deployment.
contract Oracle is IOracle, EIP712 {
    bytes32 internal constant DELIVERY_PRICE_TYPEHASH =
        keccak256("DeliveryPrice(uint32 underlying,uint64 expiry,uint64 price,uint64 deadline)");
    bytes32 internal constant RISK_ROOT_TYPEHASH =
        keccak256("RiskRoot(uint64 epoch,uint64 time,bytes32 root,uint64 deadline)");

    /// @dev Payoffs are exact only at multiples of 0.01 USDC.
    uint64 internal constant TICK = 1e4;
    uint256 internal constant MAX_CLOCK_SKEW = 60;

    /// @notice How many signatures a post needs.
    uint256 public immutable THRESHOLD;

    /// @inheritdoc IOracle
    mapping(address signer => bool) public isSigner;
    mapping(uint32 underlying => mapping(uint64 expiry => uint64 price)) internal _deliveryPrices;
    uint64 internal _epoch;
    uint64 internal _time;
    bytes32 internal _root;

    /// @param signers ascending, so that none appears twice
    constructor(address[] memory signers, uint256 threshold)
        EIP712("Hybrid Options Exchange", "1")
    {
        if (threshold == 0 || threshold > signers.length) {
            revert InvalidSignerSet();
        }
        address previous = address(0);
        for (uint256 i = 0; i < signers.length; i++) {
            if (signers[i] <= previous) revert InvalidSignerSet();
            previous = signers[i];
            isSigner[previous] = true;
        }
        THRESHOLD = threshold;
    }

    /// @inheritdoc IOracle
    function fixDeliveryPrice(DeliveryPrice calldata delivery, bytes[] calldata signatures)
        external
    {
        if (block.timestamp > delivery.deadline) revert DeadlinePassed();
        if (block.timestamp < delivery.expiry) revert NotExpired();
        // Zero would mean "not fixed".
        if (delivery.price == 0 || delivery.price % TICK != 0) revert PriceOffTick();
        if (_deliveryPrices[delivery.underlying][delivery.expiry] != 0) revert AlreadyFixed();
        _requireQuorum(hashDeliveryPrice(delivery), signatures);

        _deliveryPrices[delivery.underlying][delivery.expiry] = delivery.price;
        emit DeliveryPriceFixed(delivery.underlying, delivery.expiry, delivery.price);
    }

    /// @inheritdoc IOracle
    function postRiskRoot(RiskRoot calldata risk, bytes[] calldata signatures) external {
        if (block.timestamp > risk.deadline) revert DeadlinePassed();
        if (risk.epoch <= _epoch) revert EpochNotNewer();
        if (risk.time < _time) revert TimeFell();
        if (risk.time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        _requireQuorum(hashRiskRoot(risk), signatures);

        (_epoch, _time, _root) = (risk.epoch, risk.time, risk.root);
        emit RiskRootPosted(risk.epoch, risk.time, risk.root);
    }

    /// @inheritdoc IOracle
    function deliveryPrice(uint32 underlying, uint64 expiry) external view returns (uint64 price) {
        price = _deliveryPrices[underlying][expiry];
        if (price == 0) revert NotFixed(underlying, expiry);
    }

    /// @inheritdoc IOracle
    function latestRiskRoot() external view returns (uint64 epoch, uint64 time, bytes32 root) {
        return (_epoch, _time, _root);
    }

    /// @inheritdoc IOracle
    function hashDeliveryPrice(DeliveryPrice calldata delivery) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(DELIVERY_PRICE_TYPEHASH, delivery)));
    }

    /// @inheritdoc IOracle
    function hashRiskRoot(RiskRoot calldata risk) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(RISK_ROOT_TYPEHASH, risk)));
    }

    /// @inheritdoc IOracle
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Ascending signers make a duplicate impossible. Signatures beyond the threshold are
    /// checked too: one that is wrong is somebody's mistake, and silence would hide it.
    function _requireQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        if (signatures.length < THRESHOLD) revert NotEnoughSignatures();
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; i++) {
            (address signer, ECDSA.RecoverError fault,) =
                ECDSA.tryRecoverCalldata(digest, signatures[i]);
            if (fault != ECDSA.RecoverError.NoError) revert InvalidSignature(i);
            if (signer <= previous) revert SignersNotAscending(i);
            if (!isSigner[signer]) revert UnknownSigner(signer);
            previous = signer;
        }
    }
}
