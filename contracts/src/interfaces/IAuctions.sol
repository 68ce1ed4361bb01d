// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TakenToken} from "./IClearing.sol";
import {MarginProof} from "./IMargin.sol";

/// @notice What governance decides of auctions, inside hard bounds.
struct AuctionRules {
    uint64 notice; // seconds that the operator has from the announcement
    uint64 length; // seconds in which the discount grows to its bound
    uint64 discountMax; // of the maintenance requirement that comes along, 1e-18
    uint64 lot; // legs are multiples of it, or all that is held; 1e-4 contracts
}

/// @notice Where the auction of a subaccount stands; all 0 without one. One slot.
struct Auction {
    uint64 announcedAt;
    uint64 frozenFrom; // 0 until it started
    uint64 bids; // that were taken
}

/// @notice Whoever sends it buys, into a subaccount of its own that the bid opens.
struct AuctionBid {
    uint64 liquidatedId;
    uint64 fraction; // of every position and token, 1e-18
    uint64 expectedBids; // taken before: another one voids this
    int128 priceLimit; // the most that is paid; negative: the least that is received
    uint128 deposit; // USDC from the caller's wallet: the price, and margin for what is bought
}

/// @notice Part of a position that was sold, signed as held.
struct SoldLeg {
    uint64 instrument;
    int64 quantity;
    int64 price;
    int64 fundingIndex; // in force: up to it the seller paid
}

/// @title What auctions refuse and log
interface IAuctionsBase {
    error RulesOutOfBounds();
    error NotProvenNow(uint64 subaccountId);
    error NotForSale(uint64 subaccountId);
    error AuctionIsOpen();
    error NoAuction();
    error AuctionRuns();
    /// @notice An auction of it started: nothing else changes what it holds.
    error Frozen(uint64 subaccountId);
    error AuctionIsOver();
    error AnotherBidCame(uint64 bids);
    error FractionTooLarge(uint256 offered);
    error PriceAboveLimit(int256 price);
    /// @notice The subaccount would be worse off: hedges went with the lots.
    error RiskNotReduced();
    /// @notice The bidder's own margin does not cover what it buys.
    error BidderShort(int256 initialExcess);

    event AuctionRulesSet(AuctionRules rules);
    event AuctionAnnounced(uint64 indexed subaccountId, address indexed by, uint64 startsAt);
    event AuctionStarted(
        uint64 indexed subaccountId, address indexed by, uint64 frozenFrom, uint64 bidsFrom
    );
    event AuctionEnded(uint64 indexed subaccountId, address indexed by);
    event AuctionTaken(
        uint64 indexed subaccountId,
        uint64 indexed takerId,
        uint64 bids,
        uint64 fraction,
        SoldLeg[] legs,
        TakenToken[] tokens,
        uint128 discount
    );
}

/// @title Auctions: liquidation without the operator
interface IAuctions is IAuctionsBase {
    /// @notice Says that a subaccount, proven below maintenance within the last hour, will be
    /// auctioned unless the operator helps first. Anybody.
    function announceAuction(uint64 subaccountId) external;

    /// @notice Freezes it an hour from now where a proof of after the notice says that it lies
    /// below maintenance still; bids are taken a batch's age later. Anybody.
    function startAuction(uint64 subaccountId) external;

    /// @notice Buys a fraction at the marks less a discount that grows with time.
    /// @param proof of all that the liquidated subaccount holds, under the latest root
    /// @return takerId the subaccount that the bid opened for the caller
    function bid(AuctionBid calldata offer, MarginProof calldata proof)
        external
        returns (uint64 takerId);

    /// @notice Ends an auction whose flag lapsed, or whose time is over. Anybody.
    function endAuction(uint64 subaccountId) external;

    /// @notice Governance; inside hard bounds, for auctions under way too.
    function setAuctionRules(AuctionRules calldata rules) external;

    function auctionOf(uint64 subaccountId) external view returns (Auction memory);
    function auctionRules() external view returns (AuctionRules memory);
}
