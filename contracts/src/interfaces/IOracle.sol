// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The price that fixes the payoff of every option of one underlying and expiry.
struct DeliveryPrice {
    uint32 underlying; // index as in InstrumentLib: 1 BTC, 2 ETH
    uint64 expiry;
    uint64 price; // 1e-6 USDC, a multiple of 1e4
    uint64 deadline; // last second in which it may be posted
}

/// @notice The index of an underlying at a time.
struct IndexSample {
    uint32 underlying;
    uint64 time; // UTC second
    uint64 price; // 1e-6 USDC
    uint64 deadline; // last second in which it may be posted
}

/// @notice Merkle roots of one epoch: of its risk arrays, and of its packed marks.
struct RiskRoot {
    uint64 epoch;
    uint64 time;
    bytes32 root;
    bytes32 marksRoot; // as MarksLib makes it
    uint64 deadline; // last second in which it may be posted
}

/// @notice What a long of one perpetual has paid per contract since the beginning.
struct FundingIndex {
    uint64 instrument; // the packed id of InstrumentLib
    uint64 ordinal; // from 1, without a gap
    uint64 time; // UTC second of the accrual
    int64 index; // 1e-6 USDC per contract, a multiple of 1e4
}

/// @title Oracle: what M of N signers agreed on
/// @notice Anyone may post; only the signatures count. The threshold of them suffices for what the
/// guards allow: an index that moves no farther than its time lets it, a delivery price near the
/// average of posted samples. What they do not allow needs every signer.
interface IOracle {
    error InvalidSignerSet();
    error NothingProposed();
    error TooEarly(uint256 acceptableAt);
    error ProposalLapsed();
    error DeadlinePassed();
    error NotEnoughSignatures(uint256 needed);
    error InvalidSignature(uint256 index);
    error SignersNotAscending(uint256 index);
    error UnknownSigner(address signer);
    error NotExpired();
    error PriceOffTick();
    error AlreadyFixed();
    error NotFixed(uint32 underlying, uint64 expiry);
    error EpochPosted(uint64 epoch);
    error NotPerpetual(uint64 instrument);
    error OrdinalNotNext();
    error FundingTooFast();
    error FundingNotPosted(uint64 instrument, uint64 ordinal);
    error WrongMarksRoot();
    error MarksNotPosted(uint64 epoch);
    error ZeroPrice();
    error StaleIndex(uint32 underlying, uint64 time);
    error EmptyWindow();
    error TimeFell();
    error TimeTooLate();

    event DeliveryPriceFixed(uint32 indexed underlying, uint64 indexed expiry, uint64 price);
    event RiskRootPosted(uint64 indexed epoch, uint64 time, bytes32 root, bytes32 marksRoot);
    event IndexPosted(uint32 indexed underlying, uint64 time, uint64 price);
    event SignersProposed(address[] signers, uint256 threshold, uint256 acceptableAt);
    event SignersSet(address[] signers, uint256 threshold);
    event ProposalCanceled();
    event MarksPosted(uint64 indexed epoch, bytes marks);
    event FundingPosted(uint64 indexed instrument, uint64 ordinal, uint64 time, int64 index);

    /// @notice Adds an index sample, later than the last one. Signatures as below.
    function postIndex(IndexSample calldata sample, bytes[] calldata signatures) external;

    /// @notice Fixes a delivery price, once and for all. Near the average of the samples posted
    /// over the half hour before the expiry the threshold suffices; else, and where samples are
    /// missing,
    /// every signer must sign.
    /// @param signatures 65 bytes each, ordered by the signer's address
    function fixDeliveryPrice(DeliveryPrice calldata delivery, bytes[] calldata signatures) external;

    /// @notice Posts the roots of an epoch, once. A lower one than the latest adds its marks, for
    /// batches that keep to it; the latest stays.
    /// Its indices become samples too.
    /// @param marks every mark under `marksRoot`, packed as MarksLib reads them; they are logged,
    /// so that whoever has the chain can prove any of them
    /// @param signatures 65 bytes each, ordered by the signer's address
    function postRiskRoot(RiskRoot calldata risk, bytes calldata marks, bytes[] calldata signatures)
        external;

    /// @notice Adds the next funding index of a perpetual, for ever: it moves no faster than the
    /// contract's cap. Signatures as above.
    function postFunding(FundingIndex calldata funding, bytes[] calldata signatures) external;

    /// @notice Adds several, in their order, all or none; those that are there already with the
    /// same index are passed over.
    /// @param signatures of each, as above
    function postFundings(FundingIndex[] calldata fundings, bytes[][] calldata signatures) external;

    /// @notice Proposes another signer set: ascending, at most 32, its threshold more than half. It
    /// replaces what was proposed before.
    function proposeSigners(address[] calldata signers_, uint256 threshold_) external;

    /// @notice Puts the proposed set in force, ROTATION_DELAY after its proposal at the earliest
    /// and ACCEPTANCE_WINDOW later at the latest.
    function acceptSigners() external;

    /// @notice Drops the proposal.
    function cancelProposal() external;

    /// @notice The last index; reverts with StaleIndex if it is older than INDEX_MAX_AGE.
    function indexPrice(uint32 underlying) external view returns (uint64 price, uint64 time);

    /// @notice The last index, however old; zeros before the first.
    function latestIndex(uint32 underlying) external view returns (uint64 price, uint64 time);

    /// @notice Time-weighted average of the posted samples, each holding until the next, rounded
    /// down. Reverts if none is as old as `from`.
    function twap(uint32 underlying, uint64 from, uint64 to) external view returns (uint64 price);

    /// @notice Reverts with FundingNotPosted until it is there.
    function fundingIndex(uint64 instrument, uint64 ordinal) external view returns (int64 index);

    /// @notice Reverts with NotFixed until the price is fixed.
    function deliveryPrice(uint32 underlying, uint64 expiry) external view returns (uint64 price);

    function latestRiskRoot() external view returns (uint64 epoch, uint64 time, bytes32 root);

    /// @notice Root over the packed marks of the latest epoch; zeros before the first.
    function latestMarks() external view returns (uint64 epoch, uint64 time, bytes32 marksRoot);

    /// @notice The same of any epoch that was posted; reverts with MarksNotPosted.
    function marksOf(uint64 epoch) external view returns (uint64 time, bytes32 marksRoot);

    /// @notice Root over the risk rows of any epoch that was posted; reverts with MarksNotPosted.
    function riskRootOf(uint64 epoch) external view returns (bytes32 root);

    function isSigner(address signer) external view returns (bool);
    function signers() external view returns (address[] memory);

    /// @notice How many signatures a post needs that the guards allow.
    function threshold() external view returns (uint256);

    /// @notice The proposed set and from when on it may be accepted; zeros if nothing is proposed.
    function proposal()
        external
        view
        returns (address[] memory signers_, uint256 threshold_, uint256 acceptableAt);
    function hashIndexSample(IndexSample calldata sample) external view returns (bytes32 digest);
    function hashDeliveryPrice(DeliveryPrice calldata delivery)
        external
        view
        returns (bytes32 digest);
    function hashRiskRoot(RiskRoot calldata risk) external view returns (bytes32 digest);
    function hashFundingIndex(FundingIndex calldata funding) external view returns (bytes32 digest);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}
