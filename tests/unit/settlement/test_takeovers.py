"""Liquidations as batches carry them: forced orders, takeovers, and who bears a loss."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_abi.abi import decode
from tests.liquidation_world import PERCENT, liquidating_venue, rules, sweep
from tests.settlement_world import no_legs
from tests.signed_venue import MAKER, TAKER, auctioned_venue, place_signed, write_journal
from tests.venue import COLLATERALS, FEE_ID, FEES, WBTC, C, Venue, contracts, refusals, usdc

from exchange.commands import CutBatch, DepositSeen, MassQuote, SignedCommand, signed_commands
from exchange.engine import takeover as engine_takeover
from exchange.events import (
    FeesShared,
    InsuranceUsed,
    LossSocialised,
    PortfolioTransferred,
    RejectReason,
)
from exchange.journal import Entry, JournalReader
from exchange.model import Side, seq_and_place
from exchange.settlement.batch import BATCH_TYPE, Batch, BatchBuilder, Tip, encode_batch
from exchange.settlement.holdings import expected_holdings
from exchange.settlement.packed import pack_orders, pack_tails
from exchange.settlement.takeovers import FORCED_NONCE, DueKind, dues_of


def short_venue(**parameters: Any) -> tuple[Venue, int, int]:
    """A seller of four calls, and its buyer, both real."""
    venue = liquidating_venue(**parameters)
    seller, buyer = venue.fund(MAKER, 15_100), venue.fund(TAKER)
    place_signed(venue, venue.terms(seller, Side.SELL, 4, 2_500))
    place_signed(venue, venue.terms(buyer, Side.BUY, 4, 2_500))
    return venue, seller, buyer


def sweep_until(venue: Venue, done: Callable[[], bool]) -> None:
    """A second at a time."""
    for _ in range(100):
        if done():
            return
        sweep(venue, 1)
    pytest.fail("a hundred sweeps did not do it")


def entries_of(venue: Venue, path: Path) -> list[Entry]:
    venue.send(CutBatch())
    write_journal(venue, path / "journal.db")
    reader = JournalReader(str(path / "journal.db"))
    try:
        return list(reader.entries())
    finally:
        reader.close()


def batches_of(entries: Sequence[Entry]) -> list[Batch]:
    def signed(number: int) -> SignedCommand | MassQuote:
        seq, place = seq_and_place(number)
        return signed_commands(entries[seq - 1].command)[place]

    builder = BatchBuilder(signed, no_legs, Tip())
    return [batch for entry in entries if (batch := builder.add(entry)) is not None]


def same_as_the_engine(venue: Venue, entries: Sequence[Entry]) -> None:
    """The fold of the events shows the cash, positions and tokens that the engine has."""
    everything = len(entries)
    folded = expected_holdings(entries, settled_seq=everything, observed_seq=everything)
    folded.check()
    for subaccount_id, subaccount in venue.engine.subaccounts.items():
        assert folded.cash[subaccount_id] == subaccount.cash
        held = {key: one.quantity for key, one in folded.positions_of(subaccount_id).items()}
        assert held == dict(subaccount.account.positions)
        tokens = {
            token: amount
            for (holder, token), amount in folded.tokens.items()
            if holder == subaccount_id and amount
        }
        assert tokens == venue.engine.tokens(subaccount_id)


def test_a_slice_is_an_order_without_a_signature(tmp_path: Path) -> None:
    """Two makers, one forced order: its limit is the worse price, its tail is empty."""
    venue, seller, buyer = short_venue()
    for price in (5_000, 5_010):
        place_signed(venue, venue.terms(buyer, Side.SELL, "0.2", price))
    venue.mark({C: 5_000})
    sweep(venue)
    entries = entries_of(venue, tmp_path)
    [batch] = batches_of(entries)
    [forced] = [order for order in batch.orders if order.forced]
    terms = forced.terms
    assert (terms.subaccount_id, terms.side, terms.reduce_only) == (seller, Side.BUY, True)
    assert (terms.nonce, terms.limit_price) == (FORCED_NONCE, usdc(5_010))
    assert terms.quantity == contracts("0.4")
    fills = [fill for fill in batch.fills if batch.orders[fill.taker].forced]
    assert [fill.quantity for fill in fills] == [contracts("0.2")] * 2
    assert all(fill.taker_fee <= terms.max_fee * fill.quantity // 10_000 for fill in fills)
    assert pack_tails([forced]) == b""
    assert pack_orders([forced])[31] == 2 | 64
    same_as_the_engine(venue, entries)


def test_slices_of_one_account_are_told_apart(tmp_path: Path) -> None:
    """Each is an order of its own; they come after whatever the account signed."""
    venue, seller, buyer = short_venue()
    place_signed(venue, venue.terms(buyer, Side.SELL, 20, 5_000))
    venue.mark({C: 5_000})
    for _ in range(3):
        sweep(venue, 1)
    [batch] = batches_of(entries_of(venue, tmp_path))
    own = [order for order in batch.orders if order.terms.subaccount_id == seller]
    assert [order.forced for order in own] == [False] + [True] * (len(own) - 1)
    assert [order.terms.version for order in own[1:]] == list(range(len(own) - 1))
    assert len(own) > 2


def test_a_keepers_bid_is_shown(tmp_path: Path) -> None:
    """With its signature; the batch ends with it."""
    venue = auctioned_venue()
    entries = entries_of(venue, tmp_path)
    batch = next(batch for batch in batches_of(entries) if batch.takeovers)
    [takeover] = batch.takeovers
    assert batch.header.last_seq == next(
        e.seq for e in entries if "Bid" in type(e.command).__name__
    )
    assert takeover.bid is not None
    assert takeover.bid.subaccount_id == 3
    [(*_, takeovers, dues)] = decode([BATCH_TYPE], encode_batch(batch))
    [(time, liquidated, taker, fraction, discount, by_fund, legs, kinds, bid, signature)] = (
        takeovers
    )
    event = takeover.event
    assert (time, liquidated, taker) == (takeover.time, 2, 3)
    assert (fraction, discount, by_fund) == (event.fraction, event.discount, False)
    assert legs == ((C, event.legs[0].quantity, event.legs[0].price),)
    assert (kinds, dues) == ((), ())
    assert bid[:3] == (3, 2, 10**18)
    assert signature == takeover.signature
    assert batch.time_s == takeover.time
    same_as_the_engine(venue, entries)


def test_a_takeover_by_the_fund_and_its_debts(tmp_path: Path) -> None:
    """The fund takes all, pays what the seller owes, and the rest is everybody's."""
    venue, seller, buyer = short_venue(collaterals=COLLATERALS)
    venue.give(seller, WBTC, "0.01")
    venue.observe(DepositSeen(subaccount_id=FEE_ID, amount=usdc(1_000)))
    venue.mark({C: 8_000})
    for _ in range(90):
        sweep(venue, 1)
    entries = entries_of(venue, tmp_path)
    kinds = {type(event) for entry in entries for event in entry.events}
    assert {PortfolioTransferred, InsuranceUsed, LossSocialised} <= kinds
    batch = next(batch for batch in batches_of(entries) if batch.takeovers)
    [takeover] = batch.takeovers
    assert (takeover.bid, takeover.signature) == (None, b"")
    assert takeover.event.tokens[0].token == COLLATERALS[1].token
    cover, *shares = batch.dues
    assert (cover.kind, cover.subaccount_id) == (DueKind.COVER, seller)
    assert {share.kind for share in shares} == {DueKind.SHARE}
    assert [share.subaccount_id for share in shares] == [buyer]
    assert encode_batch(batch)
    same_as_the_engine(venue, entries)


