// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Batch as PackedBatch,
    IClearing,
    IClearingBase,
    Modules,
    Terms
} from "../src/interfaces/IClearing.sol";
import {IExitsBase} from "../src/interfaces/IExits.sol";
import {IOracle} from "../src/interfaces/IOracle.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

interface IModule {
    function terms() external view returns (Terms memory);
    function SETTLER() external view returns (address);
    function PAYMENTS() external view returns (address);
    function EXITS() external view returns (address);
    function ESCAPES() external view returns (address);
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

    /// @dev Each module is checked, not the first alone.
    function test_every_module_is_checked() public {
        for (uint256 which = 0; which < 8; which++) {
            refusedModule(which);
        }
    }

    function refusedModule(uint256 which) private {
        Terms memory terms = IModule(address(clearing)).terms();
        Terms memory other = IModule(address(clearing)).terms();
        other.maxBatchAge--;
        (Modules memory modules, Modules memory wrong) = (modulesOf(terms), modulesOf(other));
        address module = [
            wrong.settler,
            wrong.payments,
            wrong.takeovers,
            wrong.exits,
            wrong.escapes,
            wrong.releases,
            wrong.solvency,
            wrong.auctions
        ][which];
        if (which == 0) modules.settler = module;
        if (which == 1) modules.payments = module;
        if (which == 2) modules.takeovers = module;
        if (which == 3) modules.exits = module;
        if (which == 4) modules.escapes = module;
        if (which == 5) modules.releases = module;
        if (which == 6) modules.solvency = module;
        if (which == 7) modules.auctions = module;
        vm.expectRevert(abi.encodeWithSelector(IClearingBase.WrongModule.selector, module));
        vm.deployCode(
            "Clearing.sol:Clearing", abi.encode(address(manager), treasury, terms, modules)
        );
    }

    /// @dev Nobody has an account in their own storage, and they have not escaped there.
    function test_exits_called_by_themselves_move_nothing(address caller) public {
        IClearing exits = IClearing(IModule(address(clearing)).EXITS());
        IClearing escapes = IClearing(IModule(address(clearing)).ESCAPES());
        vm.assume(caller != address(0));
        vm.prank(caller);
        vm.expectRevert(IClearingBase.NotOwner.selector);
        exits.requestExit(alice, address(usdc), 1, caller);
        vm.prank(caller);
        vm.expectRevert(IExitsBase.NotEscaped.selector);
        escapes.value(1, new uint64[][](1));
    }

    function refusedAlone(address module, address caller, Batch memory batch) private {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(caller);
        vm.expectPartialRevert(IClearingBase.UnknownSubaccount.selector);
        IClearing(module).settle(calldata_);
    }
}
