// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LiquidationBid, Order, QuoteSheet, Withdrawal} from "../interfaces/IClearing.sol";

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
    bytes32 internal constant TRANSFER_TYPEHASH = keccak256(
        "Transfer(uint64 subaccountId,uint64 toSubaccountId,address token,uint256 amount,uint64 nonce,"
        "uint64 deadline,address signer)"
    );

    bytes32 internal constant BID_TYPEHASH = keccak256(
        "LiquidationBid(uint64 subaccountId,uint64 liquidatedId,uint64 fraction,int64 priceLimit,"
        "uint64 expectedStep,uint64 nonce,uint64 deadline,address signer)"
    );

    /// @dev Same as keccak256(abi.encode(ORDER_TYPEHASH, order)) at half of the gas and with no
    /// memory kept: the twelve static fields already lie in calldata as abi.encode would write
    /// them.
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

    function hash(Withdrawal calldata withdrawal) internal pure returns (bytes32) {
        return keccak256(abi.encode(WITHDRAWAL_TYPEHASH, withdrawal));
    }

    /// @dev Of a transfer: what a withdrawal says, but for its recipient.
    function hashTo(Withdrawal calldata w, uint64 toSubaccountId) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                TRANSFER_TYPEHASH,
                w.subaccountId,
                toSubaccountId,
                w.token,
                w.amount,
                w.nonce,
                w.deadline,
                w.signer
            )
        );
    }

    function hash(LiquidationBid calldata bid) internal pure returns (bytes32) {
        return keccak256(abi.encode(BID_TYPEHASH, bid));
    }
}
