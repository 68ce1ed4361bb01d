"""The search for what the chain refuses; tests/integration/test_novation.py asks a real chain."""

import time

import pytest
from structlog.testing import capture_logs
from tests.settlement_world import CLEARING, NS, PRICE, Script, Trader
from tests.unit.settlement.test_feed import Parts

from exchange.commands import (
    AccrueInterest,
    BidLiquidation,
    MassQuote,
    Novate,
    RefusedAct,
    RefusedMove,
    SweepLiquidations,
)
from exchange.events import (
    ActRefused,
    FeesShared,
    FillNovated,
    InsuranceUsed,
    InterestPaid,
    LossSocialised,
    MoveRefused,
    PortfolioTransferred,
    Refused,
    RejectReason,
    TransferredLeg,
    Withdrawn,
)
from exchange.fixed import RATIO_SCALE
from exchange.model import (
    FEE_SUBACCOUNT_ID,
    BidTerms,
    Quote,
    SheetTerms,
    Side,
    numbered,
    sheet_orders,
)
from exchange.settlement.acts import numbered_events
from exchange.settlement.batch import settle_calldata
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import Reverted
from exchange.settlement.novator import Novator, _smallest
from exchange.settlement.watcher import CommandRefused
from exchange.signing import Domain, address_of, order_digest, recover_signer

HOUSE_KEY = b"\x77" * 32


class Contract:
    """Refuses batches in which one of these nonces of a subaccount stands."""

    def __init__(self, *refused: tuple[int, int]) -> None:
        self.refused = [one.to_bytes(8, "big") + nonce.to_bytes(8, "big") for one, nonce in refused]
        self.asked = 0
        self.clearing = "Clearing"
        names = Deployment.__struct_fields__
        fields = dict.fromkeys(names, "") | {"chain_id": 31_337, "clearing": CLEARING}
        fields |= {"block": 1, "tokens": {}}
        self.deployment = Deployment(**fields)

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        self.asked += 1
        return Reverted("Some") if any(key in data for key in self.refused) else None

    def call(self, contract: str, name: str) -> int:
        """The insurance fund is the venue's own subaccount."""
        assert (contract, name) == (self.clearing, "fundId")
        return FEE_SUBACCOUNT_ID


def novated(command: Novate) -> list[FillNovated]:
    """What the engine says of fills."""
    return [
        FillNovated(
            batch=command.batch,
            trade_id=fill.trade_id,
            maker=fill.maker,
            subaccount_id=fill.subaccount_id,
            house_subaccount_id=FEE_SUBACCOUNT_ID,
            instrument_id=fill.terms.instrument_id,
            quantity=fill.terms.side.sign * fill.terms.quantity,
            price=fill.terms.limit_price,
            fee=fill.fee,
        )
        for fill in command.fills
    ]


def refused_moves(script: Script, command: Novate) -> list[MoveRefused]:
    """What the engine says of moves."""
    found = []
    for move in command.moves:
        terms = script.entries[move.seq - 1].command.terms
        found.append(
            MoveRefused(
                batch=command.batch,
                seq=move.seq,
                subaccount_id=terms.subaccount_id,
                to_subaccount_id=0,
                amount=terms.amount,
                nonce=terms.nonce,
            )
        )
    return found


def refused_acts(script: Script, command: Novate) -> list[ActRefused]:
    """What the engine says of acts."""
    known = {act_id: event for entry in script.entries for event, act_id in numbered_events(entry)}
    return [
        ActRefused(
            batch=command.batch,
            act_id=act.act_id,
            act=known[act.act_id],
            subaccount_id=2,
            fund_subaccount_id=act.fund_subaccount_id,
        )
        for act in command.acts
    ]


class Sink:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands = []

    def novate(self, command):
        self.commands.append(command)
        moves, acts = refused_moves(self.script, command), refused_acts(self.script, command)
        self.script.add(command, *novated(command), *moves, *acts)


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def novator(parts, contract, clock=time.monotonic):
    feed, sink = parts.feed(), Sink(parts.script)
    feed.pull()
    return feed, sink, Novator(feed, contract, sink, key=HOUSE_KEY, sender="0x", clock=clock)


