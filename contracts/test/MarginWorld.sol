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
    StandardRates,
    UnderlyingRisk
} from "../src/interfaces/IMargin.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev One underlying, one expiry, a call and a put of one strike, five scenarios: small enough to
/// check by hand. Random portfolios against the engine are in tests/integration.
abstract contract MarginWorld is ClearingTest {
    uint64 internal constant RATIO = 1e18;
    uint64 internal constant ROOT_AGE = 900;

    IMargin internal margin;

    function setUp() public virtual override {
        super.setUp();
        bytes memory arguments =
            abi.encode(address(manager), address(clearing), address(oracle), ROOT_AGE);
        margin = IMargin(vm.deployCode("Margin.sol:Margin", arguments));
        margin.setParameters(parameters());
        post(1, root());
    }

    // ---- a market

    function parameters() internal pure virtual returns (MarginParameters memory p) {
        (p.weights, p.spots) = (new uint64[](5), new uint64[](5));
        for (uint256 s = 0; s < 5; s++) {
            (p.weights[s], p.spots[s]) = (RATIO, RATIO + (uint64(s) * RATIO) / 10 - RATIO / 5);
        }
        (p.basisUp, p.basisDown) = (3, 1);
        (p.initialFactor, p.maintenanceFactor) = (RATIO, RATIO * 4 / 5);
        (p.shortOptionInitialRate, p.shortOptionMaintenanceRate) = (2e15, 3e15);
        p.groups = new RiskGroup[](0);
        p.collaterals = new CollateralTerms[](0);
        p.standard = StandardRates(15e16, 10e16, 75e15, 10e16, 65e15);
    }

    /// @dev The call gains what the put loses: 10, 20, ... 50 thousand and back.
    function row(uint64 instrument) internal view virtual returns (bytes memory packed) {
        packed = abi.encodePacked(instrument, uint64(30_000 * USD), uint64(0), uint64(0), uint64(0));
        for (uint64 s = 0; s < 5; s++) {
            packed = abi.encodePacked(packed, (instrument == call ? s + 1 : 5 - s) * 10_000 * USD);
        }
    }

    function leaves() internal view returns (bytes32[] memory level) {
        level = new bytes32[](5);
        level[0] = keccak256(abi.encodePacked(uint64(1), uint128(RATIO)));
        level[1] = keccak256(abi.encodePacked(uint64(1), uint64(100_000 * USD), uint128(RATIO)));
        level[2] = keccak256(
            abi.encodePacked(
                uint64(1),
                EXPIRY,
                uint64(100_000 * USD),
                uint128(RATIO),
                uint128(RATIO),
                uint128(RATIO / 2)
            )
        );
        (level[3], level[4]) = (keccak256(row(call)), keccak256(row(put)));
    }

    function root() internal view returns (bytes32) {
        return rootOf(leaves());
    }

    function post(uint64 epoch, bytes32 root_) internal {
        postEpoch(epoch, root_, indexOnly());
    }

    /// @dev Both options.
    function whole() internal view returns (MarginProof memory proof) {
        proof = call_();
        proof.rows = abi.encodePacked(row(call), row(put));
        proof.places = hex"00000001000200030004";
        proof.nodes = new bytes32[](0);
    }

    /// @dev The call alone: the last leaf rises twice and is missing at the top.
    function call_() internal view returns (MarginProof memory proof) {
        proof.parameters = abi.encode(parameters());
        (proof.epoch, proof.stablecoinPrice) = (1, RATIO);
        proof.underlyings = new UnderlyingRisk[](1);
        proof.underlyings[0] = UnderlyingRisk(1, 100_000 * USD, RATIO, RATIO);
        proof.expiries = new ExpiryRisk[](1);
        proof.expiries[0] = ExpiryRisk(1, EXPIRY, 100_000 * USD, RATIO, RATIO, RATIO / 2);
        proof.rows = row(call);
        proof.leafCount = 5;
        proof.places = hex"0000000100020003";
        proof.nodes = new bytes32[](1);
        proof.nodes[0] = leaves()[4];
    }

    function holding(int256 cash, int256 calls, int256 puts)
        internal
        pure
        returns (Portfolio memory portfolio)
    {
        portfolio.netCash = cash;
        portfolio.quantities = new int256[](puts == 0 ? 1 : 2);
        portfolio.quantities[0] = calls;
        if (puts != 0) portfolio.quantities[1] = puts;
        portfolio.amounts = new uint256[](0);
    }
}
