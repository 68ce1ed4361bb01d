"""Journals for tests: what a venue lived through, signed for real and written down."""

from pathlib import Path
from typing import Any

import msgspec
from tests.liquidation_world import liquidating_venue, rules, sweep
from tests.venue import (
    CLEARING,
    COLLATERALS,
    PERP,
    WETH,
    C,
    P,
    Venue,
    linear_venue,
    open_venue,
    tokens,
    usdc,
)

from exchange.commands import (
    AccrueFunding,
    BidLiquidation,
    MassQuote,
    PlaceLinked,
    PlaceOrder,
    TransferFunds,
    Withdraw,
)
from exchange.events import AnyEvent, BatchCut
from exchange.journal import EntryEncoder, Journal
from exchange.merkle import merkle_root
from exchange.model import (
    BidTerms,
    HitCondition,
    LinkKind,
    OrderTerms,
    PriceSource,
    Quote,
    SheetTerms,
    Side,
    TransferTerms,
    Trigger,
    TriggerKind,
)
from exchange.signing import (
    Domain,
    address_of,
    bid_digest,
    order_digest,
    sheet_digest,
    sheet_leaves,
    sign_digest,
    transfer_digest,
    withdrawal_digest,
)

MAKER_KEY = b"\x11" * 32
TAKER_KEY = b"\x22" * 32
MAKER = address_of(MAKER_KEY)
TAKER = address_of(TAKER_KEY)
KEYS = {MAKER: MAKER_KEY, TAKER: TAKER_KEY}
DOMAIN = Domain(31_337, CLEARING)


def place_signed(venue: Venue, terms: OrderTerms) -> tuple[AnyEvent, ...]:
    """Enter an order with its owner's real signature."""
    return venue.send(signed(PlaceOrder(terms=terms, signature=b"")))


def signed(command: PlaceOrder) -> PlaceOrder:
    """The command with its owner's real signature."""
    digest = order_digest(DOMAIN, command.terms)
    signature = sign_digest(digest, KEYS[command.terms.signer])
    return msgspec.structs.replace(command, signature=signature)


def bracketed_venue() -> Venue:
    """The maker's ask meets a linked bid of the taker; its two secondaries are sold later.

    The first secondary waits for a mark, which then trades it in a command without a signature.
    """
    venue = open_venue()
    maker, taker = venue.fund(MAKER), venue.fund(TAKER)
    stop = Trigger(kind=TriggerKind.STOP, source=PriceSource.MARK, trigger_price=2_400 * 10**6)
    orders = (
        venue.sign(taker, Side.BUY, 2, 2_500),
        venue.sign(taker, Side.SELL, 1, 2_300, trigger=stop),
        venue.sign(taker, Side.SELL, 1, 2_600),
    )
    link = PlaceLinked(
        kind=LinkKind.OTO,
        condition=HitCondition.COMPLETE_FILL,
        orders=tuple(signed(order) for order in orders),
    )
    place_signed(venue, venue.terms(maker, Side.SELL, 2, 2_500))
    venue.send(link)
    place_signed(venue, venue.terms(maker, Side.BUY, 1, 2_600))
    place_signed(venue, venue.terms(maker, Side.BUY, 1, 2_350))
    venue.mark({C: 2_400})
    return venue


def funded_venue() -> Venue:
    """The taker is long a perpetual at a premium, pays funding, and closes half of it."""
    venue = linear_venue()
    maker, taker = venue.fund(MAKER), venue.fund(TAKER)
    place_signed(venue, venue.terms(maker, Side.SELL, 2, 100_000, PERP))
    place_signed(venue, venue.terms(taker, Side.BUY, 2, 100_000, PERP))
    venue.mark({PERP: 100_288})
    venue.wait(10)
    venue.send(AccrueFunding())
    place_signed(venue, venue.terms(maker, Side.BUY, 1, 100_288, PERP))
    place_signed(venue, venue.terms(taker, Side.SELL, 1, 100_288, PERP))
    return venue


def auctioned_venue() -> Venue:
    """The maker is short of calls that doubled; the taker buys what is for sale in the auction."""
    venue = liquidating_venue(liquidation=rules(slicing_ns=0))
    maker, taker = venue.fund(MAKER, 15_100), venue.fund(TAKER)
    place_signed(venue, venue.terms(maker, Side.SELL, 4, 2_500))
    place_signed(venue, venue.terms(taker, Side.BUY, 4, 2_500))
    venue.mark({C: 5_000})
    sweep(venue)
    terms = BidTerms(
        subaccount_id=taker,
        liquidated_id=maker,
        fraction=10**18,
        price_limit=0,
        expected_step=0,
        nonce=venue.next_nonce,
        deadline=venue.now_s + 60,
        signer=TAKER,
    )
    signature = sign_digest(bid_digest(DOMAIN, terms), TAKER_KEY)
    venue.send(BidLiquidation(terms=terms, signature=signature))
    return venue


