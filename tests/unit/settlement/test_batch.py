"""Batches from a hand-made journal: tables, indices, order, hash."""

from pathlib import Path

import msgspec
import pytest
from eth_abi.abi import decode
from tests.margin_world import perpetual, update
from tests.settlement_world import PRICE, Script, no_legs
from tests.signed_venue import quoted_venue
from tests.venue import C, call, open_venue

from exchange.commands import (
    AccrueInterest,
    AmendOrder,
    CutBatch,
    ListCombo,
    ObserveBlocks,
    PlaceOrder,
    SweepLiquidations,
    TransferFunds,
    UnderlyingRisk,
    UpdateMarks,
)
from exchange.events import (
    BatchCut,
    ComboListed,
    InterestAccrued,
    InterestPaid,
    PortfolioTransferred,
    Traded,
    Transferred,
    TransferredLeg,
    TransferredToken,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE
from exchange.journal import EntryEncoder
from exchange.model import (
    Leg,
    Legs,
    Side,
    TransferTerms,
    WithdrawalTerms,
    combo_seq,
    seq_and_place,
)
from exchange.settlement.batch import (
    BATCH_TYPE,
    SETTLE_SELECTOR,
    Batch,
    BatchBuilder,
    Delivery,
    Tip,
    batch_hash,
    check_batch,
    encode_batch,
    encode_call,
    listed_legs,
    settle_calldata,
)
from exchange.settlement.marks_proof import MarksProof, prove_marks
from exchange.settlement.novation import house_terms, replacement
from exchange.settlement.packed import pack_fills, pack_orders, pack_tails

HIGH = call(110_000)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "journal.db")


def build(script: Script, tip: Tip | None = None) -> list[Batch]:
    def signed(seq: int) -> PlaceOrder | AmendOrder:
        command = script.entries[seq - 1].command
        assert isinstance(command, PlaceOrder | AmendOrder)
        return command

    tip = tip or Tip()
    builder = BatchBuilder(signed, no_legs, tip)
    return [
        batch
        for entry in script.entries[tip.last_seq :]
        if (batch := builder.add(entry)) is not None
    ]


def test_an_empty_batch_anchors_a_state(script: Script) -> None:
    """A cut without trades still has a header and a hash."""
    cut = script.cut()
    [batch] = build(script)
    assert (batch.orders, batch.fills, batch.payoffs, batch.withdrawals) == ((), (), (), ())
    assert batch.header.state_root == cut.state_hash
    assert batch.header.journal_hash == script.entries[-1].chain_hash
    assert batch.header.previous_hash == bytes(32)


