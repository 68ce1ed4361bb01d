"""Outputs of the engine, in the past tense; `reasons` has those of refusals and cancels.

Events are all that everybody outside learns. Each belongs to the command with the same `seq`.
"""

from exchange.controls import AccessChanged as AccessChanged
from exchange.controls import BatchMarginChanged as BatchMarginChanged
from exchange.controls import GovernanceChanged as GovernanceChanged
from exchange.controls import KeyScoped as KeyScoped
from exchange.controls import NonceFloorRaised as NonceFloorRaised
from exchange.controls import NonceVoided as NonceVoided
from exchange.controls import PriceBandsChanged as PriceBandsChanged
from exchange.controls import RiskPaused as RiskPaused
from exchange.controls import SessionKeySet as SessionKeySet
from exchange.controls import SheetFloorRaised as SheetFloorRaised
from exchange.controls import WithdrawalVoided as WithdrawalVoided
from exchange.exits import EscapeStarted as EscapeStarted
from exchange.exits import ExitEvent as ExitEvent
from exchange.exits import ExitRequested as ExitRequested
from exchange.exits import ExitServed as ExitServed
from exchange.model import (
    HitCondition,
    Instrument,
    InstrumentStatus,
    LinkKind,
    LiquidationStage,
    Side,
    TimeInForce,
    Trigger,
)
from exchange.observations import BlocksObserved as BlocksObserved
from exchange.observations import SubaccountOpened as SubaccountOpened
from exchange.publications import BatchConfirmed as BatchConfirmed
from exchange.publications import BatchCut as BatchCut
from exchange.reasons import CancelReason as CancelReason
from exchange.reasons import Event as Event
from exchange.reasons import RejectReason as RejectReason
from exchange.remedies import FillNovated as FillNovated
from exchange.remedies import MoveRefused as MoveRefused
from exchange.remedies import TradingSuspended as TradingSuspended
from exchange.remedies import WithdrawalsHeld as WithdrawalsHeld
from exchange.reversals import ReversalEvent
from exchange.transfers import FeesShared as FeesShared
from exchange.transfers import InsuranceUsed as InsuranceUsed
from exchange.transfers import LossSocialised as LossSocialised
from exchange.transfers import PortfolioTransferred as PortfolioTransferred
from exchange.transfers import TransferredLeg as TransferredLeg
from exchange.transfers import TransferredToken as TransferredToken


class Refused(Event, frozen=True, kw_only=True):
    """The command changed nothing; `detail` says in words which value failed."""

    reason: RejectReason
    detail: str = ""
    subaccount_id: int = 0
    nonce: int = 0


class Configured(Event, frozen=True, kw_only=True):
    """The venue's parameters took effect."""

    version: int


class InstrumentListed(Event, frozen=True, kw_only=True):
    """Trading in an instrument began."""

    instrument: Instrument


class InstrumentStatusChanged(Event, frozen=True, kw_only=True):
    """An instrument is halted, in its auction, or live again."""

    instrument_id: int
    status: InstrumentStatus


class SpeedBumpSet(Event, frozen=True, kw_only=True):
    """Takers of an instrument wait so long from now on; 0: not at all."""

    instrument_id: int
    delay_ns: int


class ProtectionSet(Event, frozen=True, kw_only=True):
    """A maker's protection limits were set, or removed."""

    subaccount_id: int
    underlying_id: int
    active: bool


class ProtectionTripped(Event, frozen=True, kw_only=True):
    """Market-maker protection froze a maker until a time, or (0) until a reset."""

    subaccount_id: int
    underlying_id: int
    frozen_until_ns: int


class ProtectionLifted(Event, frozen=True, kw_only=True):
    """A maker may quote again."""

    subaccount_id: int
    underlying_id: int


class AuctionUncrossed(Event, frozen=True, kw_only=True):
    """A call auction ended at one price; its `Traded` events follow. No price without volume."""

    instrument_id: int
    price: int
    quantity: int
    imbalance: int


