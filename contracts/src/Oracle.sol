// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

import {
    DeliveryPrice,
    FundingIndex,
    IOracle,
    IndexSample,
    RiskRoot
} from "./interfaces/IOracle.sol";
import {InstrumentLib} from "./libraries/InstrumentLib.sol";
import {MarksLib} from "./libraries/MarksLib.sol";
import {Sample, SamplesLib} from "./libraries/SamplesLib.sol";

/// @title Oracle: keeps what M of N signers agreed on
/// @dev Knows no source of prices and no position. What the guards do not allow, such as a jump,
/// needs every signer; nobody else can do it, governance neither.
contract Oracle is IOracle, EIP712, AccessManaged {
    using SafeCast for uint256;
    using SamplesLib for Sample[];

    /// @dev One slot.
    struct PostedFunding {
        uint64 time; // 0: not posted
        int64 index;
    }

    struct PostedMarks {
        uint64 time; // of the epoch; 0: not posted
        bytes32 root; // of its packed marks
        bytes32 riskRoot; // of its risk arrays
    }

    bytes32 internal constant DELIVERY_PRICE_TYPEHASH =
        keccak256("DeliveryPrice(uint32 underlying,uint64 expiry,uint64 price,uint64 deadline)");
    bytes32 internal constant INDEX_SAMPLE_TYPEHASH =
        keccak256("IndexSample(uint32 underlying,uint64 time,uint64 price,uint64 deadline)");
    bytes32 internal constant RISK_ROOT_TYPEHASH = keccak256(
        "RiskRoot(uint64 epoch,uint64 time,bytes32 root,bytes32 marksRoot,uint64 deadline)"
    );
    bytes32 internal constant FUNDING_INDEX_TYPEHASH =
        keccak256("FundingIndex(uint64 instrument,uint64 ordinal,uint64 time,int64 index)");

    /// @dev Payoffs and funding are exact only at multiples of 0.01 USDC.
    uint64 internal constant TICK = 1e4;
    uint256 internal constant MAX_CLOCK_SKEW = 60;
    uint256 internal constant RATE_SCALE = 1e18;
    uint256 internal constant SIGNERS_MAX = 32;

    /// @notice Seconds between the proposal of a signer set and its acceptance, and how long it may
    /// then be accepted.
    uint256 public constant ROTATION_DELAY = 2 days;
    uint256 public constant ACCEPTANCE_WINDOW = 7 days;

    /// @notice How far an index may move at once, and how much farther a second later, both in
    /// 1e-18 of it, up to a cap. Farther needs every signer.
    uint256 public constant MOVE_MAX = 1e17;
    uint256 public constant MOVE_PER_SECOND = 1e17 / uint256(60);
    uint256 public constant MOVE_CAP = 5e17;

    /// @notice Seconds after which an index is stale.
    uint256 public constant INDEX_MAX_AGE = 10 minutes;
    /// @notice Over how many seconds before an expiry its delivery price is averaged, and how far
    /// (1e-18) it may lie from the average of the posted samples. Farther needs every signer.
    uint256 public constant DELIVERY_WINDOW = 30 minutes;
    uint256 public constant DELIVERY_TOLERANCE = 1e16;

    /// @notice The most by which a funding index may move in a second, in 1e-6 USDC per contract:
    /// 0.5 % in eight hours of a price of 576,000 USDC.
    uint256 public constant FUNDING_PER_SECOND_MAX = 100_000;
    /// @dev The first index has no predecessor: so long a time may lie before it, in seconds.
    uint256 internal constant FIRST_FUNDING_SPAN = 30 days;

    /// @inheritdoc IOracle
    mapping(address signer => bool) public isSigner;
    address[] internal _signers;
    /// @inheritdoc IOracle
    uint256 public threshold;
    address[] internal _proposed;
    uint256 internal _proposedThreshold;
    uint256 internal _acceptableAt; // 0: nothing is proposed

    mapping(uint32 underlying => mapping(uint64 expiry => uint64 price)) internal _deliveryPrices;
    mapping(uint32 underlying => Sample[]) internal _samples;
    uint64 internal _epoch;
    mapping(uint64 epoch => PostedMarks) internal _marks;
    mapping(uint64 instrument => mapping(uint64 ordinal => PostedFunding)) internal _fundings;

    /// @param signers_ ascending, so that none appears twice
    constructor(address authority, address[] memory signers_, uint256 threshold_)
        EIP712("Hybrid Options Exchange", "1")
        AccessManaged(authority)
    {
        _checkSigners(signers_, threshold_);
        _setSigners(signers_, threshold_);
    }

    // ---- feeds

    /// @inheritdoc IOracle
    function postIndex(IndexSample calldata sample, bytes[] calldata signatures) external {
        if (block.timestamp > sample.deadline) revert DeadlinePassed();
        if (sample.time > block.timestamp + MAX_CLOCK_SKEW) revert TimeTooLate();
        if (sample.time <= _samples[sample.underlying].last().time) revert TimeFell();
        bool usual = _isUsual(sample.underlying, sample.time, sample.price);
        _requireQuorum(hashIndexSample(sample), signatures, usual);

        _addSample(sample.underlying, sample.time, sample.price);
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
        _requireQuorum(hashRiskRoot(risk), signatures, _takeIndices(marks, risk.time));

        if (newest) _epoch = risk.epoch;
        _marks[risk.epoch] = PostedMarks(risk.time, risk.marksRoot, risk.root);
        emit RiskRootPosted(risk.epoch, risk.time, risk.root, risk.marksRoot);
        emit MarksPosted(risk.epoch, marks);
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
        bool usual = _agrees(delivery.underlying, delivery.expiry, delivery.price);
        _requireQuorum(hashDeliveryPrice(delivery), signatures, usual);

        _deliveryPrices[delivery.underlying][delivery.expiry] = delivery.price;
        emit DeliveryPriceFixed(delivery.underlying, delivery.expiry, delivery.price);
    }

    /// @inheritdoc IOracle
    function postFunding(FundingIndex calldata funding, bytes[] calldata signatures) external {
        _postFunding(funding, signatures);
    }

    /// @inheritdoc IOracle
    function postFundings(FundingIndex[] calldata fundings, bytes[][] calldata signatures)
        external
    {
        if (signatures.length != fundings.length) {
            revert NotEnoughSignatures(fundings.length);
        }
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
        _requireQuorum(hashFundingIndex(funding), signatures, true);

        posted[funding.ordinal] = PostedFunding(funding.time, funding.index);
        emit FundingPosted(instrument, funding.ordinal, funding.time, funding.index);
    }

    // ---- governance

    /// @inheritdoc IOracle
    function proposeSigners(address[] calldata signers_, uint256 threshold_) external restricted {
        _checkSigners(signers_, threshold_);
        (_proposed, _proposedThreshold) = (signers_, threshold_);
        _acceptableAt = block.timestamp + ROTATION_DELAY;
        emit SignersProposed(signers_, threshold_, _acceptableAt);
    }

    /// @inheritdoc IOracle
    function acceptSigners() external restricted {
        uint256 from = _acceptableAt;
        if (from == 0) revert NothingProposed();
        if (block.timestamp < from) revert TooEarly(from);
        if (block.timestamp > from + ACCEPTANCE_WINDOW) revert ProposalLapsed();

        for (uint256 i = 0; i < _signers.length; i++) {
            isSigner[_signers[i]] = false;
        }
        _setSigners(_proposed, _proposedThreshold);
        _dropProposal();
    }

    /// @inheritdoc IOracle
    function cancelProposal() external restricted {
        if (_acceptableAt == 0) revert NothingProposed();
        _dropProposal();
        emit ProposalCanceled();
    }

    // ---- views

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
    function indexPrice(uint32 underlying) external view returns (uint64 price, uint64 time) {
        Sample memory last = _samples[underlying].last();
        if (last.time == 0 || last.time + INDEX_MAX_AGE < block.timestamp) {
            revert StaleIndex(underlying, last.time);
        }
        return (last.price, last.time);
    }

    /// @inheritdoc IOracle
    function latestIndex(uint32 underlying) external view returns (uint64 price, uint64 time) {
        Sample memory last = _samples[underlying].last();
        return (last.price, last.time);
    }

    /// @inheritdoc IOracle
    function twap(uint32 underlying, uint64 from, uint64 to) public view returns (uint64) {
        if (to <= from) revert EmptyWindow();
        Sample[] storage samples = _samples[underlying];
        uint256 sum = samples.cumulativeAt(to) - samples.cumulativeAt(from);
        return (sum / (to - from)).toUint64();
    }

    /// @inheritdoc IOracle
    function latestRiskRoot() external view returns (uint64 epoch, uint64 time, bytes32 root) {
        PostedMarks storage posted = _marks[_epoch];
        return (_epoch, posted.time, posted.riskRoot);
    }

    /// @inheritdoc IOracle
    function latestMarks() external view returns (uint64 epoch, uint64 time, bytes32 marksRoot) {
        PostedMarks storage posted = _marks[_epoch];
        return (_epoch, posted.time, posted.root);
    }

    /// @inheritdoc IOracle
    function marksOf(uint64 epoch) external view returns (uint64 time, bytes32 marksRoot) {
        PostedMarks storage posted = _marks[epoch];
        uint64 time_ = posted.time;
        if (time_ == 0) revert MarksNotPosted(epoch);
        return (time_, posted.root);
    }

    /// @inheritdoc IOracle
    function riskRootOf(uint64 epoch) external view returns (bytes32) {
        PostedMarks storage posted = _marks[epoch];
        if (posted.time == 0) revert MarksNotPosted(epoch);
        return posted.riskRoot;
    }

    /// @inheritdoc IOracle
    function signers() external view returns (address[] memory) {
        return _signers;
    }

    /// @inheritdoc IOracle
    function proposal()
        external
        view
        returns (address[] memory signers_, uint256 threshold_, uint256 acceptableAt)
    {
        return (_proposed, _proposedThreshold, _acceptableAt);
    }

    /// @inheritdoc IOracle
    function hashDeliveryPrice(DeliveryPrice calldata delivery) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(DELIVERY_PRICE_TYPEHASH, delivery)));
    }

    /// @inheritdoc IOracle
    function hashIndexSample(IndexSample calldata sample) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(INDEX_SAMPLE_TYPEHASH, sample)));
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

    // ---- guards

    /// @dev The indices among an epoch's marks are samples as any other; one that is older than
    /// what is known is compared and left.
    /// @return usual whether each is within its guard
    function _takeIndices(bytes calldata marks, uint64 time) private returns (bool usual) {
        usual = true;
        for (uint256 i = 0; i < MarksLib.count(marks); i++) {
            (uint64 id, int64 price) = MarksLib.markAt(marks, i);
            if (id >> InstrumentLib.KIND_SHIFT != 0) break; // indices come first
            uint32 underlying = InstrumentLib.underlyingOf(id);
            // forge-lint: disable-next-line(unsafe-typecast)
            uint64 index = price > 0 ? uint64(price) : 0;
            if (!_isUsual(underlying, time, index)) usual = false;
            if (time > _samples[underlying].last().time) _addSample(underlying, time, index);
        }
    }

    /// @dev Whether an index moved no farther from the last one than so many seconds allow.
    function _isUsual(uint32 underlying, uint64 time, uint64 price) private view returns (bool) {
        if (price == 0) revert ZeroPrice();
        Sample memory last = _samples[underlying].last();
        if (last.time == 0) return true; // nothing to compare with
        uint256 elapsed = time > last.time ? time - last.time : last.time - time;
        uint256 rate = Math.min(MOVE_MAX + elapsed * MOVE_PER_SECOND, MOVE_CAP);
        return _near(price, last.price, rate);
    }

    /// @dev Whether a delivery price lies near the average of the samples posted over its window,
    /// and these were fresh at both its ends.
    function _agrees(uint32 underlying, uint64 expiry, uint64 price) private view returns (bool) {
        if (expiry < DELIVERY_WINDOW) return false;
        uint64 from = expiry - uint64(DELIVERY_WINDOW);
        Sample[] storage samples = _samples[underlying];
        if (samples.sampleAt(from).time + INDEX_MAX_AGE < from) return false;
        if (samples.sampleAt(expiry).time + INDEX_MAX_AGE < expiry) return false;
        return _near(price, twap(underlying, from, expiry), DELIVERY_TOLERANCE);
    }

    function _near(uint256 price, uint256 middle, uint256 rate) private pure returns (bool) {
        uint256 distance = price > middle ? price - middle : middle - price;
        return distance * RATE_SCALE <= middle * rate;
    }

    function _addSample(uint32 underlying, uint64 time, uint64 price) private {
        _samples[underlying].add(time, price);
        emit IndexPosted(underlying, time, price);
    }

    // ---- signers

    /// @dev Ascending signers make a duplicate impossible. Signatures beyond what is needed are
    /// checked too: one that is wrong is somebody's mistake, and silence would hide it.
    /// @param usual false where every signer must have signed
    function _requireQuorum(bytes32 digest, bytes[] calldata signatures, bool usual) private view {
        uint256 needed = usual ? threshold : _signers.length;
        if (signatures.length < needed) revert NotEnoughSignatures(needed);
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

    /// @dev The hard bounds. More than half: so no two posts of one thing differ unless somebody
    /// signed both.
    function _checkSigners(address[] memory signers_, uint256 threshold_) private pure {
        uint256 count = signers_.length;
        bool sound = threshold_ <= count && 2 * threshold_ > count && count <= SIGNERS_MAX;
        if (!sound) revert InvalidSignerSet();
        address previous = address(0);
        for (uint256 i = 0; i < count; i++) {
            if (signers_[i] <= previous) revert InvalidSignerSet();
            previous = signers_[i];
        }
    }

    function _setSigners(address[] memory signers_, uint256 threshold_) private {
        for (uint256 i = 0; i < signers_.length; i++) {
            isSigner[signers_[i]] = true;
        }
        (_signers, threshold) = (signers_, threshold_);
        emit SignersSet(signers_, threshold_);
    }

    function _dropProposal() private {
        delete _proposed;
        (_proposedThreshold, _acceptableAt) = (0, 0);
    }
}
