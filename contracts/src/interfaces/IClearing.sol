// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarksProof} from "../libraries/MarksLib.sol";
import {IAccessPass} from "./IAccessPass.sol";
import {ICustody, ILedger} from "./ICustody.sol";
import {IExits} from "./IExits.sol";
import {ILiquidations} from "./ILiquidations.sol";
import {IHoldings} from "./IMargin.sol";
import {IOracle} from "./IOracle.sol";

/// @dev Units everywhere: cash, price and fee in 1e-6 USDC (price per contract), quantity in 1e-4
/// contracts, times in UTC seconds. `instrument` is the packed id of InstrumentLib.

/// @notice What an owner (or a session key of the owner) signs to trade.
struct Order {
    uint64 subaccountId;
    uint256 instrument; // an instrument id (64 bits); the field has room for a hash of legs
    uint8 side; // 0 BUY, 1 SELL
    uint64 quantity; // below 2**48
    int64 limitPrice; // worst price: the highest of a buy, the lowest of a sell
    uint64 maxFee; // per whole contract
    bool reduceOnly;
    bytes32 triggerHash; // zero when there is no trigger; enforced by the engine
    uint64 nonce; // with subaccountId the order's identity
    uint32 version; // below 2**16; an amend signs the same nonce with a higher version
    uint64 deadline; // last second in which the order may be filled
    address signer;
}

/// @notice What signs many orders at once: each is a leaf of a Merkle tree under `root`.
/// @dev A leaf is the EIP-712 struct hash of a full Order with the sheet's subaccountId, deadline
/// and signer. Pairs hash in sorted order.
struct QuoteSheet {
    uint64 subaccountId;
    uint64 sheetNonce; // from 1; once a sheet filled, every lower one is void
    uint64 deadline; // last second in which its orders may be filled
    bytes32 root;
    address signer;
}

/// @notice What an owner (never a session key) signs to take money out.
/// @dev Without a signer it pays the open exit request whose ordinal is `nonce`: the owner asked
/// for it on chain, token, recipient and all, so nobody signs.
struct Withdrawal {
    uint64 subaccountId;
    address token;
    uint256 amount; // in ledger units: 1e-6 USDC; of other tokens see ICustody
    address recipient;
    uint64 nonce; // shared with the nonces of orders
    uint64 deadline;
    address signer;
}

/// @notice Place of a batch in the chain of batches and in the journal.
struct Header {
    uint64 number; // one more than the last settled batch; the first is 1
    uint64 firstSeq; // one more than the last settled lastSeq; the first is 1
    uint64 lastSeq;
    uint64 riskEpoch; // never falls
    bytes32 previousHash; // hash of the last settled batch; zero for the first
    bytes32 journalHash;
    bytes32 stateRoot;
}

/// @notice A quote sheet with its 65 byte signature r, s, v.
struct SignedSheet {
    QuoteSheet sheet;
    bytes signature;
}

/// @notice A part of a combo: buying one unit buys `ratio` contracts of it, or sells them.
struct Leg {
    uint64 instrument;
    int64 ratio;
}

/// @notice From the first fill of the batch on, this posted index is in force.
struct Funding {
    uint64 instrument;
    uint64 ordinal;
}

/// @notice Realise the position of one subaccount in one expired instrument.
struct Payoff {
    uint32 seqOffset;
    uint64 subaccountId;
    uint64 instrument;
}

/// @notice Pay a signed withdrawal, or make a signed transfer to another subaccount of the owner.
/// @dev An owner signs a transfer as
/// Transfer(subaccountId,toSubaccountId,token,amount,nonce,deadline,signer); it has no recipient.
struct Withdraw {
    uint32 seqOffset;
    uint32 time;
    uint64 toSubaccountId; // 0 of a withdrawal
    Withdrawal withdrawal;
    bytes signature;
}

/// @notice Charge a debt its interest, to the venue's own subaccount.
struct Interest {
    uint32 seqOffset;
    uint32 time; // of the accrual, all of whose charges have one; never falls
    uint64 subaccountId;
    uint256 amount;
}