class IndexUpdated(Event, frozen=True, kw_only=True):
    """A new index price."""

    underlying_id: int
    index_price: int


class MarksUpdated(Event, frozen=True, kw_only=True):
    """A new epoch of risk arrays is in force; a `published` one goes on chain."""

    epoch: int
    root: bytes
    published: bool = False


class RiskAdjusted(Event, frozen=True, kw_only=True):
    """From the next epoch on an underlying's scenarios are scaled like this (1e-18)."""

    underlying_id: int
    version: int
    scan: int
    volatility: int
    reason: str


class Deposited(Event, frozen=True, kw_only=True):
    """Cash or a token arrived from the chain; 1e-6 USDC, or 1e-8 of the token."""

    subaccount_id: int
    amount: int
    token: str = ""  # address; none: USDC


class OrderPlaced(Event, frozen=True, kw_only=True):
    """An order entered the book; its fills, if any, follow as `Traded`."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    side: Side
    quantity: int
    limit_price: int
    nonce: int
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    label: str
    max_show: int = 0  # the slice that an iceberg displays; 0 shows all


class OrderArmed(Event, frozen=True, kw_only=True):
    """An order was accepted that waits: for its trigger, or for an order that it is linked to."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    side: Side
    quantity: int
    limit_price: int
    nonce: int
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    label: str
    trigger: Trigger | None


class OrdersLinked(Event, frozen=True, kw_only=True):
    """Orders depend on each other from now on; of OTO and OTOCO the first is the primary."""

    kind: LinkKind
    condition: HitCondition
    order_ids: tuple[int, ...]


class OrderActivated(Event, frozen=True, kw_only=True):
    """The primary was hit: an order waits for its own trigger now, or enters the book."""

    order_id: int
    subaccount_id: int


class OrderTriggered(Event, frozen=True, kw_only=True):
    """`price` reached an order's trigger: it enters the book as soon as its instrument is live."""

    order_id: int
    subaccount_id: int
    price: int


class OrderDelayed(Event, frozen=True, kw_only=True):
    """An order that would take waits outside the book, until the first command from then on."""

    order_id: int
    subaccount_id: int
    until_ns: int
    quantity: int = 0  # above 0: it rests on, in a combo, and will take so much from the legs


class OrderRepeated(Event, frozen=True, kw_only=True):
    """The same signed content came again: nothing changed, the first outcome stands."""

    order_id: int
    subaccount_id: int


class OrderAmended(Event, frozen=True, kw_only=True):
    """An order took new terms."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    quantity: int
    limit_price: int
    version: int
    max_show: int = 0
    in_place: bool = False  # it kept its priority


class OrderRepriced(Event, frozen=True, kw_only=True):
    """A volatility order rests, or trades, at another price now; its priority is lost."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    limit_price: int


class OrderCanceled(Event, frozen=True, kw_only=True):
    """`canceled_quantity` of an order left the book; the order is over when nothing remains."""

    order_id: int
    subaccount_id: int
    instrument_id: int
    canceled_quantity: int
    remaining_quantity: int
    reason: CancelReason
    reject_reason: RejectReason | None = None  # with REFUSED


class QuotesReplaced(Event, frozen=True, kw_only=True):
    """A sheet took the place of the last one; the numbers count its orders, and those it canceled.

    Of `kept` quotes, `OrderCanceled` with a remainder told before what was taken from them.
    """

    subaccount_id: int
    sheet_nonce: int
    canceled: int
    kept: int
    placed: int
    refused: int


class QuoteRefused(Event, frozen=True, kw_only=True):
    """One side of a quote does not stand; the rest of its sheet does."""

    subaccount_id: int
    instrument_id: int
    side: Side
    reason: RejectReason
    detail: str


class QuotesRepeated(Event, frozen=True, kw_only=True):
    """The same signed sheet came again: nothing changed, the first outcome stands."""

    subaccount_id: int
    sheet_nonce: int


class ComboListed(Event, frozen=True, kw_only=True):
    """A combo has this instrument_id; before the first answer comes `InstrumentListed`.

    What was asked for is `factor` units of it; where that is negative, buying it is selling these.
    """

    instrument_id: int
    factor: int


