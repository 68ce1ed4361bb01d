// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IExitsBase} from "../src/interfaces/IExits.sol";
import {
    CollateralTerms,
    ExpiryRisk,
    IMargin,
    MarginParameters,
    MarginProof,
    Portfolio,
    StandardRates,
    UnderlyingRisk
} from "../src/interfaces/IMargin.sol";

import {RiskProofLib} from "../src/libraries/RiskProofLib.sol";
import {MarginWorld} from "./MarginWorld.sol";

contract MarginTest is MarginWorld {
    function refusedProof(MarginProof memory proof, bytes4 selector) internal {
        vm.expectPartialRevert(selector);
        margin.excessOf(holding(0, 1, 1), proof);
    }

    // ---- figures

    /// @dev A short call loses 20,000 at worst; the basis half of 10,000; 0.2 % and 0.3 % of index.
    function test_a_short_call_by_hand() public view {
        (int256 initial, int256 maintenance) =
            margin.excessOf(holding(int256(uint256(60_000 * USD)), -1e4, 0), call_());
        assertEq(60_000e6 - 30_000e6 - 20_000e6 - 200e6 - 300e6, initial, "initial");
        assertEq(60_000e6 - 30_000e6 - 16_000e6 - 300e6, maintenance, "maintenance");
    }

    /// @dev A straddle is worth 60,000 in every scenario; its naked short is netted by strike.
    function test_a_straddle_loses_nothing(int64 contracts) public view {
        int256 quantity = contracts == 0 ? int256(1) : int256(contracts);
        if (quantity > 1e9 || quantity < -1e9) quantity %= 1e9;
        if (quantity == 0) quantity = 1;
        (int256 initial, int256 maintenance) =
            margin.excessOf(holding(0, quantity, quantity), whole());
        int256 naked = quantity < 0 ? -2 * quantity : int256(0);
        int256 value = 6e6 * quantity;
        assertEq(value - naked * 20_000 - naked * 30_000, initial, "initial");
        assertEq(value - naked * 30_000, maintenance, "maintenance");
    }

    /// @dev At the money: 15 % of the index beyond the mark, 7.5 % for maintenance. The put that
    /// would hedge it in scenarios is paid for and counts nothing.
    function test_a_standard_account_by_hand() public view {
        Portfolio memory portfolio = holding(int256(uint256(60_000 * USD)), -1e4, 1e4);
        portfolio.standard = true;
        (int256 initial, int256 maintenance) = margin.excessOf(portfolio, whole());
        assertEq(60_000e6 - 30_000e6 - 15_000e6, initial, "initial");
        assertEq(60_000e6 - 30_000e6 - 7_500e6, maintenance, "maintenance");
    }

    // ---- proofs

    function test_a_leg_that_is_not_under_the_root_is_refused(uint256 bit) public {
        MarginProof memory proof = whole();
        bit = bound(bit, 0, 8 * proof.rows.length - 1);
        proof.rows[bit / 8] ^= bytes1(uint8(1 << bit % 8));
        (bool done, bytes memory answer) =
            address(margin).call(abi.encodeCall(IMargin.excessOf, (holding(0, 1, 1), proof)));
        assertTrue(!done, "refused");
        bytes4 reason = bytes4(answer);
        assertTrue(
            reason == IMargin.WrongRoot.selector || reason == IMargin.NotAscending.selector,
            "for its rows"
        );
    }

    function test_a_leg_twice_or_out_of_order_is_refused() public {
        MarginProof memory proof = whole();
        proof.rows = abi.encodePacked(row(call), row(call));
        refusedProof(proof, IMargin.NotAscending.selector);
        proof.rows = abi.encodePacked(row(put), row(call));
        refusedProof(proof, IMargin.NotAscending.selector);
        proof.rows = abi.encodePacked(row(call), row(put), bytes1(0));
        refusedProof(proof, IMargin.RowsOfWrongLength.selector);
    }

    function test_quantities_and_rows_must_match() public {
        vm.expectRevert(IMargin.RowsOfWrongLength.selector);
        margin.excessOf(holding(0, 1, 0), whole());
    }

    function test_wrong_places_nodes_and_counts_are_refused() public {
        MarginProof memory proof = whole();
        proof.places = hex"00000001000200030005";
        refusedProof(proof, IMargin.WrongRoot.selector);
        proof.places = hex"0000000100020003";
        refusedProof(proof, IMargin.WrongRoot.selector);
        proof = whole();
        proof.leafCount = 6;
        refusedProof(proof, IMargin.WrongRoot.selector);
        proof = whole();
        proof.nodes = new bytes32[](1);
        refusedProof(proof, IMargin.WrongRoot.selector);
    }

    function test_an_expiry_or_underlying_twice_is_refused() public {
        MarginProof memory proof = whole();
        UnderlyingRisk memory underlying = proof.underlyings[0];
        proof.underlyings = new UnderlyingRisk[](2);
        (proof.underlyings[0], proof.underlyings[1]) = (underlying, underlying);
        refusedProof(proof, IMargin.NotAscending.selector);
        proof = whole();
        ExpiryRisk memory expiry = proof.expiries[0];
        proof.expiries = new ExpiryRisk[](2);
        (proof.expiries[0], proof.expiries[1]) = (expiry, expiry);
        refusedProof(proof, IMargin.NotAscending.selector);
    }

    /// @dev Whoever leaves out an expiry, or an underlying, has no figures for what it holds.
    function test_a_leg_without_its_expiry_or_index_is_refused() public {
        MarginProof memory proof = call_();
        proof.expiries = new ExpiryRisk[](0);
        proof.places = hex"000000010003";
        proof.nodes = new bytes32[](2);
        (proof.nodes[0], proof.nodes[1]) = (leaves()[2], leaves()[4]);
        Portfolio memory portfolio = holding(0, -1e4, 0);
        bytes memory why =
            abi.encodeWithSelector(IMargin.RiskMissing.selector, call >> 25 & (1 << 35) - 1);
        vm.expectRevert(why);
        margin.excessOf(portfolio, proof);
        portfolio.standard = true;
        margin.excessOf(portfolio, proof); // needs the index alone
        (proof.underlyings, proof.places) = (new UnderlyingRisk[](0), hex"00000003");
        (proof.nodes[0], proof.nodes[1]) = (leaves()[1], leaves()[2]);
        proof.nodes = appended(proof.nodes, leaves()[4]);
        vm.expectRevert(why);
        margin.excessOf(portfolio, proof);
    }

    /// @dev The signers' own mistake: products must fit.
    function test_a_discount_beyond_its_bound_is_refused(uint128 discount) public {
        MarginProof memory proof = call_();
        bytes32[] memory level = leaves();
        ExpiryRisk memory risk = proof.expiries[0];
        (risk.discountLong, risk.discountShort) = (discount, RATIO);
        if (discount % 2 == 0) (risk.discountShort, risk.discountLong) = (discount, RATIO);
        level[2] = keccak256(
            abi.encodePacked(
                uint64(risk.underlying),
                risk.expiry,
                risk.forwardPrice,
                risk.discountLong,
                risk.discountShort,
                risk.basisWeight
            )
        );
        post(2, rootOf(level));
        if (discount > 1 << 62) vm.expectRevert(IMargin.RatioTooLarge.selector);
        margin.excessOf(holding(0, 1, 0), proof);
    }

    /// @dev Why a preset has at least five scenarios: a row of three is as long as a node, and so
    /// the two leaves below one make a row that lies under the root.
    function test_a_node_cannot_pass_for_a_row() public {
        bytes32[] memory level = leaves();
        assembly ("memory-safe") {
            mstore(level, 4) // without the put
        }
        post(2, rootOf(level));
        MarginProof memory proof = call_();
        (proof.underlyings, proof.expiries) = (new UnderlyingRisk[](0), new ExpiryRisk[](0));
        (bytes32 low, bytes32 high) =
            level[2] < level[3] ? (level[2], level[3]) : (level[3], level[2]);
        proof.rows = abi.encodePacked(low, high);
        (proof.leafCount, proof.places) = (3, hex"00000002");
        proof.nodes[0] = level[1];
        assertEq(rootOf(level), this.rootUnder(proof, 3), "of three scenarios");
        refusedProof(proof, IMargin.RowsOfWrongLength.selector);
        for (uint256 count = 0; count < 5; count++) {
            MarginParameters memory p = parameters();
            (p.weights, p.spots) = (new uint64[](count), new uint64[](count));
            for (uint256 s = 0; s < count; s++) {
                (p.weights[s], p.spots[s]) = (RATIO, RATIO);
            }
            (p.basisUp, p.basisDown) = (0, 0);
            unbounded(p);
        }
    }

    function rootUnder(MarginProof calldata proof, uint256 scenarios)
        external
        pure
        returns (bytes32)
    {
        return RiskProofLib.rootOf(proof, scenarios);
    }

    function test_only_parameters_in_force_count() public {
        MarginProof memory proof = whole();
        MarginParameters memory other = parameters();
        other.shortOptionInitialRate--;
        proof.parameters = abi.encode(other);
        refusedProof(proof, IMargin.WrongParameters.selector);
        margin.setParameters(other);
        margin.excessOf(holding(0, 1, 1), proof);
    }

    function test_only_the_latest_root_counts_and_not_for_long() public {
        vm.warp(START + ROOT_AGE);
        margin.excessOf(holding(0, 1, 1), whole());
        vm.warp(START + ROOT_AGE + 1);
        refusedProof(whole(), IMargin.RootTooOld.selector);
        post(2, "another");
        refusedProof(whole(), IMargin.WrongRoot.selector);
    }

    // ---- governance

    function test_only_governance_sets_parameters(address who) public {
        vm.assume(who != address(this));
        vm.prank(who);
        vm.expectPartialRevert(IAccessManaged.AccessManagedUnauthorized.selector);
        margin.setParameters(parameters());
    }

    function test_no_governance_goes_beyond_the_bounds() public {
        MarginParameters memory p = parameters();
        p.weights[2] = RATIO + 1;
        unbounded(p);
        p = parameters();
        p.weights[2] = 0;
        unbounded(p);
        p = parameters();
        p.spots = new uint64[](4);
        unbounded(p);
        p = parameters();
        p.basisUp = 5;
        unbounded(p);
        p = parameters();
        p.initialFactor = RATIO / 2 - 1;
        unbounded(p);
        p = parameters();
        p.maintenanceFactor = p.initialFactor + 1;
        unbounded(p);
        p = parameters();
        p.perpetualInitialRate = RATIO;
        unbounded(p);
        p = parameters();
        p.depegThreshold = RATIO + 1;
        unbounded(p);
        p = parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(usdc), 1, false, RATIO / 2 + 1, RATIO / 2, 1);
        unbounded(p);
        p = parameters();
        (p.weights, p.spots) = (new uint64[](129), new uint64[](129));
        unbounded(p);
    }

    function test_each_bound_is_itself_within() public {
        MarginParameters memory p = parameters();
        (p.weights[1], p.spots[1], p.basisUp, p.basisDown) = (1, 10 * RATIO, 4, 4);
        (p.initialFactor, p.maintenanceFactor) = (4 * RATIO, RATIO / 2);
        (p.depegFactor, p.depegThreshold, p.confidenceFloor) = (16 * RATIO, RATIO, RATIO);
        (p.shortOptionInitialRate, p.shortOptionMaintenanceRate) = (RATIO / 4, RATIO / 4);
        (p.perpetualInitialRate, p.perpetualMaintenanceRate) = (RATIO / 4, RATIO / 4);
        p.standard = StandardRates(RATIO, RATIO, RATIO, RATIO, RATIO);
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(usdc), 1, false, RATIO / 2, RATIO / 2, 1);
        vm.expectEmit(address(margin));
        emit IMargin.ParametersSet(keccak256(abi.encode(p)), p);
        margin.setParameters(p);
        (p.initialFactor, p.maintenanceFactor) = (RATIO / 2, RATIO / 2);
        p.standard = StandardRates(1, 1, 1, 1, 1);
        margin.setParameters(p);
    }

    function test_no_governance_goes_a_unit_beyond() public {
        MarginParameters memory p = parameters();
        p.spots[4] = 10 * RATIO + 1;
        unbounded(p);
        p = parameters();
        p.basisDown = 5;
        unbounded(p);
        p = parameters();
        p.initialFactor = 4 * RATIO + 1;
        unbounded(p);
        p = parameters();
        p.maintenanceFactor = RATIO / 2 - 1;
        unbounded(p);
        p = parameters();
        p.depegFactor = 16 * RATIO + 1;
        unbounded(p);
        p = parameters();
        p.confidenceFloor = RATIO + 1;
        unbounded(p);
        for (uint256 i = 0; i < 4; i++) {
            p = parameters();
            (p.shortOptionInitialRate, p.shortOptionMaintenanceRate) = (RATIO / 4, RATIO / 4);
            (p.perpetualInitialRate, p.perpetualMaintenanceRate) = (RATIO / 4, RATIO / 4);
            if (i == 0) p.shortOptionInitialRate++;
            if (i == 1) p.shortOptionMaintenanceRate++;
            if (i == 2) p.perpetualInitialRate++;
            if (i == 3) p.perpetualMaintenanceRate++;
            unbounded(p);
        }
    }

    function test_standard_rates_stay_in_order() public {
        unbounded(StandardRates(RATIO + 1, 10e16, 75e15, 10e16, 65e15));
        unbounded(StandardRates(15e16, 15e16 + 1, 75e15, 10e16, 65e15));
        unbounded(StandardRates(15e16, 10e16, 10e16 + 1, 10e16, 65e15));
        unbounded(StandardRates(15e16, 10e16, 0, 10e16, 65e15));
        unbounded(StandardRates(15e16, 10e16, 75e15, RATIO + 1, 65e15));
        unbounded(StandardRates(15e16, 10e16, 75e15, 10e16, 10e16 + 1));
        unbounded(StandardRates(15e16, 10e16, 75e15, 10e16, 0));
    }

    function unbounded(StandardRates memory rates) internal {
        MarginParameters memory p = parameters();
        p.standard = rates;
        unbounded(p);
    }

    function unbounded(MarginParameters memory p) internal {
        vm.expectRevert(IMargin.ParametersOutOfBounds.selector);
        margin.setParameters(p);
    }
}

