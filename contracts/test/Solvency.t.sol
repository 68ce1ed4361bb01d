// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {Liquidations} from "../src/Liquidations.sol";
import {
    Batch as PackedBatch,
    Due,
    DueKind,
    IClearing,
    IClearingBase,
    Order,
    PriceBands
} from "../src/interfaces/IClearing.sol";
import {IExits} from "../src/interfaces/IExits.sol";
import {IBatchAge} from "../src/interfaces/ILiquidations.sol";
import {BatchProof, Holder, IMargin, MarginProof} from "../src/interfaces/IMargin.sol";
import {IReleases} from "../src/interfaces/IReleases.sol";
import {BatchMargin, ISolvency, ISolvencyBase} from "../src/interfaces/ISolvency.sol";
import {MarksLib} from "../src/libraries/MarksLib.sol";
import {Batch} from "./Codec.sol";
import {MarginWorld} from "./MarginWorld.sol";

/// @dev Alice and bob have a million each. A call is worth 30,000; short it needs 20,500 initially
/// and 16,300 to be maintained, long 20,000 and 16,000.
contract SolvencyTest is MarginWorld {
    int64 internal constant FAIR = int64(30_000 * USD);

    ISolvency internal gate;
    bytes internal marks;

    function setUp() public override {
        super.setUp();
        gate = ISolvency(address(clearing));
        marks = abi.encodePacked(MarksLib.indexId(1), int64(100_000 * USD), call, FAIR, put, FAIR);
        postEpoch(2, root(), marks);
        IExits(address(clearing)).setMargin(margin);
        clearing.setPriceBands(PriceBands(5e17, 5e17, 900));
        IReleases(address(clearing)).setWithdrawalDelay(1 hours);
    }

    // ---- batches

    /// @dev Alice buys from bob.
    function sale(uint64 contracts, int64 price) internal view returns (Batch memory batch) {
        return sale(contracts, price, 1);
    }

    function sale(uint64 contracts, int64 price, uint64 nonce)
        internal
        view
        returns (Batch memory batch)
    {
        uint64 quantity = contracts * ONE;
        batch = tradeOf(
            orderOf(alice, BUY, quantity, price, nonce),
            orderOf(bob, SELL, quantity, price, nonce),
            quantity,
            price
        );
        proveMarks(batch);
    }

    function proveMarks(Batch memory batch) internal view {
        batch.header.riskEpoch = 2;
        uint256[] memory where = new uint256[](3);
        (where[1], where[2]) = (1, 2);
        batch.marks = marksProof(marks, where);
    }

    function holder(uint64 id, bytes memory places_) internal pure returns (Holder memory) {
        return Holder(id, places_, new uint64[](0));
    }

    /// @dev Both hold the call.
    function both() internal view returns (BatchProof memory proof) {
        proof.proof = call_();
        proof.holders = new Holder[](2);
        (proof.holders[0], proof.holders[1]) = (holder(alice, hex"0000"), holder(bob, hex"0000"));
    }

    function alone(uint64 id, bytes memory places_)
        internal
        view
        returns (BatchProof memory proof)
    {
        proof.proof = whole();
        proof.holders = new Holder[](1);
        proof.holders[0] = holder(id, places_);
    }

    function settleWith(Batch memory batch, BatchProof memory proof) internal {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(relayer);
        gate.settleProven(calldata_, proof);
    }

    function refusedWith(Batch memory batch, BatchProof memory proof, bytes memory why) internal {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(relayer);
        vm.expectRevert(why);
        gate.settleProven(calldata_, proof);
    }

    function below(uint64 id, int256 dollars) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISolvencyBase.BelowMargin.selector, id, dollars * 1e6);
    }

    function notProven(uint64 id) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISolvencyBase.MarginNotProven.selector, id);
    }

    // ---- levels

    function test_nothing_is_asked_before_governance_chose() public {
        BatchProof memory nothing;
        settle(sale(40, 1e4, 1)); // bob owes more than he has
        settleWith(sale(1, 1e4, 2), nothing);
        assertEq(uint256(0), uint256(gate.batchMargin()), "none");
    }

    function test_whoever_takes_risk_has_initial_margin(uint64 contracts) public {
        gate.setBatchMargin(BatchMargin.INITIAL);
        contracts = uint64(bound(contracts, 1, 60));
        int256 left = 1_000_000 - 20_500 * int256(uint256(contracts));
        if (contracts > 50) {
            int256 alices = 1_000_000 - 20_000 * int256(uint256(contracts));
            refusedWith(sale(contracts, FAIR), both(), below(alice, alices));
        } else if (left < 0) {
            refusedWith(sale(contracts, FAIR), both(), below(bob, left));
        } else {
            settleWith(sale(contracts, FAIR), both());
            assertEq(-int256(uint256(contracts * ONE)), positionOf(bob, call).quantity, "sold");
        }
    }

    function test_maintenance_lets_more_settle() public {
        gate.setBatchMargin(BatchMargin.MAINTENANCE);
        settleWith(sale(55, FAIR, 1), both());
        refusedWith(sale(7, FAIR, 2), both(), below(bob, 1_000_000 - 62 * 16_300));
    }

    /// @dev Two accounts of one owner: one sells to the other far below the mark, inside the band.
    function test_nobody_is_robbed_into_debt() public {
        gate.setBatchMargin(BatchMargin.MAINTENANCE);
        refusedWith(sale(40, int64(1 * USD)), both(), below(bob, 1_000_040 - 40 * 46_300));
    }

    function test_governance_can_end_it() public {
        vm.expectEmit(address(clearing));
        emit ISolvencyBase.BatchMarginSet(BatchMargin.INITIAL);
        gate.setBatchMargin(BatchMargin.INITIAL);
        vm.expectEmit(address(clearing));
        emit ISolvencyBase.BatchMarginSet(BatchMargin.NONE);
        gate.setBatchMargin(BatchMargin.NONE);
        settle(sale(40, 1e4));
    }

    // ---- who is proven

    function test_an_account_that_took_risk_is_never_left_out() public {
        gate.setBatchMargin(BatchMargin.INITIAL);
        BatchProof memory proof = both();
        Batch memory batch = sale(1, FAIR);
        refused(batch, ISolvencyBase.MarginNotProven.selector);
        proof.holders = new Holder[](1);
        proof.holders[0] = holder(alice, hex"0000");
        refusedWith(batch, proof, notProven(bob));
        proof.holders[0] = holder(bob, hex"0000");
        refusedWith(batch, proof, notProven(alice));
        proof.holders = new Holder[](2);
        (proof.holders[0], proof.holders[1]) = (holder(bob, hex"0000"), holder(alice, hex"0000"));
        refusedWith(batch, proof, notProven(alice)); // they do not ascend
    }

    function test_no_leg_is_left_out_and_none_is_counted_twice() public {
        gate.setBatchMargin(BatchMargin.INITIAL);
        settleWith(sale(1, FAIR, 1), both());
        Batch memory batch = sale(1, FAIR, 2);
        batch.orders[0].order.instrument = put;
        batch.orders[1].order.instrument = put;
        batch.orders[0] = signed(batch.orders[0].order, ALICE_KEY);
        batch.orders[1] = signed(batch.orders[1].order, BOB_KEY);
        BatchProof memory proof = both();
        proof.proof = whole();
        refusedWith(batch, proof, abi.encodeWithSelector(IMargin.PositionMissing.selector, 2));
        proof.holders[0].places = hex"00000000";
        refusedWith(batch, proof, abi.encodeWithSelector(IMargin.NotAscending.selector));
        proof.holders[0].places = hex"00000002";
        refusedWith(batch, proof, abi.encodeWithSelector(IMargin.RowsOfWrongLength.selector));
        proof.holders[0].places = hex"000000";
        refusedWith(batch, proof, abi.encodeWithSelector(IMargin.RowsOfWrongLength.selector));
        (proof.holders[0].places, proof.holders[1].places) = (hex"00000001", hex"00000001");
        settleWith(batch, proof);
    }

    /// @dev Rows of others count nothing: each is proven as it would be by itself.
    function test_a_shared_proof_says_what_one_of_its_own_says(uint64 calls, uint64 cash) public {
        calls = uint64(bound(calls, 1, 30));
        settle(sale(calls, int64(uint64(bound(cash, 1, 7_000_000))) * 1e4));
        BatchProof memory proof = both();
        proof.proof = whole();
        (int256[] memory initial, int256[] memory maintenance) = margin.excessesAt(2, proof);
        (int256 i, int256 m) = margin.excess(bob, call_());
        assertEq(i, initial[1], "initial");
        assertEq(m, maintenance[1], "maintenance");
    }

    function test_reducing_needs_no_proof() public {
        settle(sale(40, 1e4, 1));
        gate.setBatchMargin(BatchMargin.INITIAL);
        Batch memory batch = sale(40, FAIR, 2);
        for (uint256 i = 0; i < 2; i++) {
            Order memory order = batch.orders[i].order;
            (order.side, order.reduceOnly) = (order.side == BUY ? SELL : BUY, true);
            batch.orders[i] = signed(order, i == 0 ? ALICE_KEY : BOB_KEY);
        }
        settle(batch);
        assertEq(int256(0), positionOf(bob, call).quantity, "closed");
    }

    function test_who_sends_a_transfer_is_proven() public {
        settle(sale(40, FAIR));
        gate.setBatchMargin(BatchMargin.INITIAL);
        uint64 savings = open(bobAddress, 0);
        Batch memory batch = withdrawBatch(transferOf(bob, savings, BOB_KEY, 180_000 * USD + 1, 5));
        batch.header.riskEpoch = 2;
        refused(batch, ISolvencyBase.MarginNotProven.selector);
        bytes memory short =
            abi.encodeWithSelector(ISolvencyBase.BelowMargin.selector, bob, int256(-1));
        refusedWith(batch, alone(bob, hex"0000"), short);
        batch.withdrawals[0] = transferOf(bob, savings, BOB_KEY, 180_000 * USD, 5);
        settleWith(batch, alone(bob, hex"0000"));
        assertEq(int256(uint256(180_000 * USD)), cashOf(savings), "arrived");
    }

    /// @dev It leaves cash, and nothing that needs margin.
    function test_a_share_of_fees_needs_no_proof() public {
        gate.setBatchMargin(BatchMargin.INITIAL);
        uint64 insurance = open(treasury, 0);
        Liquidations flags = new Liquidations(margin, IBatchAge(address(clearing)));
        clearing.setLiquidations(flags, insurance);
        fund(treasury, 1, 10);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.header.riskEpoch = 2;
        batch.dues = new Due[](1);
        batch.dues[0] = Due(uint32(block.timestamp), DueKind.FEES, 1, 10);
        settle(batch);
        assertEq(10, cashOf(insurance), "shared");
    }

    // ---- roots

    /// @dev A batch that settles late is proven at its own marks, not at those of today.
    function test_the_root_of_the_batches_epoch_counts_however_old() public {
        gate.setBatchMargin(BatchMargin.INITIAL);
        Batch memory batch = sale(1, FAIR);
        vm.warp(block.timestamp + 12 hours);
        postEpoch(3, "other rows", marks);
        settleWith(batch, both());
        batch = sale(1, FAIR, 2);
        batch.header.riskEpoch = 3;
        refusedWith(batch, both(), abi.encodeWithSelector(IMargin.WrongRoot.selector));
    }

    // ---- encoding

    function test_a_batch_has_one_hash_proven_or_not() public {
        Batch memory batch = sale(1, FAIR);
        bytes32 expected = keccak256(abi.encode(packed(batch)));
        gate.setBatchMargin(BatchMargin.INITIAL);
        settleWith(batch, both());
        (, bytes32 hash,) = clearing.lastBatch();
        assertEq(expected, hash, "hash");
        settleWith(sale(1, FAIR, 2), both()); // and the next links to it
    }

    function test_an_unusual_encoding_is_refused() public {
        bytes memory data = abi.encodeCall(ISolvency.settleProven, (packed(sale(1, FAIR)), both()));
        bytes memory shifted = abi.encodePacked(data, uint256(0));
        assembly {
            let head := add(shifted, 0x24)
            mstore(head, add(mload(head), 0x20)) // where the batch begins
        }
        vm.prank(relayer);
        (bool done, bytes memory answer) = address(clearing).call(shifted);
        assertTrue(!done, "refused");
        assembly {
            let head := add(data, 0x44)
            mstore(head, 0x20) // the proof before the batch
        }
        vm.prank(relayer);
        (done, answer) = address(clearing).call(data);
        assertTrue(!done, "refused");
    }

    /// @dev The decoder wants a proof's head behind its offset, before a batch could end there.
    function test_a_batch_that_ends_behind_the_calldata_is_refused(uint8 behind) public {
        bytes memory data = abi.encodeCall(ISolvency.settleProven, (packed(sale(1, FAIR)), both()));
        uint256 end = data.length - 4 + behind;
        assembly {
            mstore(add(data, 0x44), end) // where the batch ends and the proof begins
        }
        vm.prank(relayer);
        (bool done, bytes memory answer) = address(clearing).call(data);
        assertTrue(!done, "refused");
        assertEq(answer.length, 0, "by the decoder");
    }

    // ---- governance

    function test_only_governance_sets_it(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        gate.setBatchMargin(BatchMargin.INITIAL);
        vm.assume(who != relayer);
        BatchProof memory proof = both();
        PackedBatch memory calldata_ = packed(sale(1, FAIR));
        vm.prank(who);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        gate.settleProven(calldata_, proof);
    }

    /// @dev Without bands a batch's epoch has no bound, without a delay money leaves unproven.
    function test_it_comes_after_bands_delay_and_margin(uint8 missing) public {
        IClearing fresh = deployClearing(address(usdc), treasury, DAY, DAY);
        missing %= 3;
        if (missing != 0) fresh.setPriceBands(PriceBands(5e17, 5e17, 900));
        if (missing != 1) IReleases(address(fresh)).setWithdrawalDelay(1 hours);
        if (missing != 2) {
            bytes memory arguments =
                abi.encode(address(manager), address(fresh), address(oracle), ROOT_AGE);
            IMargin its = IMargin(vm.deployCode("Margin.sol:Margin", arguments));
            IExits(address(fresh)).setMargin(its);
        }
        vm.expectRevert(ISolvencyBase.BatchMarginTooEarly.selector);
        ISolvency(address(fresh)).setBatchMargin(BatchMargin.MAINTENANCE);
    }
}
