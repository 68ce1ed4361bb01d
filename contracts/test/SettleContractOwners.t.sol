// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {
    Batch as PackedBatch,
    IClearing,
    IClearingBase,
    Withdraw
} from "../src/interfaces/IClearing.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev A wallet that says of one digest that it signed it, or misbehaves.
contract Wallet is IERC1271 {
    enum Mood {
        HONEST,
        REVERTING,
        GREEDY,
        LOUD,
        SILENT
    }

    bytes32 internal _digest;
    Mood internal _mood;

    function open(IClearing clearing, MockUSDC usdc, uint256 amount) external returns (uint64 id) {
        id = clearing.openSubaccount();
        ICustody custody = clearing.CUSTODY();
        usdc.approve(address(custody), amount);
        custody.deposit(id, address(usdc), amount);
    }

    function sign(bytes32 digest) external {
        _digest = digest;
    }

    function setMood(Mood mood) external {
        _mood = mood;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        require(_mood != Mood.REVERTING, "no");
        while (_mood == Mood.GREEDY) {}
        if (_mood == Mood.LOUD) {
            assembly ("memory-safe") {
                mstore(0, 0xffffffff00000000000000000000000000000000000000000000000000000000)
                return(0, 50000)
            }
        }
        if (_mood == Mood.SILENT) {
            assembly ("memory-safe") {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        bool signed = digest == _digest && keccak256(signature) == keccak256("by the board");
        return signed ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

contract SettleContractOwnersTest is ClearingTest {
    Wallet internal wallet;
    uint64 internal id;

    function setUp() public override {
        super.setUp();
        wallet = new Wallet();
        usdc.mint(address(wallet), 1000 * USD);
        id = wallet.open(clearing, usdc, 1000 * USD);
    }

    function asked(uint256 amount, uint64 nonce) internal view returns (Withdraw memory request) {
        request = withdrawOf(id, ALICE_KEY, amount, nonce);
        request.signature = "by the board";
    }

    function approved(uint256 amount, uint64 nonce) internal returns (Withdraw memory request) {
        request = asked(amount, nonce);
        wallet.sign(clearing.hashWithdrawal(request.withdrawal));
    }

    function test_a_contract_withdraws_what_it_says_it_signed(uint256 amount) public {
        amount = bound(amount, 1, 500 * USD);
        Withdraw memory request = approved(amount, 5);
        settle(withdrawBatch(request));
        assertEq(amount, usdc.balanceOf(address(wallet)), "paid");
        refused(withdrawBatch(request), IClearingBase.NonceUsed.selector);
    }

    /// @dev The engine debited it; it sees a deposit come. Everybody else's batch goes on.
    function test_what_a_contract_does_not_confirm_stays(uint8 mood, uint256 amount) public {
        amount = bound(amount, 1, 1000 * USD);
        Withdraw memory request = mood % 5 == 0 ? asked(amount, 5) : approved(amount, 5);
        wallet.setMood(Wallet.Mood(mood % 5));
        vm.expectEmit(address(clearing));
        emit IClearingBase.WithdrawalRefused(id, 5);
        vm.expectEmit(address(clearing));
        emit IClearingBase.Deposited(id, address(usdc), amount);
        settle(withdrawBatch(request));
        assertEq(0, usdc.balanceOf(address(wallet)), "not paid");
        assertEq(1000 * int256(uint256(USD)), cashOf(id), "kept");
        wallet.setMood(Wallet.Mood.HONEST);
        wallet.sign(clearing.hashWithdrawal(request.withdrawal));
        settle(withdrawBatch(request)); // the nonce was not used
        assertEq(amount, usdc.balanceOf(address(wallet)), "paid");
    }

    /// @dev Or a relayer could starve the wallet's answer, and keep the money where it is.
    function test_a_batch_that_leaves_a_wallet_too_little_gas_is_refused() public {
        Withdraw memory request = approved(USD, 5);
        PackedBatch memory batch = packed(withdrawBatch(request));
        vm.prank(relayer);
        vm.expectRevert(IClearingBase.TooLittleGas.selector);
        clearing.settle{gas: 240_000}(batch);
        settle(withdrawBatch(request));
        assertEq(USD, usdc.balanceOf(address(wallet)), "paid");
    }

    function test_a_contract_cannot_sign_transfers() public {
        usdc.mint(address(wallet), 1);
        uint64 other = wallet.open(clearing, usdc, 1);
        Withdraw memory request = transferOf(id, other, ALICE_KEY, 1, 5);
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }

    function test_an_account_without_code_cannot_sign_by_contract() public {
        Withdraw memory request = withdrawOf(alice, ALICE_KEY, 1, 5);
        request.signature = "by the board";
        refused(withdrawBatch(request), IClearingBase.InvalidSignature.selector);
    }
}