class ComboTraded(Event, frozen=True, kw_only=True):
    """Units of a combo changed hands; the `Traded` of its legs follow, with this `trade_id`.

    `value` in micro-USDC is what the buyer pays for them, negative where he is paid. The maker is 0
    where the makers are orders in the books of the legs. Fees are the sums of those of the legs.
    """

    trade_id: int
    instrument_id: int
    value: int
    quantity: int
    taker_side: Side
    taker_order_id: int
    taker_subaccount_id: int
    taker_fee: int
    maker_order_id: int = 0
    maker_subaccount_id: int = 0
    maker_fee: int = 0


class Traded(Event, frozen=True, kw_only=True):
    """One match. Fees in micro-USDC; `*_signed_seq` names the signature in force.

    It is the seq of the command that carries it; where that has several, `model.numbered`. As part
    of a combo's trade, it is a leg of the order in that combo which `*_combo` tells.
    """

    trade_id: int
    instrument_id: int
    price: int
    quantity: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_subaccount_id: int
    taker_subaccount_id: int
    maker_signed_seq: int
    taker_signed_seq: int
    maker_fee: int
    taker_fee: int
    auction: bool = False  # two resting orders met at an auction's price
    liquidation: bool = False  # the taker is liquidated: nobody signed, `taker_signed_seq` is 0
    combo_id: int = 0  # instrument_id of the combo
    combo_trade_id: int = 0
    maker_combo: bool = False
    taker_combo: bool = False


class LiquidationStarted(Event, frozen=True, kw_only=True):
    """A subaccount fell below maintenance: its orders are canceled, it takes no new ones."""

    subaccount_id: int
    stage: LiquidationStage
    equity: int
    maintenance_margin: int


class ForceGranted(Event, frozen=True, kw_only=True):
    """The chain saw a subaccount below maintenance, and takes forced fills up to a UTC second.

    No hedge above `contracts`; takers get at most `budget` off, in all since the first proof.
    """

    subaccount_id: int
    until: int
    contracts: int
    budget: int


class LiquidationSliced(Event, frozen=True, kw_only=True):
    """A slice of a liquidation traded, as the `Traded` events before it say."""

    subaccount_id: int
    step: int
    instrument_id: int
    side: Side
    quantity: int
    limit_price: int
    excess_before: int  # maintenance excess
    excess_after: int


class LiquidationAuctionStarted(Event, frozen=True, kw_only=True):
    """Fractions of a subaccount are for sale to keepers; an INSOLVENT one's at the fund's cost."""

    subaccount_id: int
    stage: LiquidationStage
    equity: int
    maintenance_margin: int


class LiquidationEnded(Event, frozen=True, kw_only=True):
    """A subaccount may trade again."""

    subaccount_id: int
    equity: int
    maintenance_margin: int


class FundingAccrued(Event, frozen=True, kw_only=True):
    """A perpetual's funding index moved; `ordinal` counts from 1.

    `index` is what a long has paid a contract since the listing, in whole quanta of 0.01 USDC.
    `rate` (1e-18, 8 h) and `index_price` are in force. Of a cut's command, the next batch has it.
    """

    instrument_id: int
    ordinal: int
    index: int
    rate: int
    index_price: int


class FundingPaid(Event, frozen=True, kw_only=True):
    """A position realised its funding as cash; a negative `amount` was paid."""

    subaccount_id: int
    instrument_id: int
    amount: int


class Withdrawn(Event, frozen=True, kw_only=True):
    """Cash or a token left a subaccount for the chain; units as in `Deposited`."""

    subaccount_id: int
    amount: int
    recipient: str
    nonce: int  # of a forced exit the ordinal of its request
    token: str = ""
    exit_token: str = ""  # address, if the owner asked for it on chain and nobody signed


class Transferred(Event, frozen=True, kw_only=True):
    """Cash or a token moved between two subaccounts of one owner; units as in `Deposited`."""

    subaccount_id: int
    to_subaccount_id: int
    amount: int
    nonce: int
    token: str = ""


