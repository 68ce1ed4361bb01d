// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {Books} from "./Books.sol";
import {Batch, Funding, Leg, QuoteSheet, SignedSheet} from "./interfaces/IClearing.sol";
import {BandLib, BandsNow} from "./libraries/BandLib.sol";
import {ComboLib} from "./libraries/ComboLib.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {KeyLib, KeyUse} from "./libraries/KeyLib.sol";
import {
    AccountNow,
    ComboNow,
    FilledNow,
    Ledger,
    LedgerLib,
    OrderNow,
    PositionNow
} from "./libraries/LedgerLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";
import {PackedLib} from "./libraries/PackedLib.sol";
import {SheetLib} from "./libraries/SheetLib.sol";

/// @title Fills: signed orders and what their fills move
/// @dev Loads a batch's orders into memory, each verified once, and moves fills there; Settler
/// runs them in `seq` order and stores the outcome. Nothing here moves an account without a
/// signature that is good for it, or creates cash or positions.
abstract contract Fills is Books {
    using BandLib for BandsNow;
    using DelayedLib for Delayed;
    using KeyLib for KeyUse;
    using KeyLib for uint64;
    using LedgerLib for AccountNow;
    using OrderLib for QuoteSheet;
    using PackedLib for bytes;
    using PackedLib for uint256;

    /// @dev One batch under way.
    struct Run {
        Ledger ledger;
        OrderNow[] orders;
        bytes32 domain; // of EIP-712
        uint256 cursor; // in the batch's tails
        Leg[][] legs; // by combo
        uint256[] legsHashes; // by combo
        uint256[] touched; // combo orders that the command under way fills
        uint256 touchedCount;
        BandsNow bands; // zero where none are in force
        Delayed always; // the owner's authority
        PositionNow noPosition; // of combo orders
        ComboNow noCombo; // of plain orders
        uint256 seqOffset;
        uint256 seqOffsetMax;
        uint256 time;
        uint256 checkedTime; // 0: none was
        uint256 pausedFrom; // from when on fills only reduce; never: the largest number
        uint256 nextPayoff;
        uint256 nextWithdrawal;
        uint256 nextInterest;
        uint256 nextOtherSeq; // where the next item that is no fill is
    }

    /// @notice Seconds by which a fill's time may be ahead of the block's.
    uint256 public constant MAX_CLOCK_SKEW = 60;
    int256 internal constant TICK = 1e4;
    uint256 private constant KEY_SHIFT = 112; // above it: subaccountId, nonce, version
    uint256 private constant NONCE_SHIFT = 128;
    uint256 private constant SUBACCOUNT_SHIFT = 192;

    // ---- bring into memory

    function _load(Batch calldata batch) internal returns (Run memory run) {
        bytes calldata orders = batch.orders;
        uint256 count = orders.length / PackedLib.ORDER_SIZE;
        if (orders.length != count * PackedLib.ORDER_SIZE) revert Malformed();
        uint256 legFills =
            batch.combos.length == 0 ? 0 : 2 * (batch.fills.length / PackedLib.FILL_SIZE);
        run.ledger = LedgerLib.create(
            1 + count + batch.payoffs.length + 2 * batch.withdrawals.length
                + batch.interests.length,
            count + batch.payoffs.length + legFills
        );
        run.orders = LedgerLib.emptyOrders(count);
        run.domain = _domainSeparatorV4();
        run.always = Delayed(type(uint64).max, type(uint64).max, 0, 0);
        Pause memory pause = _pause;
        run.pausedFrom = block.timestamp < pause.until ? pause.from : NOT_LOADED;

        if (batch.fills.length != 0 && _priceBands.optionRate != 0) {
            run.bands = BandLib.load(_priceBands, ORACLE, batch.header.riskEpoch, batch.marks);
        }
        _applyFundings(batch.fundings);
        _loadAccount(run.ledger, FEE_ACCOUNT); // always at place 0
        _loadCombos(run, batch.combos, count);
        SignedSheet[] calldata sheets = batch.sheets;
        for (uint256 i = 0; i < sheets.length; i++) {
            QuoteSheet calldata sheet = sheets[i].sheet;
            _requireSignature(sheet.hash(), sheet.signer, sheets[i].signature);
        }
        bytes calldata tails = batch.tails;
        for (uint256 i = 0; i < count; i++) {
            if (orders.isForced(i)) _loadForced(run, orders, i);
            else _loadOrder(run, orders, tails, sheets, i);
        }
        if (run.cursor != tails.length) revert Malformed();
    }

    /// @dev Before the first fill: so every position of the batch sees one index.
    function _applyFundings(Funding[] calldata fundings) private {
        for (uint256 i = 0; i < fundings.length; i++) {
            (uint64 instrument, uint64 ordinal) = (fundings[i].instrument, fundings[i].ordinal);
            if (ordinal <= _fundings[instrument].ordinal) revert FundingNotNewer(instrument);
            int64 index = ORACLE.fundingIndex(instrument, ordinal);
            _fundings[instrument] = FundingInForce(ordinal, index);
            emit FundingApplied(instrument, ordinal, index);
        }
    }

    function _loadCombos(Run memory run, Leg[][] calldata combos, uint256 orders) private pure {
        if (combos.length == 0) return;
        run.legs = new Leg[][](combos.length);
        run.legsHashes = new uint256[](combos.length);
        run.touched = new uint256[](orders);
        for (uint256 i = 0; i < combos.length; i++) {
            Leg[] memory legs = combos[i];
            if (!ComboLib.isCanonical(legs)) revert InvalidCombo(i);
            (run.legs[i], run.legsHashes[i]) = (legs, ComboLib.hash(legs));
        }
    }

    /// @dev Everything about an order that no fill can change is checked here, once.
    function _loadOrder(
        Run memory run,
        bytes calldata orders,
        bytes calldata tails,
        SignedSheet[] calldata sheets,
        uint256 i
    ) private view {
        (uint256 head, uint256 terms) = orders.record(i, PackedLib.ORDER_SIZE);
        uint256 before = i == 0 ? 0 : run.orders[i - 1].head;
        if (head >> KEY_SHIFT < before >> KEY_SHIFT) revert OrdersNotSorted(i);
        bool sameAccount = i != 0 && head >> SUBACCOUNT_SHIFT == before >> SUBACCOUNT_SHIFT;
        AccountNow memory account =
            sameAccount ? run.orders[i - 1].account : _loadAccount(run.ledger, head.subaccountOf());

        uint256 instrument = head.has(PackedLib.IS_COMBO)
            ? _legsHash(run, terms, i)
            : InstrumentLib.toListed(terms.instrumentOf());
        address usual = sameAccount ? run.orders[i - 1].signer : account.owner;
        (address signer, uint256 sheet) =
            _verify(run, tails, sheets, i, _Signed(head, terms, instrument, usual));
        if (sheet != 0 && account.sheets == NOT_LOADED) {
            account.sheets = _sheets[account.id];
            account.sheet = SheetLib.highest(account.sheets);
        }
        run.orders[i] = OrderNow({
            account: account,
            position: head.has(PackedLib.IS_COMBO)
                ? run.noPosition
                : _loadPosition(run.ledger, account.id, uint64(instrument)),
            filled: i != 0 && head >> NONCE_SHIFT == before >> NONCE_SHIFT
                ? _sharedFilled(run.orders[i - 1], i)
                : _loadFilled(account.id, head.nonceOf(), i),
            combo: head.has(PackedLib.IS_COMBO) ? _comboOf(run, terms) : run.noCombo,
            authority: sameAccount && signer == usual
                ? run.orders[i - 1].authority
                : _authorityOf(run, account.owner, signer),
            signer: signer,
            head: head,
            terms: terms,
            sheet: sheet
        });
    }

    /// @dev An order of a liquidation: instead of a signature, a proof that its account is below
    /// maintenance; the fund, whose positions are the venue's, needs none. It leaves no trace: the
    /// same may come again as long as the proof allows it, and there is something to reduce.
    function _loadForced(Run memory run, bytes calldata orders, uint256 i) private view {
        (uint256 head, uint256 terms) = orders.record(i, PackedLib.ORDER_SIZE);
        uint256 before = i == 0 ? 0 : run.orders[i - 1].head;
        if (head >> KEY_SHIFT < before >> KEY_SHIFT) revert OrdersNotSorted(i);
        uint256 others =
            PackedLib.IS_LEAF | PackedLib.IS_COMBO | PackedLib.HAS_TRIGGER | PackedLib.HAS_SIGNER;
        bool proper = head & others == 0 && head.has(PackedLib.REDUCE_ONLY)
            && head.nonceOf() == type(uint64).max;
        if (!proper) revert NotForced(i);
        AccountNow memory account = _loadAccount(run.ledger, head.subaccountOf());
        FilledNow memory uncounted;
        uncounted.first = NOT_LOADED;
        run.orders[i] = OrderNow({
            account: account,
            position: _loadPosition(
                run.ledger, account.id, InstrumentLib.toListed(terms.instrumentOf())
            ),
            filled: uncounted,
            combo: run.noCombo,
            authority: account.id == _fundId() ? run.always : _force(account.id),
            signer: account.owner,
            head: head,
            terms: terms,
            sheet: 0
        });
    }

    /// @dev By the journal's clock, as everything about a fill.
    function _force(uint64 subaccountId) private view returns (Delayed memory) {
        (uint64 until,,) = _liquidations.forceOf(subaccountId);
        return Delayed(until, until, 0, 0);
    }

    /// @dev What an order's signer signed, for `_verify`.
    struct _Signed {
        uint256 head;
        uint256 terms;
        uint256 instrument;
        address usual; // its signer where the tail names none
    }

    /// @dev Reads the order's tail. A signature is 65 bytes, low s, v 27 or 28, signer not zero:
    /// OpenZeppelin refuses the rest.
    /// @return signer whose signature is good, by itself or under a sheet
    /// @return sheet nonce of the leaf's sheet; 0 of an order signed by itself
    function _verify(
        Run memory run,
        bytes calldata tails,
        SignedSheet[] calldata sheets,
        uint256 i,
        _Signed memory order
    ) private pure returns (address signer, uint256 sheet) {
        uint256 cursor = run.cursor;
        (uint256 head, bytes32 trigger) = (order.head, 0);
        if (head.has(PackedLib.HAS_SIGNER)) {
            signer = address(uint160(tails.tail(cursor) >> 96));
            cursor += 20;
        }
        if (head.has(PackedLib.HAS_TRIGGER)) {
            trigger = bytes32(tails.tail(cursor));
            cursor += 32;
        }
        if (head.has(PackedLib.IS_LEAF)) {
            uint256 place = tails.tail(cursor) >> 240;
            if (place >= sheets.length) revert UnknownSheet(i);
            QuoteSheet calldata signed = sheets[place].sheet;
            if (!head.has(PackedLib.HAS_SIGNER)) signer = signed.signer;
            bytes32 leaf = head.structHash(order.terms, order.instrument, trigger, signer);
            (bytes32 root, uint256 end) = _rootOf(leaf, tails, cursor + 2);
            bool covered = root == signed.root && signer == signed.signer
                && head.subaccountOf() == signed.subaccountId
                && head.deadlineOf() == signed.deadline;
            if (!covered) revert NotInSheet(i);
            sheet = signed.sheetNonce;
            if (sheet == 0) revert StaleSheet(i);
            cursor = end;
        } else {
            if (!head.has(PackedLib.HAS_SIGNER)) signer = order.usual;
            bytes32 digest = MessageHashUtils.toTypedDataHash(
                run.domain, head.structHash(order.terms, order.instrument, trigger, signer)
            );
            (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecover(
                digest,
                uint8(tails.tail(cursor + 64) >> 248),
                bytes32(tails.tail(cursor)),
                bytes32(tails.tail(cursor + 32))
            );
            if (fault != ECDSA.RecoverError.NoError || recovered != signer) {
                revert InvalidSignature(digest);
            }
            cursor += 65;
        }
        run.cursor = cursor;
    }

    /// @dev A leaf hashes 416 bytes and a node 64, so no node can pass for an order.
    function _rootOf(bytes32 leaf, bytes calldata tails, uint256 cursor)
        private
        pure
        returns (bytes32 root, uint256 end)
    {
        uint256 depth = tails.tail(cursor++) >> 248;
        root = leaf;
        end = cursor + 32 * depth;
        for (; cursor < end; cursor += 32) {
            root = Hashes.commutativeKeccak256(root, bytes32(tails.tail(cursor)));
        }
    }

    function _authorityOf(Run memory run, address owner, address signer)
        private
        view
        returns (Delayed memory)
    {
        if (signer == owner) return run.always;
        return _sessionKeys[owner][signer];
    }

    function _legsHash(Run memory run, uint256 terms, uint256 i) private pure returns (uint256) {
        uint256 place = terms.instrumentOf();
        if (place >= run.legsHashes.length) revert UnknownCombo(i);
        return run.legsHashes[place];
    }

    function _comboOf(Run memory run, uint256 terms) private pure returns (ComboNow memory) {
        Leg[] memory legs = run.legs[terms.instrumentOf()];
        return ComboNow(legs, new uint256[](legs.length), 0, 0, false);
    }

    /// @dev Of the order before, with the same nonce. What forced orders fill is not counted, so
    /// they come last.
    function _sharedFilled(OrderNow memory before, uint256 i)
        private
        pure
        returns (FilledNow memory)
    {
        if (before.head.has(PackedLib.IS_FORCED)) revert OrdersNotSorted(i);
        return before.filled;
    }

    function _loadFilled(uint64 subaccountId, uint64 nonce, uint256 i)
        private
        view
        returns (FilledNow memory state)
    {
        uint256 marks = _orderMarks[subaccountId][OrderStateLib.windowOf(nonce)];
        marks = OrderStateLib.marksOf(marks, nonce);
        state.first = i;
        if (marks == 0) return state;
        if (marks == OrderStateLib.DONE) {
            state.filled = NOT_LOADED >> 1; // any fill is too much
        } else {
            uint256 word = _orderStates[subaccountId][OrderStateLib.slotOf(nonce)];
            (state.filled, state.version) = OrderStateLib.read(word, nonce);
            if (marks == OrderStateLib.CANCELED) state.voidAt = _voidAt[subaccountId][nonce];
        }
        state.stored = state.filled;
    }

    // ---- one fill

    function _advanceTime(Run memory run, uint256 time) internal view {
        if (time == run.checkedTime) return;
        if (time < run.time) revert TimeFell();
        _requireRecent(time);
        (run.time, run.checkedTime) = (time, time);
    }

    function _requireRecent(uint256 time) internal view {
        if (time + MAX_BATCH_AGE < block.timestamp) revert TimeTooEarly();
        if (time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
    }

    function _fill(Run memory run, uint256 match_, uint256 fees) internal {
        OrderNow memory maker = run.orders[match_.makerOf()];
        OrderNow memory taker = run.orders[match_.takerOf()];
        uint256 quantity = match_.filledOf();
        int256 price = match_.priceOf();
        if (quantity == 0) revert ZeroQuantity();
        if (price % TICK != 0) revert PriceOffTick();
        (uint64 instrument, bool makerSells) = _wanted(maker, match_.makerOf(), match_.legOf());
        (uint64 wanted, bool takerSells) = _wanted(taker, match_.takerOf(), match_.legOf());
        if (instrument != wanted) revert InstrumentMismatch();
        if (makerSells == takerSells) revert SameSide();
        if (InstrumentLib.expiredAt(instrument, match_.timeOf())) revert InstrumentExpired();
        BandsNow bands = run.bands;
        if (BandsNow.unwrap(bands) != 0) bands.check(instrument, price, match_.timeOf());

        // forge-lint: disable-next-line(unsafe-typecast)
        int256 signed = makerSells ? -int256(quantity) : int256(quantity);
        int256 value = price * signed / QUANTITY_SCALE; // exact
        (uint256 makerFee, uint256 takerFee) = (fees >> 64, uint64(fees));
        _fillOrder(run, match_.makerOf(), match_, _Move(instrument, signed, value, makerFee));
        _fillOrder(run, match_.takerOf(), match_, _Move(instrument, -signed, -value, takerFee));
        // forge-lint: disable-next-line(unsafe-typecast)
        run.ledger.accounts[0].cash += int256(makerFee + takerFee);
    }

    /// @dev What a fill means for one of its orders.
    struct _Move {
        uint64 instrument;
        int256 quantity; // positive where it buys
        int256 value; // at the fill's price, of the quantity's sign
        uint256 fee;
    }

    /// @return instrument that the order trades in this fill: its own, or that of its leg
    /// @return sells whether it sells it
    function _wanted(OrderNow memory order, uint256 i, uint256 leg)
        private
        pure
        returns (uint64 instrument, bool sells)
    {
        uint256 head = order.head;
        sells = head.has(PackedLib.SELLS);
        if (!head.has(PackedLib.IS_COMBO)) return (order.terms.instrumentOf(), sells);
        Leg[] memory legs = order.combo.legs;
        if (leg >= legs.length) revert UnknownLeg(i);
        return (legs[leg].instrument, sells != (legs[leg].ratio < 0));
    }

    function _fillOrder(Run memory run, uint256 i, uint256 match_, _Move memory moved) private {
        OrderNow memory order = run.orders[i];
        AccountNow memory account = order.account;
        (uint256 head, uint256 time) = (order.head, match_.timeOf());
        if (head.deadlineOf() < time) revert DeadlinePassed();
        if (head.nonceOf() < account.floor.loadedValueAt(time)) revert NonceBelowFloor();
        bool frozen = account.floor.tag != 0 && time >= account.floor.tag;
        if (frozen) revert Frozen(account.id);
        if (order.authority.loadedValueAt(time) < time) revert SignerNotAuthorised();
        if (order.filled.voidAt != 0 && time >= order.filled.voidAt) revert OrderCanceled(i);
        if (order.authority.tag != 0) _useKey(order, i, moved, time);
        if (order.sheet != 0) _advanceSheet(account, order.sheet, i, time);
        if (!head.has(PackedLib.REDUCE_ONLY)) _checkNewRisk(run, account, time);

        PositionNow memory position = head.has(PackedLib.IS_COMBO)
            ? _loadPosition(run.ledger, account.id, moved.instrument)
            : order.position;
        if (head.has(PackedLib.IS_COMBO)) {
            _addLeg(run, order, i, match_.legOf(), moved);
        } else {
            _checkTerms(order, i, match_, moved.fee);
            _addFilled(order, i, match_.filledOf());
            if (head.has(PackedLib.REDUCE_ONLY)) {
                if (head.has(PackedLib.IS_FORCED)) _checkForced(order, i, moved);
                else _checkReduces(position, moved.quantity, i);
            }
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        account.cash -= int256(moved.fee);
        account.move(position, moved.quantity, moved.value);
    }

    function _checkTerms(OrderNow memory order, uint256 i, uint256 match_, uint256 fee)
        private
        pure
    {
        (int64 price, int64 limit) = (match_.priceOf(), order.terms.limitOf());
        bool worse = order.head.has(PackedLib.SELLS) ? price < limit : price > limit;
        if (worse) revert LimitCrossed(i);
        if (fee > _feeCapDown(order, match_.filledOf())) revert FeeAboveCap(i);
    }

    /// @dev The most that a fill of `quantity` may cost in fees, rounded down.
    function _feeCapDown(OrderNow memory order, uint256 quantity) private pure returns (uint256) {
        return order.terms.maxFeeOf() * quantity / uint256(QUANTITY_SCALE);
    }

    /// @dev A fill of a sheet voids all lower ones, in `seq` order.
    /// @dev A key without a scope has no tag, so only scoped ones come here, and revoked ones.
    function _useKey(OrderNow memory order, uint256 i, _Move memory moved, uint256 time) private {
        uint64 tag = order.authority.tag;
        if (!tag.isScoped()) return;
        if (!tag.allows(moved.instrument)) revert OutsideKeyScope(i);
        uint32 underlying = InstrumentLib.underlyingOf(moved.instrument);
        KeyUse storage use = _keyUses[order.account.owner][order.signer][underlying];
        if (use.dailyQuantity == 0) revert OutsideKeyScope(i);
        if (!use.spend(time, SignedMath.abs(moved.quantity))) revert KeyLimitReached(i);
    }

    /// @dev Of every fill that its order does not hold to reducing a position.
    function _checkNewRisk(Run memory run, AccountNow memory account, uint256 time) private view {
        if (time >= run.pausedFrom) revert NewRiskPaused();
        if (address(ACCESS_PASS) != address(0)) _requirePass(account.id, account.owner, time);
    }

    function _advanceSheet(AccountNow memory account, uint256 nonce, uint256 i, uint256 time)
        private
        pure
    {
        bool stale = nonce < account.sheet || nonce < SheetLib.floorAt(account.sheets, time);
        if (stale) revert StaleSheet(i);
        account.sheet = nonce;
    }

    function _addFilled(OrderNow memory order, uint256 i, uint256 quantity) private pure {
        FilledNow memory state = order.filled;
        uint256 head = order.head;
        if (head.versionOf() < state.version) revert StaleVersion(i);
        if (state.filled + quantity > head.quantityOf()) revert Overfilled(i);
        state.filled += quantity;
        (state.version, state.quantity) = (head.versionOf(), head.quantityOf());
    }

    /// @dev The running position counts, not the stored one: netting would hide the path.
    function _checkReduces(PositionNow memory position, int256 quantity, uint256 i) private pure {
        int256 held = position.quantity;
        bool reduces = quantity > 0 ? quantity <= -held : quantity >= -held;
        if (!reduces) revert NotReducing(i);
    }

    /// @dev A forced order reduces what is held; or, of a perpetual, hedges no more than that. Its
    /// fee: an option's at most an eighth of the premium, another's a thousandth of the value.
    function _checkForced(OrderNow memory order, uint256 i, _Move memory moved) private view {
        uint256 share = InstrumentLib.isLinear(moved.instrument) ? 1000 : 8;
        // The engine rounds fees up, each fill by itself.
        if ((moved.fee - (moved.fee == 0 ? 0 : 1)) * share > SignedMath.abs(moved.value)) {
            revert FeeAboveCap(i);
        }
        bool hedges = InstrumentLib.isPerpetual(moved.instrument) && order.account.id != _fundId();
        if (!hedges) return _checkReduces(order.position, moved.quantity, i);
        (, uint256 contracts,) = _liquidations.forceOf(order.account.id);
        uint256 held = SignedMath.abs(order.position.quantity);
        uint256 then = SignedMath.abs(order.position.quantity + moved.quantity);
        if (then > held && then > contracts) revert HedgeTooLarge(i);
    }

    // ---- combos

    function _addLeg(
        Run memory run,
        OrderNow memory order,
        uint256 i,
        uint256 leg,
        _Move memory moved
    ) private pure {
        ComboNow memory combo = order.combo;
        if (!combo.open) {
            combo.open = true;
            run.touched[run.touchedCount++] = i;
        }
        combo.filled[leg] += SignedMath.abs(moved.quantity);
        combo.paid += moved.value;
        combo.fees += moved.fee;
    }

    /// @dev The end of a command: each combo order that it touched got all its legs in whole units,
    /// at its net limit or better.
    function _closeCombos(Run memory run) internal pure {
        for (uint256 n = 0; n < run.touchedCount; n++) {
            _closeCombo(run.orders[run.touched[n]], run.touched[n]);
        }
        run.touchedCount = 0;
    }

    function _closeCombo(OrderNow memory order, uint256 i) private pure {
        ComboNow memory combo = order.combo;
        Leg[] memory legs = combo.legs;
        uint256 units = combo.filled[0] / SignedMath.abs(legs[0].ratio);
        for (uint256 leg = 0; leg < legs.length; leg++) {
            bool whole = combo.filled[leg] == units * SignedMath.abs(legs[leg].ratio);
            if (!whole || units == 0) revert PartialUnit(i);
            combo.filled[leg] = 0;
        }
        int256 limit = order.terms.limitOf();
        if (order.head.has(PackedLib.SELLS)) limit = -limit;
        // forge-lint: disable-next-line(unsafe-typecast)
        if (combo.paid * QUANTITY_SCALE > limit * int256(units)) revert LimitCrossed(i);
        if (combo.fees > _feeCapDown(order, units)) revert FeeAboveCap(i);
        (combo.paid, combo.fees, combo.open) = (0, 0, false);
        _addFilled(order, i, units);
    }

    // ---- write

    /// @dev A nonce that is filled whole needs its mark alone; of the others the state is kept.
    function _storeFilled(OrderNow[] memory orders) internal {
        uint256 window = NOT_LOADED; // of the order before: subaccountId and window of nonces
        uint256 marks = 0;
        for (uint256 i = 0; i < orders.length; i++) {
            FilledNow memory state = orders[i].filled;
            if (state.first != i || state.filled == state.stored) continue;
            uint64 id = orders[i].head.subaccountOf();
            uint64 nonce = orders[i].head.nonceOf();
            uint256 next = uint256(id) << 64 | OrderStateLib.windowOf(nonce);
            if (next != window) {
                if (window != NOT_LOADED) _storeMarks(window, marks);
                (window, marks) = (next, _orderMarks[id][OrderStateLib.windowOf(nonce)]);
            }
            if (state.filled == state.quantity) {
                marks = OrderStateLib.marked(marks, nonce, OrderStateLib.DONE);
            } else {
                uint256 mark = state.voidAt == 0 ? OrderStateLib.PARTIAL : OrderStateLib.CANCELED;
                marks = OrderStateLib.marked(marks, nonce, mark);
                mapping(uint256 => uint256) storage states = _orderStates[id];
                uint256 slot = OrderStateLib.slotOf(nonce);
                states[slot] =
                    OrderStateLib.written(states[slot], nonce, state.filled, state.version);
            }
        }
        if (window != NOT_LOADED) _storeMarks(window, marks);
    }

    function _storeMarks(uint256 window, uint256 marks) private {
        // forge-lint: disable-next-line(unsafe-typecast)
        _orderMarks[uint64(window >> 64)][uint64(window)] = marks;
    }
}
