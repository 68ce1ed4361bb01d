"""Whose risk grew in a batch, and the bytes that prove their margin."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from eth_abi.abi import decode
from tests.margin_world import collaterals, instruments, preset, update
from tests.settlement_world import Script
from tests.unit.settlement.test_feed import Parts
from tests.venue import Venue

from exchange.commands import Configure, Novate, RefusedAct, SweepLiquidations
from exchange.events import (
    Configured,
    FillNovated,
    MarksUpdated,
    PortfolioTransferred,
    Traded,
    TransferredLeg,
)
from exchange.journal import JournalReader
from exchange.margin.scenarios import margin_parameters
from exchange.model import (
    OrderTerms,
    Side,
    TransferTerms,
    WithdrawalTerms,
)
from exchange.settlement.acts import numbered_events
from exchange.settlement.batch import (
    BATCH_TYPE,
    Batch,
    Header,
    Withdrawal,
    encode_batch,
    settle_calldata,
)
from exchange.settlement.feed import Feed
from exchange.settlement.holdings import expected_holdings
from exchange.settlement.margin_proof import EpochProver
from exchange.settlement.novation import house_terms, replacement
from exchange.settlement.packed import SignedOrder
from exchange.settlement.solvency import (
    BATCH_PROOF_TYPE,
    SETTLE_PROVEN_SELECTOR,
    SettledHoldings,
    SolvencyProver,
    batch_proof,
    risk_takers,
    settle_proven_calldata,
)
from exchange.settlement.takeovers import Due, DueKind

HEADER = Header(
    number=1,
    first_seq=1,
    last_seq=9,
    risk_epoch=1,
    previous_hash=bytes(32),
    journal_hash=b"\x01" * 32,
    state_root=b"\x02" * 32,
)
SIGNER = "0x" + "11" * 20


def venue() -> Configure:
    """With the preset of the world of margin."""
    command = Venue().entries[0][2]
    assert isinstance(command, Configure)
    return msgspec.structs.replace(
        command, margin=margin_parameters(preset()), collaterals=collaterals()
    )


def order(subaccount_id: int, *, reduce_only: bool = False) -> SignedOrder:
    return SignedOrder(
        terms=OrderTerms(
            subaccount_id=subaccount_id,
            instrument_id=instruments()[0],
            side=Side.BUY,
            quantity=1,
            limit_price=10_000,
            max_fee=0,
            nonce=1,
            deadline=1,
            signer=SIGNER,
            reduce_only=reduce_only,
        ),
        signature=bytes(65),
    )


def moves() -> tuple[Withdrawal, ...]:
    """A withdrawal of 8 and a transfer from 9 to 5."""
    common = {"token": SIGNER, "amount": 1, "nonce": 1, "deadline": 1, "signer": SIGNER}
    leaves = WithdrawalTerms(subaccount_id=8, recipient=SIGNER, **common)
    stays = TransferTerms(subaccount_id=9, to_subaccount_id=5, **common)
    return tuple(
        Withdrawal(seq_offset=0, time=1, terms=terms, signature=bytes(65))
        for terms in (leaves, stays)
    )


def test_risk_grows_by_orders_that_may_add_and_by_transfers() -> None:
    """Not by reduce-only orders nor by withdrawals, which are proven when they are released."""
    orders = (order(3), order(2), order(3), order(7, reduce_only=True))
    batch = Batch(header=HEADER, orders=orders, withdrawals=moves())
    assert risk_takers(batch) == [2, 3, 9]
    assert risk_takers(Batch(header=HEADER)) == []
    shared = Due(time=1, kind=DueKind.FEES, subaccount_id=1, amount=5)
    assert risk_takers(Batch(header=HEADER, dues=(shared,))) == [], "out of cash that is there"


def test_rows_are_shared_and_each_holder_names_its_own() -> None:
    """What has no row any more has expired; who holds nothing names nothing."""
    first, second, third = sorted(instruments())[:3]
    gone = first - 1
    held = {2: [first, third], 3: [gone, second], 5: [first]}
    holders, proof = batch_proof([2, 3, 4], held, update(), venue())
    assert holders == [
        (2, bytes((0, 0, 0, 2)), []),
        (3, bytes((0, 1)), [gone]),
        (4, b"", []),
    ]
    prover = EpochProver(update(), venue().margin, venue().collaterals)
    assert proof == prover.proof([first, second, third])


def test_the_calldata_is_the_batch_and_its_proof_in_their_usual_encoding() -> None:
    """So the contract finds the bytes that the hash covers between the two offsets."""
    batch = Batch(header=HEADER)
    proof = batch_proof([2], {2: [instruments()[0]]}, update(), venue())
    data = settle_proven_calldata(batch, proof)
    assert data[:4] == SETTLE_PROVEN_SELECTOR
    found, shown = decode([BATCH_TYPE, BATCH_PROOF_TYPE], data[4:])
    assert found[0][0] == 1
    assert shown[0] == ((2, bytes(2), ()),)
    end = int.from_bytes(data[36:68], "big")
    assert bytes(31) + b"\x20" + data[4 + 64 : 4 + end] == encode_batch(batch)


def test_holdings_follow_the_batches_and_their_novations(tmp_path) -> None:
    """Read forward once; what was folded before a novation of it came is folded anew."""
    script = Script(tmp_path / "journal.db")
    reader = JournalReader(str(script.path))
    settled = SettledHoldings(reader)

    def same(last_seq: int) -> None:
        found = settled.through(last_seq)
        seen = expected_holdings(reader.entries(), settled_seq=last_seq, observed_seq=script.seq)
        assert (found.positions, found.cash) == (seen.positions, seen.cash)

    script.trade(2)
    first = script.cut().last_seq
    script.trade(3)
    second = script.cut().last_seq
    same(first)
    same(second)
    same(first)  # a batch that has to go in once more
    script.trade(5)
    third = script.cut().last_seq
    same(third)
    trade = next(one for entry in script.entries for one in entry.events if isinstance(one, Traded))
    script.add(Novate(batch=1, fills=()), taken(trade))
    script.trade()  # what comes after it hides it from nobody
    same(third)
    assert settled.through(third).positions[1, trade.instrument_id].quantity < 0
    reader.close()
    script.close()


def taken(trade: Traded) -> FillNovated:
    """The venue took the maker's side of it."""
    return FillNovated(
        batch=1,
        trade_id=trade.trade_id,
        maker=True,
        subaccount_id=trade.maker_subaccount_id,
        house_subaccount_id=1,
        instrument_id=trade.instrument_id,
        quantity=-trade.quantity,
        price=trade.price,
        fee=trade.maker_fee,
    )


