// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Order} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {
    CollateralTerms,
    IMargin,
    MarginParameters,
    MarginProof,
    RiskGroup,
    StandardRates
} from "../src/interfaces/IMargin.sol";
import {MarksLib, MarksProof} from "../src/libraries/MarksLib.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {ClearingTest} from "./ClearingTest.sol";

/// @dev A venue with two tokens as collateral, marks under a posted root, and words to leave it.
abstract contract EscapeTest is ClearingTest {
    uint64 internal constant RATIO = 1e18;
    uint80 internal constant NO_CAP = type(uint80).max;
    uint256 internal constant CAROL_KEY = 0xCA501;

    address internal carolAddress = vm.addr(CAROL_KEY);
    uint64 internal carol;
    uint64 internal etherPerpetual = uint64(2 << 60 | 2 << 51);
    MockToken internal weth; // 18 decimals
    MockToken internal wbtc; // 8 decimals
    IMargin internal margin;
    uint64[] internal listed;
    uint64[] internal marks;

    function setUp() public virtual override {
        super.setUp();
        (weth, wbtc) =
        (new MockToken("Wrapped Ether", "WETH", 18), new MockToken("Wrapped BTC", "WBTC", 8));
        for (uint256 i = 0; i < 2; i++) {
            MockToken token = i == 0 ? weth : wbtc;
            custody.setRules(address(token), TokenRules(true, NO_CAP, NO_CAP, NO_CAP));
        }
        bytes memory arguments =
            abi.encode(address(manager), address(clearing), address(oracle), uint64(900));
        margin = IMargin(vm.deployCode("Margin.sol:Margin", arguments));
        margin.setParameters(parameters());
        clearing.setMargin(margin);
        carol = open(carolAddress, 1_000_000 * USD);
        mark(MarksLib.indexId(1), 100_000 * USD);
        mark(MarksLib.indexId(2), 4_000 * USD);
        mark(call, 30_000 * USD);
        mark(put, 5_000 * USD);
        mark(perpetual, 100_000 * USD);
        mark(etherPerpetual, 4_000 * USD);
        mark(future, 101_000 * USD);
        postMarks();
    }

    function parameters() internal view returns (MarginParameters memory p) {
        (p.weights, p.spots) = (new uint64[](5), new uint64[](5));
        for (uint256 s = 0; s < 5; s++) {
            (p.weights[s], p.spots[s]) = (RATIO, RATIO);
        }
        (p.initialFactor, p.maintenanceFactor) = (RATIO, RATIO);
        p.groups = new RiskGroup[](0);
        p.standard = StandardRates(15e16, 10e16, 75e15, 10e16, 65e15);
        p.collaterals = new CollateralTerms[](2);
        p.collaterals[0] = CollateralTerms(address(weth), 2, false, 1e17, 1e17, NO_CAP);
        p.collaterals[1] = CollateralTerms(address(wbtc), 1, false, 1e17, 1e17, NO_CAP);
    }

    // ---- marks

    /// @dev Kept in ascending order.
    function mark(uint64 id, uint64 price) internal {
        uint256 place;
        while (place < listed.length && listed[place] < id) place++;
        if (place == listed.length || listed[place] != id) {
            listed.push(id);
            marks.push(0);
            for (uint256 i = listed.length - 1; i > place; i--) {
                (listed[i], marks[i]) = (listed[i - 1], marks[i - 1]);
            }
            listed[place] = id;
        }
        marks[place] = price;
    }

    function markOf(uint64 id) internal view returns (uint64 price) {
        return marks[placeOf(id)];
    }

    function placeOf(uint64 id) internal view returns (uint256 place) {
        while (listed[place] != id) place++;
    }

    function packedMarks() internal view returns (bytes memory packed_) {
        for (uint256 i = 0; i < listed.length; i++) {
            packed_ = abi.encodePacked(packed_, listed[i], marks[i]);
        }
    }

    function postMarks() internal {
        postEpoch(bytes32(0), packedMarks());
    }

    function proven(uint64 id) internal view returns (MarksProof memory) {
        uint256[] memory places = new uint256[](1);
        places[0] = placeOf(id);
        return marksProof(packedMarks(), places);
    }

    /// @dev As they were logged: who gives all marks needs no nodes.
    function fixAllMarks() internal {
        uint256[] memory places = new uint256[](listed.length);
        for (uint256 i = 0; i < places.length; i++) {
            places[i] = i;
        }
        clearing.fixMarks(marksProof(packedMarks(), places));
    }

    // ---- trades

    function deal(
        uint64 buyer,
        uint64 seller,
        uint64 instrument,
        uint64 quantity,
        uint64 price,
        uint64 nonce
    ) internal {
        Order memory bid = orderOf(buyer, BUY, quantity, int64(price), nonce);
        Order memory ask = orderOf(seller, SELL, quantity, int64(price), nonce);
        (bid.instrument, ask.instrument) = (instrument, instrument);
        settle(tradeOf(bid, keyOf(buyer), ask, keyOf(seller), quantity, int64(price)));
    }

    function keyOf(uint64 id) internal view virtual returns (uint256) {
        if (id == alice) return ALICE_KEY;
        return id == bob ? BOB_KEY : CAROL_KEY;
    }

    // ---- leaving

    function noProof() internal pure returns (MarginProof memory proof) {}

    function request(uint64 id, uint256 amount) internal {
        address owner = ownerOf(id);
        vm.prank(owner);
        clearing.requestExit(id, address(usdc), amount, owner);
    }

    function escaped() internal {
        request(carol, USD);
        vm.warp(block.timestamp + clearing.EXIT_DEADLINE() + 1);
        clearing.startEscape(carol);
    }

    function priced() internal {
        fixAllMarks();
        clearing.priceTokens(abi.encode(parameters()));
    }

    /// @dev One list for all: what an account does not hold brings nothing.
    function valueAll() internal {
        uint64 count = clearing.escape().accounts;
        uint64[][] memory lists = new uint64[][](count);
        for (uint256 i = 0; i < count; i++) {
            lists[i] = listed;
        }
        clearing.value(1, lists);
    }

    function claim(uint64 id, address token) internal {
        address owner = ownerOf(id);
        vm.prank(owner);
        clearing.claim(id, token, owner);
    }
}