def test_the_failing_order_is_found_among_many(parts):
    """In few questions; then the batch, and the one after it, are built anew around it."""
    for _ in range(20):
        parts.script.trade()
    bad = Trader(b"\x55" * 32, 2, next_nonce=500)
    ask = parts.script.place(bad, Side.SELL, 1)
    trade = parts.script.traded(ask.seq, parts.script.seq + 1, 1)
    parts.script.place(parts.script.taker, Side.BUY, 1, trade)
    parts.script.trade()
    parts.script.cut()
    parts.script.trade()
    parts.script.cut()
    contract = Contract((2, 501))
    feed, sink, found = novator(parts, contract)
    before = parts.outbox.jobs()
    assert found.replace(1)
    assert [fill.key for fill in sink.commands[0].fills] == [(trade.trade_id, True)]
    assert contract.asked < 12
    [fill] = sink.commands[0].fills
    trade_s = parts.script.time_ns // NS
    assert (fill.terms.deadline, fill.terms.signer) == (
        trade_s + 30 * 86_400,
        address_of(HOUSE_KEY),
    )
    domain = Domain(31_337, CLEARING)
    assert recover_signer(order_digest(domain, fill.terms), fill.signature) == fill.terms.signer
    assert (found.novated, feed.pull()) == (1, 0)
    after = parts.outbox.jobs()
    assert all(old.batch_hash != new.batch_hash for old, new in zip(before, after, strict=True))
    assert contract.refusal("", "", after[0].data) is None
    assert feed.build(feed.material(2), {}).header.previous_hash == after[0].batch_hash
    again = parts.feed()
    again.pull()
    assert parts.outbox.jobs() == after


class Unwilling(Sink):
    """The engine refuses the first `times` novations; its journal holds them all the same."""

    def __init__(self, script: Script, times: int) -> None:
        super().__init__(script)
        self.times = times

    def novate(self, command):
        if len(self.commands) >= self.times:
            super().novate(command)
            return
        self.commands.append(command)
        self.script.add(command, Refused(reason=RejectReason.NOT_NOVATABLE, detail=""))
        raise CommandRefused("409")


def test_a_refused_novation_waits_until_the_journal_moved(parts):
    """Its own refusal is no movement; every further one waits longer, with one line in the log."""
    now = [100.0]
    script = parts.script
    script.trade()
    script.cut()
    contract = Contract((2, script.maker.next_nonce))
    feed, _, found = novator(parts, contract, lambda: now[0])
    found._sink = sink = Unwilling(script, 2)

    def steps(count):
        """The relayer's next ones, of a tenth of a second; how many novations they sent."""
        before, asked = len(sink.commands), contract.asked
        for _ in range(count):
            feed.pull()
            assert found.novated or found.replace(1)
            now[0] += 0.1
        sent = len(sink.commands) - before
        assert sent or contract.asked == asked, "who waits does not search either"
        return sent

    with capture_logs() as logs:
        assert steps(100) == 1
        script.trade()
        assert steps(100) == 1, "refused once more"
        script.trade()
        now[0] -= 9.9
        assert steps(3) == 0, "not so soon"
        assert steps(20) == 1
    refused = [line for line in logs if line["event"] == "a novation was refused"]
    assert [line["retry_in_s"] for line in refused] == [0.5, 1.0]
    assert found.novated == 1
    feed.pull()
    assert contract.refusal("", "", parts.outbox.jobs()[0].data) is None


def test_a_refused_withdrawal_does_not_happen(parts):
    """It is named by its command; the rest of the batch settles, and later ones follow."""
    script = parts.script
    script.trade()
    script.taker.next_nonce = 7_777_777
    withdrawal = script.withdraw(script.taker, 5)
    script.cut()
    script.trade()
    script.cut()
    contract = Contract()
    contract.refused = [withdrawal.command.terms.nonce.to_bytes(32, "big")]
    feed, sink, found = novator(parts, contract)
    assert found.replace(1)
    [command] = sink.commands
    assert (command.fills, command.moves) == ((), (RefusedMove(seq=withdrawal.seq),))
    assert (found.novated, feed.pull()) == (1, 0)
    first, _ = parts.outbox.jobs()
    assert contract.refusal("", "", first.data) is None
    assert feed.build(feed.material(2), {}).header.previous_hash == first.batch_hash


