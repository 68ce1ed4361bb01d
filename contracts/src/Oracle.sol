// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {DeliveryPrice, FundingIndex, IOracle, RiskRoot} from "./interfaces/IOracle.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {MarksLib} from "./libraries/MarksLib.sol";

/// @title Oracle: keeps what M of N signers agreed on
/// @dev Knows no source of prices, no position and no administrator: the signer set is fixed at
/// deployment.
contract Oracle is IOracle, EIP712 {
    /// @dev One slot.
    struct PostedFunding {
        uint64 time; // 0: not posted
        int64 index;
    }

    struct PostedMarks {
        uint64 time; // of the epoch; 0: not posted
        bytes32 root;
    }

    bytes32 internal constant DELIVERY_PRICE_TYPEHASH =
        keccak256("DeliveryPrice(uint32 underlying,uint64 expiry,uint64 price,uint64 deadline)");
    bytes32 internal constant RISK_ROOT_TYPEHASH = keccak256(
        "RiskRoot(uint64 epoch,uint64 time,bytes32 root,bytes32 marksRoot,uint64 deadline)"
    );
    bytes32 internal constant FUNDING_INDEX_TYPEHASH =
        keccak256("FundingIndex(uint64 instrument,uint64 ordinal,uint64 time,int64 index)");

    /// @dev Payoffs and funding are exact only at multiples of 0.01 USDC.
    uint64 internal constant TICK = 1e4;
    uint256 internal constant MAX_CLOCK_SKEW = 60;

    /// @notice The most by which a funding index may move in a second, in 1e-6 USDC per contract:
    /// 0.5 % in eight hours of a price of 576,000 USDC.
    uint256 public constant FUNDING_PER_SECOND_MAX = 100_000;
    /// @dev The first index has no predecessor: so long a time may lie before it, in seconds.
    uint256 internal constant FIRST_FUNDING_SPAN = 30 days;

    /// @notice How many signatures a post needs.
    uint256 public immutable THRESHOLD;

    /// @inheritdoc IOracle
    mapping(address signer => bool) public isSigner;
    mapping(uint32 underlying => mapping(uint64 expiry => uint64 price)) internal _deliveryPrices;
    uint64 internal _epoch;
    bytes32 internal _root; // of the risk arrays of that epoch
    mapping(uint64 epoch => PostedMarks) internal _marks;

    mapping(uint64 instrument => mapping(uint64 ordinal => PostedFunding)) internal _fundings;

    /// @param signers ascending, so that none appears twice
    constructor(address[] memory signers, uint256 threshold)
        EIP712("Hybrid Options Exchange", "1")
    {
        if (threshold == 0 || threshold > signers.length) {
            revert InvalidSignerSet();
        }
        address previous = address(0);
        for (uint256 i = 0; i < signers.length; i++) {
            if (signers[i] <= previous) revert InvalidSignerSet();
            previous = signers[i];
            isSigner[previous] = true;
        }
        THRESHOLD = threshold;
    }

    /// @inheritdoc IOracle
    function fixDeliveryPrice(DeliveryPrice calldata delivery, bytes[] calldata signatures)
        external
    {
        if (block.timestamp > delivery.deadline) revert DeadlinePassed();
        if (block.timestamp < delivery.expiry) revert NotExpired();
        // Zero would mean "not fixed".
        if (delivery.price == 0 || delivery.price % TICK != 0) revert PriceOffTick();
        if (_deliveryPrices[delivery.underlying][delivery.expiry] != 0) revert AlreadyFixed();
        _requireQuorum(hashDeliveryPrice(delivery), signatures);

        _deliveryPrices[delivery.underlying][delivery.expiry] = delivery.price;
        emit DeliveryPriceFixed(delivery.underlying, delivery.expiry, delivery.price);
    }

    /// @inheritdoc IOracle
    function postRiskRoot(RiskRoot calldata risk, bytes calldata marks, bytes[] calldata signatures)
        external
    {
        if (block.timestamp > risk.deadline) revert DeadlinePassed();
        if (_marks[risk.epoch].time != 0) revert EpochPosted(risk.epoch);
        bool newest = risk.epoch > _epoch;
        uint64 last = _marks[_epoch].time;
        bool inOrder = newest ? risk.time >= last : risk.time <= last;
        if (!inOrder || risk.time == 0) revert TimeFell();
        if (risk.time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        if (MarksLib.rootOf(marks) != risk.marksRoot) revert WrongMarksRoot();
        _requireQuorum(hashRiskRoot(risk), signatures);

        if (newest) (_epoch, _root) = (risk.epoch, risk.root);
        _marks[risk.epoch] = PostedMarks(risk.time, risk.marksRoot);
        emit RiskRootPosted(risk.epoch, risk.time, risk.root, risk.marksRoot);
        emit MarksPosted(risk.epoch, marks);
    }

    /// @inheritdoc IOracle
    function postFunding(FundingIndex calldata funding, bytes[] calldata signatures) external {
        _postFunding(funding, signatures);
    }

    /// @inheritdoc IOracle
    function postFundings(FundingIndex[] calldata fundings, bytes[][] calldata signatures)
        external
    {
        if (signatures.length != fundings.length) revert NotEnoughSignatures();
        for (uint256 i = 0; i < fundings.length; i++) {
            FundingIndex calldata funding = fundings[i];
            PostedFunding memory known = _fundings[funding.instrument][funding.ordinal];
            // Somebody else was faster with it: that is no reason to lose the others.
            if (known.time != 0 && known.index == funding.index) continue;
            _postFunding(funding, signatures[i]);
        }
    }

    function _postFunding(FundingIndex calldata funding, bytes[] calldata signatures) private {
        mapping(uint64 => PostedFunding) storage posted = _fundings[funding.instrument];
        uint64 instrument = InstrumentLib.toListed(funding.instrument);
        if (!InstrumentLib.isPerpetual(instrument)) revert NotPerpetual(instrument);
        PostedFunding memory before = PostedFunding(0, 0);
        if (funding.ordinal > 1) before = posted[funding.ordinal - 1];
        bool next = funding.ordinal == 1 || before.time != 0;
        if (!next || posted[funding.ordinal].time != 0) revert OrdinalNotNext();
        if (funding.time < before.time || funding.time == 0) revert TimeFell();
        if (funding.time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        if (funding.index % int64(TICK) != 0) revert PriceOffTick();
        uint256 span = before.time == 0 ? FIRST_FUNDING_SPAN : funding.time - before.time;
        int256 move = int256(funding.index) - before.index;
        // Times are whole seconds: one more may have passed.
        if (SignedMath.abs(move) > (span + 1) * FUNDING_PER_SECOND_MAX) revert FundingTooFast();
        _requireQuorum(hashFundingIndex(funding), signatures);

        posted[funding.ordinal] = PostedFunding(funding.time, funding.index);
        emit FundingPosted(instrument, funding.ordinal, funding.time, funding.index);
    }

    /// @inheritdoc IOracle
    function fundingIndex(uint64 instrument, uint64 ordinal) external view returns (int64) {
        PostedFunding memory posted = _fundings[instrument][ordinal];
        if (posted.time == 0) revert FundingNotPosted(instrument, ordinal);
        return posted.index;
    }

    /// @inheritdoc IOracle
    function deliveryPrice(uint32 underlying, uint64 expiry) external view returns (uint64 price) {
        price = _deliveryPrices[underlying][expiry];
        if (price == 0) revert NotFixed(underlying, expiry);
    }

    /// @inheritdoc IOracle
    function latestRiskRoot() external view returns (uint64 epoch, uint64 time, bytes32 root) {
        return (_epoch, _marks[_epoch].time, _root);
    }

    /// @inheritdoc IOracle
    function latestMarks() external view returns (uint64 epoch, uint64 time, bytes32 marksRoot) {
        PostedMarks memory posted = _marks[_epoch];
        return (_epoch, posted.time, posted.root);
    }

    /// @inheritdoc IOracle
    function marksOf(uint64 epoch) external view returns (uint64 time, bytes32 marksRoot) {
        PostedMarks memory posted = _marks[epoch];
        if (posted.time == 0) revert MarksNotPosted(epoch);
        return (posted.time, posted.root);
    }

    /// @inheritdoc IOracle
    function hashDeliveryPrice(DeliveryPrice calldata delivery) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(DELIVERY_PRICE_TYPEHASH, delivery)));
    }

    /// @inheritdoc IOracle
    function hashRiskRoot(RiskRoot calldata risk) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(RISK_ROOT_TYPEHASH, risk)));
    }

    /// @inheritdoc IOracle
    function hashFundingIndex(FundingIndex calldata funding) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(FUNDING_INDEX_TYPEHASH, funding)));
    }

    /// @inheritdoc IOracle
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @dev Ascending signers make a duplicate impossible. Signatures beyond the threshold are
    /// checked too: one that is wrong is somebody's mistake, and silence would hide it.
    function _requireQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        if (signatures.length < THRESHOLD) revert NotEnoughSignatures();
        address previous = address(0);
        for (uint256 i = 0; i < signatures.length; i++) {
            (address signer, ECDSA.RecoverError fault,) =
                ECDSA.tryRecoverCalldata(digest, signatures[i]);
            if (fault != ECDSA.RecoverError.NoError) revert InvalidSignature(i);
            if (signer <= previous) revert SignersNotAscending(i);
            if (!isSigner[signer]) revert UnknownSigner(signer);
            previous = signer;
        }
    }
}
