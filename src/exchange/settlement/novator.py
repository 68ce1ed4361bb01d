"""Finds what of a batch the chain refuses: the venue takes sides of fills, money stays put.

Asks the contract itself: first how far into the batch it would settle, then without which of the
orders in the command where it stops. So no error needs to be understood, and none can mislead.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from exchange.commands import Novate, NovatedFill, RefusedMove
from exchange.model import FEE_SUBACCOUNT_ID
from exchange.settlement.batch import Batch, settle_calldata, through
from exchange.settlement.chain import Chain
from exchange.settlement.feed import Feed, Material
from exchange.settlement.novation import house_terms, replacement
from exchange.settlement.solvency import SolvencyProver
from exchange.signing import Domain, address_of, order_digest, sign_digest

_VALID_S: Final = 30 * 86_400  # far longer than a batch may be old

log = structlog.get_logger(__name__)


class NovationSink(Protocol):
    """Where novations go."""

    def novate(self, command: Novate) -> None:
        """Deliver; returns once the journal holds it. Raises `ExchangeUnavailable`."""


class Novator:
    """Acts for the venue's own subaccount with its owner's key, or a session key of the owner's."""

    def __init__(
        self,
        feed: Feed,
        chain: Chain,
        sink: NovationSink,
        *,
        key: bytes,
        sender: str,
        solvency: SolvencyProver | None = None,
    ) -> None:
        self.novated = 0  # sides of fills, and moves, by this process
        self._feed = feed
        self._chain = chain
        self._sink = sink
        self._key = key
        self._sender = sender
        self._solvency = solvency  # None: of a chain that wants no batch proven

    def replace(self, number: int) -> bool:
        """Novate what this refused batch fails for; False where that is not a fill."""
        material = self._feed.material(number)
        command = self._examine(number, material)
        if command is None:
            return False
        for fill in command.fills:
            log.error("the venue takes a side of a fill", batch=number, trade=fill.trade_id)
        self._sink.novate(command)
        for move in command.moves:
            log.error("money that the chain does not let go", batch=number, seq=move.seq)
        self.novated += len(command.fills) + len(command.moves)
        return True

    def _examine(self, number: int, material: Material) -> Novate | None:
        batch = self._feed.build(material, {})
        stop = self._first_refused(batch)
        if stop is None:
            return None
        sides = self._sides(batch, stop)

        def settles(orders: list[int]) -> bool:
            fills = [fill for order in orders for fill in sides[order]]
            amended = self._feed.build(material, {fill.key: fill for fill in fills})
            return not self._refused(amended, stop, [fill.key for fill in fills])

        failing = _smallest(sorted(sides), settles)
        if not failing:
            return self._without_move(batch, material, stop)
        fills = tuple(fill for order in failing for fill in sides[order])
        return Novate(batch=number, fills=fills, rebuilt=self._feed.rebuilt(fills))

    def _without_move(self, batch: Batch, material: Material, stop: int) -> Novate | None:
        """The withdrawal or transfer of that command does not happen, if that is what fails."""
        if all(item.seq_offset != stop for item in batch.withdrawals):
            return None
        move = RefusedMove(seq=batch.header.first_seq + stop)
        amended = self._feed.build(material, {move.key: move})
        if self._refused(amended, stop):
            return None
        return Novate(batch=batch.header.number, fills=(), moves=(move,))

    def _first_refused(self, batch: Batch) -> int | None:
        """The first command with which the batch is refused; None if it is without any."""
        lists = (batch.fills, batch.payoffs, batch.withdrawals)
        offsets = sorted({item.seq_offset for items in lists for item in items})
        good, bad = -1, len(offsets) - 1
        if bad < 0 or self._refused(batch, -1):
            return None
        if not self._refused(batch, offsets[bad]):
            return None  # a takeover or a due is refused: they come after all
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._refused(batch, offsets[middle]):
                bad = middle
            else:
                good = middle
        return offsets[bad]

    def _sides(self, batch: Batch, seq_offset: int) -> dict[int, list[NovatedFill]]:
        """What would replace each order's fills in one command, by the order's place."""
        sides: dict[int, list[NovatedFill]] = {}
        for fill, trade in zip(batch.fills, batch.trades, strict=True):
            if fill.seq_offset != seq_offset:
                continue
            for place, maker in ((fill.maker, True), (fill.taker, False)):
                if batch.orders[place].terms.subaccount_id == FEE_SUBACCOUNT_ID:
                    continue
                deadline = batch.time_s + _VALID_S
                signer = address_of(self._key)
                terms = house_terms(trade, maker=maker, deadline=deadline, signer=signer)
                deployment = self._chain.deployment
                domain = Domain(deployment.chain_id, deployment.clearing)
                signature = sign_digest(order_digest(domain, terms), self._key)
                found = replacement(trade, terms, signature, maker=maker)
                sides.setdefault(place, []).append(found)
        return sides

    def _refused(self, batch: Batch, stop: int, novated: Sequence[tuple[int, bool]] = ()) -> bool:
        """Whether the chain refuses the batch through this command."""
        part = msgspec.structs.replace(through(batch, stop), trades=())
        if self._solvency is None:
            data = settle_calldata(part)
        else:
            data = self._solvency.trial(part, batch.header.first_seq + stop, novated)
        return self._chain.refusal(self._sender, self._chain.deployment.clearing, data) is not None


def _smallest(orders: list[int], settles: Callable[[list[int]], bool]) -> list[int]:
    """Orders none of which can be spared; empty where not even all of them are enough."""
    if not orders or not settles(orders):
        return []
    for order in list(orders):
        spared = [other for other in orders if other != order]
        if spared and settles(spared):
            orders = spared
    return orders
