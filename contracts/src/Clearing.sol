// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {Accounts} from "./Accounts.sol";
import {AuctionTerms} from "./AuctionTerms.sol";
import {Custody} from "./Custody.sol";
import {ExitViews} from "./ExitViews.sol";
import {ReleaseViews} from "./ReleaseViews.sol";
import {Storage} from "./Storage.sol";
import {Auction, AuctionBid, AuctionRules, IAuctions} from "./interfaces/IAuctions.sol";
import {Batch, IClearing, Modules, PriceBands, Terms} from "./interfaces/IClearing.sol";
import {IExits} from "./interfaces/IExits.sol";
import {ILiquidations} from "./interfaces/ILiquidations.sol";
import {BatchProof, IMargin, MarginProof} from "./interfaces/IMargin.sol";
import {IReleases, Queued} from "./interfaces/IReleases.sol";
import {BatchMargin, ISolvency} from "./interfaces/ISolvency.sol";
import {BandLib} from "./libraries/BandLib.sol";
import {MarksProof} from "./libraries/MarksLib.sol";

/// @title Clearing: the ledger and its doors
/// @dev A door decides who may enter; the work behind it is a module's, whose code runs in this
/// contract's storage. Nobody can exchange a module.
contract Clearing is
    Accounts,
    ExitViews,
    ReleaseViews,
    AuctionTerms,
    ISolvency,
    AccessManaged,
    ReentrancyGuard,
    IAuctions
{
    /// @notice Seconds between a pause and the first fill that it refuses: the engine stops
    /// within them.
    uint64 public constant PAUSE_DELAY = 10 minutes;
    /// @notice Seconds after which a pause ends by itself. A guardian may pause again, unless
    /// governance has taken the role away by then.
    uint64 public constant PAUSE_MAX = 7 days;

    address public immutable SETTLER;
    address public immutable PAYMENTS;
    address public immutable TAKEOVERS;
    address public immutable EXITS;
    address public immutable ESCAPES;
    address public immutable RELEASES;
    address public immutable SOLVENCY;
    address public immutable AUCTIONS;

    constructor(address authority, address treasury, Terms memory terms_, Modules memory modules)
        Storage(terms_)
        Accounts(new Custody(authority, terms_.usdc), treasury)
        AccessManaged(authority)
    {
        SETTLER = _sameTerms(modules.settler);
        PAYMENTS = _sameTerms(modules.payments);
        TAKEOVERS = _sameTerms(modules.takeovers);
        EXITS = _sameTerms(modules.exits);
        ESCAPES = _sameTerms(modules.escapes);
        RELEASES = _sameTerms(modules.releases);
        SOLVENCY = _sameTerms(modules.solvency);
        AUCTIONS = _sameTerms(modules.auctions);
    }

    /// @inheritdoc IClearing
    function settle(Batch calldata batch) external restricted nonReentrant {
        _settle(batch, msg.data);
        if (_batchMargin != BatchMargin.NONE) _run(SOLVENCY);
    }

    /// @inheritdoc ISolvency
    function settleProven(Batch calldata batch, BatchProof calldata)
        external
        restricted
        nonReentrant
    {
        _settle(batch, _withoutProof());
        _run(SOLVENCY);
    }

    /// @inheritdoc ISolvency
    function setBatchMargin(BatchMargin) external restricted {
        _run(SOLVENCY);
    }

    /// @inheritdoc ISolvency
    function batchMargin() external view returns (BatchMargin) {
        return _batchMargin;
    }

    /// @inheritdoc IClearing
    function setLiquidations(ILiquidations liquidations_, uint64 fund_) external restricted {
        if (address(_liquidations) != address(0)) revert AlreadySet();
        if (address(liquidations_) == address(0)) revert ZeroAddress();
        _requireOpen(fund_);

        (_liquidations, _fund) = (liquidations_, fund_);
        emit LiquidationsSet(address(liquidations_), fund_);
    }

    /// @inheritdoc IClearing
    function setTokenUnderlying(address token, uint32 underlying) external restricted {
        _tokenUnderlyings[token] = underlying;
        emit TokenUnderlyingSet(token, underlying);
    }

    /// @inheritdoc IClearing
    function liquidations() external view returns (ILiquidations) {
        return _liquidations;
    }

    /// @inheritdoc IClearing
    function fundId() external view returns (uint64) {
        return _fundId();
    }

    /// @inheritdoc IClearing
    function lossLeft() external view returns (uint256) {
        return _lossLeft;
    }

    /// @inheritdoc IClearing
    function setPriceBands(PriceBands calldata bands) external restricted {
        if (!BandLib.withinBounds(bands)) revert BandsOutOfBounds();
        _priceBands = bands;
        emit PriceBandsSet(bands);
    }

    // ---- withdrawals

    /// @inheritdoc IReleases
    function release(Queued calldata, MarginProof calldata) external nonReentrant {
        _run(RELEASES);
    }

    /// @inheritdoc IReleases
    function takeBack(Queued calldata) external nonReentrant {
        _run(RELEASES);
    }

    /// @inheritdoc IReleases
    function halt(uint64, MarginProof calldata) external nonReentrant {
        _run(RELEASES);
    }

    /// @inheritdoc IReleases
    function liftHalt(uint64, MarginProof calldata) external nonReentrant {
        _run(RELEASES);
    }

    /// @inheritdoc IReleases
    function setWithdrawalDelay(uint64) external restricted {
        _run(RELEASES);
    }

    // ---- exits

    /// @inheritdoc IExits
    function requestExit(uint64, address, uint256, address) external nonReentrant {
        _run(EXITS);
    }

    /// @inheritdoc IExits
    function serveExit(uint64, uint256, MarginProof calldata) external nonReentrant {
        _run(EXITS);
    }

    /// @inheritdoc IExits
    function startEscape(uint64) external nonReentrant {
        _run(EXITS);
    }

    /// @inheritdoc IExits
    function fixMarks(MarksProof calldata) external nonReentrant {
        _run(ESCAPES);
    }

    /// @inheritdoc IExits
    function fixMissing(uint64[] calldata) external nonReentrant {
        _run(ESCAPES);
    }

    /// @inheritdoc IExits
    function priceTokens(bytes calldata) external nonReentrant {
        _run(ESCAPES);
    }

    /// @inheritdoc IExits
    function value(uint64, uint64[][] calldata) external nonReentrant {
        _run(ESCAPES);
    }

    /// @inheritdoc IExits
    function claim(uint64, address, address) external nonReentrant {
        _run(ESCAPES);
    }

    /// @inheritdoc IExits
    function setMargin(IMargin margin_) external restricted {
        if (address(_margin) != address(0)) revert MarginIsSet();
        if (address(margin_.CLEARING()) != address(this)) revert WrongMargin();

        _margin = margin_;
        emit MarginSet(address(margin_));
    }

    // ---- auctions

    /// @inheritdoc IAuctions
    function announceAuction(uint64) external nonReentrant {
        _run(AUCTIONS);
    }

    /// @inheritdoc IAuctions
    function startAuction(uint64) external nonReentrant {
        _run(AUCTIONS);
    }

    /// @inheritdoc IAuctions
    function bid(AuctionBid calldata, MarginProof calldata) external nonReentrant returns (uint64) {
        return abi.decode(_run(AUCTIONS), (uint64));
    }

    /// @inheritdoc IAuctions
    function endAuction(uint64) external nonReentrant {
        _run(AUCTIONS);
    }

    /// @inheritdoc IAuctions
    function setAuctionRules(AuctionRules calldata) external restricted {
        _run(AUCTIONS);
    }

    /// @inheritdoc IAuctions
    function auctionOf(uint64 subaccountId) external view returns (Auction memory) {
        return _auctions[subaccountId];
    }

    /// @inheritdoc IAuctions
    function auctionRules() external view returns (AuctionRules memory) {
        return _rules();
    }

    // ---- guardian

    /// @inheritdoc IClearing
    function pause() external restricted {
        if (block.timestamp < _pause.until) revert PausedBefore();
        uint64 from = uint64(block.timestamp) + PAUSE_DELAY;
        _pause = Pause(from, from + PAUSE_MAX);
        emit RiskPaused(from, from + PAUSE_MAX);
    }

    /// @inheritdoc IClearing
    function unpause() external restricted {
        if (block.timestamp >= _pause.until) revert NotPaused();
        delete _pause;
        emit RiskPaused(0, 0);
    }

    // ---- inside

    /// @dev Immutables are in each module's own code: one that was built for another token or
    /// another oracle would settle by it.
    function _sameTerms(address module) private view returns (address) {
        bytes32 other = keccak256(abi.encode(Storage(module).terms()));
        if (other != keccak256(abi.encode(terms()))) revert WrongModule(module);
        return module;
    }

    /// @param data calldata of `settle`
    function _settle(Batch calldata batch, bytes memory data) private {
        Address.functionDelegateCall(SETTLER, data);
        if (batch.takeovers.length + batch.dues.length != 0) {
            Address.functionDelegateCall(TAKEOVERS, data);
        }
        if (batch.withdrawals.length != 0) {
            Address.functionDelegateCall(PAYMENTS, data); // external calls last
        }
    }

    /// @dev What `settle` gets of settleProven's arguments: so a batch has one hash, proven or not.
    /// Their canonical encoding is the offsets of both, then the batch, then the proof.
    function _withoutProof() private pure returns (bytes memory data) {
        uint256 end;
        uint256 start;
        assembly ("memory-safe") {
            start := calldataload(0x04)
            end := calldataload(0x24)
        }
        if (start != 0x40 || end < start || end > msg.data.length - 4) revert Malformed();
        return
            abi.encodePacked(IClearing.settle.selector, uint256(0x20), msg.data[4 + start:4 + end]);
    }

    /// @dev The door's own arguments go to the module's function of the same selector.
    function _run(address module) private returns (bytes memory) {
        return Address.functionDelegateCall(module, msg.data);
    }
}