/// @notice Everything the journal decided from firstSeq to lastSeq.
/// @dev Orders and fills are most of a batch: they are packed, as PackedLib reads them. Fills,
/// payoffs, withdrawals and interest are sorted by seqOffset; within one seqOffset they come in
/// this order. Orders ascend by (subaccountId, nonce, version).
struct Batch {
    Header header;
    bytes orders; // 56 bytes each
    bytes tails; // of each order what not all orders have: signer, trigger, signature or proof
    bytes fills; // 48 bytes each
    SignedSheet[] sheets;
    Leg[][] combos; // revealed once each
    Funding[] fundings;
    Payoff[] payoffs;
    Withdraw[] withdrawals;
    Interest[] interests;
    MarksProof marks; // of riskEpoch: each instrument that fills, with the indices it needs
    Takeover[] takeovers; // in journal order, after everything above
    Due[] dues; // after these
}

/// @notice How far from a proven mark a fill may trade; one word.
struct PriceBands {
    uint64 optionRate; // 1e-18 of the index; 0 before governance set it: no bands
    uint64 linearRate; // of perpetuals and futures
    uint64 maxAge; // seconds between an epoch and the last fill by it
}

/// @notice What a keeper signs to take over a fraction of a liquidated subaccount.
struct LiquidationBid {
    uint64 subaccountId; // the keeper's; 0: nobody signed
    uint64 liquidatedId;
    uint64 fraction; // of every position at most, in 1e-18
    int64 priceLimit; // the most that it pays in all; negative: the least that it receives
    uint64 expectedStep; // of the liquidation; the engine's to enforce
    uint64 nonce; // shared with the nonces of orders
    uint64 deadline;
    address signer;
}

/// @notice Part of a position that changes hands: signed `quantity` as held.
struct TakenLeg {
    uint64 instrument;
    int64 quantity;
    int64 price;
}

/// @notice Some of a token that changes hands; the taker pays `value` in cash.
struct TakenToken {
    address token;
    uint128 amount; // ledger units
    uint128 value;
}

/// @notice A fraction of every position of a liquidated subaccount goes to a keeper who signed for
/// it, or to the fund.
struct Takeover {
    uint32 time;
    uint64 liquidatedId;
    uint64 takerId;
    uint64 fraction; // in 1e-18, of each leg rounded up to lots
    uint128 discount; // paid to the taker ...
    bool byFund; // ... by the fund, else by the liquidated
    TakenLeg[] legs; // ascending
    TakenToken[] tokens;
    LiquidationBid bid;
    bytes signature;
}

/// @notice What a payment is for. COVER: the fund pays the debt of a subaccount that holds nothing
/// more. LOSS: the fund, flat itself, lost this. SHARE: a subaccount pays the fund its part. FEES:
/// the venue's own subaccount pays the fund its share of fees.
enum DueKind {
    COVER,
    LOSS,
    SHARE,
    FEES
}

/// @notice Cash between a subaccount and the fund.
struct Due {
    uint32 time;
    DueKind kind;
    uint64 subaccountId; // 0 of a loss
    uint128 amount;
}

/// @notice What a subaccount holds of an instrument; one word.
struct Position {
    int64 quantity;
    int64 fundingIndex; // up to which a perpetual's funding was paid
    int128 cost; // paid for a linear position and not yet released; 0 of options
}

/// @notice What Clearing and each of its modules are built with; they must agree.
struct Terms {
    address usdc;
    IOracle oracle;
    uint64 maxBatchAge; // seconds after which a batch can no longer settle a fill
    /// Seconds between an owner's cancel and the contract's obedience. Not below maxBatchAge, so a
    /// second cancel cannot reach back to a fill that the first one still allowed.
    uint64 cancelDelay;
    IAccessPass accessPass; // zero: nobody needs one
}

/// @notice What a session key may trade of one underlying.
struct KeyLimit {
    uint32 underlying;
    uint64 dailyQuantity; // in 1e-4 contracts within a UTC day
}

/// @notice What a session key may trade; given with its first grant, for ever.
struct KeyScope {
    uint8 kinds; // bits 1 option, 2 perpetual, 3 future
    uint24 band; // distance from the mark in 1e-6 of the index, 0: none; kept by the engine
    KeyLimit[] limits; // ascending; other underlyings are not the key's to trade
}

