"""What a signer may do: deadlines and scopes of session keys, passes of owners, suspensions.

The chain checks the same of each fill (docs/contracts.md), so what is accepted here must hold there
whenever it fills: a scoped key's open orders and what it traded today stay within its limits.
"""

from collections import Counter
from collections.abc import Iterable

from exchange.engine.records import Order
from exchange.engine.state import Subaccount, Venue
from exchange.events import RejectReason
from exchange.fixed import QUANTITY_SCALE, div_down, format_decimal, to_seconds_down
from exchange.model import SECONDS_PER_DAY, BidTerms, KeyScope, OrderTerms

Refusal = tuple[RejectReason, str]


def may_sign(venue: Venue, subaccount: Subaccount, signer: str, deadline: int) -> bool:
    """Whether `signer` may sign until `deadline` for this subaccount."""
    if signer == subaccount.owner:
        return True
    return venue.access.keys.get((subaccount.owner, signer), -1) >= deadline


def check_suspension(venue: Venue, terms: OrderTerms | BidTerms) -> Refusal | None:
    """Refuse new risk to a subaccount that an operator suspended."""
    if terms.subaccount_id not in venue.access.suspended:
        return None
    if isinstance(terms, OrderTerms) and terms.reduce_only:
        return None
    return RejectReason.TRADING_SUSPENDED, "reduce-only orders, cancels and withdrawals go on"


def scope_of(venue: Venue, terms: OrderTerms) -> KeyScope | None:
    """What bounds the signer of an order; None for owners and for keys without a scope."""
    scopes = venue.access.scopes
    if not scopes:
        return None
    return scopes.get((venue.subaccounts[terms.subaccount_id].owner, terms.signer))


def band_rate_of(venue: Venue, terms: OrderTerms, rate: int) -> int:
    """How far from the mark an order may be, in 1e-18 of the index: the venue's `rate` at most."""
    scope = scope_of(venue, terms)
    return min(rate, scope.band_rate) if scope is not None and scope.band_rate else rate


def check_access(venue: Venue, subaccount: Subaccount, orders: Iterable[Order]) -> Refusal | None:
    """Why these orders together are not for their signer, or not for their owner.

    Each counts with all that remains under its terms, in the place of itself if it is open.
    """
    assert venue.parameters is not None
    if not venue.access.scopes and not venue.parameters.access_pass:
        return None  # the usual venue and the usual key
    asked = [(order.order_id, order.terms, order.filled_quantity) for order in orders]
    return check_terms(venue, subaccount, asked)


def check_terms(
    venue: Venue, subaccount: Subaccount, asked: Iterable[tuple[int, OrderTerms, int]]
) -> Refusal | None:
    """The same of terms that orders would take: (order_id, terms, quantity filled before)."""
    wanted = list(asked)
    for _, terms, _ in wanted:
        refusal = _check_pass(venue, subaccount, terms)
        if refusal is not None:
            return refusal
    if not venue.access.scopes:
        return None
    return _check_scopes(venue, subaccount, wanted)


def _check_pass(venue: Venue, subaccount: Subaccount, terms: OrderTerms) -> Refusal | None:
    assert venue.parameters is not None
    if not venue.parameters.access_pass or terms.reduce_only:
        return None
    until = venue.access.passes.get(subaccount.owner, -1)
    if until >= terms.deadline:
        return None
    return RejectReason.ACCESS_DENIED, "reduce-only orders, cancels and withdrawals need none"


def _check_scopes(
    venue: Venue, subaccount: Subaccount, wanted: list[tuple[int, OrderTerms, int]]
) -> Refusal | None:
    more: dict[str, Counter[int]] = {}
    for _, terms, filled in wanted:
        scope = scope_of(venue, terms)
        if scope is None:
            continue
        for instrument_id, ratio in _legs(venue, terms):
            instrument = venue.instruments[instrument_id]
            allowed = {limit.underlying_id for limit in scope.limits}
            if instrument.kind not in scope.kinds or instrument.underlying_id not in allowed:
                return RejectReason.OUTSIDE_KEY_SCOPE, f"the key may not trade {instrument.name}"
            remaining = terms.quantity - filled
            asked = more.setdefault(terms.signer, Counter())
            asked[instrument.underlying_id] += ratio * remaining
    for signer, quantities in more.items():
        refusal = _check_limits(venue, subaccount, signer, quantities, {one[0] for one in wanted})
        if refusal is not None:
            return refusal
    return None


def _check_limits(
    venue: Venue,
    subaccount: Subaccount,
    signer: str,
    quantities: Counter[int],
    replaced: set[int],
) -> Refusal | None:
    owner = subaccount.owner
    reach = key_reach(venue, owner, signer, replaced)
    for limit in venue.access.scopes[owner, signer].limits:
        left = limit.daily_quantity - reach[limit.underlying_id]
        if quantities[limit.underlying_id] > left:
            text = format_decimal(max(0, left), QUANTITY_SCALE)
            return RejectReason.KEY_LIMIT, f"the key may trade {text} more contracts today"
    return None


def key_reach(venue: Venue, owner: str, signer: str, without: Iterable[int] = ()) -> Counter[int]:
    """What a key traded today and could by its open orders, by underlying.

    Complexity: O(open orders of the owner).
    """
    today = _today(venue)
    reach: Counter[int] = Counter()
    for limit in venue.access.scopes[owner, signer].limits:
        day, used = venue.access.used.get((owner, signer, limit.underlying_id), (today, 0))
        reach[limit.underlying_id] = used if day == today else 0
    for subaccount_id in venue.owned.get(owner, ()):
        for order_id, order in venue.subaccounts[subaccount_id].open_orders.items():
            if order.terms.signer != signer or order_id in without:
                continue
            for instrument_id, ratio in _legs(venue, order.terms):
                underlying_id = venue.instruments[instrument_id].underlying_id
                reach[underlying_id] += ratio * order.remaining_quantity
    return reach


def _today(venue: Venue) -> int:
    """The UTC day, as the chain counts it of a fill's time."""
    return div_down(to_seconds_down(venue.time_ns), SECONDS_PER_DAY)


def _legs(venue: Venue, terms: OrderTerms) -> list[tuple[int, int]]:
    """(instrument_id, contracts in a unit) of what an order trades."""
    legs = venue.instruments[terms.instrument_id].legs
    if not legs:
        return [(terms.instrument_id, 1)]
    return [(leg.instrument_id, abs(leg.ratio)) for leg in legs]


def note_use(venue: Venue, order: Order, instrument_id: int, quantity: int) -> None:
    """Count a fill against its signer's day."""
    if scope_of(venue, order.terms) is None:
        return
    owner = venue.subaccounts[order.terms.subaccount_id].owner
    key = (owner, order.terms.signer, venue.instruments[instrument_id].underlying_id)
    today = _today(venue)
    day, used = venue.access.used.get(key, (today, 0))
    venue.access.used[key] = (today, quantity + (used if day == today else 0))


def check_reaches(venue: Venue) -> None:
    """Assert that no scoped key can trade beyond its limits, whatever fills."""
    for (owner, signer), scope in venue.access.scopes.items():
        reach = key_reach(venue, owner, signer)
        assert all(reach[limit.underlying_id] <= limit.daily_quantity for limit in scope.limits)
