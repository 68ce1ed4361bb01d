// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Storage} from "./Storage.sol";
import {AuctionRules, IAuctions} from "./interfaces/IAuctions.sol";
import {Auction} from "./interfaces/IAuctions.sol";

/// @title AuctionTerms: the rules of auctions in force, and when each of their steps may come
abstract contract AuctionTerms is Storage {
    /// @dev Between the start and the freeze: the engine sees it and stops within.
    uint64 internal constant FREEZE_DELAY = 1 hours;
    /// @dev How long a start may come after the notice, and bids after the freeze took hold.
    uint64 internal constant OPEN_FOR = 1 days;

    function _rules() internal view returns (AuctionRules memory rules) {
        rules = _auctionRules;
        if (rules.length == 0) return AuctionRules(6 hours, 3 hours, 0.25e18, 100);
    }

    /// @dev From then on no batch can bring an item of before the freeze.
    function _bidsFrom(Auction memory auction) internal view returns (uint64) {
        return auction.frozenFrom + MAX_BATCH_AGE + 1;
    }
}