/// @notice Code that runs in Clearing's storage by delegatecall: one contract would be too large.
struct Modules {
    address settler;
    address payments;
    address takeovers;
    address exits;
    address escapes;
    address releases;
    address solvency;
    address auctions;
}

/// @title What Clearing and its modules refuse and log
interface IClearingBase {
    // ---- refusals of the owner's functions

    error ZeroAddress();
    error ZeroAmount();
    error UnknownSubaccount(uint64 subaccountId);
    error NotOwner();
    error FloorNotRaised();
    error NotCustody();
    error TokenNotSixDecimals();
    error CancelDelayTooShort();
    error WrongModule(address module);
    error AlreadySet();
    error NonceDone();
    error CanceledBefore();
    error KeyKnown();
    error KeyRevoked();
    error InvalidScope();
    error PausedBefore();
    error NotPaused();

    // ---- refusals of settle, in the order of the checks

    error WrongNumber(uint64 expected);
    error WrongPreviousHash(bytes32 expected);
    error WrongFirstSeq(uint64 expected);
    error EmptySeqRange();
    error RiskEpochFell();
    error FundingNotNewer(uint64 instrument);
    error InvalidCombo(uint256 combo);
    error OrdersNotSorted(uint256 order);
    error UnknownCombo(uint256 order);
    error InvalidSignature(bytes32 digest);
    error UnknownSheet(uint256 order);
    error NotInSheet(uint256 order);
    error Malformed();
    error SeqOutOfRange();
    error NotSortedBySeq();
    error TimeFell();
    error TimeTooEarly();
    error TimeTooLate();
    error ZeroQuantity();
    error PriceOffTick();
    error InstrumentMismatch();
    error SameSide();
    error DeadlinePassed();
    error InstrumentExpired();
    error InstrumentNotExpired();
    error NonceBelowFloor();
    error SignerNotAuthorised();
    error OrderCanceled(uint256 order);
    error OutsideKeyScope(uint256 order);
    error KeyLimitReached(uint256 order);
    error NoAccessPass(uint64 subaccountId);
    error NewRiskPaused();
    error UnknownLeg(uint256 order);
    error PartialUnit(uint256 order);
    error LimitCrossed(uint256 order);
    error FeeAboveCap(uint256 order);
    error StaleSheet(uint256 order);
    error StaleVersion(uint256 order);
    error Overfilled(uint256 order);
    error NotReducing(uint256 order);
    error InvalidRecipient();
    error NonceUsed();
    error TooLittleGas();
    error InsufficientCash();
    error InsufficientCollateral();
    error InterestTwice(uint64 subaccountId);
    error InterestAboveCap(uint64 subaccountId);
    error WrongMarks();
    error MarksOfAnotherTime();
    error PriceOutsideBand(uint64 instrument, int256 price);
    error BandsOutOfBounds();
    error NotForced(uint256 order);
    error HedgeTooLarge(uint256 order);
    error NotLiquidated(uint64 subaccountId);
    error InvalidTaker();
    error LegMissing(uint256 held);
    error NotAscending();
    error WrongFraction(uint64 instrument);
    error BidTooLow();
    error NoDebt(uint64 subaccountId);
    error NoLossLeft(uint256 left);
    error ValueOutsideBand(address token);

    // ---- logs

