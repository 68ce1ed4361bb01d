// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Test} from "./Test.sol";
import {VaultHandler} from "./VaultHandler.sol";

/// @dev Nobody is promised what is not there, and nobody's coming or going moves the others' price.
contract VaultInvariantsTest is Test {
    /// @dev forge asks for this shape.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    VaultHandler internal handler;

    function setUp() public {
        handler = new VaultHandler();
        handler.setUp();
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = VaultHandler.bringIn.selector;
        selectors[1] = VaultHandler.request.selector;
        selectors[2] = VaultHandler.settleRound.selector;
        selectors[3] = VaultHandler.settleRound.selector;
        selectors[4] = VaultHandler.settleRound.selector;
        selectors[5] = VaultHandler.claimAll.selector;
        selectors[6] = VaultHandler.earn.selector;
        selectors[7] = VaultHandler.give.selector;
        selectors[8] = VaultHandler.suffer.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), selectors);
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_shares_promise_what_is_there() public view {
        assertTrue(handler.redeemable() <= handler.there(), "all can be paid");
        (uint256 owed, uint256 claimable) = handler.owes();
        assertTrue(claimable <= owed, "paid rounds pay");
        assertTrue(handler.sharesAreKnown(), "shares and dollars");
        assertTrue(!handler.priceFell(), "nobody takes from the others");
        assertTrue(!handler.priceRose(), "nor gives them more than a unit");
    }

    /// @dev Progress: after any history each kind of step still acts.
    function afterInvariant() public {
        handler.bringIn(true, 1e9);
        for (uint256 i = 0; i < 40; i++) {
            handler.settleRound();
        }
        handler.claimAll(true);
        handler.claimAll(false);
        uint256 before = handler.requests();
        vm.warp(block.timestamp + 1 days); // after a loss today's deposits may be above the cap
        handler.bringIn(false, 1e9);
        handler.request(false, type(uint256).max);
        assertTrue(handler.requests() > before, "a request");
        uint256 paid = handler.payments();
        handler.settleRound();
        handler.settleRound();
        assertTrue(handler.payments() > paid, "a payment");
        uint256 claimed = handler.claims();
        handler.claimAll(false);
        assertTrue(handler.claims() > claimed, "a claim");
    }
}
