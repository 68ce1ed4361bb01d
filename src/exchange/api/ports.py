"""What the gateway needs from below, as shapes: it holds no engine, only these few questions.

The sequencer and its engine satisfy them as they are; unit tests satisfy them with small fakes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from exchange.commands import AnyCommand, Configure, NoteAction, UpdateMarks
from exchange.events import AnyEvent
from exchange.journal import Entry
from exchange.margin.order import MarginOrder
from exchange.model import Legs, LiquidationStage

T = TypeVar("T")

__all__ = [
    "EngineState",
    "Entry",
    "Group",
    "History",
    "HistoryRow",
    "Leg",
    "Liquidation",
    "Margin",
    "Preview",
    "Reply",
    "Sequencer",
    "Simulation",
    "SoldToken",
    "Token",
]


class HistoryRow(NamedTuple):
    """Something that happened to a subaccount, as the wire shows it."""

    seq: int  # of the command that caused it
    place: int  # among the rows of that command
    subaccount_id: int
    topic: str
    instrument_id: int  # 0: none
    time_ms: int
    body: bytes  # JSON


class History(Protocol):
    """The read model."""

    @property
    def last_seq(self) -> int:
        """The entry that it took last."""

    def append(self, seq: int, rows: Sequence[HistoryRow]) -> None:
        """Take what became of an entry; one that it has seen adds nothing."""

    async def page(  # noqa: PLR0913  a question has so many parts
        self,
        subaccount_ids: Sequence[int],
        topics: Sequence[str],
        *,
        instrument_ids: frozenset[int] | None = None,
        since_ms: int = 0,
        until_ms: int = 2**62,
        after: tuple[int, int] | None = None,
        ascending: bool = False,
        count: int = 100,
    ) -> tuple[list[bytes], tuple[int, int] | None]:
        """Bodies, the newest first unless ascending, and where the next page begins, if any."""


class Reply(Protocol):
    """What the sequencer answers after the journal holds the command."""

    @property
    def seq(self) -> int:
        """Place of the command in the total order."""

    @property
    def events(self) -> tuple[AnyEvent, ...]:
        """What became of it."""

    @property
    def chain_hash(self) -> bytes:
        """The journal's hash chain up to it."""


class Margin(Protocol):
    """A subaccount's margin; all in micro-USDC, requirements >= 0."""

    @property
    def cash(self) -> int:
        """Quote balance, may be negative."""

    @property
    def mark_value(self) -> int:
        """Positions at mark."""

    @property
    def equity(self) -> int:
        """Cash and mark value."""

    @property
    def initial_margin(self) -> int:
        """Requirement for new risk."""

    @property
    def maintenance_margin(self) -> int:
        """Requirement to stay."""

    @property
    def initial_excess(self) -> int:
        """Equity minus the initial requirement."""

    @property
    def maintenance_excess(self) -> int:
        """Equity minus the maintenance requirement."""

    @property
    def collateral_value(self) -> int:
        """Tokens besides USDC at the index, as far as they count."""

    @property
    def standard(self) -> bool:
        """Whether each position is margined by itself."""


class Token(Protocol):
    """One collateral token of a subaccount; amounts in 1e-8 of it."""

    @property
    def asset_id(self) -> int:
        """Number of the token in the parameters."""

    @property
    def name(self) -> str:
        """Such as WETH."""

    @property
    def amount(self) -> int:
        """All that is held."""

    @property
    def idle(self) -> int:
        """Of it beyond the venue's cap."""

    @property
    def value(self) -> int:
        """What counts, micro-USDC."""

    @property
    def withdrawable(self) -> int:
        """What surely may leave."""


class Group(Protocol):
    """One risk group of a simulation, micro-USDC."""

    @property
    def underlying_ids(self) -> tuple[int, ...]:
        """Its underlyings."""

    @property
    def asset_ids(self) -> tuple[int, ...]:
        """Its isolated token."""

    @property
    def results(self) -> tuple[int, ...]:
        """Profit or loss in each scenario."""

    @property
    def basis(self) -> int:
        """The basis contingency."""

    @property
    def worst(self) -> int:
        """The least of all."""


