// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

import {IClearing, Terms} from "./IClearing.sol";

/// @notice Why nothing can be priced now, and so nobody comes in and no round is paid.
enum Closed {
    NOT, // open
    POSITIONS, // the fund holds what it took over, whose worth only a proof shows
    DEBT, // its cash is below zero
    PRICE, // it holds a token whose index is too old
    ESCAPED // the venue has ended: `quit`
}

/// @notice What shareholders asked for within one notice period, and what is left of it to claim.
struct Round {
    uint256 shares;
    uint256 assets; // once it is paid
    bool paid;
}

/// @notice What a contract was built with; Clearing and its modules.
interface ITerms {
    function terms() external view returns (Terms memory);
}

/// @notice As ERC-7540: who may act for whom.
interface IERC7540Operator {
    event OperatorSet(address indexed controller, address indexed operator, bool approved);

    function isOperator(address controller, address operator) external view returns (bool);
    function setOperator(address operator, bool approved) external returns (bool);
}

/// @notice As ERC-7540: redemption by request. A request's id is its round.
interface IERC7540Redeem {
    event RedeemRequest(
        address indexed controller,
        address indexed owner,
        uint256 indexed requestId,
        address sender,
        uint256 shares
    );

    /// @notice Puts shares into the round of now. It cannot be taken back: the shares bear what the
    /// fund loses until the round is paid.
    function requestRedeem(uint256 shares, address controller, address owner)
        external
        returns (uint256 requestId);
    function pendingRedeemRequest(uint256 requestId, address controller)
        external
        view
        returns (uint256 shares);
    function claimableRedeemRequest(uint256 requestId, address controller)
        external
        view
        returns (uint256 shares);
}

/// @title InsuranceVault: shares of the insurance fund
/// @notice ERC-4626 whose redemptions are asynchronous, as ERC-7540: what comes in is cash of the
/// fund's subaccount at once; what goes out is asked of the venue by a forced exit, and priced when
/// that is paid.
interface IInsuranceVault is IERC4626, IERC7540Operator, IERC7540Redeem {
    error FundClosed(Closed why);
    error ZeroNotice();
    error ZeroShares();
    error NotOperator();
    error NoAccessPass(address holder);
    /// @notice One request at a time: the last one is not claimed.
    error RequestIsOpen(uint256 round);
    error NotMature(uint256 maturesAt);
    error NothingToPay();
    error RoundIsDrawn(uint256 round);
    error NotDrawn();
    /// @notice What was asked of the venue is still on its way.
    error NotArrived();
    /// @notice As ERC-7540 demands of previews: the price is that of the payment.
    error PricedWhenPaid();
    error WrongParameters();
    error NotEscaped();
    error NotAscending();

    event RoundDrawn(uint256 indexed round, uint256 shares, uint256 assets);
    event RoundPaid(uint256 indexed round, uint256 shares, uint256 assets);
    /// @notice The venue paid less than asked: the round is to be drawn again.
    event RoundShort(uint256 indexed round, uint256 assets);
    event RequestVoid(address indexed controller, uint256 indexed round, uint256 shares);
    event TokensWatched(address[] tokens);
    event Quit(address indexed owner, address indexed receiver, uint256 shares);

    // ---- out, step by step

    /// @notice Asks the venue for what a mature round is worth now. Anyone; one round at a time.
    function draw(uint256 round) external;

    /// @notice Pays a round out of what arrived: at the price of now, but no more than was asked
    /// for. Anyone. Where less arrived than that, the round is to be drawn again.
    function pay(uint256 round) external;

    /// @notice Puts dollars that lie here without a claim on them into the fund. Anyone.
    function sweep() external;

    /// @notice Learns which tokens are collateral, and which index prices each. Anyone.
    /// @param parameters the bytes of Margin's parameters, as logged
    function watch(bytes calldata parameters) external;

    // ---- after an escape

    /// @notice Takes shares back out of a round that was not paid. Only when the venue has ended.
    function takeBack(address controller) external;

    /// @notice Burns the caller's shares for their part of everything that lies here. Only when the
    /// venue has ended and what it owes the fund has been valued.
    /// Warning: what is not in `tokens`, or arrives later, is left to the others.
    /// @param tokens ascending; USDC counts like any
    function quit(uint256 shares, address[] calldata tokens, address receiver) external;

    // ---- views

    /// @return why the fund cannot be priced now
    function closed() external view returns (Closed why);
    function roundOf(uint256 round) external view returns (Round memory);

    /// @return round of the controller's open or claimable request
    /// @return shares what is left of it
    function requestOf(address controller) external view returns (uint256 round, uint256 shares);

    /// @return round the one whose money was asked of the venue; 0 if none was
    function drawn() external view returns (uint256 round, uint256 assets, uint256 drawnAt);
    function maturesAt(uint256 round) external view returns (uint256);

    /// @return assets that paid rounds owe to their shareholders
    function owed() external view returns (uint256);
    function CLEARING() external view returns (IClearing);
    function SUBACCOUNT() external view returns (uint64);

    /// @return seconds that a round collects requests, and waits at least after that
    function NOTICE() external view returns (uint64);
}
