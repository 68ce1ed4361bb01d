// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What governance decides of a token. Amounts in ledger units; 2**80 - 1 is no cap.
struct TokenRules {
    bool open; // whether deposits are taken; withdrawals always are
    uint80 totalCap; // deposits stop here
    uint80 hourCap; // what may leave at once; refills within an hour
    uint80 dayCap; // the same within a day
}

/// @title ILedger: who is told what arrived
interface ILedger {
    /// @notice Credits `amount` ledger units of `token`. Only for Custody.
    function credit(uint64 subaccountId, address token, uint256 amount) external;
}

/// @title Custody: holds every token, and pays what Clearing debited
/// @notice A ledger unit is 10**-8 of a token, or the token's own smallest unit where it has fewer
/// decimals: 1e-6 for USDC.
interface ICustody {
    error NotClearing();
    error NotCustody();
    error NotListed(address token);
    error DepositsClosed(address token);
    error TooManyDecimals();
    error CapTooLow();
    error CapReached(address token);
    error NothingArrived();
    /// @notice Custody holds less of the token than it owes: the token took from its balance.
    error TokenShort(address token);
    error NothingHeld();
    /// @notice The caps allow nothing now.
    error CapSpent();
    error WrongAmountMoved();

    event TokenRulesSet(address indexed token, TokenRules rules);
    /// @notice A cap or the token stood in the way: the amount waits for `claim`.
    event WithdrawalHeld(address indexed token, address indexed recipient, uint256 amount);
    event Claimed(address indexed token, address indexed recipient, uint256 amount);

    /// @notice Takes `amount` (in token units, rounded down to whole ledger units) from the caller
    /// and credits what arrived to any open subaccount.
    /// Warning: a deposit into somebody else's subaccount is a gift.
    /// @return credited in ledger units
    function deposit(uint64 subaccountId, address token, uint256 amount)
        external
        returns (uint256 credited);

    /// @notice The same from the wallet that Clearing was called by, which it names. Only for
    /// Clearing.
    function depositFrom(address from, uint64 subaccountId, address token, uint256 amount)
        external
        returns (uint256 credited);

    /// @notice Pays ledger units out, as far as the caps and the token allow; the rest is held.
    /// Only for Clearing, which debited them.
    function pay(address token, address recipient, uint256 amount) external;

    /// @notice Pays what is held for `recipient`, as far as the caps allow. Anyone may call.
    function claim(address token, address recipient) external returns (uint256 paid);

    /// @notice Lists a token or changes its rules. Governance.
    /// @dev A listed token stays listed. Caps may not lock money in: a hundredth of what is held
    /// must be able to leave in an hour, and a tenth in a day.
    function setRules(address token, TokenRules calldata rules) external;

    function rules(address token) external view returns (TokenRules memory);

    /// @return tokenUnits token units in one ledger unit; 0 if the token is not listed
    function unit(address token) external view returns (uint64 tokenUnits);

    /// @return ledger units that came in and did not leave
    function total(address token) external view returns (uint128);
    function heldFor(address token, address recipient) external view returns (uint256);

    /// @return ledger units that the caps let leave now
    function releasable(address token) external view returns (uint256);
}
