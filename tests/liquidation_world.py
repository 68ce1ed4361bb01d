"""A venue that liquidates, for tests: parameters in words, and bids in a line."""

from typing import Any, Final

from tests.venue import NS, Number, Venue, open_venue, usdc

from exchange.commands import BidLiquidation, LiquidationParameters, SweepLiquidations
from exchange.events import AnyEvent, BatchCut
from exchange.fixed import RATIO_SCALE
from exchange.model import BidTerms, Side

PERCENT: Final = RATIO_SCALE // 100
RULES: Final = {
    "round_ns": NS,
    "slice_rate": 25 * PERCENT,
    "slice_band_rate": PERCENT,
    "slicing_ns": 10 * NS,
    "buffer_rate": 15 * PERCENT,
    "discount_start": 5 * PERCENT,
    "discount_end": 30 * PERCENT,
    "fast_ns": 20 * NS,
    "slow_ns": 40 * NS,
    "insolvent_ns": 20 * NS,
    "marks_age_ns_max": 120 * NS,
    "drift_rate_max": RATIO_SCALE,  # stories move marks without the index
}


def rules(**changes: int) -> LiquidationParameters:
    """The liquidation parameters of tests, with changes."""
    return LiquidationParameters(**(RULES | changes))


def liquidating_venue(**changes: Any) -> Venue:
    """A configured, listed and marked venue that liquidates."""
    parameters = {"liquidation": rules()} | changes
    return open_venue(**parameters)


def sweep(venue: Venue, seconds: int = 0, *suspects: int) -> tuple[AnyEvent, ...]:
    """A sweep after some time, on fresh prices; without the end of the batch that it may cause."""
    if seconds:
        venue.wait(seconds)
        venue.index()
        venue.mark({})
    return _apart(venue.send(SweepLiquidations(suspects=suspects or None)))


def _apart(events: tuple[AnyEvent, ...]) -> tuple[AnyEvent, ...]:
    return tuple(event for event in events if not isinstance(event, BatchCut))


def bid(
    venue: Venue,
    keeper: int,
    liquidated: int,
    fraction: int = RATIO_SCALE,
    limit: Number = 10**9,
    **changes: Any,
) -> tuple[AnyEvent, ...]:
    """A keeper's bid for a fraction in 1e-18; the limit in USDC. Events as of `sweep`."""
    known = venue.engine.subaccounts
    running = venue.engine._venue.liquidations.get(liquidated)
    fields = {
        "subaccount_id": keeper,
        "liquidated_id": liquidated,
        "fraction": fraction,
        "price_limit": usdc(limit),
        "expected_step": running.step if running else 0,
        "nonce": venue.next_nonce,
        "deadline": venue.now_s + 3600,
        "signer": known[keeper].owner if keeper in known else "",
    } | changes
    venue.next_nonce += 1
    return _apart(venue.send(BidLiquidation(terms=BidTerms(**fields), signature=b"")))


def short_call(
    venue: Venue,
    quantity: Number = 4,
    cash: Number = 15_100,
    price: Number = 2_500,
    buyer: int | None = None,
) -> tuple[int, int]:
    """(seller, buyer) of 100k calls at `price`; the buyer is rich, unless another is named."""
    seller, buyer = venue.fund("ann", cash), buyer or venue.fund("bob", 1_000_000)
    venue.order(seller, Side.SELL, quantity, price)
    venue.order(buyer, Side.BUY, quantity, price)
    return seller, buyer