def test_epochs_and_parameters_are_the_journals(tmp_path) -> None:
    """Those that were published, and the last parameters that were taken."""
    script = Script(tmp_path / "journal.db")
    script.mark(3, b"\x0a" * 32)
    script.add(venue(), Configured(version=1))
    script.mark(4, b"\x0b" * 32)
    reader = JournalReader(str(script.path))
    settled = SettledHoldings(reader)
    settled.through(0)
    assert settled.terms(3)[1].root == b"\x0a" * 32
    assert settled.terms(4)[0] == venue()
    reader.close()
    script.close()


class Governed:
    """Says whether batches must be proven, and whose the fund is."""

    clearing = "Clearing"

    def __init__(self, fund_id: int = 9) -> None:
        self.views = {"batchMargin": 1, "fundId": fund_id}

    def call(self, contract: str, name: str) -> int:
        assert contract == self.clearing
        return self.views[name]


class Proving(Parts):
    """A venue that publishes: two batches of the maker and the taker, and a prover of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.first, self.second, self.third = sorted(instruments())[:3]
        self.chain = Governed()
        self.prover = SolvencyProver(self.reader, self.chain)
        self.script.add(venue(), Configured(version=1))
        self.script.add(update(), MarksUpdated(epoch=1, root=update().root, published=True))

    def trade(self, instrument_id: int, **changes: int) -> Traded:
        """One contract of the maker's, to the taker."""
        self.script.instrument_id = instrument_id
        ask = self.script.place(self.script.maker, Side.SELL, 1)
        trade = self.script.traded(ask.seq, self.script.seq + 1, 1, **changes)
        self.script.place(self.script.taker, Side.BUY, 1, trade)
        return trade

    def pulled(self) -> Feed:
        feed = self.feed()
        feed.pull()
        return feed

    def proven(self, batch: Batch, held: dict[int, list[int]]) -> bytes:
        """Its calldata, with the proof of those who took risk."""
        proof = batch_proof(risk_takers(batch, 9), held, update(), venue())
        return settle_proven_calldata(batch, proof)


