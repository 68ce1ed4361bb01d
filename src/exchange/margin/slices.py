"""Which slice of a portfolio to trade next: the most requirement released for each unit of cost.

Integers only. A slice is judged by the account's own scenario results at the very prices that the
book shows, fees included, and only one that raises the maintenance excess is ever chosen. Never
knows a book: the engine brings the offers that stand within the price band.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from exchange.fixed import QUANTITY_SCALE, RATIO_SCALE, div_down, mul_div_down, mul_div_up, notional
from exchange.margin.account import MarginAccount
from exchange.margin.marks import InstrumentRisk, MarksBook

TRIALS_MAX: Final = 8  # offers that are margined exactly, of those that promise most
HALVINGS_MAX: Final = 6  # of a slice that restores more than is needed


class Offer(NamedTuple):
    """What one slice may trade: up to `quantity_max` against `levels`, best first.

    `sign` is the account's side; `max_fee` bounds the fee a contract, micro-USDC.
    """

    instrument_id: int
    sign: int
    quantity_max: int
    lot_size: int
    levels: Sequence[tuple[int, int]]  # (price, quantity)
    max_fee: int


class Slice(NamedTuple):
    """One order: all of `quantity` at `limit_price` or better, and the excess that it leaves."""

    instrument_id: int
    sign: int
    quantity: int
    limit_price: int
    max_fee: int
    excess: int  # maintenance excess afterwards, at least
    released: int  # by how much the requirement falls
    cost: int  # by how much equity falls; not above zero for a trade at the mark or better


def slice_quantity_max(held: int, lot_size: int, rate: int) -> int:
    """The most of a position that one slice closes: a share of it, at least a lot, in lots."""
    share = mul_div_down(abs(held), rate, RATIO_SCALE)
    whole = max(1, div_down(share, lot_size)) * lot_size
    return min(abs(held), whole)


def hedge_quantity(account: MarginAccount, marks: MarksBook, row: InstrumentRisk) -> int:
    """Signed quantity of a linear instrument that would make its underlying delta-neutral."""
    delta = 0
    for instrument_id, quantity in account.positions.items():
        held = marks.row(instrument_id)
        if held.underlying_id == row.underlying_id:
            delta += held.delta * quantity
    if row.delta <= 0:
        return 0
    return -div_down(delta, row.delta) if delta > 0 else div_down(-delta, row.delta)


def best_slice(
    account: MarginAccount, offers: Sequence[Offer], marks: MarksBook, restored_at: int
) -> Slice | None:
    """The slice that releases most for its cost; smaller where that too reaches `restored_at`.

    Of offers that cost nothing the one that releases most. None, if none raises the excess.
    Complexity: O(legs + scenarios).
    """
    best: Slice | None = None
    chosen: Offer | None = None
    for offer in _promising(account, offers, marks):
        found = _trial(account, offer, offer.quantity_max, marks)
        if found is not None and (best is None or _beats(found, best)):
            best, chosen = found, offer
    if best is None or chosen is None:
        return None
    for quantity in _halves(best.quantity, chosen.lot_size):
        smaller = _trial(account, chosen, quantity, marks) if best.excess > restored_at else None
        if smaller is None or smaller.excess < restored_at:
            break
        best = smaller
    return best


def _promising(
    account: MarginAccount, offers: Sequence[Offer], marks: MarksBook
) -> Sequence[Offer]:
    """The offers that relieve the account most where it loses most."""
    if len(offers) <= TRIALS_MAX:
        return offers

    def gain(offer: Offer) -> int:
        row = marks.row(offer.instrument_id)
        return account.relief(row, offer.sign * offer.quantity_max)

    return sorted(offers, key=gain, reverse=True)[:TRIALS_MAX]


def _trial(account: MarginAccount, offer: Offer, wanted: int, marks: MarksBook) -> Slice | None:
    """What `wanted` or less of an offer does, as far as its levels go; None if excess falls."""
    quantity, value, limit_price = 0, 0, 0
    for price, standing in offer.levels:
        part = min(standing, wanted - quantity)
        if part > 0:
            quantity, value, limit_price = quantity + part, value + notional(price, part), price
    if quantity == 0:
        return None
    paid = offer.sign * value + mul_div_up(offer.max_fee, quantity, QUANTITY_SCALE)
    moves = {offer.instrument_id: offer.sign * quantity}
    before = account.maintenance_excess()
    excess = account.maintenance_excess_with(moves) - paid
    if excess <= before:
        return None
    cost = paid - mul_div_down(
        marks.mark_price(offer.instrument_id), offer.sign * quantity, QUANTITY_SCALE
    )
    return Slice(
        offer.instrument_id,
        offer.sign,
        quantity,
        limit_price,
        offer.max_fee,
        excess,
        excess - before + cost,
        cost,
    )


def _beats(one: Slice, other: Slice) -> bool:
    """Whether `one` releases more for each unit of cost."""
    return one.released * max(1, other.cost) > other.released * max(1, one.cost)


def _halves(quantity: int, lot_size: int) -> Iterator[int]:
    for _ in range(HALVINGS_MAX):
        quantity = div_down(div_down(quantity, 2), lot_size) * lot_size
        if quantity == 0:
            return
        yield quantity
