// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    CollateralTerms,
    ExpiryRisk,
    IMargin,
    MarginParameters,
    MarginProof,
    Portfolio,
    RiskGroup,
    UnderlyingRisk
} from "../src/interfaces/IMargin.sol";
import {MarginWorld} from "./MarginWorld.sol";

/// @dev Each part of margin by hand. Scenarios move the index of 100,000 by -20 % to 20 %; rows
/// move by a step between two scenarios.
contract MarginFiguresTest is MarginWorld {
    int256 internal constant K = 1000e6;

    uint64 internal epoch = 1;
    uint64 internal otherCall = option(2, EXPIRY, 100_000_00, false);

    /// @dev Under a root of their own: a whole proof needs no nodes.
    function excessUnder(
        MarginParameters memory p,
        MarginProof memory proof,
        Portfolio memory portfolio
    ) internal returns (int256 initial, int256 maintenance) {
        prove(p, proof);
        return margin.excessOf(portfolio, proof);
    }

    function prove(MarginParameters memory p, MarginProof memory proof) internal {
        margin.setParameters(p);
        (proof.parameters, proof.epoch) = (abi.encode(p), ++epoch);
        bytes32[] memory level = new bytes32[](0);
        level = appended(level, keccak256(abi.encodePacked(proof.epoch, proof.stablecoinPrice)));
        for (uint256 i = 0; i < proof.underlyings.length; i++) {
            UnderlyingRisk memory u = proof.underlyings[i];
            bytes memory head = abi.encodePacked(uint64(u.underlying), u.indexPrice, u.confidence);
            if (u.scan != RATIO) head = abi.encodePacked(head, u.scan);
            level = appended(level, keccak256(head));
        }
        for (uint256 i = 0; i < proof.expiries.length; i++) {
            ExpiryRisk memory e = proof.expiries[i];
            bytes memory head = abi.encodePacked(uint64(e.underlying), e.expiry, e.forwardPrice);
            level = appended(
                level,
                keccak256(abi.encodePacked(head, e.discountLong, e.discountShort, e.basisWeight))
            );
        }
        uint256 size = rowOf(call, 0, 0).length;
        for (uint256 from = 0; from < proof.rows.length; from += size) {
            bytes memory one = new bytes(size);
            for (uint256 i = 0; i < size; i++) {
                one[i] = proof.rows[from + i];
            }
            level = appended(level, keccak256(one));
        }
        proof.places = "";
        for (uint256 i = 0; i < level.length; i++) {
            proof.places = abi.encodePacked(proof.places, uint16(i));
        }
        (proof.leafCount, proof.nodes) = (uint32(level.length), new bytes32[](0));
        post(proof.epoch, rootOf(level));
    }

    /// @dev Scenario prices `mark - 2 step` to `mark + 2 step`.
    function rowOf(uint64 instrument, int256 mark, int256 step)
        internal
        pure
        returns (bytes memory packed)
    {
        packed = abi.encodePacked(
            instrument, uint64(uint256(mark)), uint64(0), uint64(0), uint64(0)
        );
        for (int256 s = -2; s <= 2; s++) {
            packed = abi.encodePacked(packed, uint64(uint256(mark + s * step)));
        }
    }

    /// @dev One call worth 30,000 that moves by 10,000.
    function callProof() internal view returns (MarginProof memory proof) {
        proof = call_();
        proof.rows = rowOf(call, 30 * K, 10 * K);
    }

    /// @dev The same call of another underlying beside it, whose index is 50,000.
    function twoCalls() internal view returns (MarginProof memory proof) {
        proof = callProof();
        proof.underlyings = new UnderlyingRisk[](2);
        proof.underlyings[0] = UnderlyingRisk(1, 100_000 * USD, RATIO, RATIO);
        proof.underlyings[1] = UnderlyingRisk(2, 50_000 * USD, RATIO, RATIO);
        proof.expiries = new ExpiryRisk[](2);
        proof.expiries[0] = ExpiryRisk(1, EXPIRY, 100_000 * USD, RATIO, RATIO, RATIO / 2);
        proof.expiries[1] = ExpiryRisk(2, EXPIRY, 50_000 * USD, RATIO, RATIO, RATIO / 2);
        proof.rows = abi.encodePacked(proof.rows, rowOf(otherCall, 30 * K, 10 * K));
    }

    function perpetualProof() internal view returns (MarginProof memory proof) {
        proof = call_();
        proof.expiries[0] = ExpiryRisk(1, 0, 100_000 * USD, RATIO, RATIO, 0);
        proof.rows = rowOf(perpetual, 100 * K, 10 * K);
    }

    function check(
        int256 initial,
        int256 maintenance,
        MarginParameters memory p,
        MarginProof memory proof,
        Portfolio memory portfolio
    ) internal {
        (int256 i, int256 m) = excessUnder(p, proof, portfolio);
        assertEq(initial, i, "initial");
        assertEq(maintenance, m, "maintenance");
    }

    // ---- positions

    /// @dev Loses 20,000 at worst; 2 % and 1 % of 100,000, more where the index is doubtful.
    function test_a_perpetual_by_hand() public {
        MarginParameters memory p = parameters();
        (p.perpetualInitialRate, p.perpetualMaintenanceRate) = (2e16, 1e16);
        p.confidenceFloor = 5e17;
        MarginProof memory proof = perpetualProof();
        check(
            200 * K - 20 * K - 3 * K, 200 * K - 16 * K - 1 * K, p, proof, holding(300 * K, -1e4, 0)
        );
        check(
            200 * K - 20 * K - 3 * K, 200 * K - 16 * K - 1 * K, p, proof, holding(100 * K, 1e4, 0)
        );
        proof.underlyings[0].confidence = 5e17;
        check(177 * K, 183 * K, p, proof, holding(300 * K, -1e4, 0));
        proof.underlyings[0].confidence = 4e17;
        check(117 * K, 183 * K, p, proof, holding(300 * K, -1e4, 0));
    }

    function test_short_options_pay_for_a_doubtful_index() public {
        MarginParameters memory p = parameters();
        p.confidenceFloor = 5e17;
        MarginProof memory proof = callProof();
        proof.underlyings[0].confidence = 4e17;
        int256 equity = 100 * K - 30 * K;
        check(
            equity - 20 * K - 500e6 - 60 * K,
            equity - 16 * K - 300e6,
            p,
            proof,
            holding(100 * K, -1e4, 0)
        );
        equity = 100 * K + 30 * K;
        check(equity - 20 * K, equity - 16 * K, p, proof, holding(100 * K, 1e4, 0));
    }

    /// @dev Five hundredths below the threshold, twice: 110 % of what is lost.
    function test_a_cheap_stablecoin_raises_the_initial_factor() public {
        MarginParameters memory p = parameters();
        (p.depegThreshold, p.depegFactor) = (95e16, 2e18);
        MarginProof memory proof = callProof();
        proof.stablecoinPrice = 95e16;
        check(130 * K - 20 * K, 130 * K - 16 * K, p, proof, holding(100 * K, 1e4, 0));
        proof.stablecoinPrice = 90e16;
        check(130 * K - 22 * K, 130 * K - 16 * K, p, proof, holding(100 * K, 1e4, 0));
    }

    /// @dev Half the loss counts at both ends; the gain at the upper one as a loss where skewed.
    function test_weights_and_a_skewed_scenario() public {
        MarginParameters memory p = parameters();
        p.weights[0] = RATIO / 4;
        check(130 * K - 10 * K, 130 * K - 8 * K, p, callProof(), holding(100 * K, 1e4, 0));
        p.skew = 1 << 4;
        check(130 * K - 20 * K, 130 * K - 16 * K, p, callProof(), holding(100 * K, 1e4, 0));
        p.weights[4] = RATIO / 5 * 3;
        check(130 * K - 12 * K, 130 * K - 9600e6, p, callProof(), holding(100 * K, 1e4, 0));
    }

    /// @dev What is owed is discounted by one rate, what is due by the other.
    function test_discounts() public {
        MarginProof memory proof = callProof();
        (proof.expiries[0].discountLong, proof.expiries[0].discountShort) = (9e17, 11e17);
        check(130 * K - 21 * K, 130 * K - 16_800e6, parameters(), proof, holding(100 * K, 1e4, 0));
        check(
            70 * K - 25 * K - 500e6,
            70 * K - 20 * K - 300e6,
            parameters(),
            proof,
            holding(100 * K, -1e4, 0)
        );
    }

    /// @dev The worse of two scenarios against the mark, by its weight, beside all scenarios.
    function test_the_basis_is_the_worse_of_two_scenarios() public {
        MarginParameters memory p = parameters();
        for (uint256 s = 0; s < 5; s++) {
            p.weights[s] = RATIO / 10;
        }
        MarginProof memory proof = callProof();
        check(130 * K - 5 * K, 130 * K - 4 * K, p, proof, holding(100 * K, 1e4, 0));
        (p.basisUp, p.basisDown) = (4, 2);
        check(130 * K - 2 * K, 130 * K - 1_600e6, p, proof, holding(100 * K, 1e4, 0));
        check(70 * K - 10_500e6, 70 * K - 8_300e6, p, proof, holding(100 * K, -1e4, 0));
    }

    /// @dev An instrument expires at a whole minute: figures of another second are of none.
    function test_figures_between_two_minutes_are_of_no_instrument() public {
        MarginProof memory proof = callProof();
        proof.expiries[0].expiry += 1;
        prove(parameters(), proof);
        vm.expectRevert(
            abi.encodeWithSelector(IMargin.RiskMissing.selector, call >> 25 & (1 << 35) - 1)
        );
        margin.excessOf(holding(0, 1e4, 0), proof);
    }

    // ---- groups

    function test_underlyings_of_a_group_share_each_scenario() public {
        MarginParameters memory p = parameters();
        Portfolio memory portfolio = holding(100 * K, 1e4, -1e4);
        check(100 * K - 40 * K - 250e6, 100 * K - 32 * K - 150e6, p, twoCalls(), portfolio);
        p.groups = new RiskGroup[](3);
        (p.groups[0], p.groups[1], p.groups[2]) =
        (RiskGroup(3, 9), RiskGroup(1, 7), RiskGroup(2, 8));
        check(100 * K - 40 * K - 250e6, 100 * K - 32 * K - 150e6, p, twoCalls(), portfolio);
        p.groups[2].group = 7; // what one gains the other loses: only the basis is left
        check(100 * K - 10 * K - 250e6, 100 * K - 8 * K - 150e6, p, twoCalls(), portfolio);
    }

    // ---- tokens

    /// @dev Of four bitcoin three count: 300,000 less 10 % and 5 %; they lose 60,000 at worst and
    /// a short call would gain 20,000 there.
    function test_tokens_by_hand() public {
        MarginParameters memory p = parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(1), 1, false, 10e16, 5e16, 3e8);
        Portfolio memory portfolio = holding(0, -1e4, 0);
        portfolio.amounts = new uint256[](1);
        portfolio.amounts[0] = 4e8;
        int256 maintenance = 270 * K - 15 * K - 300e6;
        int256 initial = maintenance - 30 * K - 200e6;
        check(initial - 40 * K, maintenance - 32 * K, p, callProof(), portfolio);
        p.collaterals[0].isolated = true;
        check(initial - 80 * K, maintenance - 64 * K, p, callProof(), portfolio);
        MarginProof memory proof = callProof();
        proof.underlyings[0].confidence = 4e17;
        p.confidenceFloor = 5e17;
        initial -= 180 * K + 60 * K; // 60 % of the tokens and of the short call
        check(initial - 80 * K, maintenance - 64 * K, p, proof, portfolio);
    }

    /// @dev The last token but what the cap allows, and upwards a skewed scenario.
    function test_tokens_lose_in_a_skewed_scenario() public {
        MarginParameters memory p = parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(1), 1, true, 0, 0, 3e8);
        (p.weights[0], p.skew) = (RATIO / 4, 1 << 4);
        Portfolio memory portfolio = holding(0, 0, 0);
        portfolio.amounts = new uint256[](1);
        portfolio.amounts[0] = 1e8;
        check(80 * K, 84 * K, p, callProof(), portfolio);
        p.skew = 1 << 3;
        check(90 * K, 92 * K, p, callProof(), portfolio);
    }

    function test_a_token_needs_the_index_that_prices_it() public {
        MarginParameters memory p = parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(1), 2, false, 0, 0, 3e8);
        Portfolio memory portfolio = holding(0, 1, 0);
        portfolio.amounts = new uint256[](1);
        MarginProof memory proof = callProof();
        excessUnder(p, proof, portfolio); // none is held
        portfolio.amounts[0] = 1;
        vm.expectRevert(abi.encodeWithSelector(IMargin.RiskMissing.selector, 0));
        margin.excessOf(portfolio, proof);
    }

    // ---- standard

    function checkStandard(
        int256 initial,
        int256 maintenance,
        MarginProof memory proof,
        int256 quantity
    ) internal {
        Portfolio memory portfolio = holding(0, quantity, 0);
        portfolio.standard = true;
        check(initial, maintenance, parameters(), proof, portfolio);
    }

    /// @dev 15 % less what it is out of the money, but at least 10 %; 7.5 % for maintenance.
    function test_a_standard_short_option_by_hand() public {
        uint24[4] memory strikes = [90_000, 103_000, 110_000, 104_999];
        int256[4] memory calls = [15 * K, 12 * K, 10 * K, int256(10_001e6)];
        int256[4] memory puts = [10 * K, 15 * K, 15 * K, 15 * K];
        for (uint256 i = 0; i < 4; i++) {
            for (uint256 isPut = 0; isPut < 2; isPut++) {
                MarginProof memory proof = callProof();
                uint64 id = option(1, EXPIRY, uint64(strikes[i]) * 100, isPut == 1);
                proof.rows = rowOf(id, 30 * K, 10 * K);
                int256 needed = isPut == 1 ? puts[i] : calls[i];
                checkStandard(-30 * K - needed, -30 * K - 7_500e6, proof, -1e4);
                checkStandard(0, 0, proof, 1e4);
            }
        }
    }

    function test_a_standard_perpetual_by_hand() public {
        checkStandard(100 * K - 10 * K, 100 * K - 6_500e6, perpetualProof(), 1e4);
        checkStandard(-100 * K - 10 * K, -100 * K - 6_500e6, perpetualProof(), -1e4);
    }

    /// @dev 15 % and 7.5 % of an index that is one unit higher.
    function test_a_standard_requirement_is_rounded_up() public {
        MarginProof memory proof = callProof();
        proof.underlyings[0].indexPrice += 1;
        checkStandard(-30 * K - 15 * K - 1, -30 * K - 7_500e6 - 1, proof, -1e4);
    }

    /// @dev A token stands by itself: the short call does not offset it.
    function test_a_standard_accounts_tokens_offset_nothing() public {
        MarginParameters memory p = parameters();
        p.collaterals = new CollateralTerms[](1);
        p.collaterals[0] = CollateralTerms(address(1), 1, false, 0, 0, 3e8);
        Portfolio memory portfolio = holding(0, -1e4, 0);
        (portfolio.standard, portfolio.amounts) = (true, new uint256[](1));
        portfolio.amounts[0] = 1e8;
        check(70 * K - 20 * K - 15 * K, 70 * K - 16 * K - 7_500e6, p, callProof(), portfolio);
    }
}
