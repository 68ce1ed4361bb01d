// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch as PackedBatch,
    IClearing,
    IClearingBase,
    Modules,
    Terms
} from "../src/interfaces/IClearing.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

interface IModule {
    function terms() external view returns (Terms memory);
    function SETTLER() external view returns (address);
    function PAYMENTS() external view returns (address);
}

contract ModulesTest is ClearingTest {
    function test_a_module_of_other_terms_is_refused(uint256 which, bool last) public {
        Terms memory terms = IModule(address(clearing)).terms();
        Terms memory other = IModule(address(clearing)).terms();
        which %= 4;
        if (which == 0) other.usdc = address(new MockUSDC());
        if (which == 1) other.oracle = IOracle(address(1));
        if (which == 2) other.maxBatchAge--;
        if (which == 3) other.cancelDelay++;
        Modules memory modules = modulesOf(terms);
        Modules memory wrong = modulesOf(other);
        if (last) modules.payments = wrong.payments;
        else modules.settler = wrong.settler;
        vm.expectRevert(
            abi.encodeWithSelector(
                IClearingBase.WrongModule.selector, last ? wrong.payments : wrong.settler
            )
        );
        vm.deployCode(
            "Clearing.sol:Clearing", abi.encode(address(manager), treasury, terms, modules)
        );
    }

    /// @dev No account is open in its own storage, not even the fee account, and no money is its.
    function test_a_module_called_by_itself_settles_nothing(address caller) public {
        Batch memory fill =
            tradeOf(orderOf(alice, BUY, ONE, 1e6, 1), orderOf(bob, SELL, ONE, 1e6, 1), ONE, 1e6);
        Batch memory withdrawal = withdrawBatch(withdrawOf(alice, ALICE_KEY, USD, 1));
        address settler = IModule(address(clearing)).SETTLER();
        refusedAlone(settler, caller, fill);
        refusedAlone(settler, caller, withdrawal);
        refusedAlone(settler, caller, batchOf(0, 0, 0, 0));
        refusedAlone(IModule(address(clearing)).PAYMENTS(), caller, withdrawal);
    }

    function refusedAlone(address module, address caller, Batch memory batch) private {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(caller);
        vm.expectPartialRevert(IClearingBase.UnknownSubaccount.selector);
        IClearing(module).settle(calldata_);
    }
}