    /// @param standard whether each position is margined by itself
    event SubaccountOpened(uint64 indexed subaccountId, address indexed owner, bool standard);
    event Deposited(uint64 indexed subaccountId, address token, uint256 amount);
    event SessionKeySet(address indexed owner, address indexed key, uint64 deadline);
    event SessionKeyScoped(address indexed owner, address indexed key, KeyScope scope);
    event NonceCanceled(uint64 indexed subaccountId, uint64 nonce, uint64 effectiveAt);
    event SheetFloorRaised(uint64 indexed subaccountId, uint64 floor, uint64 effectiveAt);
    /// @notice New risk stops for fills from `from` on, for deposits at once; zeros: no longer.
    event RiskPaused(uint64 from, uint64 until);
    event NonceFloorRaised(uint64 indexed subaccountId, uint64 floor, uint64 effectiveAt);
    event BatchSettled(
        uint64 indexed number, bytes32 batchHash, uint64 firstSeq, uint64 lastSeq, bytes32 stateRoot
    );
    event Withdrawn(
        uint64 indexed subaccountId, address token, uint256 amount, address recipient, uint64 nonce
    );
    /// @notice A contract owns the subaccount and did not say that it signed: nothing left.
    event WithdrawalRefused(uint64 indexed subaccountId, uint64 nonce);
    event Transferred(
        uint64 indexed subaccountId,
        uint64 indexed toSubaccountId,
        address token,
        uint256 amount,
        uint64 nonce
    );
    event PriceBandsSet(PriceBands bands);
    event InterestPaid(uint64 indexed subaccountId, uint256 amount);
    event TokenUnderlyingSet(address indexed token, uint32 underlying);
    event LiquidationsSet(address liquidations, uint64 fund);
    event TakenOver(
        uint64 indexed liquidatedId,
        uint64 indexed takerId,
        uint64 fraction,
        int256 value,
        uint256 discount,
        bool byFund
    );
    event DebtCovered(uint64 indexed subaccountId, uint256 amount);
    event LossDeclared(uint256 amount);
    event LossShared(uint64 indexed subaccountId, uint256 amount);
    event FeesShared(uint256 amount);
    event FundingApplied(uint64 indexed instrument, uint64 ordinal, int64 index);
    event Realised(
        uint64 indexed subaccountId, uint64 indexed instrument, int64 quantity, int256 payoff
    );
}

/// @title Clearing: holds collateral, cash and positions, and believes only signatures
/// @notice Subaccount 1 is the venue's fee account.
interface IClearing is IClearingBase, IExits, ILedger, IHoldings {
    // ---- owners

    /// @notice Opens the next subaccount; it belongs to the caller, for ever.
    function openSubaccount() external returns (uint64 subaccountId);

    /// @notice The same, but each position is margined by itself: for small accounts, for ever.
    function openStandardSubaccount() external returns (uint64 subaccountId);

    /// @notice Lets `key` sign orders, never withdrawals, for every subaccount of the caller until
    /// `deadline`. A deadline of 0 revokes it for ever, and so cancels everything it signed.
    /// @dev A later deadline holds at once, an earlier one after CANCEL_DELAY: a fill that the
    /// engine released before it saw the revocation still settles.
    /// Warning: a second shortening before the first took effect restarts the delay.
    function setSessionKey(address key, uint64 deadline) external;

    /// @notice The same for a key never granted before, which may trade no more than `scope`.
    /// `setSessionKey` changes its deadline; the scope stays, for ever.
    function grantScopedKey(address key, uint64 deadline, KeyScope calldata scope) external;

    /// @notice Voids one nonce for ever: an order, the leaf of a sheet or a withdrawal, whatever
    /// its version, for fills at or after now + CANCEL_DELAY.
    function cancelNonce(uint64 subaccountId, uint64 nonce) external;

    /// @notice Voids every quote sheet whose nonce is below `floor`, for fills at or after now +
    /// CANCEL_DELAY. Warning: a second raise before the first took effect restarts the delay.
    function raiseSheetFloor(uint64 subaccountId, uint64 floor) external;

    /// @notice Voids every nonce below `floor`, for fills at or after now + CANCEL_DELAY.
    /// Warning: a second raise before the first took effect restarts the delay.
    function raiseNonceFloor(uint64 subaccountId, uint64 floor) external;

    /// @notice Pays off expired positions when the operator has not. Anyone may call, from
    /// MAX_BATCH_AGE after the expiry on: earlier it could take cash that a withdrawal of an older
    /// `seq` was promised.
    function realise(uint64 subaccountId, uint64[] calldata instruments) external;

    // ---- guardian

    /// @notice Takes no new risk for PAUSE_MAX: deposits stop at once, fills that are not
    /// reduce-only on both sides after PAUSE_DELAY. Withdrawals, cancels and exits go on.
    /// @dev The delay gives the engine time to see it, so that nothing it released is refused.
    function pause() external;

    /// @notice Ends a pause. Governance.
    function unpause() external;

    // ---- relayer

    /// @notice Settles the next batch whole, or reverts whole.
    /// Warning: unless governance set a batch margin, a batch may leave an account with negative
    /// cash, and margin is the engine's duty. With it, who took risk must be proven: see ISolvency.
    function settle(Batch calldata batch) external;

