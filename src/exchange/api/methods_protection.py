"""Market-maker protection and cancels by label: what makers set beside their orders.

Limits take Deribit's units: seconds, contracts, delta in the underlying, vega in USDC a point.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from exchange.api import results
from exchange.api.dispatch import Method, private_method
from exchange.api.errors import InvalidParams
from exchange.api.gateway import Caller, Gateway
from exchange.api.methods_private import asked_subaccounts, count_canceled
from exchange.api.results import Result
from exchange.api.schemas import (
    Contracts,
    Label,
    Name,
    SubaccountParams,
    Usdc,
    cash_number,
    parse_delta,
    parse_quantity,
    parse_usdc,
    quantity_number,
    ratio_number,
)
from exchange.commands import CancelAll, ProtectionParameters, ResetProtection, SetProtection
from exchange.fixed import div_down, to_milliseconds_down, to_nanoseconds

INTERVAL_MAX_S: Final = 3_600
Seconds = Annotated[int, Meta(ge=0, le=INTERVAL_MAX_S)]


def _no_limit() -> msgspec.Raw:
    return msgspec.Raw(b"0")  # by a factory: a schema cannot show a raw default


class ProtectionParams(SubaccountParams, frozen=True, kw_only=True):
    """Limits within `interval` seconds; 0 removes them. `frozen_time` 0 freezes until a reset."""

    index_name: Name
    interval: Seconds
    frozen_time: Seconds = 0
    quantity_limit: Contracts = msgspec.field(default_factory=_no_limit)
    delta_limit: Contracts = msgspec.field(default_factory=_no_limit)
    vega_limit: Usdc = msgspec.field(default_factory=_no_limit)


class ProtectionIndexParams(SubaccountParams, frozen=True, kw_only=True):
    """One index, or all of them."""

    index_name: Name | None = None


class ResetParams(SubaccountParams, frozen=True, kw_only=True):
    """One index."""

    index_name: Name


class CancelByLabelParams(SubaccountParams, frozen=True, kw_only=True):
    """A label."""

    label: Label


async def set_mmp_config(gateway: Gateway, caller: Caller, params: ProtectionParams) -> Result:
    """Protects a subaccount's `mmp` orders in one underlying, or stops protecting them."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    underlying_id = gateway.underlying_of_index(params.index_name)
    limits = _limits(params) if params.interval else None
    await gateway.submit(
        SetProtection(subaccount_id=subaccount_id, underlying_id=underlying_id, limits=limits)
    )
    return _config(gateway, subaccount_id, underlying_id)


def _limits(params: ProtectionParams) -> ProtectionParameters:
    limits = ProtectionParameters(
        interval_ns=to_nanoseconds(params.interval),
        frozen_ns=to_nanoseconds(params.frozen_time),
        quantity_limit=_given(params.quantity_limit, parse_quantity, "quantity_limit"),
        delta_limit=_given(params.delta_limit, parse_delta, "delta_limit"),
        vega_limit=_given(params.vega_limit, parse_usdc, "vega_limit"),
    )
    if not (limits.quantity_limit or limits.delta_limit or limits.vega_limit):
        raise InvalidParams("give at least one limit above 0", "quantity_limit")
    return limits


def _given(raw: msgspec.Raw, parse: Any, param: str) -> int:
    return 0 if bytes(raw) in (b"null", b"0") else int(parse(raw, param))


async def get_mmp_config(
    gateway: Gateway, caller: Caller, params: ProtectionIndexParams
) -> list[Result]:
    """Limits in force, and until when a maker is frozen."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    if params.index_name is not None:
        wanted = [gateway.underlying_of_index(params.index_name)]
    else:
        wanted = [u.underlying_id for u in gateway.configured().underlyings]
    held = gateway.view.protections
    return [_config(gateway, subaccount_id, one) for one in wanted if (subaccount_id, one) in held]


def _config(gateway: Gateway, subaccount_id: int, underlying_id: int) -> Result:
    key = (subaccount_id, underlying_id)
    limits = gateway.view.protections.get(key)
    until_ns = gateway.view.frozen.get(key)
    frozen = until_ns is not None and (until_ns == 0 or until_ns > gateway.sequencer.now_ns())
    return {
        "subaccount_id": subaccount_id,
        "index_name": results.index_name(gateway.view.underlying_name(underlying_id)),
        "interval": div_down(limits.interval_ns, 10**9) if limits else 0,
        "frozen_time": div_down(limits.frozen_ns, 10**9) if limits else 0,
        "quantity_limit": quantity_number(limits.quantity_limit if limits else 0),
        "delta_limit": ratio_number(limits.delta_limit if limits else 0),
        "vega_limit": cash_number(limits.vega_limit if limits else 0),
        "frozen": frozen,
        "frozen_until": to_milliseconds_down(until_ns) if frozen and until_ns else 0,
    }


async def reset_mmp(gateway: Gateway, caller: Caller, params: ResetParams) -> str:
    """Lifts a freeze."""
    subaccount_id = gateway.subaccount(caller, params.subaccount_id)
    underlying_id = gateway.underlying_of_index(params.index_name)
    await gateway.submit(ResetProtection(subaccount_id=subaccount_id, underlying_id=underlying_id))
    return "ok"


async def cancel_by_label(gateway: Gateway, caller: Caller, params: CancelByLabelParams) -> int:
    """Cancels orders with a label; returns how many."""
    if not params.label:
        raise InvalidParams("an empty label names nothing", "label")
    count = 0
    for subaccount_id in asked_subaccounts(gateway, caller, params.subaccount_id):
        command = CancelAll(subaccount_id=subaccount_id, label=params.label)
        count += await count_canceled(gateway, command)
    return count


PROTECTION: Final[list[Method[Any]]] = [
    private_method(set_mmp_config, ProtectionParams, matching=True),
    private_method(get_mmp_config, ProtectionIndexParams),
    private_method(reset_mmp, ResetParams, matching=True),
    private_method(cancel_by_label, CancelByLabelParams, matching=True),
]