class Simulation(Protocol):
    """Margin of a hypothetical portfolio."""

    @property
    def summary(self) -> Margin:
        """The figures of the account."""

    @property
    def positions(self) -> dict[int, int]:
        """Signed quantities by instrument."""

    @property
    def collateral(self) -> dict[int, int]:
        """Tokens by asset_id."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """Risk groups."""

    @property
    def initial_addons(self) -> int:
        """Beyond the scenarios."""

    @property
    def maintenance_addons(self) -> int:
        """Beyond the scenarios."""

    @property
    def initial_factor(self) -> int:
        """Of the worst scenarios, 1e-18."""

    @property
    def maintenance_factor(self) -> int:
        """Of the worst scenarios, 1e-18."""


class RiskScale(Protocol):
    """How an underlying's scenarios are scaled."""

    @property
    def version(self) -> int:
        """Steps so far."""


class Preview(Protocol):
    """One subaccount before and after a change of parameters, excesses in micro-USDC."""

    @property
    def subaccount_id(self) -> int:
        """Whose."""

    @property
    def initial_before(self) -> int:
        """Initial excess now."""

    @property
    def initial_after(self) -> int:
        """Initial excess then."""

    @property
    def maintenance_before(self) -> int:
        """Maintenance excess now."""

    @property
    def maintenance_after(self) -> int:
        """Maintenance excess then."""

    @property
    def liquidated(self) -> bool:
        """Whether the change alone would make it liquidatable."""

    @property
    def restricted(self) -> bool:
        """Whether the change alone would keep it from new risk."""


class Leg(Protocol):
    """Part of a position that changes hands."""

    @property
    def instrument_id(self) -> int:
        """Of what."""

    @property
    def quantity(self) -> int:
        """Signed, as held by who gives it up."""

    @property
    def price(self) -> int:
        """At which it changes hands."""


class SoldToken(Protocol):
    """Some of a token that changes hands."""

    @property
    def asset_id(self) -> int:
        """Of what."""

    @property
    def amount(self) -> int:
        """In 1e-8 of it."""

    @property
    def value(self) -> int:
        """What the taker pays, micro-USDC."""


class Part(Protocol):
    """A fraction of an account."""

    @property
    def legs(self) -> Sequence[Leg]:
        """Of positions."""

    @property
    def tokens(self) -> Sequence[SoldToken]:
        """Of collateral."""


class ForSale(Protocol):
    """What a liquidation auction offers now, micro-USDC."""

    @property
    def fraction(self) -> int:
        """Of every position, in 1e-18."""

    @property
    def part(self) -> Part:
        """What that is."""

    @property
    def discount(self) -> int:
        """What the taker gets."""

    @property
    def price(self) -> int:
        """Legs less discount."""


class Liquidation(Protocol):
    """A subaccount in liquidation, micro-USDC."""

    @property
    def subaccount_id(self) -> int:
        """Whose."""

    @property
    def stage(self) -> LiquidationStage:
        """Where it stands."""

    @property
    def step(self) -> int:
        """What a bid must expect."""

    @property
    def started_ns(self) -> int:
        """When it began."""

    @property
    def equity(self) -> int:
        """Now."""

    @property
    def maintenance_margin(self) -> int:
        """Now."""

    @property
    def positions(self) -> Mapping[int, int]:
        """Signed quantity by instrument."""

    @property
    def collateral(self) -> Mapping[int, int]:
        """Amounts of tokens by asset_id."""

    @property
    def suspended(self) -> str:
        """Why nothing happens; empty if something does."""

    @property
    def for_sale(self) -> ForSale | None:
        """What keepers may bid for."""


