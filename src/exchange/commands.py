"""Inputs of the engine, in the imperative.

Each is frozen, already valid in form (the edge checked types and ranges), and becomes part of the
journal for ever: fields are only ever added, with defaults. Commands carry no time and no number:
the sequencer stamps `seq` and `time_ns` beside them.
"""

from typing import ClassVar

import msgspec

from exchange.fixed import RATIO_SCALE
from exchange.model import (
    BidTerms,
    HitCondition,
    Kind,
    Legs,
    LinkKind,
    OrderTerms,
    Quote,
    SelfTradePrevention,
    SheetTerms,
    TimeInForce,
    TransferTerms,
    Trigger,
    Underlying,
    WithdrawalTerms,
)
from exchange.observations import AccessSeen as AccessSeen
from exchange.observations import AnyObservation as AnyObservation
from exchange.observations import BatchMarginSeen as BatchMarginSeen
from exchange.observations import BatchSeen as BatchSeen
from exchange.observations import DepositSeen as DepositSeen
from exchange.observations import ForceSeen as ForceSeen
from exchange.observations import GovernanceSeen as GovernanceSeen
from exchange.observations import KeyScopeSeen as KeyScopeSeen
from exchange.observations import NonceFloorSeen as NonceFloorSeen
from exchange.observations import NonceVoidSeen as NonceVoidSeen
from exchange.observations import Observation as Observation
from exchange.observations import PauseSeen as PauseSeen
from exchange.observations import PriceBandsSeen as PriceBandsSeen
from exchange.observations import SessionKeySeen as SessionKeySeen
from exchange.observations import SheetFloorSeen as SheetFloorSeen
from exchange.observations import SubaccountSeen as SubaccountSeen
from exchange.observations import WithdrawalVoidSeen as WithdrawalVoidSeen
from exchange.publications import PublicationParameters as PublicationParameters
from exchange.remedies import NovatedFill as NovatedFill
from exchange.remedies import RebuiltPosition as RebuiltPosition
from exchange.remedies import RefusedAct as RefusedAct
from exchange.remedies import RefusedMove as RefusedMove
from exchange.terms import BreakerParameters as BreakerParameters
from exchange.terms import Collateral as Collateral
from exchange.terms import ConcentrationTerms as ConcentrationTerms
from exchange.terms import FeeSchedule as FeeSchedule
from exchange.terms import FundingParameters as FundingParameters
from exchange.terms import InterestParameters as InterestParameters
from exchange.terms import LiquidationParameters as LiquidationParameters
from exchange.terms import MarginParameters as MarginParameters
from exchange.terms import PositionLimit as PositionLimit
from exchange.terms import RiskBounds as RiskBounds
from exchange.terms import StandardRates as StandardRates
from exchange.terms import TradingLimits as TradingLimits