class InterestAccrued(Event, frozen=True, kw_only=True):
    """Debts are charged `growth` of themselves; `index` sums it up. Both in 1e-18."""

    index: int
    growth: int


class InterestPaid(Event, frozen=True, kw_only=True):
    """A debtor paid `amount` (micro-USDC, > 0) to the venue's own subaccount.

    `accrued_s` is the second of the accrual that it belongs to; 0: that of this command.
    """

    subaccount_id: int
    amount: int
    accrued_s: int = 0


class DeliveryPriceFixed(Event, frozen=True, kw_only=True):
    """The delivery price of an expiry; `samples` index samples entered it.

    `samples_root` is the Merkle root over them and the one before (`merkle.sample_leaf`).
    """

    underlying_id: int
    expiry: int
    price: int
    samples: int
    samples_root: bytes = b""


class InstrumentExpired(Event, frozen=True, kw_only=True):
    """Trading in an instrument ended."""

    instrument_id: int


class PositionExpired(Event, frozen=True, kw_only=True):
    """A position was paid off; `payoff` is the signed change of cash, in micro-USDC."""

    subaccount_id: int
    instrument_id: int
    quantity: int
    payoff: int


class ClockAdvanced(Event, frozen=True, kw_only=True):
    """The venue's clock stands this far ahead of the machine's."""

    offset_ns: int


class ActRefused(Event, frozen=True, kw_only=True):
    """The chain did not take an act; all that it moved is back, positions at its own prices.

    With `fund_subaccount_id` it was a takeover, and that subaccount has the keeper's place in it.
    """

    batch: int
    act_id: int
    act: (
        PortfolioTransferred
        | InsuranceUsed
        | LossSocialised
        | FeesShared
        | InterestPaid
        | Withdrawn
    )
    subaccount_id: int  # whose portfolio, debt or exit it was
    fund_subaccount_id: int = 0
    payer_subaccount_id: int = 0  # of a takeover, who has its discount now

    @property
    def holder_id(self) -> int:
        """Of a takeover, who has its legs and tokens now."""
        return self.fund_subaccount_id or self.subaccount_id


AnyEvent = (
    Refused
    | Configured
    | InstrumentListed
    | InstrumentStatusChanged
    | AuctionUncrossed
    | SpeedBumpSet
    | ProtectionSet
    | ProtectionTripped
    | ProtectionLifted
    | IndexUpdated
    | MarksUpdated
    | RiskAdjusted
    | SubaccountOpened
    | Deposited
    | SessionKeySet
    | KeyScoped
    | NonceFloorRaised
    | NonceVoided
    | WithdrawalVoided
    | SheetFloorRaised
    | AccessChanged
    | RiskPaused
    | PriceBandsChanged
    | BatchMarginChanged
    | GovernanceChanged
    | OrderPlaced
    | OrderArmed
    | OrdersLinked
    | OrderActivated
    | OrderTriggered
    | OrderDelayed
    | OrderRepeated
    | OrderAmended
    | OrderRepriced
    | OrderCanceled
    | QuotesReplaced
    | QuoteRefused
    | QuotesRepeated
    | ComboListed
    | ComboTraded
    | Traded
    | LiquidationStarted
    | ForceGranted
    | LiquidationSliced
    | LiquidationAuctionStarted
    | PortfolioTransferred
    | InsuranceUsed
    | LossSocialised
    | FeesShared
    | LiquidationEnded
    | FundingAccrued
    | FundingPaid
    | Withdrawn
    | Transferred
    | InterestAccrued
    | InterestPaid
    | FillNovated
    | MoveRefused
    | ActRefused
    | WithdrawalsHeld
    | TradingSuspended
    | ReversalEvent
    | ExitEvent
    | DeliveryPriceFixed
    | InstrumentExpired
    | PositionExpired
    | BatchCut
    | BatchConfirmed
    | BlocksObserved
    | ClockAdvanced
)
