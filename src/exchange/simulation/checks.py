"""What must hold after every step: of the engine's state, and of everything that was ever said.

`CheckedEngine` looks at the state: conservation after each command, all invariants every few.
`Witness` looks at the journal as it grows, and remembers what anybody was told, so that a crash
which loses it, or a command that counts twice, is seen where it happens.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from exchange.commands import AnyCommand, ObserveBlocks, RevertBlocks
from exchange.engine import Engine
from exchange.events import (
    ActRefused,
    AnyEvent,
    BatchConfirmed,
    BatchCut,
    BlocksObserved,
    Deposited,
    ExitServed,
    OrderAmended,
    OrderArmed,
    OrderPlaced,
    Refused,
    Traded,
    Transferred,
    Withdrawn,
)
from exchange.journal import GENESIS_HASH, Entry
from exchange.remedies import MoveRefused
from exchange.reversals import BatchReverted, BlocksReverted, DepositReverted
from exchange.sequencer import Reply
from exchange.simulation.store import Store, StoreReader


class Broken(AssertionError):
    """Something that must hold does not."""


def outside(event: AnyEvent) -> int:
    """Cash that an event brings into the venue from outside, micro-USDC; negative: takes out."""
    match event:
        case Deposited() if not event.token:
            return event.amount
        case MoveRefused() if not event.token and not event.to_subaccount_id:
            return event.amount
        case ActRefused() if isinstance(event.act, Withdrawn) and not event.act.token:
            return event.act.amount
        case Withdrawn() | DepositReverted() | ExitServed() if not event.token:
            return -event.amount
        case _:
            return 0


class CheckedEngine(Engine):
    """An engine that looks at itself: cash at each command, everything at each `every`-th."""

    every = 25

    def __init__(self) -> None:
        super().__init__()
        self._cash = 0  # that must be there
        self._looks = False

    def look(self, cash: int) -> None:
        """From now on look; this much must be there. A replay before it was looked at live."""
        self._cash, self._looks = cash, True
        if self.total_cash() != cash:
            raise Broken(f"{self.total_cash()} of cash after a restart, {cash} came in")

    def apply(self, seq: int, time_ns: int, command: AnyCommand) -> tuple[AnyEvent, ...]:
        """Apply and look."""
        events = super().apply(seq, time_ns, command)
        if not self._looks:
            return events
        for event in events:
            self._cash += outside(event)
        found = self.total_cash()
        if found != self._cash:
            raise Broken(f"seq {seq}: {found - self._cash} of cash came from nowhere")
        if seq % self.every == 0:
            self.check()
        return events


class Witness:
    """Follows the durable journal and every reply."""

    def __init__(self, store: Store, parents: Mapping[str, str]) -> None:
        """`parents` of all blocks that ever were, by hash."""
        self.seen: Counter[str] = Counter()
        self.entries = 0
        self.acknowledged = 0  # replies that somebody heard
        self.cash = 0  # brought from outside
        self.first_block = 0  # up to which the chain was observed first
        self.traded: Counter[int] = Counter()  # contracts, by order_id
        self._store = store
        self._reader = StoreReader(store)
        self._acknowledged_seq = 0
        self._acknowledged_hash = GENESIS_HASH
        self._time_ns = 0
        self._nonces: dict[tuple[int, int], int] = {}  # order_id by (subaccount, nonce)
        self._room: dict[int, int] = {}  # contracts that may still trade, by order_id
        self._moved: set[tuple[int, int]] = set()
        self._cut = (0, 0)  # number and last seq of the newest batch
        self._confirmed: set[int] = set()
        self._parents = parents
        self._block_hash = ""  # of the newest block that the journal acted on

    # ---- replies

    def hear(self, reply: Reply) -> None:
        """A reply is out: what it tells of must be durable, now and after every crash."""
        if reply.seq > self._store.durable_seq:
            raise Broken(f"seq {reply.seq} was acknowledged before it was durable")
        self.acknowledged += 1
        if reply.seq > self._acknowledged_seq:
            self._acknowledged_seq, self._acknowledged_hash = reply.seq, reply.chain_hash

    def after_crash(self) -> None:
        """Whoever was told anything still finds it in the journal."""
        seq = self._acknowledged_seq
        if seq == 0:
            return
        if seq > self._store.durable_seq:
            raise Broken(f"seq {seq} was acknowledged and is lost")
        if self._reader.entry(seq).chain_hash != self._acknowledged_hash:
            raise Broken(f"seq {seq} was acknowledged and is another command now")

    # ---- the journal

    def follow(self, entries: Sequence[Entry]) -> None:
        """What the sequencer released: durable, in order, once."""
        if entries[-1].seq > self._store.durable_seq:
            raise Broken(f"seq {entries[-1].seq} was published before it was durable")
        for entry in entries:
            self._take(entry)

    def catch_up(self) -> None:
        """What a crash kept though nobody was told of it."""
        for entry in self._reader.entries(self.entries):
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.seq != self.entries + 1:
            raise Broken(f"seq {entry.seq} follows {self.entries}")
        if entry.time_ns < self._time_ns:
            raise Broken(f"seq {entry.seq}: time went back")
        self.entries, self._time_ns = entry.seq, entry.time_ns
        for event in entry.events:
            self._note(entry.seq, event)
            if isinstance(event, BlocksObserved | BlocksReverted):
                self._follow_chain(entry.seq, entry.command)

    def _note(self, seq: int, event: AnyEvent) -> None:
        name = event.reason.value if isinstance(event, Refused) else type(event).__name__
        self.seen[name] += 1
        self.cash += outside(event)
        match event:
            case BlocksObserved():
                self.first_block = self.first_block or event.last_block
            case OrderPlaced() | OrderArmed():
                self._place(seq, event)
            case OrderAmended():
                self._room[event.order_id] = event.quantity
            case Traded():
                self._trade(seq, event)
            case Withdrawn() if not event.exit_token:
                self._move(seq, event.subaccount_id, event.nonce)
            case Transferred():
                self._move(seq, event.subaccount_id, event.nonce)
            case BatchCut() | BatchConfirmed() | BatchReverted():
                self._batch(seq, event)
            case _:
                pass

    def _follow_chain(self, seq: int, command: AnyCommand) -> None:
        """Blocks are observed on top of those before them, whatever branches there were."""
        match command:
            case ObserveBlocks():
                parent = command.last_hash
                for _ in range(command.first_block, command.last_block + 1):
                    parent = self._parents[parent]
                if parent != self._block_hash and self._block_hash:
                    raise Broken(f"seq {seq}: blocks of another branch were observed")
                self._block_hash = command.last_hash
            case RevertBlocks():
                self._block_hash = command.last_hash
            case _:
                pass

    def _place(self, seq: int, event: OrderPlaced | OrderArmed) -> None:
        """An order enters once, whatever repeats its message; one that waited enters again."""
        key = (event.subaccount_id, event.nonce)
        known = self._nonces.setdefault(key, event.order_id)
        if known != event.order_id:
            raise Broken(f"seq {seq}: nonce {key} entered twice, as {known} and {event.order_id}")
        self._room.setdefault(event.order_id, event.quantity)

    def _trade(self, seq: int, event: Traded) -> None:
        for order_id in (event.maker_order_id, event.taker_order_id):
            if order_id in self._room:
                self.traded[order_id] += event.quantity
                if self.traded[order_id] > self._room[order_id]:
                    raise Broken(f"seq {seq}: order {order_id} traded more than was signed")

    def _move(self, seq: int, subaccount_id: int, nonce: int) -> None:
        key = (subaccount_id, nonce)
        if key in self._moved or key in self._nonces:
            raise Broken(f"seq {seq}: money moved twice under nonce {key}")
        self._moved.add(key)

    def _batch(self, seq: int, event: BatchCut | BatchConfirmed | BatchReverted) -> None:
        if isinstance(event, BatchCut):
            number, last_seq = self._cut
            if (event.number, event.first_seq) != (number + 1, last_seq + 1):
                raise Broken(f"seq {seq}: batch {event.number} does not follow {number}")
            self._cut = (event.number, event.last_seq)
        elif isinstance(event, BatchReverted):
            self._confirmed.discard(event.number)
        else:
            if event.number in self._confirmed:
                raise Broken(f"seq {seq}: batch {event.number} was confirmed twice")
            self._confirmed.add(event.number)

    def order_id(self, subaccount_id: int, nonce: int) -> int | None:
        """Of an order that entered."""
        return self._nonces.get((subaccount_id, nonce))


def replayed(reader: StoreReader, engine: Engine, state_hashes: dict[int, bytes]) -> Engine:
    """An engine that lived through the rest of a journal, each event and state hash compared."""
    for entry in reader.entries(engine.seq):
        if engine.apply(entry.seq, entry.time_ns, entry.command) != entry.events:
            raise Broken(f"seq {entry.seq} replays to other events")
        for event in entry.events:
            if isinstance(event, BatchCut) and event.state_hash != state_hashes.get(entry.seq):
                raise Broken(f"seq {entry.seq}: the journal's state hash is not the event's")
    return engine
