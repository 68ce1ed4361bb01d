// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {
    Due,
    DueKind,
    IClearing,
    IClearingBase,
    LiquidationBid,
    Order,
    PriceBands,
    TakenLeg,
    TakenToken,
    Takeover
} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {ILiquidations} from "../src/interfaces/ILiquidations.sol";
import {MarksLib, MarksProof} from "../src/libraries/MarksLib.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {Batch} from "./Codec.sol";
import {ForcedTest} from "./ForcedTest.sol";

/// @dev Parts of bob that change hands: to alice, who bids, or to the fund.
contract TakeoversTest is ForcedTest {
    int64 internal constant MARK = int64(30_000 * USD);
    uint64 internal constant WHOLE = 1e18;

    // ---- words

    function takeover(uint64 fraction, uint128 discount) internal view returns (Takeover memory t) {
        (t.time, t.liquidatedId, t.takerId) = (uint32(block.timestamp), bob, fundAccount);
        (t.fraction, t.discount) = (fraction, discount);
        t.legs = new TakenLeg[](1);
        uint256 quantity = (uint256(SHORT) * fraction + WHOLE - 1) / WHOLE;
        t.legs[0] = TakenLeg(call, -int64(uint64(quantity)), MARK);
        t.tokens = new TakenToken[](0);
    }

    /// @dev Alice bids for the fraction, at what it costs now.
    function bought(uint64 fraction, uint128 discount, uint64 nonce)
        internal
        view
        returns (Takeover memory t)
    {
        t = takeover(fraction, discount);
        t.takerId = alice;
        t.bid = LiquidationBid({
            subaccountId: alice,
            liquidatedId: bob,
            fraction: fraction,
            priceLimit: int64(worth(t) - int256(uint256(discount))),
            expectedStep: 0,
            nonce: nonce,
            deadline: uint64(block.timestamp),
            signer: aliceAddress
        });
        sign(t, ALICE_KEY);
    }

    function sign(Takeover memory t, uint256 key) internal view {
        t.signature = signatureOf(key, clearing.hashBid(t.bid));
    }

    function worth(Takeover memory t) internal pure returns (int256 value) {
        for (uint256 i = 0; i < t.legs.length; i++) {
            value += int256(t.legs[i].price) * t.legs[i].quantity / 1e4;
        }
    }

    function batchWith(Takeover memory t) internal view returns (Batch memory batch) {
        batch = batchOf(0, 0, 0, 0);
        batch.takeovers = new Takeover[](1);
        batch.takeovers[0] = t;
    }

    function due(DueKind kind, uint64 id, uint128 amount) internal view returns (Due memory) {
        return Due(uint32(block.timestamp), kind, id, amount);
    }

    function with(Batch memory batch, Due memory one) internal pure returns (Batch memory) {
        Due[] memory longer = new Due[](batch.dues.length + 1);
        for (uint256 i = 0; i < batch.dues.length; i++) {
            longer[i] = batch.dues[i];
        }
        longer[batch.dues.length] = one;
        batch.dues = longer;
        return batch;
    }

    /// @dev Of bob, where all that moves is worth `value` at its prices.
    function expectTaken(Takeover memory t, int256 value) internal {
        vm.expectEmit(address(clearing));
        emit IClearingBase.TakenOver(bob, t.takerId, t.fraction, value, t.discount, t.byFund);
    }

    function total() internal view returns (int256) {
        return cashOf(1) + cashOf(alice) + cashOf(bob) + cashOf(fundAccount);
    }

    function budgetOf(uint64 id) internal view returns (uint256 budget) {
        (,, budget) = flags.forceOf(id);
    }

    // ---- a keeper takes a fraction

    function test_a_keeper_gets_what_it_signed_for(uint64 fraction, uint128 discount) public {
        flagged();
        fraction = uint64(bound(fraction, 1, WHOLE));
        discount = uint128(bound(discount, 0, budgetOf(bob)));
        (int256 seller, int256 taker, int256 all) = (cashOf(bob), cashOf(alice), total());
        int256 held = clearing.position(alice, call);
        Takeover memory t = bought(fraction, discount, 50);
        uint256 budget = budgetOf(bob);
        expectTaken(t, worth(t));
        settle(batchWith(t));
        int256 price = worth(t) - int256(uint256(discount));
        assertEq(taker - price, cashOf(alice), "the taker pays the price");
        assertEq(seller + price, cashOf(bob), "the seller gets it");
        assertEq(all, total(), "nothing is created");
        assertEq(held + t.legs[0].quantity, clearing.position(alice, call), "the position");
        assertEq(-int256(uint256(SHORT)) - t.legs[0].quantity, clearing.position(bob, call), "rest");
        assertEq(budget - discount, budgetOf(bob), "the budget falls");
        assertEq(0, clearing.lossLeft(), "what bob pays is nobody's loss");
    }

    function test_a_bid_acts_once() public {
        flagged();
        settle(batchWith(bought(WHOLE / 4, 0, 50)));
        Takeover memory again = bought(WHOLE / 4, 0, 50);
        again.legs[0].quantity = -int64(SHORT * 3 / 16);
        again.bid.priceLimit = 0;
        sign(again, ALICE_KEY);
        refused(batchWith(again), IClearingBase.NonceUsed.selector);
    }

    function test_nobody_is_made_a_keeper(uint256 which) public {
        flagged();
        Takeover memory t = bought(WHOLE / 2, 1e6, 50);
        bytes4 why = IClearingBase.InvalidSignature.selector;
        which %= 9;
        if (which == 0) sign(t, BOB_KEY);
        if (which == 1) t.bid.priceLimit++;
        if (which == 2) {
            (t.bid.priceLimit, why) = (type(int64).min, IClearingBase.BidTooLow.selector);
        }
        if (which == 3) (t.discount, why) = (0, IClearingBase.BidTooLow.selector);
        if (which == 4) (t.bid.deadline, why) = (START - 1, IClearingBase.DeadlinePassed.selector);
        if (which == 5) (t.bid.fraction, why) = (1, IClearingBase.InvalidTaker.selector);
        if (which == 6) (t.takerId, why) = (fundAccount, IClearingBase.InvalidTaker.selector);
        if (which == 7) (t.bid.subaccountId, why) = (0, IClearingBase.InvalidTaker.selector);
        if (which == 8) {
            (t.bid.signer, why) = (bobAddress, IClearingBase.SignerNotAuthorised.selector);
        }
        refused(batchWith(t), why);
    }

    function test_a_keeper_may_bid_by_session_key_and_void_its_nonces() public {
        flagged();
        Takeover memory t = bought(WHOLE / 40, 0, 50);
        t.bid.signer = sessionAddress;
        sign(t, SESSION_KEY);
        refused(batchWith(t), IClearingBase.SignerNotAuthorised.selector);
        vm.prank(aliceAddress);
        clearing.setSessionKey(sessionAddress, START + 10);
        settle(batchWith(t));
        vm.prank(aliceAddress);
        clearing.raiseNonceFloor(alice, 60);
        vm.warp(START + DAY);
        post(2, root());
        flags.flag(bob, call_());
        t = bought(WHOLE, 0, 51);
        t.legs[0].quantity = -int64(SHORT - ONE);
        t.bid.priceLimit = type(int64).max;
        sign(t, ALICE_KEY);
        refused(batchWith(t), IClearingBase.NonceBelowFloor.selector);
    }

    // ---- what moves, and from whom

    function test_no_healthy_account_is_taken(uint64 fraction) public {
        trade(call, SHORT / 40, PRICE, 1);
        fraction = uint64(bound(fraction, 1, WHOLE));
        Takeover memory t = takeover(fraction, 0);
        t.legs[0].quantity = -int64(ONE);
        refused(batchWith(t), IClearingBase.NotLiquidated.selector);
        t.liquidatedId = alice;
        refused(batchWith(t), IClearingBase.NotLiquidated.selector);
        (t.liquidatedId, t.takerId) = (fundAccount, alice);
        refused(batchWith(t), IClearingBase.InvalidTaker.selector);
    }

    function test_a_proof_allows_takeovers_of_one_hour() public {
        flagged();
        vm.warp(START + 1 hours);
        settle(batchWith(takeover(WHOLE / 2, 0)));
        vm.warp(START + 1 hours + 1);
        refused(batchWith(takeover(WHOLE / 2, 0)), IClearingBase.NotLiquidated.selector);
    }

    /// @dev More or less than the fraction, the other way, a leg left out, or one too many.
    function test_nobody_chooses_legs(uint256 which) public {
        flagged();
        trade(put, ONE, PRICE, 2);
        Takeover memory t = takeover(WHOLE / 2, 0);
        refused(batchWith(t), IClearingBase.LegMissing.selector);
        t.legs = new TakenLeg[](2);
        t.legs[0] = TakenLeg(call, -int64(SHORT / 2), MARK);
        t.legs[1] = TakenLeg(put, -int64(ONE / 2), MARK);
        bytes4 why = IClearingBase.WrongFraction.selector;
        which %= 8;
        if (which == 0) t.legs[0].quantity++;
        if (which == 1) t.legs[0].quantity -= int64(ONE);
        if (which == 2) t.legs[0].quantity = int64(SHORT / 2);
        if (which == 3) t.legs[1].quantity = -int64(ONE) - 1;
        if (which == 4) (t.fraction, t.legs[1].quantity) = (0, 0);
        if (which == 5) (t.legs[1], why) = (t.legs[0], IClearingBase.NotAscending.selector);
        if (which == 6) t.legs[1].instrument = put + 2;
        if (which == 7) (t.legs[1].price, why) = (MARK + 1, IClearingBase.PriceOffTick.selector);
        refused(batchWith(t), why);
    }

    function test_expired_legs_do_not_change_hands() public {
        flagged();
        vm.warp(EXPIRY);
        post(2, root());
        flags.flag(bob, call_());
        refused(batchWith(takeover(WHOLE, 0)), IClearingBase.InstrumentExpired.selector);
    }

    function test_no_discount_beyond_the_budget(uint128 beyond) public {
        flagged();
        uint256 budget = budgetOf(bob);
        beyond = uint128(bound(beyond, 1, type(uint64).max));
        Takeover memory t = takeover(WHOLE / 2, uint128(budget) + beyond);
        refused(batchWith(t), ILiquidations.BudgetSpent.selector);
        t.byFund = true;
        refused(batchWith(t), ILiquidations.BudgetSpent.selector);
    }

    function test_the_fund_pays_a_discount_that_the_seller_cannot() public {
        flagged();
        (int256 seller, int256 taker, int256 ofFund) =
            (cashOf(bob), cashOf(alice), cashOf(fundAccount));
        Takeover memory t = bought(WHOLE / 2, 7e6, 50);
        t.byFund = true;
        expectTaken(t, worth(t));
        settle(batchWith(t));
        assertEq(ofFund - 7e6, cashOf(fundAccount), "the fund pays");
        assertEq(taker - worth(t) + 7e6, cashOf(alice), "the taker gets it");
        assertEq(seller + worth(t), cashOf(bob), "the seller pays nothing");
        assertEq(7e6, clearing.lossLeft(), "it may be shared");
    }

    function test_tokens_change_hands_at_their_value(uint128 amount) public {
        MockToken weth = new MockToken("Wrapped Ether", "WETH", 18);
        uint80 cap = type(uint80).max;
        custody.setRules(address(weth), TokenRules(true, cap, cap, cap));
        fundWith(weth, bobAddress, bob, 2e18);
        flagged();
        amount = uint128(bound(amount, 1, 3e8));
        Takeover memory t = takeover(WHOLE / 2, 0);
        t.tokens = new TakenToken[](1);
        t.tokens[0] = TakenToken(address(weth), amount, 3_000e6);
        (int256 seller, int256 taker) = (cashOf(bob), cashOf(fundAccount));
        if (amount > 2e8) {
            refused(batchWith(t), IClearingBase.InsufficientCollateral.selector);
            return;
        }
        expectTaken(t, worth(t) + 3_000e6);
        settle(batchWith(t));
        assertEq(amount, clearing.collateralOf(fundAccount, address(weth)), "the taker's");
        assertEq(2e8 - amount, clearing.collateralOf(bob, address(weth)), "the seller's");
        assertEq(seller + worth(t) + 3_000e6, cashOf(bob), "paid for");
        assertEq(taker - worth(t) - 3_000e6, cashOf(fundAccount), "by the taker");
    }

    // ---- near the marks

    /// @dev An index of 100,000, the call at 30,000, WETH by the index; bands of 10 % and 3 %.
    function banded() internal returns (bytes memory marks) {
        marks = abi.encodePacked(MarksLib.indexId(1), int64(100_000 * USD), call, MARK);
        vm.warp(START + 1);
        postEpoch("rows", marks);
        clearing.setPriceBands(PriceBands(1e17, 3e16, 900));
    }

    function proven(Takeover memory t, bytes memory marks)
        internal
        view
        returns (Batch memory batch)
    {
        batch = batchWith(t);
        (batch.header.riskEpoch,,) = oracle.latestMarks();
        batch.marks = MarksProof(marks, 2, hex"00000001", new bytes32[](0));
    }

    function test_legs_change_hands_inside_the_band(uint64 ticks) public {
        flagged();
        bytes memory marks = banded();
        Takeover memory t = takeover(WHOLE / 2, 0);
        t.legs[0].price = int64(uint64(bound(ticks, 1, 6_000_000))) * 1e4;
        refused(proven(t, ""), MarksLib.MarksMalformed.selector);
        bool inside =
            t.legs[0].price >= int64(20_000 * USD) && t.legs[0].price <= int64(40_000 * USD);
        if (inside) settle(proven(t, marks));
        else refused(proven(t, marks), IClearingBase.PriceOutsideBand.selector);
    }

    function test_tokens_change_hands_near_the_index(uint64 value) public {
        MockToken wbtc = new MockToken("Wrapped BTC", "WBTC", 8);
        uint80 cap = type(uint80).max;
        custody.setRules(address(wbtc), TokenRules(true, cap, cap, cap));
        vm.expectEmit(address(clearing));
        emit IClearingBase.TokenUnderlyingSet(address(wbtc), 1);
        clearing.setTokenUnderlying(address(wbtc), 1);
        fundWith(wbtc, bobAddress, bob, 1e8);
        flagged();
        bytes memory marks = banded();
        Takeover memory t = takeover(WHOLE / 2, 0);
        value = uint64(bound(value, 0, 100_000 * USD));
        t.tokens = new TakenToken[](1);
        t.tokens[0] = TakenToken(address(wbtc), 5e7, value);
        bool inside = value >= 48_500 * USD && value <= 51_500 * USD + 1;
        if (inside) settle(proven(t, marks));
        else refused(proven(t, marks), IClearingBase.ValueOutsideBand.selector);
    }

    function test_only_governance_names_an_underlying(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, who)
        );
        clearing.setTokenUnderlying(address(usdc), 1);
    }

    // ---- who bears a loss

    /// @dev The fund takes all of bob at a price that leaves him a debt, long after his deposit.
    function takenOver(int256 debt) internal returns (Batch memory batch) {
        vm.warp(START + 3 * DAY);
        post(2, root());
        flagged();
        Takeover memory t = takeover(WHOLE, 0);
        int256 price = (int256(cashOf(bob)) + debt) / int256(uint256(SHORT)) * 1e4;
        t.legs[0].price = int64(price - price % 1e4);
        batch = batchWith(t);
    }

    function test_the_fund_covers_a_debt_and_no_more(uint128 beyond) public {
        Batch memory batch = takenOver(100e6);
        settle(batch);
        uint128 debt = uint128(uint256(-cashOf(bob)));
        beyond = uint128(bound(beyond, 1, type(uint64).max));
        Batch memory next = with(batchOf(0, 0, 0, 0), due(DueKind.COVER, bob, debt + beyond));
        refused(next, IClearingBase.NoDebt.selector);
        next = with(batchOf(0, 0, 0, 0), due(DueKind.COVER, bob, debt));
        int256 all = total();
        vm.expectEmit(address(clearing));
        emit IClearingBase.DebtCovered(bob, debt);
        settle(next);
        assertEq(0, cashOf(bob), "covered");
        assertEq(all, total(), "nothing is created");
        assertEq(debt, clearing.lossLeft(), "it may be shared");
    }

    /// @dev The journal did not see it where it covered the debt.
    function test_nobody_stops_a_cover_by_a_deposit(uint64 amount) public {
        settle(takenOver(100e6));
        uint128 debt = uint128(uint256(-cashOf(bob)));
        fund(bobAddress, bob, bound(amount, 1, type(uint64).max));
        settle(with(batchOf(0, 0, 0, 0), due(DueKind.COVER, bob, debt)));
        assertEq(debt, clearing.lossLeft(), "it may be shared");
    }

    function test_only_who_was_proven_and_holds_nothing_is_covered() public {
        flagged();
        refusedDue(DueKind.COVER, bob, IClearingBase.NoDebt.selector);
        refusedDue(DueKind.COVER, alice, IClearingBase.NotLiquidated.selector);
        refusedDue(DueKind.COVER, fundAccount, IClearingBase.InvalidTaker.selector);
    }

    function refusedDue(DueKind kind, uint64 id, bytes4 selector) internal {
        refused(with(batchOf(0, 0, 0, 0), due(kind, id, 1)), selector);
    }

    function test_shares_are_paid_up_to_the_loss_and_to_the_fund(uint128 first) public {
        settle(takenOver(100e6));
        uint128 debt = uint128(uint256(-cashOf(bob)));
        first = uint128(bound(first, 0, debt));
        Batch memory batch = with(batchOf(0, 0, 0, 0), due(DueKind.COVER, bob, debt));
        batch = with(batch, due(DueKind.SHARE, alice, first));
        (int256 before, int256 ofFund) = (cashOf(alice), cashOf(fundAccount));
        vm.expectEmit(address(clearing));
        emit IClearingBase.LossShared(alice, first);
        settle(batch);
        assertEq(before - int256(uint256(first)), cashOf(alice), "her share");
        assertEq(ofFund - int256(uint256(debt - first)), cashOf(fundAccount), "the fund's");
        batch = with(batchOf(0, 0, 0, 0), due(DueKind.SHARE, alice, debt - first + 1));
        refused(batch, IClearingBase.NoLossLeft.selector);
        batch.dues[0].amount--;
        settle(batch);
        assertEq(0, clearing.lossLeft(), "all of it");
    }

    function test_nobody_shares_a_loss_that_was_not() public {
        Batch memory batch = with(batchOf(0, 0, 0, 0), due(DueKind.SHARE, alice, 1));
        refused(batch, IClearingBase.NoLossLeft.selector);
        batch = with(batchOf(0, 0, 0, 0), due(DueKind.LOSS, 0, 1));
        refused(batch, IClearingBase.NoDebt.selector);
    }

    /// @dev What the fund lost itself counts once it is flat, and only below zero.
    function test_a_flat_fund_below_zero_declares_its_loss() public {
        settle(takenOver(600_000e6));
        settle(with(batchOf(0, 0, 0, 0), due(DueKind.COVER, bob, uint128(uint256(-cashOf(bob))))));
        Batch memory batch = with(batchOf(0, 0, 0, 0), due(DueKind.LOSS, 0, 1));
        refused(batch, IClearingBase.NoDebt.selector); // it holds calls
        buyBackOfFund();
        uint128 lost = uint128(uint256(-cashOf(fundAccount)));
        batch.dues[0].amount = lost + 1;
        Batch memory next = with(batchOf(0, 0, 0, 0), batch.dues[0]);
        refused(next, IClearingBase.NoDebt.selector);
        next.dues[0].amount = lost;
        vm.expectEmit(address(clearing));
        emit IClearingBase.LossDeclared(lost);
        settle(next);
        assertEq(lost, clearing.lossLeft(), "declared");
        settle(with(batchOf(0, 0, 0, 0), due(DueKind.SHARE, alice, lost)));
        assertEq(0, cashOf(fundAccount), "shared");
    }

    function buyBackOfFund() internal {
        int64 price = int64(90_000 * USD);
        Batch memory batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(orderOf(alice, SELL, SHORT, price, 70), ALICE_KEY);
        batch.orders[1] = forced(fundAccount, BUY, call, SHORT, price);
        batch.fills[0] = fillOf(SHORT, price);
        settle(batch);
    }

    // ---- the fund's share of fees

    /// @dev The venue's own subaccount has this much.
    function earned(uint64 amount) internal returns (uint128) {
        fund(ownerOf(1), 1, bound(amount, 1, 1_000_000 * USD));
        return uint128(uint256(cashOf(1)));
    }

    function sharing(uint128 amount) internal view returns (Batch memory) {
        return with(batchOf(0, 0, 0, 0), due(DueKind.FEES, 1, amount));
    }

    function test_the_fund_gets_exactly_its_share_of_fees(uint64 cash, uint128 amount) public {
        amount = uint128(bound(amount, 0, earned(cash)));
        int256 moved = int256(uint256(amount));
        (int256 ours, int256 ofFund, int256 all) = (cashOf(1), cashOf(fundAccount), total());
        vm.expectEmit(address(clearing));
        emit IClearingBase.FeesShared(amount);
        settle(sharing(amount));
        assertEq(ours - moved, cashOf(1), "the venue's");
        assertEq(ofFund + moved, cashOf(fundAccount), "the fund's");
        assertEq(all, total(), "nothing is created");
        assertEq(0, clearing.lossLeft(), "nobody shares it");
    }

    /// @dev The fund's depositors could take out what nobody paid in.
    function test_no_more_is_shared_than_is_there(uint64 cash, uint128 beyond) public {
        uint128 has = earned(cash);
        beyond = uint128(bound(beyond, 1, type(uint128).max - has));
        refused(sharing(has + beyond), IClearingBase.InsufficientCash.selector);
        Batch memory twice = with(sharing(has), due(DueKind.FEES, 1, 1));
        refused(twice, IClearingBase.InsufficientCash.selector);
        settle(sharing(has));
        assertEq(0, cashOf(1), "all of it");
    }

    /// @dev Its cash may back them.
    function test_nothing_is_shared_while_the_venue_holds_a_position(uint64 cash) public {
        earned(cash);
        Order memory bid = orderOf(1, BUY, ONE, PRICE, 5);
        Order memory ask = orderOf(alice, SELL, ONE, PRICE, 5);
        settle(tradeOf(bid, TREASURY_KEY, ask, ALICE_KEY, ONE, PRICE));
        fund(ownerOf(1), 1, 1_000_000 * USD);
        assertTrue(cashOf(1) > 0, "it has cash");
        refused(sharing(1), IClearingBase.InsufficientCash.selector);
    }

    function test_only_the_venues_own_subaccount_shares_fees(uint64 id) public {
        earned(1);
        if (id == 1) id = 0;
        refusedDue(DueKind.FEES, id, IClearingBase.InvalidTaker.selector);
        refusedDue(DueKind.FEES, alice, IClearingBase.InvalidTaker.selector);
        refusedDue(DueKind.FEES, fundAccount, IClearingBase.InvalidTaker.selector);
    }

    // ---- time

    function test_times_never_fall_and_are_of_now(uint64 age) public {
        flagged();
        age = uint64(bound(age, 1, 3 * DAY));
        Takeover memory t = takeover(WHOLE / 2, 0);
        vm.warp(START + age);
        if (age > DAY) refused(batchWith(t), IClearingBase.TimeTooEarly.selector);
        else settle(batchWith(t));
        t = takeover(WHOLE / 2, 0);
        t.time = uint32(START) - 1;
        refused(batchWith(t), IClearingBase.TimeFell.selector);
        t.time = uint32(block.timestamp + 61);
        refused(batchWith(t), IClearingBase.TimeTooLate.selector);
    }

    function test_a_module_called_by_itself_takes_nothing(address caller) public {
        flagged();
        IClearing module = IClearing(Modules_(address(clearing)).TAKEOVERS());
        Batch memory batch = batchWith(takeover(WHOLE, 0));
        vm.prank(caller);
        (bool done,) = address(module).call(abi.encodeCall(IClearing.settle, (packed(batch))));
        assertTrue(!done, "refused");
    }
}

/// @dev Where no fund is apart, as in venues without depositors.
contract SoleFundTest is ForcedTest {
    function makeFund() internal pure override returns (uint64) {
        return 1;
    }

    function test_a_venue_that_is_its_own_fund_shares_no_fees(uint128 amount) public {
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.dues = new Due[](1);
        batch.dues[0] = Due(uint32(block.timestamp), DueKind.FEES, 1, amount);
        refused(batch, IClearingBase.InvalidTaker.selector);
    }
}

interface Modules_ {
    function TAKEOVERS() external view returns (address);
}