def quote_signed(
    venue: Venue, subaccount_id: int, nonce: int, *quotes: Quote
) -> tuple[AnyEvent, ...]:
    """Replace a sheet with its owner's real signature; leaves have the nonces 1000 * nonce on."""
    terms = SheetTerms(
        subaccount_id=subaccount_id,
        sheet_nonce=nonce,
        first_nonce=1_000 * nonce,
        max_fee=usdc(100),
        deadline=venue.now_s + 600,
        signer=venue.engine.subaccounts[subaccount_id].owner,
    )
    digest = sheet_digest(DOMAIN, terms, merkle_root(sheet_leaves(terms, quotes)))
    signature = sign_digest(digest, KEYS[terms.signer])
    return venue.send(MassQuote(terms=terms, quotes=quotes, signature=signature))


def quoted_venue() -> Venue:
    """A maker's bid in the call fills under two sheets, and the put's ask under the second."""
    venue = open_venue()
    maker, taker = venue.fund(MAKER), venue.fund(TAKER)
    bid, ask, lot = usdc(2_480), usdc(2_520), 10_000
    quote_signed(venue, maker, 1, Quote(C, bid, 3 * lot, ask, 3 * lot))
    place_signed(venue, venue.terms(taker, Side.SELL, 1, 2_480))
    quote_signed(venue, maker, 2, Quote(P, 0, 0, ask, lot), Quote(C, bid, 2 * lot, ask, lot))
    place_signed(venue, venue.terms(taker, Side.SELL, 1, 2_480))
    place_signed(venue, venue.terms(taker, Side.BUY, 1, 2_520, P))
    return venue


def withdraw_signed(venue: Venue, subaccount_id: int, amount: int) -> tuple[AnyEvent, ...]:
    """Take cash out with the owner's real signature."""
    terms = venue.withdrawal(subaccount_id, amount).terms
    signature = sign_digest(withdrawal_digest(DOMAIN, terms), KEYS[terms.signer])
    return venue.send(Withdraw(terms=terms, signature=signature))


def moved_venue() -> Venue:
    """The taker's WETH arrives, goes to another own subaccount, and leaves from there."""
    venue = open_venue(collaterals=COLLATERALS, transfers=True)
    first, second = venue.fund(TAKER), venue.fund(TAKER, 0)
    venue.give(first, WETH, 3)
    token = COLLATERALS[0].token
    terms = TransferTerms(
        subaccount_id=first,
        to_subaccount_id=second,
        token=token,
        amount=tokens(2),
        nonce=77,
        deadline=venue.now_s + 600,
        signer=TAKER,
    )
    signature = sign_digest(transfer_digest(DOMAIN, terms), TAKER_KEY)
    venue.send(TransferFunds(terms=terms, signature=signature))
    leaving = msgspec.structs.replace(venue.withdrawal(second, 0).terms, amount=1, token=token)
    signature = sign_digest(withdrawal_digest(DOMAIN, leaving), TAKER_KEY)
    venue.send(Withdraw(terms=leaving, signature=signature))
    return venue


def traded_venue(**parameters: Any) -> Venue:
    """A maker and a taker with two trades between them and a withdrawal, nothing cut yet."""
    venue = open_venue(**parameters)
    maker, taker = venue.fund(MAKER), venue.fund(TAKER)
    place_signed(venue, venue.terms(maker, Side.SELL, 3, 2_500))
    place_signed(venue, venue.terms(taker, Side.BUY, 1, 2_500))
    place_signed(venue, venue.terms(taker, Side.BUY, 1, 2_500))
    withdraw_signed(venue, taker, 1_000)
    return venue


def write_journal(venue: Venue, location: Path | str, *, group: int = 3) -> None:
    """Write a venue's life as the sequencer would, `group` commands a commit."""
    encoder = EntryEncoder()
    with Journal(str(location)) as journal:
        for start in range(0, len(venue.entries), group):
            stamped = [
                encoder.stamp(time_ns, command, events)
                for _, time_ns, command, events in venue.entries[start : start + group]
            ]
            hashes = {
                entry.seq: event.state_hash
                for entry, _ in stamped
                for event in entry.events
                if isinstance(event, BatchCut)
            }
            journal.append(
                [entry for entry, _ in stamped], [record for _, record in stamped], hashes
            )