class EngineState(Protocol):
    """Durable state, seen between two commits."""

    @property
    def parameters(self) -> Configure | None:
        """Parameters in force."""

    @property
    def last_block(self) -> int:
        """The newest block observed."""

    @property
    def epoch(self) -> int:
        """The epoch of risk arrays in force."""

    @property
    def pending(self) -> int:
        """Trades, payoffs and withdrawals that wait for a batch."""

    @property
    def batch_number(self) -> int:
        """The batch cut last."""

    @property
    def held(self) -> list[int]:
        """Subaccounts that no money may leave."""

    @property
    def suspended(self) -> list[int]:
        """Subaccounts that only reduce."""

    @property
    def exits(self) -> Sequence[object]:
        """Forced exits that are not closed."""

    @property
    def escaped(self) -> bool:
        """Whether the venue has ended."""

    @property
    def confirmed_batch(self) -> int:
        """The batch that became final last."""

    @property
    def subaccounts(self) -> Mapping[int, object]:
        """Every subaccount, by id."""

    def risk_scale(self, underlying_id: int) -> RiskScale:
        """How an underlying's scenarios are scaled."""

    def account(self, subaccount_id: int) -> object | None:
        """A subaccount whole; None where there is none."""

    def preview(
        self, subaccount_ids: Iterable[int], parameters: Configure, update: UpdateMarks | None
    ) -> Sequence[Preview]:
        """What other parameters would make of these subaccounts."""

    def stale_indices(self, time_ns: int) -> Sequence[str]:
        """Underlyings, by name, whose index is too old for new risk."""

    def leg_prices(self, legs: Legs, net_price: int) -> tuple[int, ...] | None:
        """Prices at which two orders in a combo would trade its legs."""

    def trigger_price(self, order_id: int) -> int | None:
        """Where an order that waits for a price fires now."""

    def margin(self, subaccount_id: int) -> Margin:
        """Margin figures of an existing subaccount."""

    def liquidations(self) -> Sequence[Liquidation]:
        """Every liquidation that runs."""

    def token_views(self, subaccount_id: int) -> tuple[Token, ...]:
        """Its collateral tokens."""

    def price_band(self, instrument_id: int) -> tuple[int, int] | None:
        """The lowest and the highest price at which it may trade now; None without a mark."""

    def order_margin(self, subaccount_id: int, order: MarginOrder) -> int:
        """What initial excess an order would take."""

    def resting_margins(self, subaccount_id: int, order_ids: Iterable[int]) -> dict[int, int]:
        """By how much initial margin would fall without each order alone."""

    def simulate(
        self,
        subaccount_id: int,
        positions: Mapping[int, int],
        collateral: Mapping[int, int],
        cash: int = 0,
        *,
        added: bool = True,
    ) -> Simulation:
        """Margin of a hypothetical portfolio."""


class Told(Protocol):
    """Who waits for a reply, as a future does."""

    def done(self) -> bool:
        """Whether it went away."""

    def set_result(self, reply: Reply, /) -> None:
        """The command is durable."""

    def set_exception(self, error: Exception, /) -> None:
        """There is no reply."""


class Sequencer(Protocol):
    """The single writer."""

    def enqueue(self, command: AnyCommand, told: Told) -> None:
        """Have `told` told once `command` is durable."""

    async def submit(self, command: AnyCommand, *, note: NoteAction | None = None) -> Reply:
        """Return once `command`, with the note before it, is durable."""

    def subscribe(self, listener: Callable[[Sequence[Entry]], None]) -> Callable[[], None]:
        """Call `listener` with each committed group, before the replies go out."""

    async def read(self, query: Callable[[EngineState], T]) -> T:
        """Run `query` on durable state."""

    def now_ns(self) -> int:
        """Venue time."""

    def queue_length(self) -> int:
        """Commands waiting."""

    def commit_s(self) -> float:
        """How long the commit under way has taken so far."""

    @property
    def last_seq(self) -> int:
        """Seq of the newest durable command."""

    @property
    def stopped(self) -> bool:
        """Whether it takes no more commands."""
