// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/interfaces/IERC20.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IAccessPass} from "./interfaces/IAccessPass.sol";
import {IClearing} from "./interfaces/IClearing.sol";
import {ICustody, TokenRules} from "./interfaces/ICustody.sol";
import {
    Closed,
    IERC7540Operator,
    IERC7540Redeem,
    IInsuranceVault,
    ITerms,
    Round
} from "./interfaces/IInsuranceVault.sol";
import {CollateralTerms, MarginParameters} from "./interfaces/IMargin.sol";
import {IOracle} from "./interfaces/IOracle.sol";
import {IReleases} from "./interfaces/IReleases.sol";
import {Flow, FlowLib} from "./libraries/FlowLib.sol";

/// @title InsuranceVault: owns the insurance fund's subaccount, and is owned by its depositors
/// @dev Signs nothing and has no keys: cash leaves the fund by forced exits to this contract alone,
/// which the engine debits itself. So a price taken when an exit is paid knows every loss that the
/// engine knew then, settled or not. Virtual shares (offset 6) stand for what was there before
/// anybody: a first depositor who inflates the price loses a million times what the next one does.
contract InsuranceVault is ERC4626, ReentrancyGuard, IInsuranceVault {
    using FlowLib for Flow;
    using SafeERC20 for IERC20;

    struct Request {
        uint256 round;
        uint256 shares;
    }

    /// @notice Of new deposits, a day's: a quarter of what is there, or so much if that is more. So
    /// much more than that nobody takes out of a gain that he saw coming.
    uint256 public constant INFLOW_MIN = 100_000e6;
    uint256 private constant INFLOW_PART = 4;
    uint256 private constant DEPOSIT_MAX = type(uint72).max;
    uint256 private constant ASSET_SCALE = 1e8;
    /// @dev A withdrawal delay and a halt, at their longest.
    uint256 private constant QUEUED_MAX = 14 days;
    bytes4 private constant ERC165 = 0x01ffc9a7;
    bytes4 private constant ERC7575 = 0x2f0a18c5; // a vault that is its own share

    IClearing public immutable CLEARING;
    ICustody private immutable CUSTODY;
    IOracle private immutable ORACLE;
    IAccessPass private immutable ACCESS_PASS;
    uint64 public immutable SUBACCOUNT;
    uint64 public immutable NOTICE;

    /// @inheritdoc IInsuranceVault
    uint256 public owed;
    /// @inheritdoc IERC7540Operator
    mapping(address controller => mapping(address operator => bool)) public isOperator;
    mapping(uint256 round => Round) private _rounds;
    mapping(address controller => Request) private _requests;
    uint256 private _drawn;
    uint256 private _drawnAssets;
    uint256 private _drawnAt;
    Flow private _inflow;
    address[] private _tokens;
    mapping(address token => uint32 underlying) private _underlyings;

    constructor(IClearing clearing, uint64 notice)
        ERC20("Insurance fund", "FUND")
        ERC4626(IERC20(ITerms(address(clearing)).terms().usdc))
    {
        if (notice == 0) revert ZeroNotice();
        (CLEARING, CUSTODY, NOTICE) = (clearing, clearing.CUSTODY(), notice);
        ORACLE = ITerms(address(clearing)).terms().oracle;
        ACCESS_PASS = ITerms(address(clearing)).terms().accessPass;
        SUBACCOUNT = clearing.openSubaccount();
        IERC20(asset()).forceApprove(address(CUSTODY), type(uint256).max);
    }

    // ---- what it is worth

    /// @inheritdoc IInsuranceVault
    function closed() public view returns (Closed why) {
        if (_escapedAt() != 0) return Closed.ESCAPED;
        (int256 cash, uint256 positions) = _ledger();
        if (positions != 0) return Closed.POSITIONS;
        if (cash < 0) return Closed.DEBT;
        for (uint256 i = 0; i < _tokens.length; i++) {
            if (_tokenAmount(_tokens[i]) == 0) continue;
            try ORACLE.indexPrice(_underlyings[_tokens[i]]) {}
            catch {
                return Closed.PRICE;
            }
        }
    }

    /// @notice Cash of the fund, its tokens at the index, and dollars here that nobody may claim.
    /// @dev While `closed` an estimate, by which nobody enters or leaves.
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        uint256 here = _idle() + CUSTODY.heldFor(asset(), address(this));
        if (_escapedAt() != 0) return here + CLEARING.claimable(SUBACCOUNT, asset());
        for (uint256 i = 0; i < _tokens.length; i++) {
            uint256 amount = _tokenAmount(_tokens[i]);
            if (amount == 0) continue;
            (uint64 price,) = ORACLE.latestIndex(_underlyings[_tokens[i]]);
            here += amount * price / ASSET_SCALE;
        }
        (int256 cash,) = _ledger();
        // forge-lint: disable-next-line(unsafe-typecast)
        return cash < 0 ? Math.saturatingSub(here, uint256(-cash)) : here + uint256(cash);
    }

    // ---- in

    /// @inheritdoc ERC4626
    function maxDeposit(address receiver)
        public
        view
        override(ERC4626, IERC4626)
        returns (uint256)
    {
        (, uint64 pausedUntil) = CLEARING.pausedBetween();
        TokenRules memory rules = CUSTODY.rules(asset());
        bool open = _drawn == 0 && block.timestamp >= pausedUntil && rules.open
            && _mayHold(receiver) && _mayHold(address(this)) && closed() == Closed.NOT;
        if (!open) return 0;
        uint256 room = Math.saturatingSub(rules.totalCap, CUSTODY.total(asset()));
        if (totalSupply() != 0) {
            uint256 cap = _inflowCap();
            room = Math.min(room, _inflow.room(cap, cap));
        }
        return Math.min(room, DEPOSIT_MAX);
    }

    /// @inheritdoc ERC4626
    function maxMint(address receiver) public view override(ERC4626, IERC4626) returns (uint256) {
        return convertToShares(maxDeposit(receiver));
    }

    /// @dev Straight on into the fund.
    function _deposit(address caller, address receiver, uint256 assets, uint256 shares)
        internal
        override
        nonReentrant
    {
        if (shares == 0) revert ZeroShares();
        uint256 cap = _inflowCap();
        if (totalSupply() != 0) _inflow.add(assets, cap, cap);
        super._deposit(caller, receiver, assets, shares);
        CUSTODY.deposit(SUBACCOUNT, asset(), assets);
    }

    // ---- out

    /// @inheritdoc IERC7540Operator
    function setOperator(address operator, bool approved) external returns (bool) {
        isOperator[msg.sender][operator] = approved;
        emit OperatorSet(msg.sender, operator, approved);
        return true;
    }

    /// @inheritdoc IERC7540Redeem
    function requestRedeem(uint256 shares, address controller, address owner)
        external
        nonReentrant
        returns (uint256 requestId)
    {
        if (shares == 0) revert ZeroShares();
        if (_escapedAt() != 0) revert FundClosed(Closed.ESCAPED);
        // Of a stranger's request nobody shall have to wait for the end.
        if (controller != owner) _requireOperator(controller);
        if (!_actsFor(owner)) _spendAllowance(owner, msg.sender, shares);
        requestId = block.timestamp / NOTICE;
        Request storage request = _requests[controller];
        if (request.shares != 0 && request.round != requestId) revert RequestIsOpen(request.round);

        request.round = requestId;
        request.shares += shares;
        _rounds[requestId].shares += shares;
        _transfer(owner, address(this), shares);
        emit RedeemRequest(controller, owner, requestId, msg.sender, shares);
    }

    /// @inheritdoc IInsuranceVault
    function draw(uint256 round) external nonReentrant {
        Round storage found = _rounds[round];
        if (_drawn != 0) revert RoundIsDrawn(_drawn);
        if (found.shares == 0 || found.paid) revert NothingToPay();
        if (block.timestamp < maturesAt(round)) revert NotMature(maturesAt(round));
        _requireOpen();
        _sweep();
        uint256 assets = convertToAssets(found.shares);

        (_drawn, _drawnAssets, _drawnAt) = (round, assets, block.timestamp);
        emit RoundDrawn(round, found.shares, assets);
        // Refused where tokens make up what cash does not cover: the round waits for cash.
        if (assets != 0) CLEARING.requestExit(SUBACCOUNT, asset(), assets, address(this));
    }

    /// @inheritdoc IInsuranceVault
    function pay(uint256 round) external nonReentrant {
        if (round == 0 || round != _drawn) revert NotDrawn();
        _requireOpen();
        if (!_hasArrived()) revert NotArrived();
        Round storage found = _rounds[round];
        uint256 assets = Math.min(convertToAssets(found.shares), _drawnAssets);
        (_drawn, _drawnAssets, _drawnAt) = (0, 0, 0);
        if (assets > _idle()) {
            emit RoundShort(round, _idle());
        } else {
            (found.assets, found.paid) = (assets, true);
            owed += assets;
            _burn(address(this), found.shares);
            emit RoundPaid(round, found.shares, assets);
        }
        _sweep();
    }

    /// @inheritdoc ERC4626
    function redeem(uint256 shares, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 assets)
    {
        uint256 most = maxRedeem(controller);
        if (shares > most) revert ERC4626ExceededMaxRedeem(controller, shares, most);
        Round storage found = _rounds[_requests[controller].round];
        if (shares != 0) assets = Math.mulDiv(shares, found.assets, found.shares);
        _claim(found, receiver, controller, assets, shares);
    }

    /// @inheritdoc ERC4626
    function withdraw(uint256 assets, address receiver, address controller)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256 shares)
    {
        uint256 most = maxWithdraw(controller);
        if (assets > most) revert ERC4626ExceededMaxWithdraw(controller, assets, most);
        Round storage found = _rounds[_requests[controller].round];
        if (assets != 0) {
            shares = Math.mulDiv(assets, found.shares, found.assets, Math.Rounding.Ceil);
        }
        _claim(found, receiver, controller, assets, shares);
    }

    /// @inheritdoc IInsuranceVault
    function sweep() external nonReentrant {
        if (_drawn != 0) revert RoundIsDrawn(_drawn);
        if (_escapedAt() != 0) revert FundClosed(Closed.ESCAPED);
        _sweep();
    }

    /// @inheritdoc IInsuranceVault
    function watch(bytes calldata parameters) external {
        if (keccak256(parameters) != CLEARING.margin().parametersHash()) revert WrongParameters();
        CollateralTerms[] memory terms = abi.decode(parameters, (MarginParameters)).collaterals;
        delete _tokens;
        for (uint256 i = 0; i < terms.length; i++) {
            _tokens.push(terms[i].token);
            _underlyings[terms[i].token] = terms[i].underlying;
        }
        emit TokensWatched(_tokens);
    }

    // ---- after an escape

    /// @inheritdoc IInsuranceVault
    function takeBack(address controller) external nonReentrant {
        if (_escapedAt() == 0) revert NotEscaped();
        Request memory request = _requests[controller];
        if (request.shares == 0 || _rounds[request.round].paid) revert NothingToPay();

        delete _requests[controller];
        _rounds[request.round].shares -= request.shares;
        _transfer(address(this), controller, request.shares);
        emit RequestVoid(controller, request.round, request.shares);
    }

    /// @inheritdoc IInsuranceVault
    /// @dev No virtual shares: the last who leaves leaves nothing.
    function quit(uint256 shares, address[] calldata tokens, address receiver)
        external
        nonReentrant
    {
        if (shares == 0) revert ZeroShares();
        (uint256 valued, uint256 accounts) = (CLEARING.escape().next, CLEARING.escape().accounts);
        if (_escapedAt() == 0 || valued <= accounts) revert NotEscaped();
        uint256 supply = totalSupply();
        _burn(msg.sender, shares);
        emit Quit(msg.sender, receiver, shares);
        address before;
        for (uint256 i = 0; i < tokens.length; i++) {
            address token = tokens[i];
            if (token <= before) revert NotAscending();
            before = token;
            if (CLEARING.claimable(SUBACCOUNT, token) != 0) {
                CLEARING.claim(SUBACCOUNT, token, address(this));
            }
            uint256 balance = token == asset() ? _idle() : IERC20(token).balanceOf(address(this));
            uint256 part = Math.mulDiv(balance, shares, supply);
            if (part != 0) IERC20(token).safeTransfer(receiver, part);
        }
    }

    // ---- views

    /// @inheritdoc ERC4626
    function maxRedeem(address controller)
        public
        view
        override(ERC4626, IERC4626)
        returns (uint256)
    {
        Request memory request = _requests[controller];
        return _rounds[request.round].paid ? request.shares : 0;
    }

    /// @inheritdoc ERC4626
    function maxWithdraw(address controller)
        public
        view
        override(ERC4626, IERC4626)
        returns (uint256)
    {
        Round memory found = _rounds[_requests[controller].round];
        uint256 shares = maxRedeem(controller);
        return shares == 0 ? 0 : Math.mulDiv(shares, found.assets, found.shares);
    }

    /// @inheritdoc ERC4626
    function previewRedeem(uint256) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert PricedWhenPaid();
    }

    /// @inheritdoc ERC4626
    function previewWithdraw(uint256) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert PricedWhenPaid();
    }

    /// @inheritdoc IERC7540Redeem
    function pendingRedeemRequest(uint256 requestId, address controller)
        external
        view
        returns (uint256)
    {
        Request memory request = _requests[controller];
        return request.round == requestId && !_rounds[requestId].paid ? request.shares : 0;
    }

    /// @inheritdoc IERC7540Redeem
    function claimableRedeemRequest(uint256 requestId, address controller)
        external
        view
        returns (uint256)
    {
        return _requests[controller].round == requestId ? maxRedeem(controller) : 0;
    }

    /// @inheritdoc IInsuranceVault
    function roundOf(uint256 round) external view returns (Round memory) {
        return _rounds[round];
    }

    /// @inheritdoc IInsuranceVault
    function requestOf(address controller) external view returns (uint256 round, uint256 shares) {
        Request memory request = _requests[controller];
        return (request.round, request.shares);
    }

    /// @inheritdoc IInsuranceVault
    function drawn() external view returns (uint256 round, uint256 assets, uint256 drawnAt) {
        return (_drawn, _drawnAssets, _drawnAt);
    }

    /// @inheritdoc IInsuranceVault
    function maturesAt(uint256 round) public view returns (uint256) {
        return (round + 2) * NOTICE;
    }

    /// @notice As ERC-7575.
    function share() external view returns (address) {
        return address(this);
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == ERC165 || id == ERC7575 || id == type(IERC7540Operator).interfaceId
            || id == type(IERC7540Redeem).interfaceId;
    }

    // ---- inside

    /// @dev Who asked for less than everything gets the rest of its round later, at the same price.
    function _claim(
        Round storage found,
        address receiver,
        address controller,
        uint256 assets,
        uint256 shares
    ) private {
        _requireOperator(controller);
        _requests[controller].shares -= shares;
        found.shares -= shares;
        found.assets -= assets;
        owed -= assets;
        emit Withdraw(msg.sender, receiver, controller, assets, shares);
        IERC20(asset()).safeTransfer(receiver, assets);
    }

    /// @dev The request is closed, and nothing of it lies in a queue: the price would not know it.
    function _hasArrived() private returns (bool) {
        if (CLEARING.exitOf(SUBACCOUNT).requestedAt != 0) return false;
        if (CUSTODY.heldFor(asset(), address(this)) != 0) {
            try CUSTODY.claim(asset(), address(this)) {} catch {}
            if (CUSTODY.heldFor(asset(), address(this)) != 0) return false;
        }
        if (_idle() >= _drawnAssets) return true;
        if (IReleases(address(CLEARING)).withdrawalDelay() == 0) return true;
        return block.timestamp > _drawnAt + CLEARING.EXIT_DEADLINE() + QUEUED_MAX;
    }

    /// @dev In a pause it stays here, and counts all the same.
    function _sweep() private {
        uint256 idle = _idle();
        if (idle == 0) return;
        try CUSTODY.deposit(SUBACCOUNT, asset(), idle) {} catch {}
    }

    /// @dev Shares need a pass where the venue asks for one; to give them back needs none.
    function _update(address from, address to, uint256 value) internal override {
        bool moves = to != address(0) && to != address(this) && from != address(this);
        if (moves && !_mayHold(to)) revert NoAccessPass(to);
        super._update(from, to, value);
    }

    function _mayHold(address holder) private view returns (bool) {
        if (address(ACCESS_PASS) == address(0)) return true;
        return ACCESS_PASS.isValidAt(holder, block.timestamp);
    }

    function _requireOperator(address controller) private view {
        if (!_actsFor(controller)) revert NotOperator();
    }

    function _actsFor(address owner) private view returns (bool) {
        return owner == msg.sender || isOperator[owner][msg.sender];
    }

    function _requireOpen() private view {
        Closed why = closed();
        if (why != Closed.NOT) revert FundClosed(why);
    }

    function _inflowCap() private view returns (uint256) {
        return Math.max(INFLOW_MIN, totalAssets() / INFLOW_PART);
    }

    function _idle() private view returns (uint256) {
        return IERC20(asset()).balanceOf(address(this)) - owed;
    }

    function _ledger() private view returns (int256 cash, uint256 positions) {
        (cash, positions,) = CLEARING.holdings(SUBACCOUNT, new uint64[](0));
    }

    function _tokenAmount(address token) private view returns (uint256) {
        return CLEARING.collateralOf(SUBACCOUNT, token);
    }

    function _escapedAt() private view returns (uint64) {
        return CLEARING.escape().startedAt;
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }
}
