"""Finds what of a batch the chain refuses: the venue takes sides of fills, the rest stays put.

Asks the contract itself: first how far into the batch it would settle, then without which of the
parts of the command where it stops. So no error needs to be understood, and none can mislead.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from exchange.commands import Novate, NovatedFill, RefusedAct, RefusedMove
from exchange.model import FEE_SUBACCOUNT_ID
from exchange.settlement.batch import Batch, settle_calldata
from exchange.settlement.chain import Chain
from exchange.settlement.feed import Feed, Material
from exchange.settlement.novation import Novations, Replaced, house_terms, replacement
from exchange.settlement.solvency import SolvencyProver
from exchange.settlement.trials import acts_at_end, through
from exchange.settlement.watcher import CommandRefused
from exchange.signing import Domain, address_of, order_digest, sign_digest

_VALID_S: Final = 30 * 86_400  # far longer than a batch may be old
_DELAY_FIRST_S: Final = 0.5  # after a refusal; doubled with each that follows
_DELAY_MAX_S: Final = 60.0

log = structlog.get_logger(__name__)


class NovationSink(Protocol):
    """Where novations go."""

    def novate(self, command: Novate) -> None:
        """Deliver; returns once the journal holds it. Raises `ExchangeUnavailable`.

        `CommandRefused` where the engine did not take it.
        """


class Refusal(NamedTuple):
    """The engine did not take a novation: when the same batch is worth another try."""

    batch: int
    seq: int  # the journal's end as it was known then
    delay_s: float
    retry_s: float  # of the clock


class Trial(NamedTuple):
    """How much of a batch the chain is asked about."""

    seq_offset: int  # through this command
    acts: frozenset[int] = frozenset()  # of those at its end


class Novator:
    """Acts for the venue's own subaccount with its owner's key, or a session key of the owner's."""

    def __init__(  # noqa: PLR0913 -- what it is made of
        self,
        feed: Feed,
        chain: Chain,
        sink: NovationSink,
        *,
        key: bytes,
        sender: str,
        solvency: SolvencyProver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.novated = 0  # sides of fills, moves and acts, by this process
        self._feed = feed
        self._chain = chain
        self._sink = sink
        self._key = key
        self._sender = sender
        self._solvency = solvency  # None: of a chain that wants no batch proven
        self._clock = clock
        self._refusal: Refusal | None = None

    def replace(self, number: int) -> bool:
        """Novate what this refused batch fails for; False where nothing helps.

        What the engine does not take waits until the journal moved, and longer each time.
        """
        if self._waits(number):
            return True
        material = self._feed.material(number)
        command = self._examine(number, material)
        if command is None:
            return False
        try:
            self._sink.novate(command)
        except CommandRefused as error:
            self._postpone(number, str(error))
            return True
        self._refusal = None
        for fill in command.fills:
            log.error("the venue takes a side of a fill", batch=number, trade=fill.trade_id)
        for move in command.moves:
            log.error("money that the chain does not let go", batch=number, seq=move.seq)
        for act in command.acts:
            log.error("an act that the chain does not take", batch=number, act=act.act_id)
        self.novated += len(command.replaced)
        return True

    def _waits(self, number: int) -> bool:
        """Whether the same would be refused again: the refusal itself is one entry."""
        refusal = self._refusal
        if refusal is None or refusal.batch != number:
            return False
        return self._feed.seq <= refusal.seq + 1 or self._clock() < refusal.retry_s

    def _postpone(self, number: int, why: str) -> None:
        before, delay_s = self._refusal, _DELAY_FIRST_S
        if before is not None and before.batch == number:
            delay_s = min(2 * before.delay_s, _DELAY_MAX_S)
        log.error("a novation was refused", batch=number, why=why, retry_in_s=delay_s)
        self._refusal = Refusal(number, self._feed.seq, delay_s, self._clock() + delay_s)

    def _examine(self, number: int, material: Material) -> Novate | None:
        """What would let the batch settle as far as where it stops now, and that too."""
        batch = self._feed.build(material, {})
        lists = (batch.fills, batch.payoffs, batch.withdrawals, batch.interests)
        offsets = sorted({item.seq_offset for items in lists for item in items})
        if self._refused(batch, Trial(-1)):
            return None  # not for anything that it holds
        trials = list(map(Trial, offsets))
        last, acts = offsets[-1] if offsets else -1, acts_at_end(batch)
        trials += [Trial(last, frozenset(acts[: count + 1])) for count in range(len(acts))]
        stop = _first(trials, lambda trial: self._refused(batch, trial))
        if stop is None:
            return None
        if stop.acts:
            return self._without_act(batch, material, stop, acts[len(stop.acts) - 1])
        sides = self._sides(batch, stop.seq_offset)
        failing = _smallest(
            sorted(sides),
            lambda places: self._settles(
                material, stop, [fill for place in places for fill in sides[place]]
            ),
        )
        if failing:
            fills = tuple(fill for place in failing for fill in sides[place])
            return Novate(batch=number, fills=fills, rebuilt=self._feed.rebuilt(fills))
        return self._without_moves(batch, material, stop)

    def _without_moves(self, batch: Batch, material: Material, stop: Trial) -> Novate | None:
        """Withdrawals, transfers, exits or interest of that command do not happen."""
        moves: list[RefusedMove | RefusedAct] = []
        for item in batch.withdrawals:
            if item.seq_offset == stop.seq_offset:
                seq = batch.header.first_seq + stop.seq_offset
                moves.append(
                    RefusedAct(act_id=item.act_id) if item.act_id else RefusedMove(seq=seq)
                )
        moves += [
            RefusedAct(act_id=item.act_id)
            for item in batch.interests
            if item.seq_offset == stop.seq_offset
        ]
        places = list(range(len(moves)))
        found = _smallest(
            places, lambda some: self._settles(material, stop, [moves[place] for place in some])
        )
        if not found:
            return None
        failing = [moves[place] for place in found]
        return Novate(
            batch=batch.header.number,
            fills=(),
            moves=tuple(one for one in failing if isinstance(one, RefusedMove)),
            acts=tuple(one for one in failing if isinstance(one, RefusedAct)),
        )

    def _without_act(
        self, batch: Batch, material: Material, stop: Trial, act_id: int
    ) -> Novate | None:
        """The fund has the keeper's place in a takeover, if that helps; or it does not happen."""
        fund_id = int(self._chain.call(self._chain.clearing, "fundId"))
        for_fund = RefusedAct(act_id=act_id, fund_subaccount_id=fund_id)
        bids = {one.act_id for one in batch.takeovers if one.bid is not None}
        for act in (for_fund, RefusedAct(act_id=act_id)):
            if act.fund_subaccount_id and act_id not in bids:
                continue
            if self._settles(material, stop, [act]):
                rebuilt = self._feed.rebuilt(acts=(act,))
                number = batch.header.number
                return Novate(batch=number, fills=(), acts=(act,), rebuilt=rebuilt)
        return None

    def _settles(self, material: Material, stop: Trial, replaced: Sequence[Replaced]) -> bool:
        by_key = {one.key: one for one in replaced}
        return not self._refused(self._feed.build(material, by_key), stop, by_key)

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

    def _refused(self, batch: Batch, trial: Trial, replaced: Novations | None = None) -> bool:
        """Whether the chain refuses this much of the batch."""
        part = through(batch, trial.seq_offset, trial.acts)
        part = msgspec.structs.replace(part, trades=())
        if self._solvency is None:
            data = settle_calldata(part)
        else:
            later = set(acts_at_end(batch)) - trial.acts
            apart = {act.key: act for act in (RefusedAct(act_id=one) for one in later)}
            last_seq = batch.header.first_seq + trial.seq_offset
            data = self._solvency.trial(part, last_seq, {**apart, **(replaced or {})})
        return self._chain.refusal(self._sender, self._chain.deployment.clearing, data) is not None


def _first(trials: list[Trial], refused: Callable[[Trial], bool]) -> Trial | None:
    """The first that is refused; None where the last is not."""
    good, bad = -1, len(trials) - 1
    if bad < 0 or not refused(trials[bad]):
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        if refused(trials[middle]):
            bad = middle
        else:
            good = middle
    return trials[bad]


def _smallest(orders: list[int], settles: Callable[[list[int]], bool]) -> list[int]:
    """Orders none of which can be spared; empty where not even all of them are enough."""
    if not orders or not settles(orders):
        return []
    for order in list(orders):
        spared = [other for other in orders if other != order]
        if spared and settles(spared):
            orders = spared
    return orders
