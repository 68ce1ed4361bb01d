"""Who holds how much of what, and how much is held in all; a part of the gateway's view."""

from exchange.api.records import Position
from exchange.events import FundingPaid, PositionExpired
from exchange.model import Side


class Holdings:
    """Positions, flat ones too: they remember what was realised."""

    def __init__(self) -> None:
        self.positions: dict[int, dict[int, Position]] = {}  # by subaccount, then by instrument
        self.open_interest: dict[int, int] = {}  # sum of long positions

    def of(self, subaccount_id: int, instrument_id: int) -> Position:
        """One position; flat at first."""
        try:
            return self.positions[subaccount_id][instrument_id]
        except KeyError:
            found = Position()
            self.positions.setdefault(subaccount_id, {})[instrument_id] = found
            return found

    def trade(
        self, subaccount_id: int, instrument_id: int, side: Side, price: int, quantity: int
    ) -> None:
        """Enter one side of a fill."""
        position = self.of(subaccount_id, instrument_id)
        before = position.quantity
        position.trade(side, price, quantity)
        self._count(instrument_id, before, position.quantity)

    def on_funding_paid(self, event: FundingPaid) -> None:
        """A perpetual moved cash."""
        self.of(event.subaccount_id, event.instrument_id).realized_funding += event.amount

    def on_expired(self, event: PositionExpired) -> None:
        """A position became cash."""
        position = self.of(event.subaccount_id, event.instrument_id)
        self._count(event.instrument_id, position.quantity, 0)
        position.realized += event.payoff - position.cost
        position.quantity = position.cost = 0

    def _count(self, instrument_id: int, before: int, after: int) -> None:
        change = max(0, after) - max(0, before)
        if change:
            self.open_interest[instrument_id] = self.open_interest.get(instrument_id, 0) + change
