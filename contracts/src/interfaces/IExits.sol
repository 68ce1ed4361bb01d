// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarksProof} from "../libraries/MarksLib.sol";
import {IMargin, MarginProof} from "./IMargin.sol";

/// @notice What an owner asked to take out by force; at most one of each subaccount is open.
struct ExitRequest {
    address token;
    uint64 requestedAt; // block time; 0: none is open
    address recipient;
    uint64 ordinal; // of this subaccount's requests, from 1; stays when one closes
    uint256 amount; // ledger units that are still to be paid
}

/// @notice The end of the venue. Cash in 1e-6 USDC.
struct Escape {
    uint64 startedAt; // block time; 0: batches still settle
    uint64 accounts; // subaccounts there are: later ones hold nothing
    uint64 next; // the subaccount to value; beyond `accounts` all are valued
    bool tokensPriced;
    bytes32 marksRoot; // the last that was posted
    bytes32 parametersHash; // of Margin: which tokens are collateral
    int256 brought; // by the positions of `next` that are valued already
    int256 cash; // of all together, signed: the USDC that is there
    uint256 seized; // from debtors, at oracle prices
    uint256 senior; // claims of all but the venue
    uint256 junior; // claims of the venue itself
}

/// @notice Cash that a subaccount is owed, and what others of its rank are owed before it.
struct CashClaim {
    uint128 amount;
    uint128 before;
}

/// @title What exits refuse and log
interface IExitsBase {
    error MarginIsSet();
    error WrongMargin();
    /// @notice Batches settle no more, and nothing else moves but by the rules of the escape.
    error Escaped();
    error NotEscaped();
    error ExitIsOpen();
    error NoExit();
    error TooEarly(uint256 from);
    /// @notice Batches pay a request within PAY_WINDOW: later ones could come after another
    /// service.
    error PaidTooLate();
    /// @notice The subaccount's margin does not allow so much to leave.
    error PaysTooMuch(int256 initialExcess);
    /// @notice The subaccount's margin allows more of the request to leave.
    error PaysTooLittle(int256 initialExcess);
    error UnknownMarks();
    /// @notice Nobody proved this instrument's mark, or its delivery price is not fixed.
    error PriceMissing(uint64 instrument);
    error TokensNotPriced();
    error UnknownParameters();
    error OutOfTurn(uint64 next);
    error NotValued(uint64 next);
    error NothingToClaim();

    event MarginSet(address margin);
    event ExitRequested(
        uint64 indexed subaccountId,
        uint64 ordinal,
        address token,
        uint256 amount,
        address recipient,
        uint64 requestedAt
    );
    /// @notice A batch paid; `left` is still asked for, 0 closes the request.
    event ExitPaid(uint64 indexed subaccountId, uint64 ordinal, uint256 amount, uint256 left);
    /// @notice Somebody paid by proof, which closes the request: the journal learns it from here.
    event ExitServed(uint64 indexed subaccountId, uint64 ordinal, address token, uint256 amount);
    event EscapeStarted(uint64 indexed subaccountId, uint64 accounts, bytes32 marksRoot);
    event PriceFixed(uint64 indexed instrument, uint256 price);
    event TokenPriced(address indexed token, uint256 price);
    event Valued(uint64 indexed subaccountId, int256 cash, uint256 covered);
    event EscapeClaimed(
        uint64 indexed subaccountId, address indexed token, uint256 amount, address recipient
    );
}

/// @title Exits: out without the operator's consent, and without the operator
interface IExits is IExitsBase {
    // ---- forced exit

    /// @notice Asks for money that the operator must pay. Only the owner; amount in ledger units,
    /// at most what the subaccount holds of the token now.
    function requestExit(uint64 subaccountId, address token, uint256 amount, address recipient)
        external;

    /// @notice Pays of an open request what margin allows, and closes it. Anyone.
    /// @dev Later than PAY_WINDOW and MAX_BATCH_AGE after the request: then no batch can carry a
    /// payment of it any more, nor a fill or withdrawal of before. A subaccount without positions
    /// and debts needs no proof: then `proof` is not read.
    /// @param paid exactly what can leave: one unit more of the request would be too much
    function serveExit(uint64 subaccountId, uint256 paid, MarginProof calldata proof) external;

    /// @notice Ends the venue when a request stayed open for EXIT_DEADLINE. Anyone.
    function startEscape(uint64 subaccountId) external;

    // ---- escape

    /// @notice Keeps marks, and indices, under the last root that was posted. Anyone. Those that
    /// are known are passed over.
    /// @dev Passed over are also those of instruments that had expired when the escape began: their
    /// delivery price is waited for, for PRICE_WINDOW. Rounded down to 0.01 USDC, so that all
    /// values are exact.
    function fixMarks(MarksProof calldata proof) external;

    /// @notice Gives instruments whose mark nobody proved within PRICE_WINDOW what they would pay
    /// at the index of their underlying, or at 0 if that is missing too. Anyone.
    function fixMissing(uint64[] calldata instruments) external;

    /// @notice Prices the collateral at the indices. Anyone.
    /// @param parameters the bytes of Margin's parameters, as logged
    function priceTokens(bytes calldata parameters) external;

    /// @notice Values subaccounts one after the other. Anyone.
    /// @param first the first of them; those that were valued already are passed over
    /// @param instruments of each subaccount all positions; of the last one any part, the rest
    /// follows with another call
    function value(uint64 first, uint64[][] calldata instruments) external;

    /// @notice Pays an owner everything of one token: what is left of the subaccount's own, and its
    /// share of what all are paid from. Once for each token; only the owner.
    /// @dev What the token's caps or the recipient refuse waits in Custody.
    function claim(uint64 subaccountId, address token, address recipient) external;

    // ---- governance

    /// @notice Names the contract that proves margin, once.
    function setMargin(IMargin margin) external;

    // ---- views

    function margin() external view returns (IMargin);
    function exitOf(uint64 subaccountId) external view returns (ExitRequest memory);
    function escape() external view returns (Escape memory);

    /// @return known whether it is fixed; of what expired the delivery price may count instead
    /// @return price of a whole contract
    function escapePrice(uint64 instrument) external view returns (bool known, uint256 price);

    /// @return amount of a token that `claim` pays
    function claimable(uint64 subaccountId, address token) external view returns (uint256 amount);

    /// @return seconds in which the journal may pay a request, by a batch that settles later
    function PAY_WINDOW() external view returns (uint64);

    /// @return seconds after which an open request ends the venue
    function EXIT_DEADLINE() external view returns (uint64);

    /// @return seconds in which marks and delivery prices are waited for
    function PRICE_WINDOW() external view returns (uint64);
}
