// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IAccessPass} from "./interfaces/IAccessPass.sol";
import {Auction, AuctionRules, IAuctionsBase} from "./interfaces/IAuctions.sol";
import {IClearing, IClearingBase, Position, PriceBands, Terms} from "./interfaces/IClearing.sol";
import {ICustody} from "./interfaces/ICustody.sol";
import {CashClaim, Escape, ExitRequest, IExitsBase} from "./interfaces/IExits.sol";
import {ILiquidations} from "./interfaces/ILiquidations.sol";
import {IMargin} from "./interfaces/IMargin.sol";
import {IOracle} from "./interfaces/IOracle.sol";
import {Halt, IReleasesBase} from "./interfaces/IReleases.sol";
import {BatchMargin, ISolvencyBase} from "./interfaces/ISolvency.sol";
import {Delayed, DelayedLib} from "./libraries/DelayedLib.sol";
import {KeyUse} from "./libraries/KeyLib.sol";

/// @title Storage: where the ledger lies, for Clearing and each module that runs in its place
/// @dev Clearing and its modules inherit it first, and no module adds storage of its own: so all of
/// them mean the same slots. The layout is drawn in docs/contracts.md. Immutables are in the code,
/// so each has its own copy; Clearing refuses modules whose copies differ.
abstract contract Storage is
    IClearingBase,
    IExitsBase,
    IReleasesBase,
    ISolvencyBase,
    IAuctionsBase,
    EIP712
{
    using DelayedLib for Delayed;

    struct Account {
        address owner;
        int80 cash;
        uint16 positions; // that are not zero
    }

    struct FundingInForce {
        uint64 ordinal;
        int64 index;
    }

    /// @dev Where the chain of batches ends.
    struct Tip {
        uint64 number;
        uint64 lastSeq;
        uint64 riskEpoch;
        uint64 lastTime;
    }

    /// @dev USDC that came in by other ways than batches, lately.
    struct Credits {
        uint64 window; // of CANCEL_DELAY seconds
        uint96 sum; // within it
        uint96 before; // within the one before
    }

    /// @dev One accrual: each debt is charged once for the time since the one before.
    struct InterestWindow {
        uint64 since;
        uint64 until;
        uint64 subaccountId; // the last charged; they ascend
    }

    /// @dev What a whole contract is worth, a multiple of 1e4.
    struct EscapePrice {
        bool known;
        uint128 price;
    }

    /// @dev Collateral that debtors pay with.
    struct EscapeToken {
        address token;
        uint64 price; // of 1e8 ledger units
    }

    /// @dev One slot; fills from `from` to before `until` are held to reduce-only.
    struct Pause {
        uint64 from;
        uint64 until;
    }

    uint64 internal constant FEE_ACCOUNT = 1;
    int256 internal constant QUANTITY_SCALE = 1e4;

    address public immutable USDC;
    IOracle public immutable ORACLE;
    /// @notice See Terms.
    uint64 public immutable MAX_BATCH_AGE;
    /// @notice See Terms.
    uint64 public immutable CANCEL_DELAY;
    /// @notice See Terms.
    IAccessPass public immutable ACCESS_PASS;

    uint64 internal _subaccountCount;
    mapping(uint64 subaccountId => Account) internal _accounts;
    mapping(uint64 subaccountId => mapping(uint64 instrument => Position)) internal _positions;
    mapping(uint64 subaccountId => mapping(uint256 slot => uint256 states)) internal _orderStates;
    mapping(uint64 subaccountId => Delayed) internal _nonceFloors;
    mapping(address owner => mapping(address key => Delayed)) internal _sessionKeys;
    mapping(uint64 subaccountId => mapping(address token => uint256 amount)) internal _collateral;
    mapping(uint64 subaccountId => uint256 word) internal _sheets; // SheetLib
    mapping(uint64 subaccountId => mapping(uint256 window => uint256 marks)) internal _orderMarks;
    mapping(uint64 instrument => FundingInForce) internal _fundings;
    Tip internal _tip;
    bytes32 internal _lastHash;
    mapping(uint64 subaccountId => Credits) internal _credits;
    InterestWindow internal _interestWindow;
    mapping(uint64 subaccountId => bool) internal _standard; // margined position by position
    PriceBands internal _priceBands;
    ILiquidations internal _liquidations; // set once
    uint64 internal _fund; // subaccount of the insurance fund; 0: the venue's own
    mapping(address token => uint32 underlying) internal _tokenUnderlyings;
    uint128 internal _lossLeft; // of what the fund bore, what others may be asked to share
    IMargin internal _margin;
    mapping(uint64 subaccountId => ExitRequest) internal _exits;
    Escape internal _escape;
    mapping(uint64 instrument => EscapePrice) internal _escapePrices;
    EscapeToken[] internal _escapeTokens;
    mapping(address token => uint256 amount) internal _seized;
    mapping(uint64 subaccountId => CashClaim) internal _cashClaims;
    mapping(uint64 subaccountId => mapping(address token => bool)) internal _claimed;

    uint64 internal _withdrawalDelay;
    mapping(bytes32 withdrawal => uint64 maturesAt) internal _queued;
    Halt[] internal _halts;
    mapping(uint64 subaccountId => mapping(uint64 nonce => uint64 voidAt)) internal _voidAt;
    mapping(address owner => mapping(address key => mapping(uint32 underlying => KeyUse))) internal
        _keyUses;
    Pause internal _pause;
    BatchMargin internal _batchMargin;
    // The tag of an account's nonce floor says from when on it is frozen; see Auctions.
    mapping(uint64 subaccountId => Auction) internal _auctions;
    AuctionRules internal _auctionRules; // all 0: Auctions' own

    constructor(Terms memory terms_) EIP712("Hybrid Options Exchange", "1") {
        if (IERC20Metadata(terms_.usdc).decimals() != 6) revert TokenNotSixDecimals();
        if (terms_.cancelDelay < terms_.maxBatchAge) revert CancelDelayTooShort();
        (USDC, ORACLE) = (terms_.usdc, terms_.oracle);
        (MAX_BATCH_AGE, CANCEL_DELAY) = (terms_.maxBatchAge, terms_.cancelDelay);
        ACCESS_PASS = terms_.accessPass;
    }

    modifier notEscaped() {
        if (_escape.startedAt != 0) revert Escaped();
        _;
    }

    /// @notice What this contract was built with.
    function terms() public view returns (Terms memory) {
        return Terms(USDC, ORACLE, MAX_BATCH_AGE, CANCEL_DELAY, ACCESS_PASS);
    }

    /// @dev For modules, which are older than Custody: they run in Clearing's place, and it knows.
    function _custody() internal view returns (ICustody) {
        return IClearing(address(this)).CUSTODY();
    }

    /// @dev The subaccount that takes over what nobody bids for.
    function _fundId() internal view returns (uint64) {
        return _fund == 0 ? FEE_ACCOUNT : _fund;
    }

    /// @dev One call for each fill of an owner, and none where the venue asks for no pass.
    function _requirePass(uint64 subaccountId, address owner, uint256 time) internal view {
        if (!ACCESS_PASS.isValidAt(owner, time)) revert NoAccessPass(subaccountId);
    }

    function _open(address owner, bool standard) internal returns (uint64 subaccountId) {
        subaccountId = ++_subaccountCount;
        _accounts[subaccountId].owner = owner;
        if (standard) _standard[subaccountId] = true;
        emit SubaccountOpened(subaccountId, owner, standard);
    }

    /// @dev While its parts are auctioned nothing else may change what an account holds.
    function _requireNotFrozen(uint64 subaccountId, uint256 time) internal view {
        uint64 from = _nonceFloors[subaccountId].tag;
        if (from != 0 && time >= from) revert Frozen(subaccountId);
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
}
