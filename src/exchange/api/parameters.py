"""Parameters as one versioned object: who a change would liquidate, before anybody makes it.

A change is JSON: `configure` holds the fields of `Configure` that differ (nested, lists whole),
`adjust_risk` the scales of underlyings. It is applied only if the number of live accounts that it
would liquidate is the number that the operator confirms.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from exchange.api.admin_keys import acting
from exchange.api.errors import BadRequest, InvalidParams
from exchange.api.ports import EngineState, Preview, Reply, Sequencer
from exchange.api.sequencing import submit
from exchange.commands import AdjustRisk, AnyCommand, Configure, UpdateMarks
from exchange.fixed import CASH_SCALE, RATIO_SCALE

ACCOUNTS_PER_READ: Final = 100  # between two looks at the engine others get their turn
SCALE_MAX: Final = 100.0

Scales = Mapping[int, tuple[float, float]]
DrawMarks = Callable[[Scales], Awaitable[UpdateMarks | None]]
# The chain that custody is bound to is no parameter.
FIXED: Final = ("chain_id", "clearing", "collateral", "genesis_hash")


class ScaleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an underlying's scenarios should be scaled."""

    underlying_id: Annotated[int, Meta(ge=1, le=511)]
    scan: Annotated[float, Meta(gt=0.0, le=SCALE_MAX)] = 1.0
    volatility: Annotated[float, Meta(gt=0.0, le=SCALE_MAX)] = 1.0
    reason: Annotated[str, Meta(max_length=200)] = "operator"


class ChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What should differ."""

    configure: dict[str, Any] = {}
    adjust_risk: tuple[ScaleBody, ...] = ()


class ApplyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change, and how many liquidations the operator takes upon himself."""

    change: ChangeBody
    confirm: Annotated[int, Meta(ge=0)] = 0


# Parts of the parameters that have routes of their own, by the route.
SECTIONS: Final = {"fees": ("fees",), "limits": ("limits", "position_limits")}


class SectionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of one part that should differ, and the liquidations that are accepted."""

    change: dict[str, Any]
    confirm: Annotated[int, Meta(ge=0)] = 0

    def within(self, section: str) -> ChangeBody:
        """As a change of parameters that touches no other part."""
        for name in self.change:
            if name not in SECTIONS[section]:
                raise InvalidParams(f"{name} does not belong to {section}", f"change.{name}")
        return ChangeBody(configure=self.change)


async def section_of(sequencer: Sequencer, section: str) -> dict[str, Any]:
    """One part of the parameters in force, with their version."""
    current = await sequencer.read(lambda engine: engine.parameters)
    if current is None:
        raise BadRequest("the venue has no parameters yet", "configure")
    fields = {name: getattr(current, name) for name in SECTIONS[section]}
    return {"version": current.version} | fields


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The commands that a change means, and what they would do."""

    commands: tuple[AnyCommand, ...]
    report: dict[str, Any]

    @property
    def liquidated(self) -> int:
        """How many live accounts the change alone would make liquidatable."""
        return len(self.report["liquidated"])


async def plan(sequencer: Sequencer, change: ChangeBody, draw_marks: DrawMarks | None) -> Plan:
    """Work a change out against the parameters in force and every live account."""
    current = await sequencer.read(lambda engine: engine.parameters)
    if current is None:
        raise BadRequest("the venue has no parameters yet", "configure")
    configure = _configuration(current, change.configure)
    update = None
    if change.adjust_risk:
        if draw_marks is None:
            raise BadRequest("no oracle runs in this process", "adjust_risk")
        scales = {item.underlying_id: (item.scan, item.volatility) for item in change.adjust_risk}
        update = await draw_marks(scales)
        if update is None:
            raise BadRequest("a price is not fresh; try again", "adjust_risk")
    margin = (configure or current).margin
    if len(margin.weights) != len(current.margin.weights):
        raise InvalidParams("another number of scenarios needs an empty venue", "configure")
    commands: list[AnyCommand] = [configure] if configure is not None else []
    commands += [await _adjustment(sequencer, item) for item in change.adjust_risk]
    return Plan(
        commands=tuple(commands), report=await _report(sequencer, configure or current, update)
    )


async def apply(sequencer: Sequencer, found: Plan, confirm: int) -> list[Reply]:
    """Submit the commands of a plan that liquidates exactly as many accounts as confirmed."""
    if found.liquidated != confirm:
        raise BadRequest(
            f"this would liquidate {found.liquidated} accounts, confirmed are {confirm}", "confirm"
        )
    return [await submit(sequencer, command, note=acting.get()) for command in found.commands]


def _configuration(current: Configure, changes: dict[str, Any]) -> Configure | None:
    """The next version of the parameters; None where nothing differs."""
    if not changes:
        return None
    for name in FIXED:
        if name in changes:
            raise InvalidParams(f"{name} is bound to the chain", f"configure.{name}")
    merged = _merged(_plain(current), changes)
    merged["version"] = current.version + 1
    try:
        found = msgspec.convert(merged, Configure)
    except msgspec.ValidationError as error:
        raise InvalidParams(str(error), "configure") from None
    if _plain(found) != merged:
        raise InvalidParams("a field does not exist", "configure")
    return found


def _plain(parameters: Configure) -> dict[str, Any]:
    """As JSON has it: lists, not tuples."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parameters))
    return plain


def _merged(known: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(known)
    for name, value in changes.items():
        if name not in known:
            raise InvalidParams(f"{name}: no such parameter", "configure")
        old = known[name]
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[name] = _merged(old, value) if both else value
    return merged


async def _adjustment(sequencer: Sequencer, item: ScaleBody) -> AdjustRisk:
    version = await sequencer.read(lambda engine: engine.risk_scale(item.underlying_id).version)
    return AdjustRisk(
        version=version + 1,
        underlying_id=item.underlying_id,
        scan=_ratio(item.scan),
        volatility=_ratio(item.volatility),
        reason=item.reason,
    )


def _ratio(value: float) -> int:
    return int(Decimal(repr(value)) * RATIO_SCALE)  # bounded above: ScaleBody


async def _report(
    sequencer: Sequencer, parameters: Configure, update: UpdateMarks | None
) -> dict[str, Any]:
    """Every account before and after; those that the change alone would push below."""
    subaccount_ids = await sequencer.read(lambda engine: sorted(engine.subaccounts))
    liquidated, restricted = [], []
    for first in range(0, len(subaccount_ids), ACCOUNTS_PER_READ):
        some = subaccount_ids[first : first + ACCOUNTS_PER_READ]
        for one in await sequencer.read(partial(_previews, some, parameters, update)):
            row = {
                "subaccount_id": one.subaccount_id,
                "maintenance_before": one.maintenance_before / CASH_SCALE,
                "maintenance_after": one.maintenance_after / CASH_SCALE,
                "initial_before": one.initial_before / CASH_SCALE,
                "initial_after": one.initial_after / CASH_SCALE,
            }
            if one.liquidated:
                liquidated.append(row)
            elif one.restricted:
                restricted.append(row)
        await asyncio.sleep(0)
    return {"accounts": len(subaccount_ids), "liquidated": liquidated, "restricted": restricted}


def _previews(
    subaccount_ids: list[int],
    parameters: Configure,
    update: UpdateMarks | None,
    engine: EngineState,
) -> Sequence[Preview]:
    return engine.preview(subaccount_ids, parameters, update)
