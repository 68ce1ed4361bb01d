"""Cash and positions that the chain must show, folded from journal events alone. Pure.

An independent second opinion: it repeats none of the engine's code, only its events. Deposits and
everything else are folded up to different seqs, because the chain has a deposit before the journal
and a trade after it.
"""

from collections.abc import Iterable

from exchange.events import (
    AnyEvent,
    Deposited,
    InterestPaid,
    PositionExpired,
    SubaccountOpened,
    Traded,
    Transferred,
    Withdrawn,
)
from exchange.fixed import notional
from exchange.journal import Entry
from exchange.model import FEE_SUBACCOUNT_ID, Side


class Holdings:
    """Cash (micro-USDC) by subaccount; positions (1e-4 contracts) by (subaccount, instrument)."""

    def __init__(self) -> None:
        self.cash: dict[int, int] = {FEE_SUBACCOUNT_ID: 0}
        self.positions: dict[tuple[int, int], int] = {}
        self.tokens: dict[tuple[int, str], int] = {}  # 1e-8 of a token, by (subaccount, address)
        self.deposited = 0
        self.withdrawn = 0

    def apply_custody(self, event: AnyEvent) -> None:
        """Fold what the chain did first: subaccounts and deposits."""
        match event:
            case SubaccountOpened():
                self.cash.setdefault(event.subaccount_id, 0)
            case Deposited() if event.token:
                self._keep(event.subaccount_id, event.token, event.amount)
            case Deposited():
                self._pay(event.subaccount_id, event.amount)
                self.deposited += event.amount
            case _:
                pass

    def apply_settled(self, event: AnyEvent) -> None:
        """Fold what batches carry to the chain: trades, payoffs, money that moves."""
        match event:
            case Traded():
                self._trade(event)
            case PositionExpired():
                self._pay(event.subaccount_id, event.payoff)
                self._add(event.subaccount_id, event.instrument_id, -event.quantity)
            case Withdrawn() if event.token:
                self._keep(event.subaccount_id, event.token, -event.amount)
            case Withdrawn():
                self._pay(event.subaccount_id, -event.amount)
                self.withdrawn += event.amount
            case Transferred() if event.token:
                self._keep(event.subaccount_id, event.token, -event.amount)
                self._keep(event.to_subaccount_id, event.token, event.amount)
            case Transferred():
                self._pay(event.subaccount_id, -event.amount)
                self._pay(event.to_subaccount_id, event.amount)
            case InterestPaid():
                self._pay(event.subaccount_id, -event.amount)
                self._pay(FEE_SUBACCOUNT_ID, event.amount)
            case _:
                pass

    def positions_of(self, subaccount_id: int) -> dict[int, int]:
        """Positions of one subaccount that are not zero, by instrument."""
        return {
            instrument_id: quantity
            for (holder, instrument_id), quantity in sorted(self.positions.items())
            if holder == subaccount_id and quantity
        }

    def check(self) -> None:
        """Assert that nothing was created: positions sum to zero, cash to what came in less out."""
        sums: dict[int, int] = {}
        for (_, instrument_id), quantity in self.positions.items():
            sums[instrument_id] = sums.get(instrument_id, 0) + quantity
        assert not any(sums.values()), "positions do not sum to zero"
        assert sum(self.cash.values()) == self.deposited - self.withdrawn, "cash was created"

    def _trade(self, trade: Traded) -> None:
        buyer, seller = trade.taker_subaccount_id, trade.maker_subaccount_id
        if trade.taker_side is Side.SELL:
            buyer, seller = seller, buyer
        value = notional(trade.price, trade.quantity)
        self._pay(buyer, -value)
        self._pay(seller, value)
        self._add(buyer, trade.instrument_id, trade.quantity)
        self._add(seller, trade.instrument_id, -trade.quantity)
        self._pay(trade.maker_subaccount_id, -trade.maker_fee)
        self._pay(trade.taker_subaccount_id, -trade.taker_fee)
        self._pay(FEE_SUBACCOUNT_ID, trade.maker_fee + trade.taker_fee)

    def _pay(self, subaccount_id: int, amount: int) -> None:
        self.cash[subaccount_id] = self.cash.get(subaccount_id, 0) + amount

    def _keep(self, subaccount_id: int, token: str, amount: int) -> None:
        key = (subaccount_id, token)
        self.tokens[key] = self.tokens.get(key, 0) + amount

    def _add(self, subaccount_id: int, instrument_id: int, quantity: int) -> None:
        key = (subaccount_id, instrument_id)
        self.positions[key] = self.positions.get(key, 0) + quantity


def expected_holdings(entries: Iterable[Entry], *, settled_seq: int, observed_seq: int) -> Holdings:
    """What the chain shows once it settled up to `settled_seq`, at the block of `observed_seq`."""
    holdings = Holdings()
    for entry in entries:
        if entry.seq > max(settled_seq, observed_seq):
            break
        for event in entry.events:
            if entry.seq <= observed_seq:
                holdings.apply_custody(event)
            if entry.seq <= settled_seq:
                holdings.apply_settled(event)
    return holdings
