// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    Funding,
    Interest,
    Order,
    Payoff,
    Position,
    QuoteSheet,
    SignedSheet,
    Withdraw,
    Withdrawal
} from "../src/interfaces/IClearing.sol";
import {TokenRules} from "../src/interfaces/ICustody.sol";
import {ExitRequest} from "../src/interfaces/IExits.sol";
import {MarginProof} from "../src/interfaces/IMargin.sol";
import {MockToken} from "../src/mocks/MockToken.sol";
import {ClearingTest} from "./ClearingTest.sol";
import {Batch} from "./Codec.sol";

/// @dev Random but always lawful actions of owners, relayer and oracle, with ghost sums of what
/// they did.
contract Handler is ClearingTest {
    uint256 internal constant ACTORS = 4;
    uint64 internal constant WEEK = 7 * DAY;

    uint64[ACTORS] public ids;
    uint64[ACTORS] public nonces;
    uint64[] public instruments;
    mapping(uint64 instrument => bool) internal known;
    mapping(uint64 expiry => bool) public fixedAt;

    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public settled;
    uint256 public trades;
    uint256 public quotes;
    uint256 public payoffs;
    uint256 public transfers;
    uint256 public charges;
    uint256 public exits;
    uint64 public ordinal;
    int64 internal lastIndex;
    bool public settledTwice;
    bool public floorFell;
    bool public sheetWentBack;
    uint64[ACTORS] public others;
    uint64[ACTORS] internal otherNonces;
    uint64 internal lastCharge = START;
    uint64[ACTORS] internal floors;
    uint64[ACTORS] internal sheets;
    uint256[ACTORS] internal keyGeneration;
    MockToken public ether_;
    uint256 public etherIn; // ledger units
    uint256 public etherOut;
    uint256 public cancels;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < ACTORS; i++) {
            ids[i] = open(vm.addr(ownerKey(i)), 0);
        }
        deposited = 2_000_000 * USD; // alice and bob of the base
        ether_ = new MockToken("Wrapped Ether", "WETH", 18);
        uint80 none = type(uint80).max;
        custody.setRules(address(ether_), TokenRules(true, none, none, none));
    }

    // ---- actions

    function deposit(uint256 who, uint256 amount) public {
        amount = bound(amount, 1, 1_000_000 * USD);
        who %= ACTORS;
        fund(vm.addr(ownerKey(who)), ids[who], amount);
        deposited += amount;
    }

    function depositEther(uint256 who, uint256 amount) public {
        amount = bound(amount, 1e10, 1e24);
        who %= ACTORS;
        fundWith(ether_, vm.addr(ownerKey(who)), ids[who], amount);
        etherIn += amount / 1e10;
    }

    function withdrawEther(uint256 who, uint256 amount) public {
        who %= ACTORS;
        uint256 held = clearing.collateralOf(ids[who], address(ether_));
        if (held == 0) return;
        Batch memory batch = batchOf(0, 0, 0, 1);
        Withdraw memory request =
            withdrawOf(ids[who], ownerKey(who), bound(amount, 1, held), nonces[who]++);
        request.withdrawal.token = address(ether_);
        batch.withdrawals[0] = resigned(request.withdrawal, ownerKey(who));
        settleOnce(batch);
        etherOut += request.withdrawal.amount;
    }

    function trade(uint256 buyer, uint256 seller, uint256 which, uint256 quantity, uint256 ticks)
        public
    {
        (buyer, seller) = (buyer % ACTORS, seller % ACTORS);
        uint64 q = uint64(bound(quantity, 1, 100 * ONE));
        int64 price = int64(uint64(bound(ticks, 0, 1e6) * 1e4));
        Batch memory batch = batchOf(2, 1, 0, 0);
        (batch.orders[0].order, batch.orders[1].order) =
        (freshOrder(buyer, BUY, which, q, price), freshOrder(seller, SELL, which, q, price));
        batch.orders[0] = signed(batch.orders[0].order, tradingKey(buyer));
        batch.orders[1] = signed(batch.orders[1].order, tradingKey(seller));
        batch.fills[0] = fillOf(q, price);
        batch.fills[0].makerFee = uint64(q / 100);
        settleOnce(batch);
        trades++;
    }

    /// @dev The buyer's order is one of three leaves of a fresh sheet.
    function quote(uint256 buyer, uint256 seller, uint256 which, uint256 quantity) public {
        (buyer, seller) = (buyer % ACTORS, seller % ACTORS);
        uint64 q = uint64(bound(quantity, 1, 100 * ONE));
        Batch memory batch = batchOf(2, 1, 0, 0);
        Order[] memory orders = new Order[](3);
        bytes32[] memory tree = new bytes32[](3);
        for (uint256 i = 0; i < 3; i++) {
            orders[i] = freshOrder(buyer, BUY, which, q, int64(uint64(i + 1) * 1e4));
            orders[i].deadline = START + 1000 * DAY;
            tree[i] = structHash(orders[i]);
        }
        QuoteSheet memory sheet = QuoteSheet({
            subaccountId: ids[buyer],
            sheetNonce: ++sheets[buyer],
            deadline: START + 1000 * DAY,
            root: rootOf(tree),
            signer: orders[0].signer
        });
        bytes memory signature = signatureOf(tradingKey(buyer), clearing.hashQuoteSheet(sheet));
        batch.sheets = new SignedSheet[](1);
        batch.sheets[0] = SignedSheet(sheet, signature);
        batch.orders[0] = leaf(orders[which % 3], 0, proofOf(tree, which % 3));
        Order memory other = freshOrder(seller, SELL, which, q, 1e4);
        batch.orders[1] = signed(other, tradingKey(seller));
        batch.fills[0] = fillOf(q, 1e4);
        settleOnce(batch);
        quotes++;
        for (uint256 i = 0; i < ACTORS; i++) {
            if (clearing.sheetNonce(ids[i]) != sheets[i]) sheetWentBack = true;
        }
    }

    function withdraw(uint256 who, uint256 amount) public {
        who %= ACTORS;
        int256 cash = cashOf(ids[who]);
        Batch memory batch = batchOf(0, 0, 0, cash > 0 ? 1 : 0);
        if (cash > 0) {
            amount = bound(amount, 1, uint256(cash));
            batch.withdrawals[0] = withdrawOf(ids[who], ownerKey(who), amount, nonces[who]++);
        }
        uint256 before = usdc.balanceOf(address(custody));
        settleOnce(batch);
        withdrawn += before - usdc.balanceOf(address(custody));
    }

    /// @dev To a second subaccount of the same owner, which is opened for it, or back.
    function transfer(uint256 who, uint256 amount, bool back) public {
        who %= ACTORS;
        if (others[who] == 0) others[who] = open(vm.addr(ownerKey(who)), 0);
        (uint64 from, uint64 to) = back ? (others[who], ids[who]) : (ids[who], others[who]);
        int256 cash = cashOf(from);
        if (cash <= 0) {
            uint256 missing = uint256(1000 - cash);
            fund(vm.addr(ownerKey(who)), from, missing);
            (cash, deposited) = (1000, deposited + missing);
        }
        amount = bound(amount, 1, uint256(cash));
        uint64 nonce = back ? ++otherNonces[who] : nonces[who]++;
        settleOnce(withdrawBatch(transferOf(from, to, ownerKey(who), amount, nonce)));
        transfers++;
    }

    /// @dev Every debtor pays as much as is allowed of what it owes.
    function charge() public {
        Batch memory batch = batchOf(0, 0, 0, 0);
        uint64 now_ = uint64(block.timestamp);
        if (now_ == lastCharge) return;
        batch.interests = new Interest[](ACTORS);
        uint256 count;
        for (uint256 i = 0; i < ACTORS; i++) {
            int256 cash = cashOf(ids[i]);
            if (cash >= 0) continue;
            uint256 amount = uint256(-cash) * (now_ - lastCharge) / (2 * 365 days);
            batch.interests[count++] = Interest(0, uint32(now_), ids[i], amount);
        }
        Interest[] memory interests = batch.interests;
        assembly ("memory-safe") {
            mstore(interests, count) // the rest stays unused
        }
        if (count > 0) lastCharge = now_;
        settleOnce(batch);
        charges++;
    }

    function requestExit(uint256 who, uint256 amount) public {
        who %= ACTORS;
        int256 cash = cashOf(ids[who]);
        if (cash <= 0 || clearing.exitOf(ids[who]).requestedAt != 0) return;
        address owner = vm.addr(ownerKey(who));
        amount = bound(amount, 1, uint256(cash));
        vm.prank(owner);
        clearing.requestExit(ids[who], address(usdc), amount, owner);
    }

    /// @dev The operator pays some of a request in a batch; or later anybody all of it, where there
    /// is no position.
    function payExit(uint256 who, uint256 amount) public watchingFloors {
        who %= ACTORS;
        ExitRequest memory open_ = clearing.exitOf(ids[who]);
        int256 cash = cashOf(ids[who]);
        if (open_.requestedAt == 0 || cash <= 0) return;
        uint256 most = open_.amount < uint256(cash) ? open_.amount : uint256(cash);
        if (block.timestamp <= open_.requestedAt + clearing.PAY_WINDOW()) {
            payInBatch(ids[who], bound(amount, 1, most));
            return;
        }
        (, uint256 positions,) = clearing.holdings(ids[who], new uint64[](0));
        if (positions != 0) return;
        uint256 from = open_.requestedAt + DAY + clearing.PAY_WINDOW() + 1;
        if (block.timestamp < from) vm.warp(from);
        uint256 before = usdc.balanceOf(address(custody));
        MarginProof memory none;
        clearing.serveExit(ids[who], most, none);
        withdrawn += before - usdc.balanceOf(address(custody));
        exits++;
    }

    /// @dev A new account asks and is paid.
    function exitNow() public {
        uint64 id = open(vm.addr(ownerKey(0)), 100);
        deposited += 100;
        vm.prank(vm.addr(ownerKey(0)));
        clearing.requestExit(id, address(usdc), 100, vm.addr(ownerKey(0)));
        payInBatch(id, 60);
    }

    function payInBatch(uint64 id, uint256 amount) internal {
        ExitRequest memory open_ = clearing.exitOf(id);
        uint256 before = usdc.balanceOf(address(custody));
        Batch memory batch = batchOf(0, 0, 0, 1);
        batch.withdrawals[0].time = uint32(block.timestamp);
        batch.withdrawals[0].withdrawal =
            Withdrawal(id, open_.token, amount, open_.recipient, open_.ordinal, 0, address(0));
        settleOnce(batch);
        withdrawn += before - usdc.balanceOf(address(custody));
        exits++;
    }

    /// @dev The end: nobody posted a mark, so what is not delivered is worth what the index, which
    /// is missing too, makes of it; everybody claims.
    function end() public {
        vm.prank(aliceAddress); // who only watched
        clearing.requestExit(alice, address(usdc), 1, aliceAddress);
        vm.warp(block.timestamp + clearing.EXIT_DEADLINE() + 1);
        clearing.startEscape(alice);
        vm.warp(block.timestamp + clearing.PRICE_WINDOW() + 1);
        clearing.fixMissing(instruments);
        uint64 count = clearing.subaccountCount();
        uint64[][] memory lists = new uint64[][](count);
        for (uint256 i = 0; i < count; i++) {
            lists[i] = instruments;
        }
        clearing.value(1, lists);
        for (uint64 id = count; id > 0; id--) {
            if (clearing.claimable(id, address(usdc)) == 0) continue;
            address owner = ownerOf(id);
            vm.prank(owner);
            clearing.claim(id, address(usdc), owner);
        }
    }

    /// @dev Pays one holder only: the others may wait for ever.
    function payOff(uint256 who, uint256 which) public {
        if (instruments.length == 0) return;
        which %= instruments.length;
        uint64 instrument = instruments[which];
        if (instrument == perpetual) instrument = instruments[(which + 1) % instruments.length];
        uint64 expiry = expiryOf(instrument);
        if (instrument == perpetual) return;
        if (block.timestamp < expiry) vm.warp(expiry);
        if (!fixedAt[expiry]) fixPrice(1, expiry, uint64(95_000 + which % 10_000) * USD);
        fixedAt[expiry] = true;
        Batch memory batch = batchOf(0, 0, 1, 0);
        batch.payoffs[0] = Payoff(0, ids[who % ACTORS], instrument);
        settleOnce(batch);
        payoffs++;
    }

    function realise(uint256 who, uint256 which) public {
        if (instruments.length == 0) return;
        uint64[] memory list = new uint64[](1);
        list[0] = instruments[which % instruments.length];
        if (!fixedAt[expiryOf(list[0])] || block.timestamp <= expiryOf(list[0]) + DAY) return;
        clearing.realise(ids[who % ACTORS], list);
    }

    /// @dev The perpetual's index moves, and the next batch refers to it.
    function accrue(int256 quanta) public {
        lastIndex += int64(quanta % 10) * 1e4;
        postFunding(perpetual, ++ordinal, uint64(block.timestamp), lastIndex);
        Batch memory batch = batchOf(0, 0, 0, 0);
        batch.fundings = new Funding[](1);
        batch.fundings[0] = Funding(perpetual, ordinal);
        settleOnce(batch);
    }

    function raiseFloor(uint256 who) public watchingFloors {
        who %= ACTORS;
        (, uint64 next,) = clearing.nonceFloor(ids[who]);
        if (nonces[who] <= next) return;
        vm.prank(vm.addr(ownerKey(who)));
        clearing.raiseNonceFloor(ids[who], nonces[who]);
    }

    function setSessionKey(uint256 who, uint256 deadline) public {
        who %= ACTORS;
        vm.prank(vm.addr(ownerKey(who)));
        uint64 until = uint64(bound(deadline, 0, START * 2));
        clearing.setSessionKey(vm.addr(sessionKey(who)), until);
        if (until == 0) keyGeneration[who]++; // a revoked key comes never back
    }

    /// @dev A nonce that nobody used; the owner's next orders skip it.
    function cancelNonce(uint256 who) public {
        who %= ACTORS;
        vm.prank(vm.addr(ownerKey(who)));
        clearing.cancelNonce(ids[who], nonces[who]++);
        cancels++;
    }

    /// @dev The owner's next sheet is at the floor.
    function raiseSheetFloor(uint256 who) public {
        who %= ACTORS;
        (, uint64 next,) = clearing.sheetFloor(ids[who]);
        if (sheets[who] + 1 <= next) return;
        vm.prank(vm.addr(ownerKey(who)));
        clearing.raiseSheetFloor(ids[who], sheets[who] + 1);
    }

    function pass(uint256 seconds_) public watchingFloors {
        vm.warp(block.timestamp + bound(seconds_, 0, 2 * DAY));
    }

    // ---- inside

    modifier watchingFloors() {
        _;
        for (uint256 i = 0; i < ACTORS; i++) {
            (uint64 current, uint64 next, uint64 effectiveAt) = clearing.nonceFloor(ids[i]);
            uint64 floor = block.timestamp < effectiveAt ? current : next;
            if (floor < floors[i]) floorFell = true;
            floors[i] = floor;
        }
    }

    /// @dev Settles, then tries the same batch once more.
    function settleOnce(Batch memory batch) internal {
        settle(batch);
        settled++;
        vm.prank(relayer);
        try clearing.settle(packed(batch)) {
            settledTwice = true;
        } catch {}
    }

    function freshOrder(uint256 who, uint8 side, uint256 which, uint64 quantity, int64 price)
        internal
        returns (Order memory order)
    {
        order = orderOf(ids[who], side, quantity, price, nonces[who]++);
        order.instrument = liveInstrument(which);
        order.signer = vm.addr(tradingKey(who));
    }

    /// @dev One of four options: this week's or next week's, call or put; or a future, or the
    /// perpetual.
    function liveInstrument(uint256 which) internal returns (uint64 instrument) {
        uint64 weeks_ = (uint64(block.timestamp) - START) / WEEK + 1 + uint64(which % 2);
        uint64 expiry = START + weeks_ * WEEK;
        if (which % 8 == 6) instrument = perpetual;
        else if (which % 8 == 7) instrument = uint64(3 << 60 | 1 << 51) | (expiry / 60) << 25;
        else instrument = option(1, expiry, 100_000_00, which % 4 > 1);
        if (!known[instrument]) instruments.push(instrument);
        known[instrument] = true;
    }

    function tradingKey(uint256 who) internal view returns (uint256) {
        address key = vm.addr(sessionKey(who));
        uint64 now_ = uint64(block.timestamp);
        bool allowed = clearing.sessionKeyDeadline(vm.addr(ownerKey(who)), key, now_) >= now_;
        return allowed ? sessionKey(who) : ownerKey(who);
    }

    function ownerKey(uint256 who) internal pure returns (uint256) {
        return 100 + who;
    }

    function sessionKey(uint256 who) internal view returns (uint256) {
        return 200 + who + ACTORS * keyGeneration[who];
    }

    // ---- sums over everybody

    function expiryOf(uint64 instrument) public pure returns (uint64) {
        return (instrument >> 25 & 0x3ff_ffff) * 60;
    }

    function instrumentCount() external view returns (uint256) {
        return instruments.length;
    }

    /// @dev Whether the contract counts the positions of everybody right.
    function positionsAreCounted() external view returns (bool) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            (, uint256 count, int256[] memory held) = clearing.holdings(id, instruments);
            for (uint256 i = 0; i < held.length; i++) {
                if (held[i] != 0) count--;
            }
            if (count != 0) return false;
        }
        return true;
    }

    function netPosition(uint64 instrument) public view returns (int256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += clearing.position(id, instrument);
        }
    }

    /// @dev Of the token besides USDC, in ledger units.
    function etherTotal() external view returns (uint256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += clearing.collateralOf(id, address(ether_));
        }
        for (uint256 i = 0; i < ACTORS; i++) {
            sum += custody.heldFor(address(ether_), vm.addr(ownerKey(i)));
        }
    }

    /// @dev What Custody counts and holds of the token, in ledger units.
    function etherBalance() external view returns (uint256 counted, uint256 held) {
        counted = custody.total(address(ether_));
        held = ether_.balanceOf(address(custody)) / custody.unit(address(ether_));
    }

    function cashTotal() external view returns (int256 sum) {
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            sum += cashOf(id);
        }
    }

    /// @dev What expired positions will still bring and cost.
    function unpaidPayoffs() external view returns (int256 sum) {
        for (uint256 i = 0; i < instruments.length; i++) {
            if (!fixedAt[expiryOf(instruments[i])]) continue;
            for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
                sum += clearing.previewPayoff(id, instruments[i]);
            }
        }
    }

    /// @dev What positions that still trade cost and owe in funding.
    function owedTotal() external view returns (int256 sum) {
        (, int64 index) = clearing.funding(perpetual);
        for (uint64 id = 1; id <= clearing.subaccountCount(); id++) {
            (, Position[] memory held) = clearing.cashAndPositions(id, instruments);
            for (uint256 i = 0; i < held.length; i++) {
                if (held[i].quantity == 0 || fixedAt[expiryOf(instruments[i])]) continue;
                sum += held[i].cost;
                if (instruments[i] != perpetual) continue;
                sum += int256(held[i].quantity) * (index - held[i].fundingIndex) / 1e4;
            }
        }
    }

    function heldTotal() external view returns (int256 sum) {
        for (uint256 i = 0; i < ACTORS; i++) {
            sum += int256(custody.heldFor(address(usdc), vm.addr(ownerKey(i))));
        }
    }

    function tokenBalance() external view returns (uint256) {
        return usdc.balanceOf(address(custody));
    }

    function batchNumber() external view returns (uint64 number) {
        (number,,) = clearing.lastBatch();
    }
}