def test_a_batch_refused_for_another_reason_is_left_alone(parts):
    """The batch itself without any item, or a command that nothing mends."""
    script = parts.script
    script.withdraw(script.taker, 5)
    script.cut()
    contract = Contract()
    contract.refused = [b""]
    _, sink, found = novator(parts, contract)
    assert not found.replace(1)
    assert sink.commands == []


class Stubborn(Contract):
    """Takes nothing that holds an item."""

    def __init__(self) -> None:
        super().__init__()
        self.empty = 0

    def refusal(self, sender, to, data):
        self.empty = self.empty or len(data)  # the first question is about no item at all
        return None if len(data) <= self.empty else Reverted("Some")


def test_where_nothing_helps_a_person_must_look(parts):
    """Neither side of the fill can be spared, and there is no withdrawal in its command."""
    parts.script.trade()
    parts.script.cut()
    _, sink, found = novator(parts, Stubborn())
    assert not found.replace(1)
    assert sink.commands == []


def test_linear_positions_are_rebuilt(parts):
    """Of the failing side and of the venue, as all of the journal leaves them."""
    script = parts.script
    script.instrument_id = script.perpetual_id
    script.trade(2)
    script.cut()
    script.trade(3)
    _, sink, found = novator(parts, Contract((2, 2)))
    assert found.replace(1)
    house, failing = sink.commands[0].rebuilt
    per_contract = 2_500 * 10**6
    assert (house.subaccount_id, house.before, house.after[0]) == (1, (0, 0, 0), -20_000)
    assert (failing.before[:2], failing.after[:2]) == (
        (-50_000, -5 * per_contract),
        (-30_000, -3 * per_contract),
    )
    assert house.cash == failing.cash == 0


def test_no_order_is_replaced_that_can_be_spared():
    """The smallest set that lets the command settle, by leaving one out after the other."""
    assert _smallest([1, 2, 3], lambda orders: 2 in orders) == [2]
    assert _smallest([1, 2, 3], lambda orders: {1, 3} <= set(orders)) == [1, 3]
    assert _smallest([1, 2], lambda orders: False) == []
    assert _smallest([], lambda orders: True) == []


def test_the_venues_own_order_is_not_replaced(parts):
    """If even that does not settle, a person must look."""
    script = parts.script
    house = Trader(HOUSE_KEY, FEE_SUBACCOUNT_ID)
    ask = script.place(house, Side.SELL, 1)
    trade = script.traded(ask.seq, script.seq + 1, 1, maker_subaccount_id=FEE_SUBACCOUNT_ID)
    script.place(script.taker, Side.BUY, 1, trade)
    script.cut()
    _, sink, found = novator(parts, Contract((FEE_SUBACCOUNT_ID, house.next_nonce)))
    assert not found.replace(1)
    assert sink.commands == []


BID = b"\x5a" * 65
FRACTION = RATIO_SCALE - 12_345


def taken_over(script, *, taker=3, bid=True):
    """A keeper buys what the maker holds, or the fund takes it; the number of the act."""
    moved = PortfolioTransferred(
        subaccount_id=2,
        taker_subaccount_id=taker,
        step=1,
        fraction=FRACTION,
        legs=(TransferredLeg(instrument_id=script.instrument_id, quantity=-10_000, price=10**6),),
        discount=7,
        by_fund=False,
    )
    terms = BidTerms(
        subaccount_id=taker,
        liquidated_id=2,
        fraction=RATIO_SCALE,
        price_limit=0,
        expected_step=0,
        nonce=9,
        deadline=2**40,
        signer="0x" + "ab" * 20,
    )
    command = BidLiquidation(terms=terms, signature=BID) if bid else SweepLiquidations()
    return numbered(script.add(command, moved).seq, 0)


def refusing(*refused: bytes) -> Contract:
    contract = Contract()
    contract.refused = list(refused)
    return contract