def test_what_the_flat_fund_lost_is_declared_first() -> None:
    """Its own loss; of others' the cover says it."""
    shares = ((2, 5), (3, 7))
    event = LossSocialised(
        fund_subaccount_id=1, liquidated_id=1, amount=12, shares=shares, declared=20
    )
    loss, *rest = dues_of(9, event, 1)
    assert (loss.kind, loss.subaccount_id, loss.amount, loss.time) == (DueKind.LOSS, 0, 20, 9)
    assert [(due.kind, due.subaccount_id, due.amount) for due in rest] == [
        (DueKind.SHARE, 2, 5),
        (DueKind.SHARE, 3, 7),
    ]
    for other in ({"declared": 0}, {"liquidated_id": 2}):
        assert len(dues_of(9, msgspec.structs.replace(event, **other), 1)) == 2


def test_a_discount_that_the_fund_pays_is_part_of_its_takeover() -> None:
    event = InsuranceUsed(fund_subaccount_id=1, liquidated_id=2, subaccount_id=3, amount=5)
    assert dues_of(9, event, 1) == []
    [due] = dues_of(9, msgspec.structs.replace(event, subaccount_id=2), 1)
    assert (due.kind, due.amount) == (DueKind.COVER, 5)


def test_the_funds_share_of_fees_is_a_due_of_the_venue(tmp_path: Path) -> None:
    """An hour after a trade; its batch holds nothing else then."""
    sharing = rules(fund_subaccount_id=2, fee_share=10 * PERCENT)
    venue = liquidating_venue(liquidation=sharing, fees=FEES)
    venue.fund("depositors")
    seller, buyer = venue.fund(MAKER), venue.fund(TAKER)
    place_signed(venue, venue.terms(seller, Side.SELL, 4, 2_500))
    place_signed(venue, venue.terms(buyer, Side.BUY, 4, 2_500))
    venue.send(CutBatch())
    venue.wait(3_600)
    venue.index()
    venue.send(venue.withdrawal(seller, 5))
    entries = entries_of(venue, tmp_path)
    [event] = [one for entry in entries for one in entry.events if isinstance(one, FeesShared)]
    traded, shared, _ = batches_of(entries)
    [due] = shared.dues
    assert due.words == (venue.now_s, DueKind.FEES, FEE_ID, event.amount)
    assert (traded.dues, shared.fills, shared.time_s) == ((), (), venue.now_s)
    same_as_the_engine(venue, entries)


def test_many_shares_come_in_several_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing leaves the venue meanwhile; the sum is the loss, and each pays once."""
    monkeypatch.setattr(engine_takeover, "SHARES_MAX", 2)
    venue, _, buyer = short_venue()
    others = [venue.fund(f"bystander {n}", 1_000) for n in range(5)]
    venue.mark({C: 6_500})
    sweep_until(venue, lambda: bool(venue.engine._venue.losses))
    assert refusals(venue.send(venue.withdrawal(others[0], 1)))[0] is RejectReason.WITHDRAWALS_HELD
    sweep_until(venue, lambda: not venue.engine._venue.losses)
    entries = entries_of(venue, tmp_path)
    shared = [
        event for entry in entries for event in entry.events if isinstance(event, LossSocialised)
    ]
    assert [event.declared for event in shared] == [sum(one.amount for one in shared), 0, 0]
    assert [len(event.shares) for event in shared] == [2, 2, 2]
    assert [payer for event in shared for payer, _ in event.shares] == [buyer, *others]
    carried = [batch for batch in batches_of(entries) if batch.dues]
    assert len(carried) == 3
    same_as_the_engine(venue, entries)
    venue.twin()
