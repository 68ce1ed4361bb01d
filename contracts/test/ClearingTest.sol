// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Oracle} from "../src/Oracle.sol";
import {IAccessPass} from "../src/interfaces/IAccessPass.sol";
import {
    Batch as PackedBatch,
    Funding,
    Header,
    IClearing,
    Interest,
    Leg,
    Modules,
    Order,
    Payoff,
    Position,
    QuoteSheet,
    SignedSheet,
    Terms,
    Withdraw,
    Withdrawal
} from "../src/interfaces/IClearing.sol";
import {ICustody} from "../src/interfaces/ICustody.sol";
import {DeliveryPrice, FundingIndex, RiskRoot} from "../src/interfaces/IOracle.sol";
import {ISolvency} from "../src/interfaces/ISolvency.sol";
import {MarksLib, MarksProof} from "../src/libraries/MarksLib.sol";
import {OrderLib} from "../src/libraries/OrderLib.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {MockUSDC} from "../src/mocks/MockUSDC.sol";
import {Batch, Codec, Fill, SignedOrder} from "./Codec.sol";
import {Test} from "./Test.sol";

/// @dev Clearing is deployed by name and used through its interface: so it is compiled with its own
/// settings. A venue with two funded traders, and words to write batches with.
abstract contract ClearingTest is Test, Codec {
    uint64 internal constant RELAYER_ROLE = 1;
    uint64 internal constant DAY = 1 days;
    uint64 internal constant START = 1_800_000_000;
    uint64 internal constant EXPIRY = START + 7 * DAY;
    uint8 internal constant BUY = 0;
    uint8 internal constant SELL = 1;
    uint64 internal constant USD = 1e6;
    uint64 internal constant ONE = 1e4; // one contract
    uint256 internal constant ALICE_KEY = 0xA11CE;
    uint256 internal constant BOB_KEY = 0xB0B;
    uint256 internal constant TREASURY_KEY = 0x7EA5;
    uint256 internal constant SESSION_KEY = 0x5E55;

    address internal relayer = address(0x4E1A);
    address internal treasury = vm.addr(TREASURY_KEY);
    address internal aliceAddress = vm.addr(ALICE_KEY);
    address internal bobAddress = vm.addr(BOB_KEY);
    address internal sessionAddress = vm.addr(SESSION_KEY);
    uint64 internal alice;
    uint64 internal bob;
    uint64 internal call = option(1, EXPIRY, 100_000_00, false);
    uint64 internal put = option(1, EXPIRY, 100_000_00, true);
    uint64 internal perpetual = uint64(2 << 60 | 1 << 51);
    uint64 internal future = uint64(3 << 60 | 1 << 51) | (EXPIRY / 60) << 25;

    AccessManager internal manager;
    MockUSDC internal usdc;
    Oracle internal oracle;
    IClearing internal clearing;
    ICustody internal custody;

    function setUp() public virtual {
        vm.warp(START);
        usdc = makeToken();
        address[] memory signers = new address[](3);
        (signers[0], signers[1], signers[2]) = (vm.addr(11), vm.addr(12), vm.addr(13));
        manager = new AccessManager(address(this));
        oracle = new Oracle(address(manager), sorted(signers), 2);
        clearing = deployClearing(address(usdc), treasury, DAY, DAY);
        custody = clearing.CUSTODY();
        bytes4[] memory selectors = new bytes4[](2);
        selectors[0] = IClearing.settle.selector;
        selectors[1] = ISolvency.settleProven.selector;
        manager.setTargetFunctionRole(address(clearing), selectors, RELAYER_ROLE);
        manager.grantRole(RELAYER_ROLE, relayer, 0);
        alice = open(aliceAddress, 1_000_000 * USD);
        bob = open(bobAddress, 1_000_000 * USD);
    }

    function makeToken() internal virtual returns (MockUSDC) {
        return new MockUSDC();
    }

    function deployClearing(address token, address feeOwner, uint64 maxBatchAge, uint64 cancelDelay)
        internal
        returns (IClearing)
    {
        Terms memory terms = Terms(token, oracle, maxBatchAge, cancelDelay, accessPass());
        Modules memory modules = modulesOf(terms);
        bytes memory arguments = abi.encode(address(manager), feeOwner, terms, modules);
        return IClearing(vm.deployCode("Clearing.sol:Clearing", arguments));
    }

    /// @dev None: the usual venue lets everybody in.
    function accessPass() internal virtual returns (IAccessPass) {
        return IAccessPass(address(0));
    }

    function modulesOf(Terms memory terms) internal returns (Modules memory modules) {
        bytes memory arguments = abi.encode(terms);
        modules.settler = vm.deployCode("Settler.sol:Settler", arguments);
        modules.payments = vm.deployCode("Payments.sol:Payments", arguments);
        modules.takeovers = vm.deployCode("Takeovers.sol:Takeovers", arguments);
        modules.exits = vm.deployCode("Exits.sol:Exits", arguments);
        modules.escapes = vm.deployCode("Escapes.sol:Escapes", arguments);
        modules.releases = vm.deployCode("Releases.sol:Releases", arguments);
        modules.solvency = vm.deployCode("Solvency.sol:Solvency", arguments);
        modules.auctions = vm.deployCode("Auctions.sol:Auctions", arguments);
    }

    // ---- owners

    function open(address owner, uint256 amount) internal returns (uint64 id) {
        vm.prank(owner);
        id = clearing.openSubaccount();
        if (amount > 0) fund(owner, id, amount);
    }

    function fund(address owner, uint64 id, uint256 amount) internal {
        fundWith(usdc, owner, id, amount);
    }

    /// @dev `amount` in token units.
    function fundWith(MockToken token, address owner, uint64 id, uint256 amount) internal {
        token.mint(owner, amount);
        vm.prank(owner);
        token.approve(address(custody), amount);
        vm.prank(owner);
        custody.deposit(id, address(token), amount);
    }

    function cashOf(uint64 id) internal view returns (int256 cash) {
        (, cash) = clearing.account(id);
    }

    function ownerOf(uint64 id) internal view override returns (address owner) {
        (owner,) = clearing.account(id);
    }

    function signatureOf(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    // ---- instruments and prices

    function option(uint64 underlying, uint64 expiry, uint64 cents, bool isPut)
        internal
        pure
        returns (uint64)
    {
        uint64 exponent = 0;
        for (; cents >= 1 << 20; cents /= 10) {
            exponent++;
        }
        return 1 << 60 | underlying << 51 | (expiry / 60) << 25 | exponent << 21 | cents << 1
            | (isPut ? 1 : 0);
    }

    function fixPrice(uint32 underlying, uint64 expiry, uint64 price) internal {
        DeliveryPrice memory delivery = DeliveryPrice(underlying, expiry, price, type(uint64).max);
        oracle.fixDeliveryPrice(delivery, unanimous(oracle.hashDeliveryPrice(delivery)));
    }

    function postFunding(uint64 instrument, uint64 ordinal, uint64 time, int64 index) internal {
        FundingIndex memory next = FundingIndex(instrument, ordinal, time, index);
        oracle.postFunding(next, quorum(oracle.hashFundingIndex(next)));
    }

    /// @dev Packed marks that have no mark but an index of 100,000.
    function indexOnly() internal pure returns (bytes memory) {
        return abi.encodePacked(MarksLib.indexId(1), int64(100_000e6));
    }

    /// @dev The next epoch, now, with risk rows under `root` and these packed marks.
    function postEpoch(bytes32 root, bytes memory marks) internal returns (uint64 epoch) {
        (epoch,,) = oracle.latestRiskRoot();
        postEpoch(++epoch, root, marks);
    }

    function postEpoch(uint64 epoch, bytes32 root, bytes memory marks) internal {
        uint64 now_ = uint64(block.timestamp);
        RiskRoot memory risk = RiskRoot(epoch, now_, root, marksRootOf(marks), now_);
        oracle.postRiskRoot(risk, marks, unanimous(oracle.hashRiskRoot(risk)));
    }

    function markLeaves(bytes memory marks) internal pure returns (bytes32[] memory level) {
        level = new bytes32[](marks.length / 16);
        for (uint256 i = 0; i < level.length; i++) {
            level[i] = keccak256(
                abi.encodePacked(bytes16(word(abi.encodePacked(marks, bytes16(0)), 16 * i)))
            );
        }
    }

    function marksRootOf(bytes memory marks) internal pure returns (bytes32) {
        return rootOf(markLeaves(marks));
    }

    /// @dev A proof of the marks at these places, which ascend: the slow twin of
    /// merkle_multiproof.
    function marksProof(bytes memory marks, uint256[] memory places)
        internal
        pure
        returns (MarksProof memory proof)
    {
        bytes32[] memory level = markLeaves(marks);
        proof.leafCount = uint32(level.length);
        bool[] memory known = new bool[](level.length);
        bytes memory padded = abi.encodePacked(marks, bytes16(0));
        for (uint256 i = 0; i < places.length; i++) {
            known[places[i]] = true;
            proof.marks = abi.encodePacked(proof.marks, bytes16(word(padded, 16 * places[i])));
            proof.places = abi.encodePacked(proof.places, uint16(places[i]));
        }
        for (; level.length > 1; level = parents(level)) {
            bool[] memory above = new bool[]((level.length + 1) / 2);
            for (uint256 i = 0; i < level.length; i++) {
                if (known[i]) above[i / 2] = true;
                uint256 sibling = i ^ 1;
                if (!known[i] && sibling < level.length && known[sibling]) {
                    proof.nodes = appended(proof.nodes, level[i]);
                }
            }
            known = above;
        }
    }

    function positionOf(uint64 id, uint64 instrument) internal view returns (Position memory) {
        uint64[] memory list = new uint64[](1);
        list[0] = instrument;
        (, Position[] memory found) = clearing.cashAndPositions(id, list);
        return found[0];
    }

    function quorum(bytes32 digest) internal pure returns (bytes[] memory signatures) {
        signatures = new bytes[](2);
        (uint256 low, uint256 high) = vm.addr(11) < vm.addr(12) ? (11, 12) : (12, 11);
        signatures[0] = signatureOf(low, digest);
        signatures[1] = signatureOf(high, digest);
    }

    function unanimous(bytes32 digest) internal pure returns (bytes[] memory signatures) {
        address[] memory list = new address[](3);
        (list[0], list[1], list[2]) = (vm.addr(11), vm.addr(12), vm.addr(13));
        list = sorted(list);
        signatures = new bytes[](3);
        for (uint256 i = 0; i < 3; i++) {
            for (uint256 key = 11; key < 14; key++) {
                if (vm.addr(key) == list[i]) signatures[i] = signatureOf(key, digest);
            }
        }
    }

    function sorted(address[] memory list) internal pure returns (address[] memory) {
        for (uint256 i = 1; i < list.length; i++) {
            for (uint256 j = i; j > 0 && list[j] < list[j - 1]; j--) {
                (list[j], list[j - 1]) = (list[j - 1], list[j]);
            }
        }
        return list;
    }

    // ---- orders

    function orderOf(uint64 id, uint8 side, uint64 quantity, int64 price, uint64 nonce)
        internal
        view
        returns (Order memory order)
    {
        (address owner,) = clearing.account(id);
        order.subaccountId = id;
        order.instrument = call;
        order.side = side;
        order.quantity = quantity;
        order.limitPrice = price;
        order.maxFee = 100 * USD;
        order.nonce = nonce;
        order.deadline = uint64(block.timestamp) + DAY;
        order.signer = owner;
    }

    function signed(Order memory order, uint256 key) internal view returns (SignedOrder memory) {
        return SignedOrder(order, signatureOf(key, clearing.hashOrder(order)));
    }

    // ---- quote sheets

    function signedSheet(uint64 id, uint64 nonce, bytes32 root, uint256 key)
        internal
        view
        returns (SignedSheet memory)
    {
        (address owner,) = clearing.account(id);
        QuoteSheet memory sheet = QuoteSheet(id, nonce, START + DAY, root, owner);
        return SignedSheet(sheet, signatureOf(key, clearing.hashQuoteSheet(sheet)));
    }

    function leaf(Order memory order, uint256 sheet, bytes32[] memory proof)
        internal
        pure
        returns (SignedOrder memory)
    {
        return SignedOrder(order, abi.encodePacked(sheet, proof));
    }

    function structHash(Order memory order) internal pure returns (bytes32) {
        return keccak256(abi.encode(OrderLib.ORDER_TYPEHASH, order));
    }

    /// @dev Sorted pairs; an odd node rises unchanged.
    function parents(bytes32[] memory level) internal pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; i++) {
            above[i] = 2 * i + 1 < level.length
                ? Hashes.commutativeKeccak256(level[2 * i], level[2 * i + 1])
                : level[2 * i];
        }
    }

    function rootOf(bytes32[] memory level) internal pure returns (bytes32) {
        while (level.length > 1) {
            level = parents(level);
        }
        return level[0];
    }

    function proofOf(bytes32[] memory level, uint256 place)
        internal
        pure
        returns (bytes32[] memory proof)
    {
        for (; level.length > 1; (level, place) = (parents(level), place / 2)) {
            if (place ^ 1 < level.length) proof = appended(proof, level[place ^ 1]);
        }
    }

    function appended(bytes32[] memory list, bytes32 item)
        internal
        pure
        returns (bytes32[] memory longer)
    {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; i++) {
            longer[i] = list[i];
        }
        longer[list.length] = item;
    }

    // ---- batches

    /// @dev A batch of the next place with room for so many items; the caller fills them in.
    function batchOf(uint256 orders, uint256 fills, uint256 payoffs, uint256 withdrawals)
        internal
        view
        returns (Batch memory batch)
    {
        (uint64 number, bytes32 hash, uint64 lastSeq) = clearing.lastBatch();
        batch.header = Header({
            number: number + 1,
            firstSeq: lastSeq + 1,
            lastSeq: lastSeq + 1000,
            riskEpoch: 0,
            previousHash: hash,
            journalHash: keccak256("journal"),
            stateRoot: keccak256("state")
        });
        batch.orders = new SignedOrder[](orders);
        batch.sheets = new SignedSheet[](0);
        batch.combos = new Leg[][](0);
        batch.fundings = new Funding[](0);
        batch.fills = new Fill[](fills);
        batch.payoffs = new Payoff[](payoffs);
        batch.withdrawals = new Withdraw[](withdrawals);
        batch.interests = new Interest[](0);
    }

    /// @dev Maker is order 0, taker is order 1, no fees.
    function fillOf(uint64 quantity, int64 price) internal view returns (Fill memory fill) {
        fill.time = uint32(block.timestamp);
        fill.taker = 1;
        fill.quantity = quantity;
        fill.price = price;
    }

    /// @dev One fill: alice bids as maker, bob sells as taker.
    function tradeOf(Order memory maker, Order memory taker, uint64 quantity, int64 price)
        internal
        view
        returns (Batch memory batch)
    {
        batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(maker, ALICE_KEY);
        batch.orders[1] = signed(taker, BOB_KEY);
        batch.fills[0] = fillOf(quantity, price);
    }

    /// @dev The same of anybody; orders ascend by subaccount.
    function tradeOf(
        Order memory maker,
        uint256 makerKey,
        Order memory taker,
        uint256 takerKey,
        uint64 quantity,
        int64 price
    ) internal view returns (Batch memory batch) {
        if (maker.subaccountId > taker.subaccountId) {
            return tradeOf(taker, takerKey, maker, makerKey, quantity, price);
        }
        batch = batchOf(2, 1, 0, 0);
        batch.orders[0] = signed(maker, makerKey);
        batch.orders[1] = signed(taker, takerKey);
        batch.fills[0] = fillOf(quantity, price);
    }

    /// @dev Alice buys `quantity` of `instrument` from bob with fresh nonces.
    function trade(uint64 instrument, uint64 quantity, int64 price, uint64 nonce) internal {
        Order memory maker = orderOf(alice, BUY, quantity, price, nonce);
        Order memory taker = orderOf(bob, SELL, quantity, price, nonce);
        (maker.instrument, taker.instrument) = (instrument, instrument);
        settle(tradeOf(maker, taker, quantity, price));
    }

    function withdrawOf(uint64 id, uint256 key, uint256 amount, uint64 nonce)
        internal
        view
        returns (Withdraw memory request)
    {
        (address owner,) = clearing.account(id);
        Withdrawal memory w = Withdrawal({
            subaccountId: id,
            token: address(usdc),
            amount: amount,
            recipient: owner,
            nonce: nonce,
            deadline: uint64(block.timestamp) + DAY,
            signer: owner
        });
        request = resigned(w, key);
    }

    function resigned(Withdrawal memory w, uint256 key)
        internal
        view
        returns (Withdraw memory request)
    {
        request.time = uint32(block.timestamp);
        request.withdrawal = w;
        request.signature = signatureOf(key, clearing.hashWithdrawal(w));
    }

    /// @dev The same to another subaccount.
    function transferOf(uint64 id, uint64 to, uint256 key, uint256 amount, uint64 nonce)
        internal
        view
        returns (Withdraw memory request)
    {
        request = withdrawOf(id, key, amount, nonce);
        request.withdrawal.recipient = address(0);
        return redirected(request.withdrawal, to, key);
    }

    function redirected(Withdrawal memory w, uint64 to, uint256 key)
        internal
        view
        returns (Withdraw memory request)
    {
        request.time = uint32(block.timestamp);
        request.toSubaccountId = to;
        request.withdrawal = w;
        bytes32 digest =
            MessageHashUtils.toTypedDataHash(clearing.DOMAIN_SEPARATOR(), this.transferHash(w, to));
        request.signature = signatureOf(key, digest);
    }

    function transferHash(Withdrawal calldata w, uint64 to) external pure returns (bytes32) {
        return OrderLib.hashTo(w, to);
    }

    function withdrawBatch(Withdraw memory request) internal view returns (Batch memory batch) {
        batch = batchOf(0, 0, 0, 1);
        batch.withdrawals[0] = request;
    }

    function settle(Batch memory batch) internal {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(relayer);
        clearing.settle(calldata_);
    }

    /// @dev The next settle must be refused with this error, whatever its arguments.
    function refused(Batch memory batch, bytes4 selector) internal {
        PackedBatch memory calldata_ = packed(batch);
        vm.prank(relayer);
        vm.expectPartialRevert(selector);
        clearing.settle(calldata_);
    }
}