@pytest.mark.parametrize(
    ("refused", "fund"), [(BID, FEE_SUBACCOUNT_ID), (FRACTION.to_bytes(32, "big"), 0)]
)
def test_a_takeover_goes_to_the_fund_or_does_not_happen(parts, refused, fund):
    """The fund in the keeper's place is tried first; fills and later batches stand."""
    script = parts.script
    script.trade(2)
    act_id = taken_over(script)
    script.cut()
    script.trade()
    script.cut()
    contract = refusing(refused)
    feed, sink, found = novator(parts, contract)
    assert found.replace(1)
    [command] = sink.commands
    assert command.acts == (RefusedAct(act_id=act_id, fund_subaccount_id=fund),)
    assert (command.fills, command.moves, found.novated, feed.pull()) == ((), (), 1, 0)
    batch = feed.build(feed.material(1), {})
    assert [one.event.taker_subaccount_id for one in batch.takeovers] == [fund] * bool(fund)
    assert all(one.bid is None for one in batch.takeovers)
    first, second = parts.outbox.jobs()
    assert contract.refusal("", "", first.data) is None
    assert feed.build(feed.material(2), {}).header.previous_hash == first.batch_hash
    assert second.fills == 1


def test_the_fund_has_no_place_but_its_own(parts):
    """What it took itself does not happen."""
    act_id = taken_over(parts.script, taker=FEE_SUBACCOUNT_ID, bid=False)
    parts.script.cut()
    _, sink, found = novator(parts, refusing(FRACTION.to_bytes(32, "big")))
    assert found.replace(1)
    assert sink.commands[0].acts == (RefusedAct(act_id=act_id),)


def without(parts, refused, act_id):
    """The batch that is left where the chain takes none with these bytes: of one act."""
    feed, sink, found = novator(parts, refusing(refused))
    assert found.replace(1)
    assert sink.commands[0].acts == (RefusedAct(act_id=act_id),)
    feed.pull()
    return feed.build(feed.material(1), {})


def test_a_loss_is_found_among_the_acts_of_a_batch(parts):
    """A debt that the fund paid stands, the shares after it do not."""
    script = parts.script
    used = InsuranceUsed(fund_subaccount_id=1, liquidated_id=2, subaccount_id=2, amount=4_444_444)
    shared = LossSocialised(
        fund_subaccount_id=1,
        liquidated_id=1,
        amount=5_555_556,
        shares=((2, 5_555_555), (3, 1)),
        declared=5_555_556,
    )
    taken = taken_over(script)
    seq = script.add(SweepLiquidations(), used, shared).seq
    script.cut()
    batch = without(parts, (5_555_555).to_bytes(16, "big"), numbered(seq, 1))
    assert [due.act_id for due in batch.dues] == [numbered(seq, 0)]
    assert [one.act_id for one in batch.takeovers] == [taken]


def test_a_share_of_fees_that_fails_is_left_out(parts):
    """The fills before it stand."""
    script = parts.script
    script.trade()
    shared = FeesShared(subaccount_id=1, fund_subaccount_id=2, amount=6_666_667)
    seq = script.add(AccrueInterest(), shared).seq
    script.cut()
    batch = without(parts, (6_666_667).to_bytes(32, "big"), numbered(seq, 0))
    assert (len(batch.fills), batch.dues) == (1, ())


def test_the_first_of_two_acts_that_fails_is_left_out_alone(parts):
    """The one after it stands."""
    script, amounts = parts.script, (6_666_667, 7_777_778)
    acts = [
        script.add(
            AccrueInterest(), FeesShared(subaccount_id=1, fund_subaccount_id=2, amount=amount)
        ).seq
        for amount in amounts
    ]
    script.cut()
    batch = without(parts, amounts[0].to_bytes(32, "big"), numbered(acts[0], 0))
    assert [due.amount for due in batch.dues] == [amounts[1]]


