// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IClearing, Order, Position, QuoteSheet, Withdrawal} from "./interfaces/IClearing.sol";
import {ICustody, ILedger} from "./interfaces/ICustody.sol";
import {IHoldings} from "./interfaces/IMargin.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {OrderLib} from "./libraries/OrderLib.sol";
import {OrderStateLib} from "./libraries/OrderStateLib.sol";

/// @title Accounts: the ledger's storage and what owners may do to it
/// @dev Knows nothing of batches or prices. The layout is drawn in docs/contracts.md.
abstract contract Accounts is IClearing, EIP712 {
    using DelayedLib for Delayed;
    using OrderLib for Order;
    using OrderLib for QuoteSheet;
    using OrderLib for Withdrawal;
    using SafeCast for int256;
    using SafeCast for uint256;

    struct Account {
        address owner;
        int80 cash;
        uint16 positions; // that are not zero
    }

    struct FundingInForce {
        uint64 ordinal;
        int64 index;
    }

    uint64 internal constant FEE_ACCOUNT = 1;
    int256 private constant QUANTITY_SCALE = 1e4;

    address public immutable USDC;
    /// @inheritdoc IClearing
    ICustody public immutable CUSTODY;
    /// @notice Seconds after which a batch can no longer settle a fill.
    uint64 public immutable MAX_BATCH_AGE;
    /// @notice Seconds between an owner's cancel and the contract's obedience. Not below
    /// MAX_BATCH_AGE, so a second cancel cannot reach back to a fill that the first one still
    /// allowed.
    uint64 public immutable CANCEL_DELAY;

    /// @inheritdoc IClearing
    uint64 public subaccountCount;
    mapping(uint64 subaccountId => Account) internal _accounts;
    mapping(uint64 subaccountId => mapping(uint64 instrument => Position)) internal _positions;
    mapping(uint64 subaccountId => mapping(uint256 slot => uint256 states)) internal _orderStates;
    mapping(uint64 subaccountId => Delayed) internal _nonceFloors;
    mapping(address owner => mapping(address key => Delayed)) internal _sessionKeys;
    /// @inheritdoc IHoldings
    mapping(uint64 subaccountId => mapping(address token => uint256 amount)) public collateralOf;
    /// @inheritdoc IClearing
    mapping(uint64 subaccountId => uint64 nonce) public sheetNonce;
    mapping(uint64 subaccountId => mapping(uint256 window => uint256 marks)) internal _orderMarks;
    /// @inheritdoc IClearing
    mapping(uint64 instrument => FundingInForce) public funding;

    constructor(
        IERC20Metadata usdc,
        ICustody custody,
        address treasury,
        uint64 maxBatchAge,
        uint64 cancelDelay
    ) EIP712("Hybrid Options Exchange", "1") {
        if (treasury == address(0)) revert ZeroAddress();
        if (usdc.decimals() != 6) revert TokenNotSixDecimals();
        if (cancelDelay < maxBatchAge) revert CancelDelayTooShort();
        (USDC, CUSTODY) = (address(usdc), custody);
        (MAX_BATCH_AGE, CANCEL_DELAY) = (maxBatchAge, cancelDelay);
        _open(treasury);
    }

    // ---- owners

    /// @inheritdoc IClearing
    function openSubaccount() external returns (uint64 subaccountId) {
        return _open(msg.sender);
    }

    /// @inheritdoc ILedger
    function credit(uint64 subaccountId, address token, uint256 amount) external {
        if (msg.sender != address(CUSTODY)) revert NotCustody();
        _requireOpen(subaccountId);

        if (token == USDC) _accounts[subaccountId].cash += amount.toInt256().toInt80();
        else collateralOf[subaccountId][token] += amount;
        emit Deposited(subaccountId, token, amount);
    }

    /// @inheritdoc IClearing
    function setSessionKey(address key, uint64 deadline) external {
        if (key == address(0)) revert ZeroAddress();
        Delayed storage limit = _sessionKeys[msg.sender][key];

        if (deadline >= limit.valueAt(block.timestamp)) limit.setNow(deadline);
        else limit.schedule(deadline, CANCEL_DELAY);
        emit SessionKeySet(msg.sender, key, deadline);
    }

    /// @inheritdoc IClearing
    function raiseNonceFloor(uint64 subaccountId, uint64 floor) external {
        if (_accounts[subaccountId].owner != msg.sender) revert NotOwner();
        Delayed storage delayed = _nonceFloors[subaccountId];
        if (floor <= delayed.next) revert FloorNotRaised();

        delayed.schedule(floor, CANCEL_DELAY);
        emit NonceFloorRaised(subaccountId, floor, delayed.effectiveAt);
    }

    // ---- views

    /// @inheritdoc IClearing
    function account(uint64 subaccountId) external view returns (address owner, int96 cash) {
        Account storage stored = _accounts[subaccountId];
        return (stored.owner, stored.cash);
    }

    /// @inheritdoc IClearing
    function position(uint64 subaccountId, uint64 instrument) external view returns (int64) {
        return _positions[subaccountId][instrument].quantity;
    }

    /// @inheritdoc IClearing
    function cashAndPositions(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int96 cash, Position[] memory positions)
    {
        cash = _accounts[subaccountId].cash;
        positions = new Position[](instruments.length);
        for (uint256 i = 0; i < instruments.length; i++) {
            positions[i] = _positions[subaccountId][instruments[i]];
        }
    }

    /// @inheritdoc IHoldings
    function holdings(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int256 netCash, uint256 count, int256[] memory quantities)
    {
        Account storage stored = _accounts[subaccountId];
        (netCash, count) = (stored.cash, stored.positions);
        quantities = new int256[](instruments.length);
        for (uint256 i = 0; i < quantities.length; i++) {
            uint64 instrument = instruments[i];
            Position storage held = _positions[subaccountId][instrument];
            int256 quantity = held.quantity;
            quantities[i] = quantity;
            if (!InstrumentLib.isLinear(instrument)) continue;
            netCash -= held.cost;
            if (!InstrumentLib.isPerpetual(instrument)) continue;
            // Exact: an index is a multiple of 1e4.
            int256 due = int256(funding[instrument].index) - held.fundingIndex;
            netCash -= quantity * due / QUANTITY_SCALE;
        }
    }

    /// @inheritdoc IClearing
    function orderState(uint64 subaccountId, uint64 nonce)
        external
        view
        returns (uint48 filled, uint16 version)
    {
        uint256 marks = _orderMarks[subaccountId][OrderStateLib.windowOf(nonce)];
        if (OrderStateLib.isDone(marks, nonce)) return (type(uint48).max, type(uint16).max);
        uint256 word = _orderStates[subaccountId][OrderStateLib.slotOf(nonce)];
        (uint256 f, uint256 v) = OrderStateLib.read(word, nonce);
        return (f.toUint48(), v.toUint16());
    }

    /// @inheritdoc IClearing
    function nonceFloor(uint64 subaccountId)
        external
        view
        returns (uint64 current, uint64 next, uint64 effectiveAt)
    {
        Delayed storage floor = _nonceFloors[subaccountId];
        return (floor.current, floor.next, floor.effectiveAt);
    }

    /// @inheritdoc IClearing
    function sessionKeyDeadline(address owner, address key, uint64 time)
        external
        view
        returns (uint64)
    {
        return _sessionKeys[owner][key].valueAt(time);
    }

    /// @inheritdoc IClearing
    function hashOrder(Order calldata order) external view returns (bytes32) {
        return _hashTypedDataV4(order.hash());
    }

    /// @inheritdoc IClearing
    function hashQuoteSheet(QuoteSheet calldata sheet) external view returns (bytes32) {
        return _hashTypedDataV4(sheet.hash());
    }

    /// @inheritdoc IClearing
    function hashWithdrawal(Withdrawal calldata withdrawal) external view returns (bytes32) {
        return _hashTypedDataV4(withdrawal.hash());
    }

    /// @inheritdoc IClearing
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ---- inside

    function _open(address owner) private returns (uint64 subaccountId) {
        subaccountId = ++subaccountCount;
        _accounts[subaccountId].owner = owner;
        emit SubaccountOpened(subaccountId, owner);
    }

    function _requireOpen(uint64 subaccountId) internal view {
        if (_accounts[subaccountId].owner == address(0)) revert UnknownSubaccount(subaccountId);
    }

    /// @dev 65 bytes, low s, v 27 or 28, signer not zero: OpenZeppelin refuses the rest.
    function _requireSignature(bytes32 structHash, address signer, bytes calldata signature)
        internal
        view
    {
        bytes32 digest = _hashTypedDataV4(structHash);
        (address recovered, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (fault != ECDSA.RecoverError.NoError || recovered != signer) {
            revert InvalidSignature(digest);
        }
    }

    function _authorised(address owner, address signer, uint256 time) internal view returns (bool) {
        return signer == owner || _sessionKeys[owner][signer].valueAt(time) >= time;
    }
}
