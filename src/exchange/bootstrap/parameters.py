"""The parameters of a new venue: one place for every number that a journal begins with."""

from typing import Final

import msgspec

from exchange.commands import (
    BreakerParameters,
    ConcentrationTerms,
    Configure,
    FeeSchedule,
    FundingParameters,
    InterestParameters,
    LiquidationParameters,
    PositionLimit,
    PublicationParameters,
    RiskBounds,
    TradingLimits,
)
from exchange.margin.scenarios import collateral_terms, load_preset, margin_parameters
from exchange.model import Underlying
from exchange.settlement.deployment import Deployment

PRESET: Final = "pm33"
_DAY_S: Final = 86_400

# Deribit's schedule: options 0.03 % of the underlying, at most 12.5 % of the premium; perpetuals
# and futures 0.05 % for takers.
FEES: Final = FeeSchedule(
    maker_rate=3 * 10**14,
    taker_rate=3 * 10**14,
    premium_cap=125 * 10**15,
    linear_maker_rate=0,
    linear_taker_rate=5 * 10**14,
)
FUNDING: Final = FundingParameters(
    damping_rate=25 * 10**13,  # a premium of 0.025 % costs nothing
    rate_max=5 * 10**15,  # 0.5 % in eight hours
    interval_ns=60 * 10**9,
)
LIMITS: Final = TradingLimits(
    band_rate=10**17,  # 10 % of the index
    linear_band_rate=3 * 10**16,
    open_orders_max=5_000,
    quantity_max=10_000 * 10**4,
    block_quantity_min=10**4,  # a contract
    deadline_seconds_max=90 * _DAY_S,
    index_age_ns_max=30 * 10**9,
    marks_age_ns_max=60 * 10**9,  # twelve epochs
    batch_items_max=100,  # a command's own fills come on top; all must fit one transaction
    positions_max=150,  # so does a takeover of all of them, in the same batch
)
BREAKER: Final = BreakerParameters(
    move_rate=10**17,  # 10 % of the index, as the oracle's own breaker
    window_ns=60 * 10**9,
    cool_off_ns=60 * 10**9,
    auction_ns=60 * 10**9,
    mark_move_rate=10**17,  # the width of the price band
)
PUBLICATION: Final = PublicationParameters(
    heartbeat_ns=300 * 10**9,  # a third of the age that `Margin` accepts
    move_rate=10**16,  # 1 % of the index
    age_max_ns=600 * 10**9,  # the contract takes fills of 15 minutes
    band_rate=LIMITS.band_rate,  # wide enough for the band of the moment
    linear_band_rate=LIMITS.linear_band_rate,
)
LIQUIDATION: Final = LiquidationParameters(
    round_ns=10**9,
    slice_rate=25 * 10**16,
    slice_band_rate=2 * 10**16,  # of the index, inside the published band
    slicing_ns=60 * 10**9,
    buffer_rate=15 * 10**16,
    discount_start=5 * 10**16,
    discount_end=30 * 10**16,
    fast_ns=900 * 10**9,
    slow_ns=3_600 * 10**9,
    insolvent_ns=900 * 10**9,
    marks_age_ns_max=LIMITS.marks_age_ns_max,
    drift_rate_max=2 * 10**16,
    needs_proof=True,
    fee_share=10**17,  # 10 %, where depositors own the fund
)
WITHDRAWAL_MIN: Final = 10**6  # 1 USDC: each costs the operator gas, and a nonce for ever
CONCENTRATION: Final = ConcentrationTerms(
    rate=10**16,  # 1 % of the index
    share=10**17,  # beyond 10 % of the open interest ...
    free_notional=100_000_000 * 10**6,  # ... and beyond 100 million USDC of the underlying
)
RISK_BOUNDS: Final = RiskBounds(
    scan_min=10**18,  # never below the preset: calm hours end
    scan_max=16 * 10**17,  # 18 % become 29 %, still inside the tails
    volatility_min=10**18,
    volatility_max=2 * 10**18,
    rise_max=10**17,
    fall_max=10**16,
    interval_ns=60 * 10**9,
)
INTEREST: Final = InterestParameters(
    rate=8 * 10**16,  # 8 % a year
    interval_ns=3_600 * 10**9,
    debt_max=10_000_000 * 10**6,  # USDC that the venue lends in all
)
CONTRACTS_MAX: Final = 100_000 * 10**4  # of an underlying in one subaccount
OPEN_INTEREST_MAX: Final = 1_000_000 * 10**4
DECIMALS: Final = {"WETH": 18, "WBTC": 8}  # of the tokens that a deployment may name
DELIVERY_WINDOW_S: Final = 30 * 60


def first_parameters(deployment: Deployment, underlyings: tuple[Underlying, ...]) -> Configure:
    """The command that begins the journal of a venue on this deployment."""
    preset = load_preset(PRESET)
    tokens = {name: (address, DECIMALS[name]) for name, address in deployment.tokens.items()}
    ids = {item.name: item.underlying_id for item in underlyings}
    return Configure(
        version=1,
        chain_id=deployment.chain_id,
        clearing=deployment.clearing,
        collateral=deployment.usdc,
        genesis_hash=deployment.genesis_hash,
        underlyings=underlyings,
        fees=FEES,
        margin=msgspec.structs.replace(margin_parameters(preset), concentration=CONCENTRATION),
        limits=LIMITS,
        delivery_window_s=DELIVERY_WINDOW_S,
        breaker=BREAKER,
        funding=FUNDING,
        risk_bounds=RISK_BOUNDS,
        publication=PUBLICATION,
        liquidation=_liquidation(deployment),
        collaterals=collateral_terms(preset, ids, tokens),
        interest=INTEREST,
        transfers=True,
        withdrawal_min=WITHDRAWAL_MIN,
        position_limits=tuple(
            PositionLimit(
                underlying_id=underlying_id,
                contracts_max=CONTRACTS_MAX,
                open_interest_max=OPEN_INTEREST_MAX,
            )
            for underlying_id in ids.values()
        ),
    )


def _liquidation(deployment: Deployment) -> LiquidationParameters | None:
    if not deployment.liquidations:
        return None
    fund = deployment.fund_subaccount_id
    return msgspec.structs.replace(LIQUIDATION, fund_subaccount_id=fund)
