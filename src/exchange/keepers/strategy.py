"""A user's own strategy out of a file: triggers, delta hedges, and the way out of positions.

The orders are signed by a session key, so a strategy can trade and never withdraw. Every order is
immediate-or-cancel, inside a slippage of the mark. docs/keepers.md has the form of the file.
"""

import importlib.util
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from exchange.keepers.runner import Action
from exchange.sdk import AsyncClient, BadArgument
from exchange.sdk.types import Position, Ticker

Direction = Literal["buy", "sell"]
Watched = Literal["index_price", "mark_price", "equity", "position"]
Step = Callable[[AsyncClient], Awaitable[None]]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of a strategy has."""

    slippage: Decimal = Decimal("0.005")  # of the mark
    amount_max: Decimal = Decimal(1)  # contracts, of one order


class Hedge(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keep the delta in one underlying near a target by trading one instrument."""

    currency: str
    instrument: str
    target: Decimal = Decimal(0)
    band: Decimal = Decimal("0.1")  # acts beyond it


class Flatten(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reduce every position to nothing, in one currency or all."""

    currency: str = "any"


class Trigger(Rules, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One order, once, when a figure passes a bound.

    `of` is an instrument, or the name of an index; of equity nothing.
    """

    name: str
    watch: Watched
    instrument: str
    direction: Direction
    amount: Decimal
    of: str = ""
    above: Decimal | None = None
    below: Decimal | None = None
    reduce_only: bool = False


class Strategy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    subaccount_id: int
    hedge: tuple[Hedge, ...] = ()
    trigger: tuple[Trigger, ...] = ()
    flatten: tuple[Flatten, ...] = ()


class Fired(msgspec.Struct, kw_only=True):
    """Triggers that fired, with the nonce of their order: written before it is sent."""

    nonces: dict[str, int] = {}


def read_strategy(path: Path) -> Strategy:
    """The strategy in a TOML file; `BadArgument` names what is wrong."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text()), Strategy, strict=False)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadArgument(f"{path}: {error}") from error
    for trigger in found.trigger:
        if (trigger.above is None) is (trigger.below is None):
            raise BadArgument(f"{path}: trigger {trigger.name} wants `above` or `below`")
    names = [trigger.name for trigger in found.trigger]
    if len(set(names)) != len(names):
        raise BadArgument(f"{path}: two triggers have one name")
    return found


def read_step(path: Path) -> Step:
    """The function `step(client)` of a Python file."""
    spec = importlib.util.spec_from_file_location("strategy", path)
    if spec is None or spec.loader is None or not path.exists():
        raise BadArgument(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "step", None)
    if not callable(found):
        raise BadArgument(f"{path} has no function step(client)")
    step: Step = found
    return step


class StepKeeper:
    """Calls the user's own function once a round."""

    name = "strategy"

    def __init__(self, client: AsyncClient, step: Step) -> None:
        self._client = client
        self._step = step

    async def look(self) -> list[Action]:
        """One action: the step."""
        return [Action(name="step", work=self._run, needed=True)]

    async def _run(self) -> Decimal:
        await self._step(self._client)
        return Decimal(0)


class StrategyKeeper:
    """Triggers first, then hedges, then what is flattened.

    `memory` keeps which triggers fired: a restart asks the venue what became of their orders.
    """

    name = "strategy"

    def __init__(self, client: AsyncClient, strategy: Strategy, memory: Path) -> None:
        self._client = client
        self._strategy = strategy
        self._memory = memory
        self._fired = (
            msgspec.json.decode(memory.read_bytes(), type=Fired) if memory.exists() else Fired()
        )

    async def look(self) -> list[Action]:
        """Orders that the strategy wants now."""
        positions = await self._client.positions()
        actions = [await self._trigger(one, positions) for one in self._strategy.trigger]
        actions += [await self._hedge(one, positions) for one in self._strategy.hedge]
        actions += [
            await self._reduce(one, position)
            for one in self._strategy.flatten
            for position in positions
            if one.currency in ("any", position.instrument_name.split("_")[0])
        ]
        return [action for action in actions if action is not None]

    async def _trigger(self, rules: Trigger, positions: Sequence[Position]) -> Action | None:
        if rules.name in self._fired.nonces:
            return None
        value = await self._watched(rules, positions)
        passed = value > rules.above if rules.above is not None else value < _bound(rules.below)
        if not passed:
            return None
        return Action(
            name=f"trigger {rules.name} at {value}", work=partial(self._fire, rules), needed=True
        )

    async def _watched(self, rules: Trigger, positions: Sequence[Position]) -> Decimal:
        match rules.watch:
            case "index_price":
                return await self._client.index_price(rules.of)
            case "mark_price":
                return _mark(await self._client.ticker(rules.of))
            case "equity":
                return (await self._client.account()).equity
            case "position":
                sizes = [one.size for one in positions if one.instrument_name == rules.of]
                return sum(sizes, Decimal(0))

    async def _fire(self, rules: Trigger) -> Decimal:
        nonce = self._client.nonces.allocate()
        self._fired.nonces[rules.name] = nonce
        self._memory.write_bytes(msgspec.json.encode(self._fired))
        options = {"nonce": nonce, "reduce_only": rules.reduce_only}
        amount = min(rules.amount, rules.amount_max)
        return await self._order(rules, rules.direction, rules.instrument, amount, **options)

    async def _hedge(self, rules: Hedge, positions: Sequence[Position]) -> Action | None:
        delta = sum(
            (
                one.delta
                for one in positions
                if one.instrument_name.startswith(rules.currency + "_")
            ),
            Decimal(0),
        )
        off = delta - rules.target
        if abs(off) <= rules.band:
            return None
        direction: Direction = "sell" if off > 0 else "buy"
        amount = min(abs(off), rules.amount_max)
        work = partial(self._order, rules, direction, rules.instrument, amount)
        return Action(name=f"{direction} {amount} for a delta of {delta}", work=work, needed=True)

    async def _reduce(self, rules: Flatten, position: Position) -> Action:
        direction: Direction = "sell" if position.size > 0 else "buy"
        amount = min(abs(position.size), rules.amount_max)
        name = position.instrument_name
        work = partial(self._order, rules, direction, name, amount, reduce_only=True)
        return Action(name=f"{direction} {amount} of {name}", work=work, needed=True)

    async def _order(
        self, rules: Rules, direction: Direction, name: str, amount: Decimal, **options: Any
    ) -> Decimal:
        """Immediate-or-cancel, at the mark with the slippage; nothing where no lot is left."""
        instrument = await self._client.instrument(name)
        amount = (amount / instrument.lot_size).to_integral_value(ROUND_DOWN) * instrument.lot_size
        if amount < instrument.min_trade_amount:
            return _NOTHING
        mark = _mark(await self._client.ticker(name))
        buys = direction == "buy"
        worst = mark * (1 + rules.slippage if buys else 1 - rules.slippage)
        ticks = (worst / instrument.tick_size).to_integral_value(
            ROUND_FLOOR if buys else ROUND_CEILING
        )
        price = max(Decimal(1), ticks) * instrument.tick_size
        await self._client.place(
            direction, name, amount, price, time_in_force="immediate_or_cancel", **options
        )
        return _NOTHING


_NOTHING: Final = Decimal(0)


def _bound(value: Decimal | None) -> Decimal:
    assert value is not None, "a trigger has one bound"
    return value


def _mark(ticker: Ticker) -> Decimal:
    if ticker.mark_price is None:
        raise BadArgument(f"{ticker.instrument_name} has no mark")
    return ticker.mark_price
