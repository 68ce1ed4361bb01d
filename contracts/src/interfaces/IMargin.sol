// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Units: prices 1e-6 USDC a contract, quantities 1e-4 contracts, tokens in ledger units,
/// ratios 1e-18. docs/margin.md has the formulas; margin/portfolio.py and account.py are the twins.

/// @notice A token that backs margin.
struct CollateralTerms {
    address token;
    uint32 underlying; // whose index prices it and whose shocks move it
    bool isolated; // a risk group of its own
    uint64 initialHaircut;
    uint64 maintenanceHaircut;
    uint80 accountCap; // what an account holds beyond counts nothing
}

/// @notice Underlyings of one group share each scenario.
struct RiskGroup {
    uint32 underlying;
    uint32 group; // not 0
}

/// @notice What a subaccount needs that is margined position by position, of the index.
struct StandardRates {
    uint64 optionInitial; // of a short option, less what it is out of the money ...
    uint64 optionInitialMin; // ... but at least this
    uint64 optionMaintenance;
    uint64 perpetualInitial;
    uint64 perpetualMaintenance;
}

/// @notice The integer half of a margin preset.
struct MarginParameters {
    uint64[] weights; // of each scenario
    uint64[] spots; // what each scenario multiplies the price by
    uint256 skew; // bit s: in scenario s each expiry contributes -|result|
    uint16 basisUp; // the two scenarios that the basis contingency reads
    uint16 basisDown;
    uint64 initialFactor;
    uint64 maintenanceFactor;
    uint64 shortOptionInitialRate;
    uint64 shortOptionMaintenanceRate;
    uint64 perpetualInitialRate;
    uint64 perpetualMaintenanceRate;
    uint64 confidenceFloor;
    uint64 depegThreshold;
    uint64 depegFactor;
    RiskGroup[] groups; // of others each stands alone
    CollateralTerms[] collaterals;
    StandardRates standard;
}

struct UnderlyingRisk {
    uint32 underlying;
    uint64 indexPrice;
    uint128 confidence;
    uint128 scan; // stretches the spot moves of the grid
}

struct ExpiryRisk {
    uint32 underlying;
    uint64 expiry; // 0 of the perpetual
    uint64 forwardPrice;
    uint128 discountLong;
    uint128 discountShort;
    uint128 basisWeight;
}

/// @notice Risk rows of one epoch and how they lie under its root.
struct MarginProof {
    bytes parameters; // the ABI encoding of MarginParameters; its hash is in force
    uint64 epoch;
    uint128 stablecoinPrice;
    UnderlyingRisk[] underlyings; // ascending
    ExpiryRisk[] expiries; // ascending by underlying and expiry
    bytes rows; // of each position, ascending by instrument, packed as under the root
    uint64[] expired; // positions without a row: their delivery prices are fixed; ascending
    uint32 leafCount; // of the tree
    bytes places; // uint16 of each leaf above, in that order, the header's first
    bytes32[] nodes; // what is missing of the tree, level by level from the left
}

/// @notice Which rows of a shared proof are a subaccount's.
struct Holder {
    uint64 subaccountId;
    bytes places; // uint16 of each position's row among the proof's rows; ascending
    uint64[] expired; // as MarginProof.expired
}

/// @notice Margin of many subaccounts by rows that they share, whose own `expired` is not read.
struct BatchProof {
    Holder[] holders;
    MarginProof proof;
}

/// @notice What is margined. `amounts` are tokens in the order of MarginParameters.collaterals.
struct Portfolio {
    int256 netCash; // cash less entry costs and unrealised funding
    int256[] quantities; // in the order of the rows; 0: the row does not count
    uint256[] amounts;
    bool standard; // each position is margined by itself
}

/// @title IHoldings: what a subaccount holds, as Clearing knows it
interface IHoldings {
    /// @return netCash cash less entry costs and unrealised funding of `instruments`
    /// @return count positions that are not zero, in whatever instruments
    /// @return quantities signed
    function holdings(uint64 subaccountId, uint64[] calldata instruments)
        external
        view
        returns (int256 netCash, uint256 count, int256[] memory quantities);

    /// @return quantity signed
    /// @return payoff cash that realising an expired position would bring; reverts without a
    /// delivery price
    function payoffOf(uint64 subaccountId, uint64 instrument)
        external
        view
        returns (int256 quantity, int256 payoff);

    /// @return standard whether each position is margined by itself, as its owner chose when it was
    /// opened
    function isStandard(uint64 subaccountId) external view returns (bool standard);

    /// @return amount of a token other than USDC, in ledger units
    function collateralOf(uint64 subaccountId, address token) external view returns (uint256 amount);
}

/// @title Margin: the engine's margin, recomputed from proven risk rows
interface IMargin {
    error WrongParameters();
    error ParametersOutOfBounds();
    error WrongRoot();
    error RootTooOld();
    error NotAscending();
    error RowsOfWrongLength();
    error NotHeld(uint64 instrument);
    /// @notice The account holds `count` positions: one was left out.
    error PositionMissing(uint256 count);
    /// @notice The proof lacks the expiry or the underlying of a position, in its instrument the
    /// 35 bits from 25 on; 0: the underlying of a token.
    error RiskMissing(uint256 key);
    error RatioTooLarge();

    event ParametersSet(bytes32 parametersHash, MarginParameters parameters);

    /// @notice Excesses of a subaccount's settled holdings under the latest root.
    /// @dev Open orders are the engine's knowledge and do not count; nor does the concentration
    /// add-on, which is a rule of the venue beyond the risk rows.
    /// @return initial equity beyond the initial requirement
    /// @return maintenance equity beyond the maintenance requirement
    function excess(uint64 subaccountId, MarginProof calldata proof)
        external
        view
        returns (int256 initial, int256 maintenance);

    /// @notice What a liquidation asks about a subaccount's settled holdings under the latest root.
    /// @return equity cash, positions at their marks and tokens after haircuts
    /// @return maintenance equity beyond the maintenance requirement
    /// @return contracts sum of all its quantities, without their signs
    function health(uint64 subaccountId, MarginProof calldata proof)
        external
        view
        returns (int256 equity, int256 maintenance, uint256 contracts);

    /// @notice Excesses of any portfolio: anybody may ask what if.
    function excessOf(Portfolio calldata portfolio, MarginProof calldata proof)
        external
        view
        returns (int256 initial, int256 maintenance);

    /// @notice Excesses of the settled holdings of many subaccounts under the root of an epoch that
    /// was posted, however long ago.
    /// @dev For batches, whose age and epoch Clearing bounds. Reverts as `excess` does.
    function excessesAt(uint64 epoch, BatchProof calldata batch)
        external
        view
        returns (int256[] memory initial, int256[] memory maintenance);

    /// @notice Puts parameters in force. Governance; inside hard bounds.
    function setParameters(MarginParameters calldata parameters) external;

    function parametersHash() external view returns (bytes32);

    /// @notice Whose subaccounts it knows.
    function CLEARING() external view returns (IHoldings);
}