class Command(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """Base of all inputs; the tag is the class name."""


class Configure(Command, frozen=True, kw_only=True):
    """Set the venue's parameters as one versioned object; the first command of every journal."""

    version: int
    chain_id: int
    clearing: str
    collateral: str  # address of the USDC token
    genesis_hash: str  # hash of the chain's block 0: another chain under the same id is refused
    underlyings: tuple[Underlying, ...]
    fees: FeeSchedule
    margin: MarginParameters
    limits: TradingLimits
    delivery_window_s: int
    breaker: BreakerParameters | None = None  # None: only operators halt
    collaterals: tuple[Collateral, ...] = ()  # by asset_id; USDC is cash
    liquidation: LiquidationParameters | None = None  # None: nobody is liquidated
    funding: FundingParameters | None = None  # None: perpetuals pay none
    risk_bounds: RiskBounds | None = None  # None: nobody adjusts
    interest: InterestParameters | None = None  # None: debts are free and without a cap
    position_limits: tuple[PositionLimit, ...] = ()
    transfers: bool = False  # between an owner's subaccounts
    withdrawal_min: int = 0  # micro-USDC that leaves at least, unless all of a token does
    publication: PublicationParameters | None = None  # None: the chain is shown no marks
    access_pass: bool = False  # whether owners need one on chain to take new risk


class InstrumentListing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One instrument to list, with its price and quantity grid."""

    instrument_id: int
    tick_size: int
    lot_size: int
    min_quantity: int


class ListInstruments(Command, frozen=True, kw_only=True):
    """List instruments; those already listed are left alone."""

    listings: tuple[InstrumentListing, ...]


class ListCombo(Command, frozen=True, kw_only=True):
    """List a combo, whoever asks; one that is listed already is named again."""

    legs: Legs


class UpdateIndex(Command, frozen=True, kw_only=True):
    """One accepted index sample; the raw material of delivery prices. `confidence` in 1e-18."""

    underlying_id: int
    index_price: int
    confidence: int


class ExpiryRisk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Numbers shared by one underlying's expiry; ratios in 1e-18."""

    underlying_id: int
    expiry: int
    forward_price: int
    discount_long: int
    discount_short: int
    basis_weight: int
    rate: int = 0  # a year, signed; not under the root: it turns volatilities into prices


class UnderlyingRisk(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Numbers of one underlying; `index_price` is what add-ons use until the next epoch."""

    underlying_id: int
    index_price: int
    confidence: int  # 1e-18
    scan: int = RATIO_SCALE  # stretches the grid's spot moves; collateral moves with them


class SmileNote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How one expiry's mark volatilities were made; for readers, the engine ignores it."""

    underlying_id: int
    expiry: int
    method: str  # svi, ssvi, flat, or reference: no fit
    quotes: int  # our own
    error: int = 0  # mean of the fit, 1e-6
    distance: int = 0  # the largest from the reference, 1e-6
    parameters: tuple[int, ...] = ()  # of raw SVI: tau, a, b, rho, m, sigma in 1e-12
    rate: int = 0  # the discount rate, 1e-12


class UpdateMarks(Command, frozen=True, kw_only=True):
    """One epoch of risk arrays (docs/margin.md), complete for every listed instrument.

    `rows` holds, for each of `instrument_ids` (ascending), int64 little-endian values: mark price,
    mark volatility, delta, vega, then the shocked price of each scenario.
    """

    ROW_HEAD: ClassVar[int] = 4

    epoch: int
    root: bytes  # Merkle root of the rows, 32 bytes
    underlyings: tuple[UnderlyingRisk, ...]
    expiries: tuple[ExpiryRisk, ...]  # expiry 0 stands for the perpetual
    instrument_ids: tuple[int, ...]
    rows: bytes
    stablecoin_price: int = RATIO_SCALE
    smiles: tuple[SmileNote, ...] = ()  # not under the root: the rows are what counts


class AdjustRisk(Command, frozen=True, kw_only=True):
    """Scale an underlying's scenarios from the next epoch on, inside the configured bounds."""

    version: int  # one above the underlying's last; the first is 1
    underlying_id: int
    scan: int  # 1e-18, stretches the spot moves of the grid
    volatility: int  # 1e-18, and the shock of volatility upward
    reason: str


class PlaceOrder(Command, frozen=True, kw_only=True):
    """Enter an order signed by its owner or a session key."""

    terms: OrderTerms
    signature: bytes
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False  # rest one tick away rather than trade
    reject_post_only: bool = False  # with post_only: refuse rather than reprice
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.CANCEL_TAKER
    max_show: int = 0  # displayed quantity of an iceberg; 0 shows all
    label: str = ""
    mmp: bool = False  # counts toward market-maker protection, and is canceled by it
    trigger: Trigger | None = None  # the order waits for it; `terms.trigger_hash` is its hash
    market: bool = False  # `limit_price` is the worst price, which a band around the mark narrows
    volatility: int = 0  # 1e-6; above 0 `limit_price` is the worst price, and `Reprice` follows it
    worth: int = 0  # with a volatility: its price now


class PlaceLinked(Command, frozen=True, kw_only=True):
    """Enter two or three orders that depend on each other, or none of them.

    OCO: a hit of one cancels the others. OTO: the others wait until the first is hit. OTOCO: so
    they do, and are then an OCO. A hit is the fill that `condition` names.
    """

    kind: LinkKind
    condition: HitCondition
    orders: tuple[PlaceOrder, ...]


class TradeBlock(Command, frozen=True, kw_only=True):
    """Trade two orders with each other outside the book, at the maker's price, or neither."""

    maker: PlaceOrder
    taker: PlaceOrder


class AmendOrder(Command, frozen=True, kw_only=True):
    """Replace the terms of an order: the same nonce signed again with a higher version."""

    terms: OrderTerms
    signature: bytes
    max_show: int | None = None  # None: as before
    volatility: int = (
        0  # as in `PlaceOrder`; a volatility order stays one, and no other becomes one
    )
    worth: int = 0


class PricedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a volatility order should rest; `price` in micro-USDC on the tick grid."""

    order_id: int
    price: int


class Reprice(Command, frozen=True, kw_only=True):
    """Move volatility orders to what their volatilities are worth now (docs/adr/0008)."""

    orders: tuple[PricedOrder, ...]


class MassQuote(Command, frozen=True, kw_only=True):
    """Replace a subaccount's sheet of quotes; one signature over `model.sheet_orders`."""

    terms: SheetTerms
    quotes: tuple[Quote, ...]
    signature: bytes
    label: str = ""
    mmp: bool = False  # count toward market-maker protection, and are canceled by it


class CancelOrder(Command, frozen=True, kw_only=True):
    """Take one order out of the book."""

    subaccount_id: int
    order_id: int


class CancelAll(Command, frozen=True, kw_only=True):
    """Take every order of a subaccount out that all given filters match (0, empty: any)."""

    subaccount_id: int
    instrument_id: int = 0
    underlying_id: int = 0
    kind: Kind | None = None
    label: str = ""
    nonce_below: int = 0
    quotes_only: bool = False
    order_ids: tuple[int, ...] = ()


class Withdraw(Command, frozen=True, kw_only=True):
    """Take cash or a token out: debited here, paid by the batch that contains this command.

    `by_contract`: the owner is a contract, and a node said that it signed (EIP-1271). The chain
    asks it again, and gives back what it does not confirm.
    """

    terms: WithdrawalTerms
    signature: bytes
    by_contract: bool = False


class SweepLiquidations(Command, frozen=True, kw_only=True):
    """Begin liquidations that are due and take each that runs one step further.

    `suspects` are the subaccounts to look at, as somebody computed them outside; the engine margins
    each exactly, so a wrong one is harmless. None: all.
    """

    suspects: tuple[int, ...] | None = None


class BidLiquidation(Command, frozen=True, kw_only=True):
    """Take over a fraction of a subaccount at its auction's price, now."""

    terms: BidTerms
    signature: bytes


class TransferFunds(Command, frozen=True, kw_only=True):
    """Move cash or tokens between two subaccounts of one owner."""

    terms: TransferTerms
    signature: bytes


class ExpireInstruments(Command, frozen=True, kw_only=True):
    """Fix the delivery price of an expiry from the journaled samples and pay positions off."""

    underlying_id: int
    expiry: int


class AccrueInterest(Command, frozen=True, kw_only=True):
    """Charge debts the interest that accrued; what a full batch leaves, the next one charges."""


class AccrueFunding(Command, frozen=True, kw_only=True):
    """Move the funding index of every perpetual by what accrued; a pending batch ends first."""


class ProtectionParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Limits of a maker's fills within `interval_ns`; 0 is no limit, `frozen_ns` 0 needs a reset.

    `quantity_limit` in 1e-4 contracts, `delta_limit` in 1e-6 of the underlying, `vega_limit` in
    micro-USDC per volatility point; the last two bound the absolute value of signed sums.
    """

    interval_ns: int
    frozen_ns: int
    quantity_limit: int = 0
    delta_limit: int = 0
    vega_limit: int = 0


class SetProtection(Command, frozen=True, kw_only=True):
    """Protect a maker's orders in one underlying, or stop (None)."""

    subaccount_id: int
    underlying_id: int
    limits: ProtectionParameters | None


class ResetProtection(Command, frozen=True, kw_only=True):
    """Lift a freeze and forget the fills that led to it."""

    subaccount_id: int
    underlying_id: int


class Halt(Command, frozen=True, kw_only=True):
    """Stop trading in one instrument, in an underlying, or (both 0) everywhere. Orders stay."""

    underlying_id: int = 0
    instrument_id: int = 0
    reason: str = ""


class Resume(Command, frozen=True, kw_only=True):
    """End a halt of the same scope: a call auction, then live trading."""

    underlying_id: int = 0
    instrument_id: int = 0
    reason: str = ""


class SetSpeedBump(Command, frozen=True, kw_only=True):
    """Let takers wait `delay_ns` in an instrument, or in all of an underlying, now and later."""

    delay_ns: int
    underlying_id: int = 0
    instrument_id: int = 0


class ReleaseOrders(Command, frozen=True, kw_only=True):
    """Time has passed: orders that a speed bump held enter before any command, so before this."""


class NoteAction(Command, frozen=True, kw_only=True):
    """Who acts on the operator's listener, and why: words before what he does, without effect."""

    who: str  # the name of his key
    action: str  # the route, such as `halt`
    why: str
    request_id: str


class CutBatch(Command, frozen=True, kw_only=True):
    """End a settlement batch here; a full one ends by itself (`batch_items_max`)."""


class Novate(Command, frozen=True, kw_only=True):
    """Replace what the chain refuses of a cut batch: sides of trades, money that moves, acts.

    What it says of the trades is the relayer's, from the journal: whoever builds the batch checks.
    """

    batch: int
    fills: tuple[NovatedFill, ...]
    rebuilt: tuple[RebuiltPosition, ...] = ()  # of fills of perpetuals and futures that live
    moves: tuple[RefusedMove, ...] = ()  # withdrawals and transfers that do not happen
    acts: tuple[RefusedAct, ...] = ()

    @property
    def replaced(self) -> tuple[NovatedFill | RefusedMove | RefusedAct, ...]:
        """All of it; each has a key of its own."""
        return (*self.fills, *self.moves, *self.acts)


class HoldWithdrawals(Command, frozen=True, kw_only=True):
    """Let no money leave a subaccount on which journal and chain disagree; or again let it."""

    subaccount_id: int
    held: bool
    detail: str  # names the difference, or who released it and why


class SuspendTrading(Command, frozen=True, kw_only=True):
    """Cancel a subaccount's orders and let new ones only reduce; or again let it trade.

    Its money is never touched: withdrawals, transfers and forced exits go on.
    """

    subaccount_id: int
    suspended: bool
    detail: str  # why, or what was found


class AdvanceClock(Command, frozen=True, kw_only=True):
    """Move the venue's clock forward; refused unless the venue was configured on a local chain."""

    by_ns: int


class ObserveBlocks(Command, frozen=True, kw_only=True):
    """Confirmed blocks of the chain, in order, without gap or repetition."""

    first_block: int
    last_block: int
    last_hash: str
    observations: tuple[AnyObservation, ...] = ()


class RevertBlocks(Command, frozen=True, kw_only=True):
    """The chain has lost what was observed after this block: undo it, the newest first."""

    last_block: int
    last_hash: str


SignedCommand = PlaceOrder | AmendOrder


def signed_commands(command: Command) -> tuple[SignedCommand, ...]:
    """The orders that a command carries with their signatures: one, several or none."""
    if isinstance(command, PlaceLinked):
        return command.orders
    if isinstance(command, TradeBlock):
        return command.maker, command.taker
    return (command,) if isinstance(command, PlaceOrder | AmendOrder) else ()


AnyCommand = (
    Configure
    | ListInstruments
    | ListCombo
    | UpdateIndex
    | UpdateMarks
    | AdjustRisk
    | PlaceOrder
    | PlaceLinked
    | TradeBlock
    | AmendOrder
    | Reprice
    | MassQuote
    | CancelOrder
    | CancelAll
    | Withdraw
    | SweepLiquidations
    | BidLiquidation
    | TransferFunds
    | ExpireInstruments
    | AccrueFunding
    | AccrueInterest
    | SetProtection
    | ResetProtection
    | Halt
    | Resume
    | SetSpeedBump
    | ReleaseOrders
    | NoteAction
    | CutBatch
    | Novate
    | HoldWithdrawals
    | SuspendTrading
    | AdvanceClock
    | ObserveBlocks
    | RevertBlocks
)
