"""What the gateway needs from below, as shapes: it holds no engine, only these few questions.

The sequencer and its engine satisfy them as they are; unit tests satisfy them with small fakes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from exchange.commands import AnyCommand
from exchange.events import AnyEvent
from exchange.journal import Entry

T = TypeVar("T")

__all__ = ["EngineState", "Entry", "Margin", "Reply", "Sequencer"]


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


class EngineState(Protocol):
    """Durable state, seen between two commits."""

    def margin(self, subaccount_id: int) -> Margin:
        """Margin figures of an existing subaccount."""


class Sequencer(Protocol):
    """The single writer."""

    async def submit(self, command: AnyCommand) -> Reply:
        """Return once `command` is durable."""

    def subscribe(self, listener: Callable[[Sequence[Entry]], None]) -> Callable[[], None]:
        """Call `listener` with each committed group, before the replies go out."""

    async def read(self, query: Callable[[EngineState], T]) -> T:
        """Run `query` on durable state."""

    def now_ns(self) -> int:
        """Venue time."""
