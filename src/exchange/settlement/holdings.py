"""Cash and positions that the chain must show, folded from journal events alone. Pure.

An independent second opinion: it repeats none of the engine's code, only its events. Deposits and
everything else are folded up to different seqs, because the chain has a deposit before the journal
and a trade after it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from exchange.events import (
    ActRefused,
    AnyEvent,
    DeliveryPriceFixed,
    Deposited,
    ExitServed,
    FeesShared,
    FillNovated,
    FundingAccrued,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    MoveRefused,
    PortfolioTransferred,
    PositionExpired,
    SubaccountOpened,
    Traded,
    Transferred,
    TransferredLeg,
    Withdrawn,
)
from exchange.fixed import QUANTITY_SCALE, div_exact, mul_div_up, notional
from exchange.journal import Entry
from exchange.model import FEE_SUBACCOUNT_ID, Kind, Side, unpack_instrument_id
from exchange.reversals import DepositReverted
from exchange.settlement.acts import numbered_events
from exchange.settlement.novation import amended


class Held(NamedTuple):
    """A position: 1e-4 contracts; micro-USDC that it cost and has not released.

    `funding_index` is the index up to which it paid. Both are 0 of options.
    """

    quantity: int
    cost: int = 0
    funding_index: int = 0


_NOTHING = Held(0)
SETTLED: Final = (
    Traded,
    FundingAccrued,
    PositionExpired,
    Withdrawn,
    Transferred,
    InterestPaid,
    DeliveryPriceFixed,
    PortfolioTransferred,
    InsuranceUsed,
    LossSocialised,
    FeesShared,
)


class Holdings:
    """Cash (micro-USDC) by subaccount; positions by (subaccount, instrument)."""

    def __init__(self) -> None:
        self.cash: dict[int, int] = {FEE_SUBACCOUNT_ID: 0}
        self.positions: dict[tuple[int, int], Held] = {}
        self.linear_cash: Counter[tuple[int, int]] = Counter()  # of it what such positions moved
        self.indices: dict[int, int] = {}  # funding index in force, by perpetual
        self.tokens: dict[tuple[int, str], int] = {}  # 1e-8 of a token, by (subaccount, address)
        self.novated: set[tuple[int, bool]] = set()  # sides of trades that the venue took
        self.acts: dict[int, int] = {}  # refused ones; who took a takeover in the keeper's place
        self.standard: set[int] = set()  # subaccounts that are margined position by position
        self.refused: set[tuple[int, int]] = set()  # (subaccount, nonce) of such moves
        self.deliveries: dict[tuple[int, int], int] = {}  # price by (underlying, expiry)
        self.deposited = 0
        self.withdrawn = 0

    def apply_custody(self, event: AnyEvent) -> None:
        """Fold what the chain did first, and what it took back: deposits, exits that it served."""
        match event:
            case SubaccountOpened():
                self.cash.setdefault(event.subaccount_id, 0)
                if event.standard:
                    self.standard.add(event.subaccount_id)
            case Deposited() if event.token:
                self._keep(event.subaccount_id, event.token, event.amount)
            case Deposited():
                self._pay(event.subaccount_id, event.amount)
                self.deposited += event.amount
            case DepositReverted() if event.token:
                self._keep(event.subaccount_id, event.token, -event.amount)
            case DepositReverted():
                self._pay(event.subaccount_id, -event.amount)
                self.deposited -= event.amount
            case ExitServed():
                self._move(event)
            case _:
                self._replace(event)

    def _replace(self, event: AnyEvent) -> None:
        """Remember how the chain will settle what comes to it later."""
        match event:
            case MoveRefused():  # the chain never sees the move
                self.refused.add((event.subaccount_id, event.nonce))
            case FillNovated():
                self.novated.add((event.trade_id, event.maker))
            case ActRefused():
                self.acts[event.act_id] = event.fund_subaccount_id
            case _:
                pass

    def apply_settled(self, event: AnyEvent, act_id: int = 0) -> None:
        """Fold what batches carry to the chain: trades, payoffs, money that moves, acts."""
        taken_by = self.acts.get(act_id)
        if taken_by is None:
            self._settle(event)
        elif taken_by and isinstance(event, PortfolioTransferred):
            self._transfer(msgspec.structs.replace(event, taker_subaccount_id=taken_by))

    def _settle(self, event: AnyEvent) -> None:
        match event:
            case Traded():
                self._trade(amended(event, self.novated))
            case FundingAccrued():
                self.indices[event.instrument_id] = event.index
            case DeliveryPriceFixed():
                self.deliveries[event.underlying_id, event.expiry] = event.price
            case PositionExpired():
                self._expire(event)
            case InterestPaid():
                self._pay(event.subaccount_id, -event.amount)
                self._pay(FEE_SUBACCOUNT_ID, event.amount)
            case Withdrawn() | Transferred():
                forced = isinstance(event, Withdrawn) and event.exit_token
                if forced or (event.subaccount_id, event.nonce) not in self.refused:
                    self._move(event)
            case PortfolioTransferred() | InsuranceUsed() | LossSocialised():
                self._apply_liquidation(event)
            case FeesShared():
                self._pay(event.subaccount_id, -event.amount)
                self._pay(event.fund_subaccount_id, event.amount)
            case _:
                pass

    def _move(self, event: Withdrawn | Transferred | ExitServed) -> None:
        match event:
            case Withdrawn() | ExitServed() if event.token:
                self._keep(event.subaccount_id, event.token, -event.amount)
            case Withdrawn() | ExitServed():
                self._pay(event.subaccount_id, -event.amount)
                self.withdrawn += event.amount
            case Transferred() if event.token:
                self._keep(event.subaccount_id, event.token, -event.amount)
                self._keep(event.to_subaccount_id, event.token, event.amount)
            case Transferred():
                self._pay(event.subaccount_id, -event.amount)
                self._pay(event.to_subaccount_id, event.amount)

    def _apply_liquidation(
        self, event: PortfolioTransferred | InsuranceUsed | LossSocialised
    ) -> None:
        match event:
            case PortfolioTransferred():
                self._transfer(event)
            case InsuranceUsed():
                self._pay(event.fund_subaccount_id, -event.amount)
                self._pay(event.subaccount_id, event.amount)
            case LossSocialised():
                for payer, share in event.shares:
                    self._pay(payer, -share)
                self._pay(event.fund_subaccount_id, event.amount)

    def positions_of(self, subaccount_id: int) -> dict[int, Held]:
        """Positions of one subaccount that are not zero, by instrument."""
        return {
            instrument_id: held
            for (holder, instrument_id), held in sorted(self.positions.items())
            if holder == subaccount_id and held.quantity
        }

    def check(self) -> None:
        """Assert that nothing was created.

        Positions sum to zero; cash, less what positions cost and the funding that they owe, sums to
        what came in less what went out.
        """
        sums: dict[int, int] = {}
        owed = 0
        for (_, instrument_id), held in self.positions.items():
            sums[instrument_id] = sums.get(instrument_id, 0) + held.quantity
            owed += held.cost + self._funding(instrument_id, held)
        assert not any(sums.values()), "positions do not sum to zero"
        assert sum(self.cash.values()) - owed == self.deposited - self.withdrawn, "cash was created"

    def _transfer(self, event: PortfolioTransferred) -> None:
        """Legs at their prices, tokens at their values; a discount by the fund comes apart."""
        seller, taker = event.subaccount_id, event.taker_subaccount_id
        for leg in event.legs:
            index = leg.funding_index if event.on_chain else None
            if event.on_chain and self._is_paid_off(seller, leg.instrument_id):
                self._pay(seller, self._undelivered(leg))
            else:
                self._fill(seller, leg, -leg.quantity, index)
            self._fill(taker, leg, leg.quantity, index)
        for token in event.tokens:
            self._keep(seller, token.token, -token.amount)
            self._keep(taker, token.token, token.amount)
            self._pay(seller, token.value)
            self._pay(taker, -token.value)
        if not event.by_fund:
            self._pay(seller, -event.discount)
            self._pay(taker, event.discount)

    def _is_paid_off(self, subaccount_id: int, instrument_id: int) -> bool:
        """Whether the journal delivered a position before it saw that the chain had sold some."""
        terms = unpack_instrument_id(instrument_id)
        held = self.positions.get((subaccount_id, instrument_id), _NOTHING)
        return not held.quantity and (terms.underlying_id, terms.expiry) in self.deliveries

    def _undelivered(self, leg: TransferredLeg) -> int:
        """The price of what was sold, for the payoff that its seller had for it here."""
        terms = unpack_instrument_id(leg.instrument_id)
        delivered = terms.payoff(self.deliveries[terms.underlying_id, terms.expiry])
        return notional(leg.price - delivered, leg.quantity)

    def _trade(self, trade: Traded) -> None:
        bought = trade.quantity if trade.taker_side is Side.BUY else -trade.quantity
        # The maker first, as the contract: novations may give both sides to the venue, and then the
        # order tells what its position releases.
        self._fill(trade.maker_subaccount_id, trade, -bought)
        self._fill(trade.taker_subaccount_id, trade, bought)
        self._pay(trade.maker_subaccount_id, -trade.maker_fee)
        self._pay(trade.taker_subaccount_id, -trade.taker_fee)
        self._pay(FEE_SUBACCOUNT_ID, trade.maker_fee + trade.taker_fee)

    def _expire(self, event: PositionExpired) -> None:
        """What the position brings, which a novation may have changed since."""
        key = (event.subaccount_id, event.instrument_id)
        terms, held = unpack_instrument_id(event.instrument_id), self.positions.get(key, _NOTHING)
        price = self.deliveries[terms.underlying_id, terms.expiry]
        value = notional(terms.payoff(price), held.quantity)
        self._pay(event.subaccount_id, value - held.cost)
        self.positions[key] = _NOTHING

    def _pay(self, subaccount_id: int, amount: int) -> None:
        self.cash[subaccount_id] = self.cash.get(subaccount_id, 0) + amount

    def _keep(self, subaccount_id: int, token: str, amount: int) -> None:
        key = (subaccount_id, token)
        self.tokens[key] = self.tokens.get(key, 0) + amount

    def _fill(
        self,
        subaccount_id: int,
        trade: Traded | TransferredLeg,
        change: int,
        index: int | None = None,
    ) -> None:
        """Premium is cash; a linear position keeps what it cost until it closes.

        Funding is paid up to `index`; None: up to what batches brought.
        """
        key = (subaccount_id, trade.instrument_id)
        held = self.positions.get(key, _NOTHING)
        if unpack_instrument_id(trade.instrument_id).kind is Kind.OPTION:
            self._pay(subaccount_id, -notional(trade.price, change))
            self.positions[key] = Held(held.quantity + change)
            return
        if index is None:
            index = self.indices.get(trade.instrument_id, 0)
        owed = held.quantity * (index - held.funding_index) if held.quantity else 0
        closed = 0
        if held.quantity * change < 0:
            closed = change if abs(change) < abs(held.quantity) else -held.quantity
        released = mul_div_up(held.cost, abs(closed), abs(held.quantity)) if closed else 0
        moved = -div_exact(owed, QUANTITY_SCALE) - notional(trade.price, closed) - released
        self._pay(subaccount_id, moved)
        self.linear_cash[key] += moved
        self.positions[key] = Held(
            held.quantity + change,
            held.cost - released + notional(trade.price, change - closed),
            index,
        )

    def _funding(self, instrument_id: int, held: Held) -> int:
        """What the position owes since it last paid: exact, an index is a multiple of 0.01 USDC."""
        move = self.indices.get(instrument_id, held.funding_index) - held.funding_index
        return div_exact(held.quantity * move, QUANTITY_SCALE)


def sold_on_chain(event: AnyEvent) -> bool:
    """Whether the chain did it first: in order after whatever it had settled of the seller."""
    return isinstance(event, PortfolioTransferred) and event.on_chain


def expected_holdings(
    entries: Iterable[Entry],
    *,
    settled_seq: int,
    observed_seq: int,
    novated: Iterable[tuple[int, bool]] = (),
    acts: Mapping[int, int] | None = None,
) -> Holdings:
    """What the chain shows once it settled up to `settled_seq`, at the block of `observed_seq`.

    What it would show if these sides of trades were replaced besides, and these acts refused.
    """
    holdings = Holdings()
    holdings.novated |= set(novated)
    holdings.acts |= acts or {}
    settled: list[tuple[AnyEvent, int]] = []  # after all novations, later in the journal
    for entry in entries:
        if entry.seq > max(settled_seq, observed_seq):
            break
        for event, act_id in numbered_events(entry):
            if entry.seq <= observed_seq:
                holdings.apply_custody(event)
            through = observed_seq if sold_on_chain(event) else settled_seq
            if entry.seq <= through and isinstance(event, SETTLED):
                settled.append((event, act_id))
    for event, act_id in settled:
        holdings.apply_settled(event, act_id)
    return holdings
