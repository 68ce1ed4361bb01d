"""The parts of `Configure`: fees, margin, limits, collateral, lending, liquidation, funding.

`commands` passes them on.
"""

from typing import Final

import msgspec

from exchange.fixed import RATIO_SCALE
from exchange.model import FEE_SUBACCOUNT_ID, Kind


class Collateral(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A token besides USDC that backs margin; amounts in 1e-8 of a token, haircuts in 1e-18.

    Priced by the index of its underlying, and shocked with it. What one account holds beyond
    `account_cap`, or all of them beyond `total_cap`, counts nothing.
    """

    asset_id: int  # from 1; 0 is USDC
    token: str  # its address
    name: str  # such as WETH
    decimals: int
    underlying_id: int
    initial_haircut: int
    maintenance_haircut: int
    account_cap: int
    total_cap: int
    isolated: bool = False  # a risk group of its own: its gains offset no position


INTEREST_RATE_MAX: Final = 5 * 10**17  # a year, in 1e-18; Payments.sol takes no more


class InterestParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What cash below zero costs, and how much of it the venue allows.

    `rate` (1e-18 a year) accrues continuously; `AccrueInterest` comes every `interval_ns`. Orders
    that could carry the sum of all debts beyond `debt_max` (micro-USDC) are refused.
    """

    rate: int
    interval_ns: int
    debt_max: int


class PositionLimit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What may be held of one underlying, in 1e-4 contracts, whichever open orders fill."""

    underlying_id: int
    contracts_max: int  # of one subaccount, long and short added
    open_interest_max: int  # of all together


class StandardRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Margin of small accounts, each position by itself; rates of the index in 1e-18."""

    option_initial: int  # less what the option is out of the money ...
    option_initial_min: int  # ... but at least this
    option_maintenance: int
    perpetual_initial: int
    perpetual_maintenance: int


FULLY_SECURED: Final = StandardRates(  # without rates a position is as good as what secures it
    option_initial=RATIO_SCALE,
    option_initial_min=RATIO_SCALE,
    option_maintenance=RATIO_SCALE,
    perpetual_initial=RATIO_SCALE,
    perpetual_maintenance=RATIO_SCALE,
)


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Rates in 1e-18 of the index, rounded up; an option's at most `premium_cap * premium`."""

    maker_rate: int
    taker_rate: int
    premium_cap: int
    linear_maker_rate: int = 0  # perpetuals and futures, without a cap
    linear_taker_rate: int = 0

    def rate(self, kind: Kind, *, maker: bool) -> int:
        """What a fill of this kind of instrument is charged."""
        if kind is Kind.OPTION:
            return self.maker_rate if maker else self.taker_rate
        return self.linear_maker_rate if maker else self.linear_taker_rate

    def rate_max(self, kind: Kind) -> int:
        """The most that a fill of this kind of instrument is charged, on either side."""
        if kind is Kind.OPTION:
            return max(self.maker_rate, self.taker_rate)
        return max(self.linear_maker_rate, self.linear_taker_rate)


class ConcentrationTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When a subaccount holds too much of an underlying: beyond both bounds, at `rate` of index."""

    rate: int  # 1e-18 of the index for each contract beyond
    share: int  # 1e-18 of the open interest when the marks came
    free_notional: int  # micro-USDC


class MarginParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The integer half of a margin preset; ratios in 1e-18. Floats stay in `margin.scenarios`.

    `weights[s]` weighs scenario s; where `absolute[s]`, each expiry contributes -|result| (skew).
    `basis_up` and `basis_down` index the two scenarios that the basis contingency reads.
    """

    preset: str
    weights: tuple[int, ...]
    absolute: tuple[bool, ...]
    basis_up: int
    basis_down: int
    initial_factor: int
    maintenance_factor: int
    short_option_initial_rate: int
    short_option_maintenance_rate: int
    perpetual_initial_rate: int
    perpetual_maintenance_rate: int
    confidence_floor: int
    # Below `depeg_threshold` the initial factor grows by `depeg_factor` for each 1.0 of stablecoin.
    depeg_threshold: int = 0
    depeg_factor: int = 0
    # (underlying_id, group): underlyings of a group share each scenario; others stand alone.
    risk_groups: tuple[tuple[int, int], ...] = ()
    standard: StandardRates | None = None
    # What each scenario multiplies the price by, in 1e-18; collateral is shocked with it.
    spots: tuple[int, ...] = ()
    concentration: ConcentrationTerms | None = None  # None: nobody holds too much

    @property
    def standard_rates(self) -> StandardRates:
        """Of subaccounts that are margined position by position."""
        return self.standard or FULLY_SECURED


class TradingLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bounds that orders must keep; `band_rate` in 1e-18 of the index around the mark."""

    band_rate: int
    open_orders_max: int  # per subaccount
    quantity_max: int  # per order, 1e-4 contracts
    deadline_seconds_max: int  # how far ahead a signature may reach
    index_age_ns_max: int  # an older index halts new risk
    batch_items_max: int = 150  # trades, payoffs and withdrawals that end a settlement batch
    marks_age_ns_max: int = 0  # an older epoch of risk arrays halts new risk; 0: no limit
    linear_band_rate: int = 0  # of perpetuals and futures; 0: as for options
    block_quantity_min: int = 0  # of a block, 1e-4 contracts in its largest leg
    combos_max: int = 1000  # listed at one time; with more, those without orders make room
    positions_max: int = 0  # instruments that one subaccount holds; 0: no limit


class BreakerParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When an index that moves halts its underlying, and how it trades again (docs/trading.md)."""

    move_rate: int  # 1e-18 within `window_ns`
    window_ns: int
    cool_off_ns: int  # without such a move; then a call auction of `auction_ns`
    auction_ns: int
    mark_move_rate: int = 0  # of the index: a mark's move halts its instrument; 0: none does


class LiquidationParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How subaccounts below maintenance are liquidated (docs/margin.md); rates in 1e-18.

    The auction's discount grows from `discount_start` of equity to `discount_end` within `fast_ns`,
    then to all of it within `slow_ns`; an insolvent account's is paid by the fund, and grows to the
    maintenance requirement released within `insolvent_ns`.
    """

    round_ns: int  # between two slices of one subaccount
    slice_rate: int  # the most of a position that one slice closes
    slice_band_rate: int  # of the index: how far from the mark a slice may trade
    slicing_ns: int  # after which the rest is auctioned
    buffer_rate: int  # of the maintenance requirement, beyond it: where liquidation ends
    discount_start: int
    discount_end: int
    fast_ns: int
    slow_ns: int
    insolvent_ns: int
    marks_age_ns_max: int  # older risk arrays suspend every liquidation
    drift_rate_max: int  # so does an index this far from the one that they were made with
    fund_rate_max: int = RATIO_SCALE  # the most of the fund's equity that one loss may use
    fund_subaccount_id: int = FEE_SUBACCOUNT_ID
    needs_proof: bool = False  # on chain, before anything is forced: of venues that settle
    fee_share: int = 0  # of trading fees, to a fund that is not the venue's own subaccount


class FundingParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What holders of perpetuals pay each other (docs/margin.md); in 1e-18 for eight hours."""

    damping_rate: int  # taken off the premium of the mark over the index, toward zero
    rate_max: int  # either way
    interval_ns: int  # between two `AccrueFunding`


class RiskBounds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far and how fast `AdjustRisk` may move; all ratios in 1e-18 of the preset's own range."""

    scan_min: int
    scan_max: int
    volatility_min: int
    volatility_max: int
    rise_max: int  # of either ratio, in one step
    fall_max: int
    interval_ns: int  # between two steps of an underlying
