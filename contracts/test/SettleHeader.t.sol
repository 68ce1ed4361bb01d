// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IClearingBase} from "../src/interfaces/IClearing.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

contract SettleHeaderTest is ClearingTest {
    function test_only_the_relayer_settles(address caller) public {
        vm.assume(caller != relayer);
        Batch memory batch = batchOf(0, 0, 0, 0);
        vm.prank(caller);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        clearing.settle(packed(batch));
    }

    function test_an_empty_batch_anchors_a_state_root(bytes32 journal, bytes32 root, uint32 span)
        public
    {
        Batch memory batch = batchOf(0, 0, 0, 0);
        (batch.header.journalHash, batch.header.stateRoot) = (journal, root);
        batch.header.lastSeq = batch.header.firstSeq + span;
        bytes32 expected = keccak256(abi.encode(packed(batch)));

        vm.expectEmit(address(clearing));
        emit IClearingBase.BatchSettled(1, expected, 1, 1 + uint64(span), root);
        settle(batch);
        (uint64 number, bytes32 hash, uint64 lastSeq) = clearing.lastBatch();
        assertEq(1, number, "number");
        assertEq(expected, hash, "hash");
        assertEq(1 + uint256(span), lastSeq, "lastSeq");
    }

    function test_a_replayed_batch_is_refused() public {
        Batch memory batch = batchOf(0, 0, 0, 0);
        settle(batch);
        refused(batch, IClearingBase.WrongNumber.selector);
    }

    function test_an_out_of_order_batch_is_refused(uint64 number) public {
        settle(batchOf(0, 0, 0, 0));
        Batch memory batch = batchOf(0, 0, 0, 0);
        vm.assume(number != batch.header.number);
        batch.header.number = number;
        refused(batch, IClearingBase.WrongNumber.selector);
    }

    function test_a_batch_on_another_chain_of_batches_is_refused(bytes32 hash) public {
        settle(batchOf(0, 0, 0, 0));
        Batch memory batch = batchOf(0, 0, 0, 0);
        vm.assume(hash != batch.header.previousHash);
        batch.header.previousHash = hash;
        refused(batch, IClearingBase.WrongPreviousHash.selector);
    }

    function test_a_gap_or_overlap_in_seq_is_refused(uint64 firstSeq) public {
        settle(batchOf(0, 0, 0, 0));
        Batch memory batch = batchOf(0, 0, 0, 0);
        vm.assume(firstSeq != batch.header.firstSeq);
        batch.header.firstSeq = firstSeq;
        refused(batch, IClearingBase.WrongFirstSeq.selector);
    }

    function test_a_range_that_ends_before_it_begins_is_refused() public {
        settle(batchOf(0, 0, 0, 0));
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.header.lastSeq = batch.header.firstSeq - 1;
        refused(batch, IClearingBase.EmptySeqRange.selector);
    }

    function test_the_risk_epoch_never_falls(uint64 epoch) public {
        vm.assume(epoch != 0);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.header.riskEpoch = epoch;
        settle(batch);
        batch = batchOf(0, 0, 0, 0);
        batch.header.riskEpoch = epoch - 1;
        refused(batch, IClearingBase.RiskEpochFell.selector);
    }
}