    // ---- governance

    /// @notice Sets how far from a proven mark fills may trade, inside hard bounds. Once set, bands
    /// can be moved but never lifted.
    function setPriceBands(PriceBands calldata bands) external;

    /// @notice Names, once and for all, the contract whose proofs allow forced fills, and the
    /// subaccount of the insurance fund.
    function setLiquidations(ILiquidations liquidations_, uint64 fund_) external;

    /// @notice Names the underlying whose index values a token where it changes hands.
    function setTokenUnderlying(address token, uint32 underlying) external;

    // ---- views

    /// @notice The bands in force; zeros before the first.
    function priceBands() external view returns (PriceBands memory);

    function liquidations() external view returns (ILiquidations);

    /// @notice The subaccount of the insurance fund.
    function fundId() external view returns (uint64);

    /// @notice What others may still be asked to share of what the fund bore.
    function lossLeft() external view returns (uint256);

    function account(uint64 subaccountId) external view returns (address owner, int96 cash);
    function position(uint64 subaccountId, uint64 instrument) external view returns (int64 quantity);

    /// @notice One account for reconciliation, in one call and so at one block.
    function cashAndPositions(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int96 cash, Position[] memory positions);

    /// @notice The funding index in force for a perpetual.
    function funding(uint64 instrument) external view returns (uint64 ordinal, int64 index);

    /// @return filled cumulative over all versions; 2**48 - 1 with version 2**16 - 1 marks a nonce
    /// that never fills again: filled whole, or of a paid withdrawal
    function orderState(uint64 subaccountId, uint64 nonce)
        external
        view
        returns (uint48 filled, uint16 version);

    function lastBatch() external view returns (uint64 number, bytes32 batchHash, uint64 lastSeq);

    /// @return current in force before effectiveAt
    /// @return next in force from effectiveAt on
    function nonceFloor(uint64 subaccountId)
        external
        view
        returns (uint64 current, uint64 next, uint64 effectiveAt);

    /// @return deadline the last second in which `key` may sign for `owner`, as in force at `time`;
    /// 0 if never
    function sessionKeyDeadline(address owner, address key, uint64 time)
        external
        view
        returns (uint64 deadline);

    /// @return tag as KeyLib reads it; 0 of a key without a scope
    function sessionKeyTag(address owner, address key) external view returns (uint64 tag);

    /// @return dailyQuantity of an underlying that a scoped key may trade
    /// @return day UTC day of the last trade
    /// @return used what it traded in that day
    function keyUse(address owner, address key, uint32 underlying)
        external
        view
        returns (uint64 dailyQuantity, uint64 day, uint128 used);

    /// @return voidAt from when on a canceled nonce is void; 0 if it was not canceled
    function nonceVoidAt(uint64 subaccountId, uint64 nonce) external view returns (uint64 voidAt);

    /// @return current in force before effectiveAt
    /// @return next in force from effectiveAt on
    function sheetFloor(uint64 subaccountId)
        external
        view
        returns (uint64 current, uint64 next, uint64 effectiveAt);

    /// @return from since when fills are held to reduce-only
    /// @return until when that ends by itself; 0: there is no pause
    function pausedBetween() external view returns (uint64 from, uint64 until);

    /// @notice Cash that realising the position would bring (negative: cost). Reverts without a
    /// delivery price.
    function previewPayoff(uint64 subaccountId, uint64 instrument) external view returns (int256);

    /// @return the highest nonce of a quote sheet that filled; lower sheets are void
    function sheetNonce(uint64 subaccountId) external view returns (uint64);

    /// @notice Where all tokens are.
    function CUSTODY() external view returns (ICustody);
    function subaccountCount() external view returns (uint64);
    function hashOrder(Order calldata order) external view returns (bytes32 digest);
    function hashQuoteSheet(QuoteSheet calldata sheet) external view returns (bytes32 digest);
    function hashBid(LiquidationBid calldata bid) external view returns (bytes32 digest);
    function hashWithdrawal(Withdrawal calldata withdrawal) external view returns (bytes32 digest);

    /// @param transfer its recipient is not signed
    function hashTransfer(Withdrawal calldata transfer, uint64 toSubaccountId)
        external
        view
        returns (bytes32 digest);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
