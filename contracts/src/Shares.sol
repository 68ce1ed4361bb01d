// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Requests} from "./Requests.sol";
import {CashClaim, Escape} from "./interfaces/IExits.sol";

/// @title Shares: who gets what of what is there when the venue ended
/// @dev Everybody with cash has a share of one size for each unit of it, of the USDC that is there
/// and of each token that debtors left. The venue's own cash comes last. A share lies between two
/// points of the whole, each rounded down: so shares sum to the whole, to the unit, and nobody's
/// depends on when others claim.
abstract contract Shares is Requests {
    /// @dev 0 until all accounts are valued; then own tokens with the share in what was seized.
    function _claimable(uint64 subaccountId, address token) internal view returns (uint256 amount) {
        Escape memory escape = _escape;
        if (escape.startedAt == 0 || escape.next <= escape.accounts) return 0;
        if (_claimed[subaccountId][token]) return 0;
        uint256 pool = token == USDC ? _floored(escape.cash) : _seized[token];
        amount = _shareOf(subaccountId, pool, escape);
        if (token != USDC) amount += _collateral[subaccountId][token];
    }

    function _shareOf(uint64 subaccountId, uint256 pool, Escape memory escape)
        private
        view
        returns (uint256)
    {
        CashClaim memory owed = _cashClaims[subaccountId];
        if (owed.amount == 0) return 0;
        uint256 worth = _floored(escape.cash) + escape.seized; // all that is there
        uint256 whole = Math.max(worth, escape.senior);
        if (!_isVenue(subaccountId)) return _between(owed, pool, whole);
        if (worth <= escape.senior) return 0;
        return _between(owed, pool - Math.mulDiv(pool, escape.senior, whole), escape.junior);
    }

    /// @dev The venue's own subaccount and its insurance fund.
    function _isVenue(uint64 subaccountId) internal view returns (bool) {
        return subaccountId == FEE_ACCOUNT || subaccountId == _fund;
    }

    function _between(CashClaim memory owed, uint256 pool, uint256 whole)
        private
        pure
        returns (uint256)
    {
        return Math.mulDiv(pool, uint256(owed.before) + owed.amount, whole)
            - Math.mulDiv(pool, owed.before, whole);
    }

    function _floored(int256 cash) private pure returns (uint256) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return cash > 0 ? uint256(cash) : 0;
    }
}
