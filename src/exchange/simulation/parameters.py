"""The venue of a simulation, drawn from the seed: products, terms, people, and which faults happen.

Not every run has everything: a run that lacks something reaches further into what is left. Times
are short, so that half an hour of venue time sees expiries, funding, interest and liquidations.
"""

import math
import random
from typing import Final

import msgspec

from exchange.commands import (
    BreakerParameters,
    Collateral,
    Configure,
    FeeSchedule,
    FundingParameters,
    InstrumentListing,
    InterestParameters,
    LiquidationParameters,
    ListInstruments,
    MarginParameters,
    PositionLimit,
    StandardRates,
    TradingLimits,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.model import (
    FEE_SUBACCOUNT_ID,
    InstrumentTerms,
    Kind,
    OptionKind,
    Underlying,
    pack_instrument_id,
)
from exchange.settlement.deployment import Deployment
from exchange.terms import INTEREST_RATE_MAX

NS: Final = 10**9
START_S: Final = 1_798_000_020  # a Wednesday in December 2026, on a full minute
PERCENT: Final = RATIO_SCALE // 100
CLEARING: Final = "0x" + "aA" * 20
ORACLE: Final = "0x" + "bB" * 20
USDC: Final = "0x" + "cC" * 20
WETH: Final = "0x" + "eE" * 20
FUND_ID: Final = 2
DEPLOYMENT: Final = Deployment(
    chain_id=424_242,  # not the local one: nobody may move its clock
    clearing=CLEARING,
    oracle=ORACLE,
    usdc=USDC,
    access_manager=CLEARING,
    genesis_hash="0x" + "00" * 32,
    block=1,
    tokens={"WETH": WETH},
    fund_subaccount_id=FUND_ID,
)
SPOTS: Final = (115, 85, 130, 92, 108)  # hundredths: of the five scenarios
TICK: Final = 10_000
LOT: Final = 100
INDICES: Final = {1: 100_000, 2: 4_000}  # USDC, at the beginning
DELIVERY_WINDOW_S: Final = 120


def usdc(amount: int) -> int:
    """Micro-USDC."""
    return amount * CASH_SCALE


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How often what goes wrong; probabilities of one message, call or commit, rates per hour."""

    message_lost: float = 0.0
    message_doubled: float = 0.0
    message_slow: float = 0.0  # by up to some seconds, so that others overtake it
    call_lost: float = 0.0  # of the relayer to a node, before or after it took effect
    disk: float = 0.0  # of a commit: the disk is full or fails
    deaths: float = 0.0  # of the engine's process, an hour
    relayer_deaths: float = 0.0
    reorganisations: float = 0.0  # an hour
    depth_max: int = 1
    dropped: float = 0.0  # of a transaction in the pool, a block
    congestion: float = 0.0  # of a block: the base fee doubles for a while
    refused: float = 0.0  # of a broadcast
    sources: float = 0.0  # of a source of prices, each time: stale, an outlier, missing
    crashes: float = 0.0  # of prices, an hour
    clock: float = 0.0  # of a restart: the machine's clock went back

    @property
    def none(self) -> bool:
        """Whether nothing goes wrong."""
        return self == Faults()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that a seed decides before the run begins."""

    seed: int
    faults: Faults
    configure: Configure
    listings: ListInstruments
    near_expiry: int
    traders: int
    makers: int
    confirmations: int
    block_s: float
    shows_pending: bool  # whether the node looks at its pool, which all do where blocks are slow
    batch_s: float
    pace_s: float  # between two acts of anybody, on average
    poor: float  # of traders: begin with little cash


def plan_of(seed: int, *, faults: bool = True) -> Plan:
    """The plan of a seed."""
    draw = random.Random(f"plan {seed}")
    near_expiry = START_S - START_S % 60 + 60 * draw.randint(4, 7)
    listings = _listings(near_expiry)
    shows_pending = random.Random(f"pending {seed}").random() < 0.5
    return Plan(
        seed=seed,
        faults=_faults(draw) if faults else Faults(),
        configure=_configure(draw),
        listings=listings,
        near_expiry=near_expiry,
        traders=draw.randint(3, 5),
        makers=draw.randint(1, 2),
        confirmations=draw.randint(1, 4),
        block_s=draw.choice((4.0, 6.0, 12.0)),
        shows_pending=shows_pending,
        batch_s=draw.choice((20.0, 40.0, 60.0)),
        pace_s=draw.choice((0.2, 0.3, 0.5)),
        poor=draw.choice((0.0, 0.3, 0.7)),
    )


def _faults(draw: random.Random) -> Faults:
    """Each kind in two runs of three, and how often it happens."""
    values: dict[str, float] = {
        "message_lost": 0.05,
        "message_doubled": 0.08,
        "message_slow": 0.08,
        "call_lost": 0.02,
        "disk": 0.001,
        "deaths": 20.0,
        "relayer_deaths": 20.0,
        "reorganisations": 60.0,
        "dropped": 0.1,
        "congestion": 0.05,
        "refused": 0.05,
        "sources": 0.1,
        "crashes": 30.0,
        "clock": 0.5,
    }
    chosen = {name: most * draw.random() for name, most in values.items() if draw.random() < 0.67}
    return Faults(depth_max=draw.choice((2, 3, 6)), **chosen)


def _configure(draw: random.Random) -> Configure:
    return Configure(
        version=1,
        chain_id=DEPLOYMENT.chain_id,
        clearing=CLEARING,
        collateral=USDC,
        genesis_hash=DEPLOYMENT.genesis_hash,
        underlyings=(
            Underlying(underlying_id=1, name="BTC"),
            Underlying(underlying_id=2, name="ETH"),
        ),
        fees=FeeSchedule(
            maker_rate=3 * 10**14,
            taker_rate=3 * 10**14,
            premium_cap=125 * 10**15,
            linear_taker_rate=5 * 10**14,
        ),
        margin=_margin(),
        limits=TradingLimits(
            band_rate=10 * PERCENT,
            open_orders_max=12,
            quantity_max=100 * QUANTITY_SCALE,
            deadline_seconds_max=30 * 86_400,
            index_age_ns_max=30 * NS,
            marks_age_ns_max=60 * NS,
            batch_items_max=draw.choice((12, 40, 100)),
        ),
        delivery_window_s=DELIVERY_WINDOW_S,
        breaker=draw.choice((None, _breaker())),
        collaterals=(_weth(),),
        liquidation=_liquidation(draw),
        funding=FundingParameters(damping_rate=0, rate_max=RATIO_SCALE // 200, interval_ns=60 * NS),
        interest=InterestParameters(
            rate=INTEREST_RATE_MAX, interval_ns=120 * NS, debt_max=usdc(30_000)
        ),
        position_limits=(
            PositionLimit(
                underlying_id=1,
                contracts_max=60 * QUANTITY_SCALE,
                open_interest_max=150 * QUANTITY_SCALE,
            ),
        ),
        transfers=True,
    )


def _margin() -> MarginParameters:
    """Up, down, one far out that counts for its distance from zero, and two mild ones."""
    return MarginParameters(
        preset="simulation",
        weights=(RATIO_SCALE, RATIO_SCALE, RATIO_SCALE // 10, RATIO_SCALE, RATIO_SCALE),
        absolute=(False, False, True, False, False),
        basis_up=0,
        basis_down=1,
        initial_factor=RATIO_SCALE,
        maintenance_factor=RATIO_SCALE * 8 // 10,
        short_option_initial_rate=PERCENT,
        short_option_maintenance_rate=RATIO_SCALE // 200,
        perpetual_initial_rate=0,
        perpetual_maintenance_rate=0,
        confidence_floor=0,
        spots=tuple(RATIO_SCALE * part // 100 for part in SPOTS),
        standard=StandardRates(
            option_initial=15 * PERCENT,
            option_initial_min=10 * PERCENT,
            option_maintenance=75 * 10**15,
            perpetual_initial=10 * PERCENT,
            perpetual_maintenance=65 * 10**15,
        ),
    )


def _breaker() -> BreakerParameters:
    return BreakerParameters(
        move_rate=8 * PERCENT,
        window_ns=60 * NS,
        cool_off_ns=10 * NS,
        auction_ns=10 * NS,
        mark_move_rate=8 * PERCENT,
    )


def _weth() -> Collateral:
    return Collateral(
        asset_id=1,
        token=WETH,
        name="WETH",
        decimals=18,
        underlying_id=2,
        initial_haircut=3 * PERCENT,
        maintenance_haircut=2 * PERCENT,
        account_cap=10**12,
        total_cap=10**13,
    )


def _liquidation(draw: random.Random) -> LiquidationParameters:
    return LiquidationParameters(
        round_ns=NS,
        slice_rate=25 * PERCENT,
        slice_band_rate=2 * PERCENT,
        slicing_ns=draw.choice((5, 20)) * NS,
        buffer_rate=15 * PERCENT,
        discount_start=5 * PERCENT,
        discount_end=30 * PERCENT,
        fast_ns=20 * NS,
        slow_ns=60 * NS,
        insolvent_ns=30 * NS,
        marks_age_ns_max=60 * NS,
        drift_rate_max=2 * PERCENT,
        fund_subaccount_id=draw.choice((FEE_SUBACCOUNT_ID, FUND_ID)),
        fee_share=0,
    )


def _listings(near_expiry: int) -> ListInstruments:
    far = near_expiry + 7 * 86_400
    terms = [InstrumentTerms(Kind.PERPETUAL, 1), InstrumentTerms(Kind.PERPETUAL, 2)]
    terms.append(InstrumentTerms(Kind.FUTURE, 1, near_expiry))
    for expiry, strike, kind in (
        (near_expiry, 100_000, OptionKind.CALL),
        (near_expiry, 98_000, OptionKind.PUT),
        (far, 105_000, OptionKind.CALL),
    ):
        terms.append(InstrumentTerms(Kind.OPTION, 1, expiry, usdc(strike), kind))
    return ListInstruments(
        listings=tuple(
            InstrumentListing(instrument_id=number, tick_size=TICK, lot_size=LOT, min_quantity=LOT)
            for number in sorted(map(pack_instrument_id, terms))
        )
    )


def worth(terms: InstrumentTerms, index: int, now_s: int) -> int:
    """A price in micro-USDC at an index; smooth, and never below what it would pay now.

    Of options the intrinsic value, rounded off around the strike by half of what the index moves
    until expiry: nothing that anybody should trade on, but of the right shape.
    """
    if terms.kind is not Kind.OPTION:
        return index
    distance = index - terms.strike
    if terms.option_kind is OptionKind.PUT:
        distance = -distance
    left_s = max(1, terms.expiry - now_s)
    moves = index * math.isqrt(left_s) // 5_600  # a volatility of about 100 % a year
    return (math.isqrt(distance * distance + moves * moves) + distance) // 2
