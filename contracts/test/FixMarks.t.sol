// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IExitsBase} from "../src/interfaces/IExits.sol";
import {MarksLib, MarksProof} from "../src/libraries/MarksLib.sol";
import {EscapeTest} from "./EscapeTest.sol";

/// @dev fixMarks, fixMissing and priceTokens: what positions and tokens are worth.
contract FixMarksTest is EscapeTest {
    function priceOf(uint64 instrument) internal view returns (uint256 price) {
        bool known;
        (known, price) = clearing.escapePrice(instrument);
        assertTrue(known, "known");
    }

    function test_a_proven_mark_counts_rounded_down_to_a_tick(uint64 price) public {
        price = uint64(bound(price, 0, uint64(type(int64).max)));
        mark(call, price);
        postMarks();
        escaped();
        MarksProof memory proof = proven(call);
        vm.expectEmit(address(clearing));
        emit IExitsBase.PriceFixed(call, price - price % 1e4);
        clearing.fixMarks(proof);
        assertEq(price - price % 1e4, priceOf(call), "price");
    }

    function test_what_is_not_under_the_root_is_refused(uint256 which, uint256 bit) public {
        escaped();
        MarksProof memory proof = proven(put);
        uint256 flipped = bit % 128; // of the mark or of a node
        proof.marks[flipped / 8] ^= bytes1(uint8(1 << flipped % 8));
        if (which % 2 == 1) {
            proof = proven(put);
            proof.nodes[bit % proof.nodes.length] ^= bytes32(uint256(1) << bit % 256);
        }
        vm.expectRevert(IExitsBase.UnknownMarks.selector);
        clearing.fixMarks(proof);
    }

    /// @dev The signers may go on: their later marks come too late.
    function test_only_the_root_of_the_beginning_counts() public {
        escaped();
        MarksProof memory before = proven(call);
        mark(call, 1);
        postMarks();
        vm.expectRevert(IExitsBase.UnknownMarks.selector);
        clearing.fixMarks(proven(call));
        clearing.fixMarks(before);
        assertEq(30_000 * USD, priceOf(call), "price");
        clearing.fixMarks(before); // again: nothing
    }

    // ---- what expired

    function expiredBefore() internal {
        vm.warp(EXPIRY);
        escaped();
    }

    function unknown(uint64 instrument) internal view {
        (bool known,) = clearing.escapePrice(instrument);
        assertTrue(!known, "waits");
    }

    function test_a_delivery_price_goes_before_the_mark() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        expiredBefore();
        fixAllMarks();
        unknown(call);
        fixPrice(1, EXPIRY, 150_000 * USD);
        vm.warp(block.timestamp + clearing.PRICE_WINDOW() + 1);
        fixAllMarks();
        clearing.fixMissing(listed);
        unknown(call);
        clearing.priceTokens(abi.encode(parameters()));
        valueAll();
        assertEq(1_030_000 * USD, clearing.claimable(alice, address(usdc)), "payoff");
    }

    /// @dev Signers that are gone cannot hold everybody's money.
    function test_a_delivery_price_that_never_came_is_replaced_by_the_mark() public {
        deal(alice, bob, call, ONE, 20_000 * USD, 1);
        expiredBefore();
        vm.warp(block.timestamp + clearing.PRICE_WINDOW() + 1);
        fixAllMarks();
        fixPrice(1, EXPIRY, 150_000 * USD); // too late
        clearing.priceTokens(abi.encode(parameters()));
        valueAll();
        assertEq(1_010_000 * USD, clearing.claimable(alice, address(usdc)), "mark");
    }

    // ---- what nobody proved

    function test_a_missing_mark_is_waited_for(uint256 wait) public {
        escaped();
        uint256 from = block.timestamp + clearing.PRICE_WINDOW() + 1;
        vm.warp(block.timestamp + bound(wait, 0, clearing.PRICE_WINDOW()));
        vm.expectRevert(abi.encodeWithSelector(IExitsBase.TooEarly.selector, from));
        clearing.fixMissing(listed);
    }

    /// @dev Then it is what the instrument would pay at the index; nothing can block.
    function test_a_missing_mark_is_replaced(uint64 index) public {
        index = uint64(bound(index, 1, 1e12));
        mark(MarksLib.indexId(1), index);
        postMarks();
        escaped();
        clearing.fixMarks(proven(MarksLib.indexId(1)));
        vm.warp(block.timestamp + clearing.PRICE_WINDOW() + 1);
        clearing.fixMissing(listed);
        index -= index % 1e4;
        uint64 strike = 100_000 * USD;
        assertEq(index > strike ? index - strike : 0, priceOf(call), "call");
        assertEq(index < strike ? strike - index : 0, priceOf(put), "put");
        assertEq(index, priceOf(future), "future");
        assertEq(index, priceOf(perpetual), "perpetual");
        assertEq(0, priceOf(etherPerpetual), "another underlying");
        assertEq(index, priceOf(MarksLib.indexId(1)), "proven");
    }

    // ---- tokens

    function test_tokens_are_priced_at_the_indices_of_their_underlyings() public {
        escaped();
        fixAllMarks();
        vm.expectEmit(address(clearing));
        emit IExitsBase.TokenPriced(address(weth), 4_000 * USD);
        vm.expectEmit(address(clearing));
        emit IExitsBase.TokenPriced(address(wbtc), 100_000 * USD);
        clearing.priceTokens(abi.encode(parameters()));
        clearing.priceTokens(""); // again: nothing
    }

    function test_only_the_parameters_in_force_price_tokens() public {
        escaped();
        margin.setParameters(parameters()); // governance comes too late
        vm.expectRevert(IExitsBase.UnknownParameters.selector);
        clearing.priceTokens(hex"00");
        vm.expectPartialRevert(IExitsBase.PriceMissing.selector);
        clearing.priceTokens(abi.encode(parameters()));
        vm.expectRevert(IExitsBase.TokensNotPriced.selector);
        clearing.value(1, new uint64[][](4));
    }
}
