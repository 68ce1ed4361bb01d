// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {Order, QuoteSheet, Withdrawal} from "../interfaces/IClearing.sol";

/// @title OrderLib: struct hashes of what owners sign
/// @dev The twin of signing.py; shared vectors prove that both hash alike.
library OrderLib {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(uint64 subaccountId,uint256 instrument,uint8 side,uint64 quantity,int64 limitPrice,uint64 maxFee,"
        "bool reduceOnly,bytes32 triggerHash,uint64 nonce,uint32 version,uint64 deadline,address signer)"
    );
    bytes32 internal constant QUOTE_SHEET_TYPEHASH = keccak256(
        "QuoteSheet(uint64 subaccountId,uint64 sheetNonce,uint64 deadline,bytes32 root,address signer)"
    );
    bytes32 internal constant WITHDRAWAL_TYPEHASH = keccak256(
        "Withdrawal(uint64 subaccountId,address token,uint256 amount,address recipient,uint64 nonce,"
        "uint64 deadline,address signer)"
    );

    uint8 internal constant BUY = 0;
    uint8 internal constant SELL = 1;
    /// @dev Quantity units in one contract.
    uint256 internal constant QUANTITY_SCALE = 1e4;

    /// @notice Whether `price` is worse than the order's limit.
    function crosses(Order calldata order, int64 price) internal pure returns (bool) {
        return order.side == BUY ? price > order.limitPrice : price < order.limitPrice;
    }

    /// @notice The most that a fill of `quantity` may cost in fees, rounded down.
    function feeCapDown(Order calldata order, uint64 quantity) internal pure returns (uint256) {
        return uint256(order.maxFee) * quantity / QUANTITY_SCALE;
    }

    /// @dev Same as keccak256(abi.encode(ORDER_TYPEHASH, order)) at half of the gas and with no
    /// memory kept: the twelve static fields already lie in calldata as abi.encode would write
    /// them. Dirty high bits would be
    /// hashed as they are, and then the field's reader reverts.
    function hash(Order calldata order) internal pure returns (bytes32 digest) {
        bytes32 typehash = ORDER_TYPEHASH;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typehash)
            calldatacopy(add(free, 0x20), order, 0x180)
            digest := keccak256(free, 0x1a0)
        }
    }

    function hash(QuoteSheet calldata sheet) internal pure returns (bytes32) {
        return keccak256(abi.encode(QUOTE_SHEET_TYPEHASH, sheet));
    }

    /// @notice Whether the sheet signs for this order; `proof` leads from its struct hash to the
    /// root.
    /// @dev A leaf hashes 416 bytes and a node 64, so no node can pass for an order.
    function covers(
        QuoteSheet calldata sheet,
        Order calldata order,
        bytes32 structHash,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        return order.subaccountId == sheet.subaccountId && order.deadline == sheet.deadline
            && order.signer == sheet.signer
            && MerkleProof.verifyCalldata(proof, sheet.root, structHash);
    }

    /// @dev Same as abi.decode(signature, (uint256, bytes32[n])) without copying to memory. The
    /// caller has checked that there are whole words, at least one.
    function sheetAndProof(bytes calldata signature)
        internal
        pure
        returns (uint256 sheet, bytes32[] calldata proof)
    {
        assembly ("memory-safe") {
            sheet := calldataload(signature.offset)
            proof.offset := add(signature.offset, 0x20)
            proof.length := sub(shr(5, signature.length), 1)
        }
    }

    function hash(Withdrawal calldata withdrawal) internal pure returns (bytes32) {
        return keccak256(abi.encode(WITHDRAWAL_TYPEHASH, withdrawal));
    }
}