def test_interest_and_exits_that_fail_are_left_out(parts):
    """One of three charges of a command, then one of two exits of another."""
    script = parts.script
    charges = [InterestPaid(subaccount_id=who, amount=7_000_000 + who) for who in (2, 3, 4)]
    exits = [
        Withdrawn(
            subaccount_id=who,
            amount=8_000_000 + who,
            recipient="0x" + "cd" * 20,
            nonce=1,
            exit_token=script.token,
        )
        for who in (2, 3)
    ]
    script.trade()
    accrued = script.add(AccrueInterest(), *charges).seq
    left = script.add(AccrueInterest(), *exits).seq
    script.cut()
    refused = [amount.to_bytes(32, "big") for amount in (7_000_003, 8_000_002)]
    feed, sink, found = novator(parts, refusing(*refused))
    for act_id in (numbered(accrued, 1), numbered(left, 0)):
        assert found.replace(1)
        assert sink.commands[-1].acts == (RefusedAct(act_id=act_id),)
        feed.pull()
    batch = feed.build(feed.material(1), {})
    assert [one.act_id for one in batch.interests] == [numbered(accrued, n) for n in (0, 2)]
    assert [one.act_id for one in batch.withdrawals] == [numbered(left, 1)]


def test_an_act_that_nothing_mends_waits_for_a_person(parts):
    """Refused without it too."""
    taken_over(parts.script)
    parts.script.cut()

    class Odd(Contract):
        def refusal(self, sender, to, data):
            self.asked += 1
            return None if self.asked <= 1 else Reverted("Some")

    _, sink, found = novator(parts, Odd())
    assert not found.replace(1)
    assert sink.commands == []


class Trials:
    """Calldata without a proof; keeps what the proof would be made of."""

    def __init__(self):
        self.asked = []

    def trial(self, part, last_seq, replaced):
        assert part.trades == ()
        assert all(fill.seq_offset <= last_seq - part.header.first_seq for fill in part.fills)
        self.asked.append((last_seq, set(replaced), len(part.takeovers)))
        return settle_calldata(part)


def test_each_part_is_tried_with_the_holdings_that_it_leaves(parts):
    """Up to its last command; without acts that come later, and with what was replaced."""
    script = parts.script
    script.trade()
    bad = Trader(b"\x55" * 32, 2, next_nonce=500)
    ask = script.place(bad, Side.SELL, 1)
    trade = script.traded(ask.seq, script.seq + 1, 1)
    seq = script.place(script.taker, Side.BUY, 1, trade).seq
    act = RefusedAct(act_id=taken_over(script)).key
    script.cut()
    feed, sink, _ = novator(parts, contract := Contract((2, 501)))
    trials = Trials()
    found = Novator(feed, contract, sink, key=HOUSE_KEY, sender="0x", solvency=trials)
    assert found.replace(1)
    assert trials.asked[0] == (0, {act}, 0), "nothing at all"
    assert (seq, set(), 1) in trials.asked, "all of it"
    assert trials.asked[-1] == (seq, {(trade.trade_id, True), act}, 0)


def quote_sheet(script):
    """Two asks of the maker under one signature."""
    terms = SheetTerms(
        subaccount_id=2,
        sheet_nonce=1,
        first_nonce=4_000,
        max_fee=10**9,
        deadline=script.time_ns // NS + 3_600,
        signer=script.maker.address,
    )
    lines = tuple(Quote(script.instrument_id, 0, 0, PRICE, 10_000) for _ in range(2))
    return script.add(MassQuote(terms=terms, quotes=lines, signature=bytes(65)))


def test_a_leaf_that_fails_is_replaced_alone(parts):
    """The other leaves of its sheet stand; the sheet is shown for them."""
    script = parts.script
    sheet = quote_sheet(script)
    for place in (0, 1):
        number = numbered(sheet.seq, place)
        trade = script.traded(1, script.seq + 1, 1, maker_signed_seq=number)
        script.place(script.taker, Side.BUY, 1, trade)
    script.cut()
    leaves = sheet_orders(sheet.command.terms, sheet.command.quotes)
    feed, sink, found = novator(parts, Contract((2, leaves[1].nonce)))
    assert found.replace(1)
    [fill] = sink.commands[0].fills
    assert (fill.maker, fill.subaccount_id) == (True, 2)
    feed.pull()
    batch = feed.build(feed.material(1), {})
    assert len(batch.sheets) == 1
    assert [order.terms.nonce for order in batch.orders if order.sheet == 0] == [leaves[0].nonce]