/// @dev The same figures of what Clearing holds.
contract MarginOfSubaccountTest is MarginTest {
    function test_clearing_takes_no_margin_of_another_clearing() public {
        bytes memory arguments =
            abi.encode(address(manager), address(this), address(oracle), ROOT_AGE);
        IMargin other = IMargin(vm.deployCode("Margin.sol:Margin", arguments));
        vm.expectRevert(IExitsBase.WrongMargin.selector);
        clearing.setMargin(other);
        vm.expectEmit(address(clearing));
        emit IExitsBase.MarginSet(address(margin));
        clearing.setMargin(margin);
    }

    function test_what_is_held_is_what_is_margined() public {
        trade(call, 3 * ONE, int64(20_000 * USD), 1);
        (int256 initial, int256 maintenance) = margin.excess(alice, call_());
        (int256 i, int256 m) = margin.excessOf(holding(cashOf(alice), 3e4, 0), call_());
        assertEq(i, initial, "initial");
        assertEq(m, maintenance, "maintenance");
        (initial, maintenance) = margin.excess(bob, call_());
        (i, m) = margin.excessOf(holding(cashOf(bob), -3e4, 0), call_());
        assertEq(i, initial, "short, initial");
        assertEq(m, maintenance, "short, maintenance");
    }

    /// @dev Bob's short call would be money for nothing.
    function test_no_leg_can_be_left_out() public {
        trade(call, ONE, int64(20_000 * USD), 1);
        trade(put, ONE, int64(20_000 * USD), 2);
        vm.expectRevert(abi.encodeWithSelector(IMargin.PositionMissing.selector, 2));
        margin.excess(bob, call_());
        margin.excess(bob, whole());
    }

    function test_a_leg_that_is_not_held_is_refused() public {
        trade(call, ONE, int64(20_000 * USD), 1);
        vm.expectRevert(abi.encodeWithSelector(IMargin.NotHeld.selector, put));
        margin.excess(bob, whole());
    }

    /// @dev Positions are counted as they come and go, in batches and by realise.
    function test_expired_positions_count_until_they_are_realised() public {
        trade(call, ONE, int64(20_000 * USD), 1);
        MarginProof memory proof = call_();
        (proof.rows, proof.places) = ("", hex"000000010002");
        proof.nodes = new bytes32[](2);
        (proof.nodes[0], proof.nodes[1]) = (leaves()[3], leaves()[4]);
        vm.expectRevert(abi.encodeWithSelector(IMargin.PositionMissing.selector, 1));
        margin.excess(alice, proof);

        vm.warp(EXPIRY + DAY + 1);
        fixPrice(1, EXPIRY, 130_000 * USD);
        post(2, root());
        proof.expired = new uint64[](1);
        proof.expired[0] = call;
        (int256 initial,) = margin.excess(alice, proof);
        assertEq(cashOf(alice) + 30_000e6, initial, "the payoff is cash");
        clearing.realise(alice, proof.expired);
        vm.expectRevert(abi.encodeWithSelector(IMargin.NotHeld.selector, call));
        margin.excess(alice, proof);
        proof.expired = new uint64[](0);
        (initial,) = margin.excess(alice, proof);
        assertEq(cashOf(alice), initial, "realised");
    }
}
