"""The state machine: `Engine.apply(seq, time_ns, command) -> events`.

A pure function of its inputs (docs/ARCHITECTURE.md): no I/O, clock, randomness, float or log here
or below. The same commands in the same order give the same events and the same state hash, on every
machine. Refusals are events; an exception from here is a bug and stops the venue.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, KeysView, Mapping
from typing import Self, assert_never

from mypy_extensions import mypyc_attr

from exchange.commands import (
    AccrueFunding,
    AccrueInterest,
    AdjustRisk,
    AdvanceClock,
    AmendOrder,
    AnyCommand,
    BidLiquidation,
    CancelAll,
    CancelOrder,
    Configure,
    CutBatch,
    ExpireInstruments,
    Halt,
    HoldWithdrawals,
    ListCombo,
    ListInstruments,
    MassQuote,
    NoteAction,
    Novate,
    ObserveBlocks,
    PlaceLinked,
    PlaceOrder,
    ReleaseOrders,
    Reprice,
    ResetProtection,
    Resume,
    RevertBlocks,
    SetProtection,
    SetSpeedBump,
    SuspendTrading,
    SweepLiquidations,
    TradeBlock,
    TransferFunds,
    UpdateIndex,
    UpdateMarks,
    Withdraw,
)
from exchange.engine import (
    adjusting,
    amending,
    blocks,
    bump,
    combos,
    custody,
    entry,
    expiry,
    fee_share,
    funding,
    lending,
    linked,
    liquidation,
    phases,
    quoting,
    remedies,
    reverting,
    shield,
    suspension,
    takeover,
    treasury,
)
from exchange.engine.accounts import AccountView, account_view
from exchange.engine.checks import nothing_refused
from exchange.engine.combo_trading import leg_prices
from exchange.engine.consequences import follow_up
from exchange.engine.exit_memory import ForcedExit
from exchange.engine.gates import price_band
from exchange.engine.invariants import check_venue
from exchange.engine.previews import Preview, preview
from exchange.engine.records import RiskScale
from exchange.engine.simulation import (
    Hypothesis,
    Simulation,
    order_margin,
    resting_margins,
    simulate,
    token_views,
)
from exchange.engine.snapshot import frozen, thawed
from exchange.engine.state import Subaccount, Venue
from exchange.engine.views import (
    LiquidationView,
    MarginSummary,
    Mark,
    OrderView,
    TokenView,
    margin_summary,
    order_view,
)
from exchange.events import AnyEvent, BatchCut, RejectReason
from exchange.fixed import to_seconds_down
from exchange.margin.marks import MarksBook
from exchange.margin.order import MarginOrder
from exchange.model import Instrument, InstrumentStatus, Legs, Side

__all__ = [
    "AccountView",
    "Engine",
    "MarginSummary",
    "Mark",
    "OrderView",
    "Preview",
    "RiskScale",
    "Simulation",
    "TokenView",
]


@mypyc_attr(allow_interpreted_subclasses=True)  # simulations look at each command
class Engine:
    """Applies commands to one shard's state and answers questions about it."""

    def __init__(self) -> None:
        self._venue = Venue()
        self._hash = self.state_hash  # of a batch that is cut
        self._recorded: tuple[AnyEvent, ...] = ()  # of the command that is replayed

    @classmethod
    def restored(cls, data: bytes) -> Self:
        """The engine that was frozen; `exchange.freeze.Foreign` where other code did that."""
        engine = cls()
        engine._venue = thawed(data)
        return engine

    def snapshot(self) -> bytes:
        """The whole state, caches included: what is restored from it goes on as this one does."""
        return frozen(self._venue)

    def apply(self, seq: int, time_ns: int, command: AnyCommand) -> tuple[AnyEvent, ...]:
        """The events of `command`; seqs follow one another, time never goes back."""
        venue = self._venue
        assert seq == venue.seq + 1, f"expected seq {venue.seq + 1}, got {seq}"
        assert time_ns >= venue.time_ns, "time went back"
        venue.seq = seq
        venue.time_ns = time_ns
        venue.events = []
        venue.combos.noted = venue.combos.tries = 0
        now_s = to_seconds_down(time_ns)
        entry.sweep_deadlines(venue, now_s)
        quoting.sweep_sheets(venue, now_s)
        phases.sweep_phases(venue)
        if bump.release_due(venue):
            follow_up(venue)
        if venue.parameters is None and not isinstance(command, Configure):
            venue.refuse(RejectReason.NOT_CONFIGURED, "the venue is starting; try again")
        elif venue.exits.escaped and not isinstance(command, ObserveBlocks | RevertBlocks):
            venue.refuse(RejectReason.ESCAPED, "the venue has ended; claim on chain")
        else:
            self._dispatch(command)
            follow_up(venue)
            takeover.share_on(venue)
            fee_share.share_fees(venue)
            custody.cut_full_batch(venue, self._hash)
        return tuple(venue.events)

    def replay(
        self,
        seq: int,
        time_ns: int,
        command: AnyCommand,
        events: tuple[AnyEvent, ...],
        *,
        proven_later: bool = False,
    ) -> bool:
        """Apply what was applied before; whether it gives these events again.

        Hashes of the state, which grow with it, are taken from the events instead of computed. What
        the events accept is not checked again where a hash that is computed later covers it.
        """
        self._recorded = events
        self._hash = self._recorded_hash
        self._venue.accepted = proven_later and nothing_refused(command, events)
        try:
            return self.apply(seq, time_ns, command) == events
        finally:
            self._venue.accepted = False
            self._hash = self.state_hash

    def _recorded_hash(self) -> bytes:
        """That of the batch that is cut now, as the journal has it."""
        cut = sum(isinstance(event, BatchCut) for event in self._venue.events)
        hashes = [event.state_hash for event in self._recorded if isinstance(event, BatchCut)]
        return hashes[cut] if cut < len(hashes) else b""

    def _dispatch(self, command: AnyCommand) -> None:  # noqa: C901, PLR0912, PLR0915  a line a command
        venue = self._venue
        match command:
            case PlaceOrder():
                entry.place_order(venue, command)
            case PlaceLinked() | TradeBlock():
                self._enter_together(command)
            case MassQuote():
                quoting.mass_quote(venue, command)
            case CancelOrder():
                entry.cancel_order(venue, command)
            case AmendOrder():
                amending.amend_order(venue, command)
            case Reprice():
                amending.reprice(venue, command)
            case CancelAll():
                entry.cancel_all(venue, command)
            case UpdateIndex() | UpdateMarks() | AdjustRisk():
                self._price(command)
            case ObserveBlocks() | RevertBlocks():
                self._follow_chain(command)
            case Withdraw() | TransferFunds() | AccrueInterest() | Novate() | HoldWithdrawals():
                self._move_money(command)
            case SweepLiquidations() | BidLiquidation():
                liquidation.liquidate(venue, command)
            case SetProtection():
                shield.set_protection(venue, command)
            case ResetProtection():
                shield.reset_protection(venue, command)
            case Halt() | Resume() | SuspendTrading() | SetSpeedBump():
                self._operate(command)
            case ReleaseOrders() | NoteAction():
                pass  # the one brought time, the other words for readers of the journal
            case ExpireInstruments():
                expiry.expire_instruments(venue, command)
            case ListInstruments():
                expiry.list_instruments(venue, command)
            case ListCombo():
                combos.list_combo(venue, command)
            case Configure():
                expiry.configure(venue, command)
            case CutBatch() | AccrueFunding() | AdvanceClock():
                follow_up(venue)  # of the sweeps: nothing trades after a cut
                self._cut(command)
            case _:
                assert_never(command)

    def _enter_together(self, command: PlaceLinked | TradeBlock) -> None:
        if isinstance(command, PlaceLinked):
            linked.place_linked(self._venue, command)
        else:
            blocks.trade_block(self._venue, command)

    def _operate(self, command: Halt | Resume | SuspendTrading | SetSpeedBump) -> None:
        match command:
            case Halt():
                phases.halt(self._venue, command)
            case Resume():
                phases.resume(self._venue, command)
            case SuspendTrading():
                suspension.suspend_trading(self._venue, command)
            case SetSpeedBump():
                bump.set_speed_bump(self._venue, command)
            case _:
                assert_never(command)

    def _follow_chain(self, command: ObserveBlocks | RevertBlocks) -> None:
        if isinstance(command, ObserveBlocks):
            custody.observe_blocks(self._venue, command)
        else:
            reverting.revert_blocks(self._venue, command)

    def _move_money(
        self, command: Withdraw | TransferFunds | AccrueInterest | Novate | HoldWithdrawals
    ) -> None:
        match command:
            case Novate() | HoldWithdrawals():
                remedies.remedy(self._venue, command)
            case AccrueInterest():
                lending.accrue_interest(self._venue)
            case _:
                treasury.move_money(self._venue, command)

    def _cut(self, command: CutBatch | AccrueFunding | AdvanceClock) -> None:
        """Apply what ends a settlement batch, or may."""
        match command:
            case CutBatch():
                custody.cut_batch(self._venue, self._hash)
            case AccrueFunding():
                funding.accrue_funding(self._venue, self._hash)
            case AdvanceClock():
                custody.advance_clock(self._venue, command, self._hash)
            case _:
                assert_never(command)

    def _price(self, command: UpdateIndex | UpdateMarks | AdjustRisk) -> None:
        match command:
            case UpdateIndex():
                expiry.update_index(self._venue, command)
            case UpdateMarks():
                follow_up(self._venue)  # of the sweeps: the epoch may end a batch
                expiry.update_marks(self._venue, command, self._hash)
            case AdjustRisk():
                adjusting.adjust_risk(self._venue, command)
            case _:
                assert_never(command)

    @property
    def exits(self) -> list[ForcedExit]:
        """Forced exits that are not closed, in the order of their turns."""
        return list(self._venue.exits.requests.values())

    @property
    def escaped(self) -> bool:
        """Whether the venue has ended."""
        return self._venue.exits.escaped

    @property
    def held(self) -> list[int]:
        """Subaccounts that no money may leave, ascending."""
        return sorted(self._venue.treasury.held)

    @property
    def suspended(self) -> list[int]:
        """Subaccounts that only reduce, ascending."""
        return sorted(self._venue.access.suspended)

    @property
    def clock_offset_ns(self) -> int:
        """How far venue time runs ahead of the machine's clock."""
        return self._venue.clock_offset_ns

    @property
    def seq(self) -> int:
        """Number of the newest command; 0 before the first."""
        return self._venue.seq

    @property
    def time_ns(self) -> int:
        """Time of the newest command."""
        return self._venue.time_ns

    @property
    def parameters(self) -> Configure | None:
        """Parameters in force; None before the first `Configure`."""
        return self._venue.parameters

    @property
    def instruments(self) -> dict[int, Instrument]:
        """Every instrument ever listed, by id. Read only."""
        return self._venue.instruments

    @property
    def subaccounts(self) -> dict[int, Subaccount]:
        """Every subaccount, by id. Read only."""
        return self._venue.subaccounts

    @property
    def delivery_prices(self) -> dict[tuple[int, int], int]:
        """Delivery price by (underlying_id, expiry). Read only."""
        return self._venue.delivery_prices

    @property
    def last_block(self) -> int:
        """The newest block observed; 0 before the first."""
        return self._venue.chain.last_block

    @property
    def epoch(self) -> int:
        """The epoch of risk arrays in force; 0 before the first."""
        return self._venue.marks.epoch if self._venue.parameters else 0

    @property
    def pending(self) -> int:
        """Items, and proofs counted as such, that no settlement batch holds yet."""
        return self._venue.batches.pending

    @property
    def batch_number(self) -> int:
        """The settlement batch cut last."""
        return self._venue.batches.number

    @property
    def confirmed_batch(self) -> int:
        """The settlement batch that became final on chain last."""
        return self._venue.batches.confirmed

    def price_band(self, instrument_id: int) -> tuple[int, int] | None:
        """The lowest and the highest price at which it may trade now; None without a mark."""
        if not self._venue.marks.has(instrument_id):
            return None
        return price_band(self._venue, instrument_id)

    def status(self, instrument_id: int) -> InstrumentStatus:
        """Trading phase of a listed instrument."""
        return self._venue.statuses[instrument_id]

    def subaccounts_of(self, owner: str) -> list[int]:
        """Ids of an owner's subaccounts, ascending."""
        return sorted(self._venue.owned.get(owner, ()))

    def open_orders(self, subaccount_id: int, instrument_id: int = 0) -> list[OrderView]:
        """Open orders in order of entry; all instruments for 0."""
        orders = self._venue.subaccounts[subaccount_id].open_orders.values()
        return [
            order_view(order) for order in orders if instrument_id in (0, order.terms.instrument_id)
        ]

    def order(self, order_id: int) -> OrderView | None:
        """An order, until some time after its deadline."""
        order = self._venue.orders.get(order_id)
        return order_view(order) if order else None

    def order_by_nonce(self, subaccount_id: int, nonce: int) -> OrderView | None:
        """The order that used this nonce: what became of it after a time-out."""
        subaccount = self._venue.subaccounts.get(subaccount_id)
        order = subaccount.orders.get(nonce) if subaccount else None
        return order_view(order) if order else None

    def release_times_ns(self) -> list[int]:
        """When the orders that a speed bump holds may enter, the first first."""
        return sorted((*self._venue.bump.due_times_ns(), *self._venue.combos.due_times_ns()))

    def trigger_price(self, order_id: int) -> int | None:
        """Where an order that waits for a price fires now; None if it waits for none."""
        triggers = self._venue.triggers
        return triggers.trigger_price(order_id) if order_id in triggers else None

    def volatility_orders(self) -> list[OrderView]:
        """Open orders whose prices follow their volatilities, in order of entry."""
        orders = self._venue.orders
        return [order_view(orders[order_id]) for order_id in self._venue.volatility_orders]

    def account(self, subaccount_id: int) -> AccountView | None:
        """A subaccount whole, for operators; None where there is none."""
        subaccount = self._venue.subaccounts.get(subaccount_id)
        return account_view(self._venue, subaccount) if subaccount else None

    def positions(self, subaccount_id: int) -> dict[int, int]:
        """Signed quantity by instrument, without zeros."""
        return dict(self._venue.subaccounts[subaccount_id].account.positions)

    def margin(self, subaccount_id: int) -> MarginSummary:
        """Cash, values and margin of a subaccount."""
        return margin_summary(self._venue.subaccounts[subaccount_id].account)

    @property
    def marks(self) -> MarksBook:
        """Risk arrays in force, once the venue is configured. Read only."""
        return self._venue.marks

    @property
    def liquidated(self) -> KeysView[int]:
        """Subaccounts in liquidation."""
        return self._venue.liquidations.keys()

    def liquidations(self) -> list[LiquidationView]:
        """Every liquidation that runs, ascending by subaccount, with what is for sale now."""
        running = self._venue.liquidations
        return [liquidation.liquidation_view(self._venue, running[key]) for key in sorted(running)]

    def token_views(self, subaccount_id: int) -> tuple[TokenView, ...]:
        """Collateral tokens of a subaccount."""
        return token_views(self._venue, subaccount_id)

    def order_margin(self, subaccount_id: int, order: MarginOrder) -> int:
        """What initial excess an order would take, >= 0; its instrument has a mark."""
        return order_margin(self._venue, subaccount_id, order)

    def resting_margins(self, subaccount_id: int, order_ids: Iterable[int]) -> dict[int, int]:
        """By how much initial margin would fall without each order alone, micro-USDC, >= 0."""
        return resting_margins(self._venue, subaccount_id, order_ids)

    def simulate(
        self,
        subaccount_id: int,
        positions: Mapping[int, int],
        collateral: Mapping[int, int],
        cash: int = 0,
        *,
        added: bool = True,
    ) -> Simulation:
        """Margin of a hypothetical portfolio, see `Hypothesis`; its instruments have marks."""
        asked = Hypothesis(positions=positions, collateral=collateral, cash=cash, added=added)
        return simulate(self._venue, subaccount_id, asked)

    def index_price(self, underlying_id: int) -> int:
        """Newest index price; 0 before the first."""
        return self._venue.marks.index_price(underlying_id)

    def mark(self, instrument_id: int) -> Mark | None:
        """An instrument's mark; None while it has none."""
        marks = self._venue.marks
        if not marks.has(instrument_id):
            return None
        return Mark(
            mark_price=marks.mark_price(instrument_id),
            mark_iv=marks.mark_iv(instrument_id),
            delta=marks.delta(instrument_id),
            vega=marks.vega(instrument_id),
        )

    def risk_scale(self, underlying_id: int) -> RiskScale:
        """How an underlying's scenarios are scaled; before any adjustment not at all."""
        return self._venue.risk_scales.get(underlying_id, RiskScale())

    def open_interest(self, underlying_id: int) -> int:
        """Sum of long positions in an underlying, 1e-4 contracts."""
        return self._venue.open_interest.get(underlying_id, 0)

    def last_price(self, instrument_id: int) -> int:
        """Price of the latest trade; 0 before the first."""
        return self._venue.last_prices.get(instrument_id, 0)

    def preview(
        self, subaccount_ids: Iterable[int], parameters: Configure, update: UpdateMarks | None
    ) -> list[Preview]:
        """What other parameters, or other risk arrays, would make of these subaccounts."""
        return preview(self._venue, subaccount_ids, parameters, update)

    def leg_prices(self, legs: Legs, net_price: int) -> tuple[int, ...] | None:
        """Prices at which two orders in a combo would trade its legs; all legs have marks."""
        return leg_prices(self._venue, legs, net_price)

    def levels(self, instrument_id: int, side: Side, depth: int) -> list[tuple[int, int]]:
        """(price, displayed quantity) from the best price outward; depth 0 gives all."""
        book = self._venue.books.get(instrument_id)
        if book is None:
            return []
        return [(price, quantity) for price, quantity, _ in book.levels(side, depth)]

    def total_cash(self) -> int:
        """Sum of cash less entry costs and unrealised funding.

        Changes by deposits and withdrawals alone.
        """
        return sum(sub.account.net_cash() for sub in self._venue.subaccounts.values())

    def total_tokens(self) -> dict[str, int]:
        """Each token besides USDC, idle ones included, less what lost deposits left missing."""
        totals: Counter[str] = Counter()
        for (token, _), amount in self._venue.treasury.idle.items():
            totals[token] += amount
        for asset in self._venue.parameters.collaterals if self._venue.parameters else ():
            totals[asset.token] += self._venue.treasury.counted.get(asset.asset_id, 0)
        for (token, _), amount in self._venue.chain.missing.items():
            totals[token] -= amount
        return {token: amount for token, amount in sorted(totals.items()) if amount}

    def tokens(self, subaccount_id: int) -> dict[str, int]:
        """What a subaccount holds besides USDC, idle or not, in 1e-8 of it, by address."""
        held: Counter[str] = Counter()
        for (token, holder), amount in self._venue.treasury.idle.items():
            held[token] += amount if holder == subaccount_id else 0
        collateral = self._venue.subaccounts[subaccount_id].account.collateral
        for asset in self._venue.parameters.collaterals if self._venue.parameters else ():
            held[asset.token] += collateral.get(asset.asset_id, 0)
        return {token: amount for token, amount in sorted(held.items()) if amount}

    def stale_indices(self, time_ns: int) -> list[str]:
        """Underlyings, by name, whose index is too old at `time_ns` for new risk."""
        parameters = self._venue.parameters
        oldest_ns = parameters.limits.index_age_ns_max if parameters else 0
        return [
            one.name
            for one in (parameters.underlyings if parameters else ())
            if time_ns - self._venue.index_times_ns.get(one.underlying_id, 0) > oldest_ns
        ]

    def interest_is_due(self, time_ns: int) -> bool:
        """Whether debts should be charged at `time_ns`."""
        parameters, treasury = self._venue.parameters, self._venue.treasury
        if treasury.interest_growth:
            return True  # an accrual is under way
        if parameters is None or parameters.interest is None:
            return False
        return time_ns - treasury.interest_ns >= parameters.interest.interval_ns

    def state_hash(self) -> bytes:
        """sha256 of the canonical state, 32 bytes."""
        return hashlib.sha256(self._venue.encoded()).digest()

    def check(self) -> None:
        """Assert that books, orders and accounts agree, and that positions net to zero."""
        check_venue(self._venue)