def test_an_order_appears_once_however_often_it_fills(script: Script) -> None:
    """One ask, three bids: four orders, and every fill points at the ask."""
    ask = script.place(script.maker, Side.SELL, 3)
    for _ in range(3):
        script.place(script.taker, Side.BUY, 1, script.traded(ask.seq, script.seq + 1, 1))
    script.cut()
    [batch] = build(script)
    assert [order.terms.side for order in batch.orders] == [Side.SELL] + [Side.BUY] * 3
    assert [order.key for order in batch.orders] == sorted(order.key for order in batch.orders)
    assert [(fill.maker, fill.taker) for fill in batch.fills] == [(0, 1), (0, 2), (0, 3)]
    assert [fill.seq_offset for fill in batch.fills] == [1, 2, 3]
    assert {fill.time for fill in batch.fills} == {script.time_ns // 10**9}
    assert batch.fills[0].maker_fee == CASH_SCALE
    assert {fill.leg for fill in batch.fills} == {0}, "of no combo"


def test_an_order_of_an_earlier_batch_is_looked_up(script: Script) -> None:
    """A resting order fills in a later batch: its signature comes along again."""
    ask = script.place(script.maker, Side.SELL, 2)
    script.cut()
    script.place(script.taker, Side.BUY, 1, script.traded(ask.seq, script.seq + 1, 1))
    script.cut()
    first, second = build(script)
    assert first.orders == ()
    assert second.orders[0].terms == ask.command.terms
    assert second.header.previous_hash == batch_hash(first)
    assert (second.header.first_seq, second.fills[0].seq_offset) == (3, 0)


def test_both_versions_of_an_amended_order_are_there(script: Script) -> None:
    """Two signatures over one nonce are two entries."""
    first = script.place(script.maker, Side.SELL, 1, nonce=9)
    script.place(script.taker, Side.BUY, 1, script.traded(first.seq, script.seq + 1, 1))
    second = script.place(script.maker, Side.SELL, 3, nonce=9, version=1, amend=True)
    script.place(script.taker, Side.BUY, 2, script.traded(second.seq, script.seq + 1, 2))
    script.cut()
    [batch] = build(script)
    versions = [
        (order.terms.nonce, order.terms.version) for order in batch.orders if order.terms.nonce == 9
    ]
    assert versions == [(9, 0), (9, 1)]


def test_withdrawals_and_payoffs_carry_their_seq(script: Script) -> None:
    """Each list is in seq order, and the delivery price rides beside the batch."""
    script.withdraw(script.taker, 5 * CASH_SCALE)
    script.expire(2, 101_000 * CASH_SCALE)
    script.cut()
    [batch] = build(script)
    assert [item.seq_offset for item in batch.withdrawals] == [0]
    assert [(item.seq_offset, item.subaccount_id) for item in batch.payoffs] == [(1, 2), (1, 3)]
    price = 101_000 * CASH_SCALE
    expected = Delivery(underlying_id=1, expiry=script.expiry, price=price)
    assert batch.deliveries == (expected,)


def test_a_forced_exit_is_paid_without_a_signature(script: Script) -> None:
    """The owner's request on chain stands for it: no signer, and its ordinal for the nonce."""
    script.withdraw(script.maker, CASH_SCALE)
    paid = Withdrawn(
        subaccount_id=3, amount=7, recipient=script.taker.address, nonce=4, exit_token=script.token
    )
    seen = ObserveBlocks(first_block=1, last_block=1, last_hash="", observations=())
    script.add(seen, paid)
    script.cut()
    [batch] = build(script)
    forced = batch.withdrawals[1]
    assert (forced.seq_offset, forced.signature) == (1, b"")
    nobody = "0x" + "0" * 40
    assert forced.terms == WithdrawalTerms(
        subaccount_id=3,
        token=script.token,
        amount=7,
        recipient=script.taker.address,
        nonce=4,
        deadline=0,
        signer=nobody,
    )
    assert batch.time_s == script.time_ns // 10**9


def test_resuming_at_a_tip_gives_the_same_batches(script: Script) -> None:
    """A relayer that restarts after batch one builds batch two alike."""
    for _ in range(3):
        script.trade()
        script.cut()
    whole = build(script)
    assert build(script, whole[0].tip) == whole[1:]


def test_nothing_of_a_batch_leaks_into_the_next(script: Script) -> None:
    """Fills, payoffs, withdrawals and deliveries belong to one batch only."""
    script.trade()
    script.withdraw(script.taker, CASH_SCALE)
    script.expire(1, 100_000 * CASH_SCALE)
    script.cut()
    script.cut()
    empty = build(script)[1]
    assert not any((empty.fills, empty.payoffs, empty.withdrawals, empty.deliveries, empty.orders))


def test_a_gap_in_the_journal_is_a_bug(script: Script) -> None:
    """The builder takes entries one after the other, or not at all."""
    script.cut()
    builder = BatchBuilder(lambda _: pytest.fail("no order"), no_legs, Tip(last_seq=5))
    with pytest.raises(AssertionError, match="does not follow"):
        builder.add(script.entries[0])


def test_the_encoding_round_trips(script: Script) -> None:
    """Another ABI decoder reads what we wrote, and the hash covers all but the selector."""
    script.trade(2)
    script.withdraw(script.taker, CASH_SCALE)
    script.cut()
    [batch] = build(script)
    data = settle_calldata(batch)
    assert data == SETTLE_SELECTOR + encode_batch(batch)
    [(header, orders, tails, fills, *_, payoffs, withdrawals, interests, marks, _, _)] = decode(
        [BATCH_TYPE], data[4:]
    )
    assert header[:4] == (1, 1, script.seq, 1)
    assert (orders, tails) == (pack_orders(batch.orders), pack_tails(batch.orders))
    assert fills == pack_fills(batch.fills)
    assert (payoffs, len(withdrawals), interests) == ((), 1, ())
    assert marks == (b"", 0, b"", ())


def test_sheets_are_encoded_beside_their_orders() -> None:
    """Another ABI decoder reads the sheets; a leaf has its sheet's place and its proof."""
    encoder, batches = EntryEncoder(), []
    venue = quoted_venue()
    venue.send(CutBatch())
    entries = [encoder.stamp(t, command, events)[0] for _, t, command, events in venue.entries]
    builder = BatchBuilder(
        lambda number: entries[seq_and_place(number)[0] - 1].command, no_legs, Tip()
    )
    batches = [batch for entry in entries if (batch := builder.add(entry)) is not None]
    [batch] = batches
    [(_, _, _, _, sheets, *_)] = decode([BATCH_TYPE], encode_batch(batch))
    assert [(sheet[0], sheet[1]) for sheet, _ in sheets] == [(2, 1), (2, 2)]
    assert [sheet[3] for sheet, _ in sheets] == [sheet.root for sheet in batch.sheets]
    proofs = {order.terms.nonce: (order.sheet, len(order.proof)) for order in batch.orders}
    assert (proofs[1_000], proofs[2_000], proofs[2_001]) == ((0, 1), (1, 2), (1, 2))
    assert batch_hash(batch) != batch_hash(msgspec.structs.replace(batch, sheets=()))


def test_every_field_changes_the_hash(script: Script) -> None:
    """Two batches that differ anywhere have different hashes."""
    script.trade()
    script.cut()
    [batch] = build(script)
    changed = [
        msgspec.structs.replace(
            batch, header=msgspec.structs.replace(batch.header, **{name: value})
        )
        for name, value in {
            "number": 2,
            "risk_epoch": 9,
            "journal_hash": b"\1" * 32,
            "state_root": b"\2" * 32,
        }.items()
    ]
    fill = msgspec.structs.replace(batch.fills[0], price=PRICE + 10**4)
    changed.append(msgspec.structs.replace(batch, fills=(fill,)))
    assert len({batch_hash(item) for item in [batch, *changed]}) == len(changed) + 1


def test_a_novation_that_tells_another_trade_amends_nothing(script: Script) -> None:
    """Of either side; the trade in the journal decides."""
    script.trade()
    script.cut()
    trade = script.entries[1].events[0]
    assert isinstance(trade, Traded)
    for maker in (True, False):
        terms = house_terms(trade, maker=maker, deadline=1, signer=script.maker.address)
        fill = replacement(trade, terms, bytes(65), maker=maker)
        wrong = msgspec.structs.replace(fill, fee=9)
        builder = BatchBuilder(
            lambda _: pytest.fail("no order"), no_legs, Tip(), {wrong.key: wrong}
        )
        builder.add(script.entries[0])
        builder.add(script.entries[1])
        with pytest.raises(AssertionError, match="is not of that trade"):
            builder.add(script.entries[2])


def test_a_malformed_batch_is_caught(script: Script) -> None:
    """`check_batch` sees unsorted lists, unused orders and same-side fills."""
    script.trade()
    script.trade()
    script.cut()
    [batch] = build(script)
    replace = msgspec.structs.replace
    bad = [
        replace(batch, fills=batch.fills[::-1]),
        replace(batch, fills=batch.fills[:1]),
        replace(batch, orders=batch.orders[::-1]),
        replace(batch, fills=(replace(batch.fills[0], taker=0), *batch.fills[1:])),
        replace(batch, header=replace(batch.header, last_seq=0)),
    ]
    for item in bad:
        with pytest.raises(AssertionError):
            check_batch(item)


def test_calls_are_encoded_by_the_abi() -> None:
    """The well-known selector of ERC-20's transfer, and its two words."""
    data = encode_call("transfer", ("address", "uint256"), ("0x" + "11" * 20, 7))
    assert data[:4].hex() == "a9059cbb"
    assert data[4:] == bytes(12) + b"\x11" * 20 + (7).to_bytes(32, "big")


def test_combos_reveal_their_legs_once_and_fills_name_them() -> None:
    """Two orders for one combo, filled by leg orders and by each other."""
    venue = open_venue()
    venue.mark({C: 2_500, HIGH: 1_500})
    anne, bob = venue.fund("0x" + "1" * 40), venue.fund("0x" + "2" * 40)
    listed = venue.send(ListCombo(legs=(Leg(C, 1), Leg(HIGH, -1))))[-1]
    assert isinstance(listed, ComboListed)
    combo = venue.engine.instruments[listed.instrument_id]
    fields = {"legs_hash": combo.legs_hash}
    venue.sell(bob, 1, 2_500)
    venue.buy(bob, 1, 1_490, instrument_id=HIGH)
    venue.buy(anne, 3, 1_030, instrument_id=combo.instrument_id, **fields)
    venue.sell(bob, 2, 1_030, instrument_id=combo.instrument_id, **fields)
    venue.send(CutBatch())
    encoder = EntryEncoder()
    entries = [encoder.stamp(t, command, events)[0] for _, t, command, events in venue.entries]

    def legs(combo_id: int) -> Legs:
        return listed_legs(entries[combo_seq(combo_id) - 1], combo_id)

    def signed(number: int) -> PlaceOrder:
        command = entries[number - 1].command
        assert isinstance(command, PlaceOrder)
        return msgspec.structs.replace(command, signature=bytes(65))

    builder = BatchBuilder(signed, legs, Tip())
    [batch] = [batch for entry in entries if (batch := builder.add(entry)) is not None]
    assert batch.combos == (combo.legs,)
    assert [order.combo for order in batch.orders] == [0, None, None, 0]
    found = [(fill.maker, fill.taker, fill.leg) for fill in batch.fills]
    assert sorted(found) == [(0, 3, 0), (0, 3, 1), (1, 0, 0), (2, 0, 1)]
    with pytest.raises(AssertionError, match="listed no combo"):
        listed_legs(entries[0], combo.instrument_id)
    wrong = msgspec.structs.replace(batch.fills[0], leg=1 - batch.fills[0].leg)
    with pytest.raises(AssertionError, match="two instruments"):
        check_batch(msgspec.structs.replace(batch, fills=(wrong, *batch.fills[1:])))


def test_funding_belongs_to_the_batch_after_the_cut_at_its_seq(script: Script) -> None:
    """What accrued before anything was pending is in this batch, the last ordinal counts."""
    script.accrue(1, 10_000)
    script.accrue(2, 30_000)
    script.trade()
    moved = script.accrual(3, 20_000)
    script.cut_with(moved)
    script.trade()
    script.cut()
    first, second = build(script)
    assert [(item.ordinal, item.index) for item in first.fundings] == [(1, 10_000), (2, 30_000)]
    assert [(item.ordinal, item.index) for item in second.fundings] == [(3, 20_000)]
    last_seq = first.header.last_seq
    tip = Tip(number=1, last_seq=last_seq, batch_hash=batch_hash(first))
    signed = {entry.seq: entry.command for entry in script.entries}
    resumed = BatchBuilder(signed.__getitem__, no_legs, tip)
    cut = next(entry for entry in script.entries if entry.seq == last_seq)
    resumed.resume(cut)
    later = [resumed.add(entry) for entry in script.entries if entry.seq > last_seq]
    assert later[-1] == second
    [(*_, fundings, _, _, _, _, _, _)] = decode([BATCH_TYPE], encode_batch(first))
    assert fundings == ((script.perpetual_id, 2),)
    script.trade()
    script.accrue(4, 10_000)
    with pytest.raises(AssertionError, match="between batches"):
        build(script)


def test_transfers_and_interest_have_their_place(script: Script) -> None:
    """A transfer is a withdrawal into a subaccount, without a recipient; interest is unsigned."""
    script.withdraw(script.maker, 5)
    terms = TransferTerms(
        subaccount_id=3,
        to_subaccount_id=4,
        token=script.token,
        amount=7,
        nonce=9,
        deadline=1,
        signer=script.taker.address,
    )
    moved = Transferred(subaccount_id=3, to_subaccount_id=4, amount=7, nonce=9)
    script.add(TransferFunds(terms=terms, signature=b"signed"), moved)
    script.time_ns += 10**9
    paid = tuple(InterestPaid(subaccount_id=number, amount=number) for number in (2, 3))
    script.add(AccrueInterest(), InterestAccrued(index=1, growth=1), *paid)
    script.cut()
    [batch] = build(script)
    now = script.time_ns // 10**9
    [(*_, withdrawals, interests, _, _, _)] = decode([BATCH_TYPE], encode_batch(batch))
    assert [(offset, to) for offset, _, to, _, _ in withdrawals] == [(0, 0), (1, 4)]
    nobody, signer = "0x" + "0" * 40, script.taker.address.lower()
    assert withdrawals[1][3:] == ((3, script.token.lower(), 7, nobody, 9, 1, signer), b"signed")
    assert interests == ((2, now, 2, 2), (2, now, 3, 3))
    assert batch.time_s == now == withdrawals[1][1] + 1


def test_a_batch_proves_the_marks_of_what_fills(script: Script) -> None:
    """Of the epoch that the cut names; without fills, or without a published epoch, none."""
    instruments = (script.perpetual_id, script.instrument_id)
    update = UpdateMarks(
        epoch=3,
        root=bytes(32),
        underlyings=(UnderlyingRisk(underlying_id=1, index_price=10**11, confidence=0),),
        expiries=(),
        instrument_ids=tuple(sorted(instruments)),
        rows=bytes(16),
    )
    seqs: list[int] = []

    def marks(seq: int) -> UpdateMarks:
        seqs.append(seq)
        return update

    def built(cut: BatchCut) -> Batch:
        def signed(seq: int) -> PlaceOrder | AmendOrder:
            command = script.entries[seq - 1].command
            assert isinstance(command, PlaceOrder | AmendOrder)
            return command

        builder = BatchBuilder(signed, no_legs, Tip(), None, marks)
        last = script.entries[-1]
        for entry in script.entries[:-1]:
            assert builder.add(entry) is None
        batch = builder.add(msgspec.structs.replace(last, events=(cut,)))
        assert batch is not None
        return batch

    script.trade()
    cut = script.cut()
    assert built(cut).marks == MarksProof()
    found = built(msgspec.structs.replace(cut, marks_seq=7))
    assert found.marks == prove_marks(update, [script.instrument_id])
    assert seqs == [7]
    [words] = decode([BATCH_TYPE], encode_batch(found))
    assert msgspec.structs.astuple(found.marks) in words


def test_a_batch_without_fills_proves_nothing(script: Script) -> None:
    """It may even name an epoch that nobody posted."""
    script.withdraw(script.taker, CASH_SCALE)
    script.cut()
    [batch] = build(script)
    assert batch.marks == MarksProof()


def test_a_takeover_proves_the_marks_of_legs_and_the_indices_of_tokens(script: Script) -> None:
    """Whoever takes them; the contract prices both."""
    asked: list[int] = []

    def marks(seq: int) -> UpdateMarks:
        asked.append(seq)
        return update()

    number = perpetual(1)
    moved = PortfolioTransferred(
        subaccount_id=2,
        taker_subaccount_id=3,
        step=1,
        fraction=10**18,
        legs=(TransferredLeg(instrument_id=number, quantity=1, price=10_000),),
        tokens=(
            TransferredToken(asset_id=1, amount=5, value=7, token=script.token, underlying_id=2),
        ),
        discount=0,
        by_fund=False,
    )
    script.add(SweepLiquidations(), moved)
    cut = script.cut()
    builder = BatchBuilder(lambda _: pytest.fail("no order"), no_legs, Tip(), None, marks)
    builder.add(script.entries[0])
    events = (msgspec.structs.replace(cut, marks_seq=9),)
    batch = builder.add(msgspec.structs.replace(script.entries[1], events=events))
    assert batch is not None
    assert batch.marks == prove_marks(update(), [number], [2])
    assert len(batch.marks.marks) == 3 * 16, "the mark, its index, and the token's"
    assert asked == [9]