@pytest.fixture
def proving(tmp_path: Path) -> Iterator[Proving]:
    proving = Proving(tmp_path)
    yield proving
    proving.close()


def test_a_batch_is_proven_with_what_its_risk_takers_hold_after_it(proving: Proving) -> None:
    """Not with what later batches bring, nor with what they closed, nor with what others hold."""
    proving.trade(proving.second)
    proving.trade(proving.first)
    proving.script.cut()
    proving.trade(proving.first, taker_subaccount_id=2, maker_subaccount_id=3)
    proving.trade(proving.third, taker_subaccount_id=7)
    proving.script.cut()
    feed = proving.pulled()
    one, two = (feed.build(feed.material(number), {}) for number in (1, 2))
    both = [proving.first, proving.second]
    assert proving.prover.calldata(one) == proving.proven(one, {2: both, 3: both})
    after = {2: [proving.second, proving.third], 3: [proving.second], 7: [proving.third]}
    assert risk_takers(two) == [2, 3]
    assert proving.prover.calldata(two) == proving.proven(two, after)


def test_a_batch_goes_unproven_where_nobody_wants_it_or_no_risk_grew(proving: Proving) -> None:
    """Governance decides each time; a withdrawal adds no risk."""
    proving.trade(proving.first)
    proving.script.cut()
    proving.script.withdraw(proving.script.taker, 5)
    proving.script.cut()
    feed, prover = proving.pulled(), proving.prover
    traded, paid = (feed.build(feed.material(number), {}) for number in (1, 2))
    assert prover.wanted
    assert prover.calldata(paid) == settle_calldata(paid)
    proving.chain.views["batchMargin"] = 0
    assert not prover.wanted
    assert prover.calldata(traded) == prover.trial(traded, 9, {}) == settle_calldata(traded)
    proving.chain.views["batchMargin"] = 1
    held = {number: [proving.first] for number in (2, 3)}
    assert prover.calldata(traded) == proving.proven(traded, held)


def test_a_trial_holds_what_replacements_would_leave(proving: Proving) -> None:
    """The venue in the maker's place, or an act that does not happen; up to a seq."""
    trade = proving.trade(proving.first)
    seq = proving.script.seq
    proving.trade(proving.second)
    proving.script.cut()
    proving.trade(proving.third)
    feed, prover = proving.pulled(), proving.prover
    terms = house_terms(trade, maker=True, deadline=1, signer=SIGNER)
    fill = replacement(trade, terms, bytes(65), maker=True)
    whole = feed.build(feed.material(1), {})
    both = [proving.first, proving.second]
    first = [proving.first]
    assert prover.trial(whole, seq, {}) == proving.proven(whole, {2: first, 3: first})
    assert prover.trial(whole, proving.script.seq - 2, {}) == prover.calldata(whole)
    amended = feed.build(feed.material(1), {fill.key: fill})
    assert risk_takers(amended) == [1, 2, 3]
    found = prover.trial(amended, proving.script.seq - 2, {fill.key: fill})
    assert found == proving.proven(amended, {1: first, 2: [proving.second], 3: both})


def test_a_trial_leaves_out_acts_or_gives_them_to_the_fund(proving: Proving) -> None:
    """Whose own risk nobody has to prove."""
    proving.trade(proving.first)
    leg = TransferredLeg(instrument_id=proving.first, quantity=10_000, price=1)
    sold = PortfolioTransferred(
        subaccount_id=3,
        taker_subaccount_id=2,
        step=1,
        fraction=10**18,
        legs=(leg,),
        discount=0,
        by_fund=False,
    )
    [act_id] = [act for _, act in numbered_events(proving.script.add(SweepLiquidations(), sold))]
    proving.script.cut()
    feed, prover, first = proving.pulled(), proving.prover, [proving.first]
    whole = feed.build(feed.material(1), {})
    assert prover.trial(whole, proving.script.seq, {}) == proving.proven(whole, {})
    for fund_id, held in ((0, {2: first, 3: first}), (9, {2: first})):
        act = RefusedAct(act_id=act_id, fund_subaccount_id=fund_id)
        amended = feed.build(feed.material(1), {act.key: act})
        assert risk_takers(amended, 9) == [2, 3]
        found = prover.trial(amended, proving.script.seq, {act.key: act})
        assert found == proving.proven(amended, held)
