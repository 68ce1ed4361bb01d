"""The model contract against the figures that the journal's events give, and its refusals."""

from pathlib import Path

import msgspec
import pytest
from tests.settlement_world import ORACLE_KEYS, PRICE, Script

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import Job, JobKind, Outbox
from exchange.settlement.batch import settle_calldata
from exchange.settlement.errors import Reverted
from exchange.settlement.feed import Feed
from exchange.settlement.oracle_desks import OracleDesks
from exchange.simulation.contract import Contract, batch_words
from exchange.simulation.parameters import CLEARING, DEPLOYMENT, ORACLE, USDC

FAR_S = 10**10
FUNDS = 1_000_000 * CASH_SCALE


class Parts:
    """A journal written by hand, and what a relayer would send of it."""

    def __init__(self, folder: Path) -> None:
        self.script = Script(folder / "journal.db", clearing=CLEARING, token=USDC)
        self.outbox = Outbox(str(folder / "outbox.db"))
        self.reader = JournalReader(str(folder / "journal.db"))
        desks = OracleDesks(DEPLOYMENT.chain_id, ORACLE, ORACLE_KEYS)
        self.feed = Feed(self.reader, self.outbox, clearing=CLEARING, desks=desks)
        self.contract = Contract()
        for trader in (self.script.maker, self.script.taker):
            self.contract.ledger.add(("cash", trader.subaccount_id), FUNDS)
            self.contract.ledger.add(("deposited",), FUNDS)

    def jobs(self, *kinds: JobKind) -> list[Job]:
        self.feed.pull()
        return [job for job in self.outbox.jobs() if job.kind in kinds]

    def send_all(self) -> list[int]:
        jobs = self.jobs(JobKind.BATCH, JobKind.DELIVERY, JobKind.FUNDING)
        return [self.contract.execute(job.data, FAR_S) for job in jobs]

    def held(self, who: int) -> tuple[int, int]:
        ledger, instrument = self.contract.ledger, self.script.instrument_id
        position = ledger.get(("held", who, instrument), None)
        return ledger.get(("cash", who)), position.quantity if position else 0

    def close(self) -> None:
        self.reader.close()
        self.script.close()
        self.outbox.close()


@pytest.fixture
def parts(tmp_path: Path):
    made = Parts(tmp_path)
    yield made
    made.close()


def test_a_fill_moves_premium_positions_and_fees(parts: Parts) -> None:
    """A bid of two contracts takes an ask; the maker pays one of fees a contract, the taker two."""
    parts.script.trade(2)
    parts.script.cut()
    assert parts.send_all() == [1]
    maker, taker = parts.script.maker.subaccount_id, parts.script.taker.subaccount_id
    assert parts.held(maker) == (FUNDS + 2 * PRICE - 2 * CASH_SCALE, -2 * QUANTITY_SCALE)
    assert parts.held(taker) == (FUNDS - 2 * PRICE - 4 * CASH_SCALE, 2 * QUANTITY_SCALE)
    assert parts.contract.ledger.get(("cash", 1)) == 6 * CASH_SCALE
    parts.contract.check()


def test_a_batch_settles_once_and_in_its_turn(parts: Parts) -> None:
    """A refused one changes nothing."""
    for _ in range(2):
        parts.script.trade()
        parts.script.cut()
    first, second = parts.jobs(JobKind.BATCH)
    with pytest.raises(Reverted, match="WrongNumber"):
        parts.contract.execute(second.data, FAR_S)
    parts.contract.execute(first.data, FAR_S)
    length = len(parts.contract.ledger.log)
    with pytest.raises(Reverted, match="WrongNumber"):
        parts.contract.execute(first.data, FAR_S)
    assert len(parts.contract.ledger.log) == length
    assert parts.contract.execute(second.data, FAR_S) == 2
    with pytest.raises(Reverted, match="TimeTooLate"):
        Contract().execute(first.data, 1)


def test_payoffs_need_the_delivery_price(parts: Parts) -> None:
    """The price is posted first, and fixed for good."""
    script = parts.script
    script.trade()
    script.expire(1, 101_000 * CASH_SCALE)
    script.cut()
    delivery, batch = parts.jobs(JobKind.DELIVERY, JobKind.BATCH)
    with pytest.raises(Reverted, match="NotFixed"):
        parts.contract.execute(batch.data, FAR_S)
    with pytest.raises(Reverted, match="NotExpired"):
        parts.contract.execute(delivery.data, 1)
    parts.contract.execute(delivery.data, FAR_S)
    parts.contract.execute(delivery.data, FAR_S)
    assert parts.contract.execute(batch.data, FAR_S) == 1
    taker = script.taker.subaccount_id
    cash = FUNDS - PRICE - 2 * CASH_SCALE + 1_000 * CASH_SCALE
    assert parts.held(taker) == (cash, 0)
    parts.contract.check()


def test_a_withdrawal_needs_cash_and_a_fresh_nonce(parts: Parts) -> None:
    """What leaves is gone from the venue; more than is there stops the batch."""
    script = parts.script
    script.withdraw(script.maker, FUNDS // 2)
    script.cut()
    assert parts.send_all() == [1]
    assert parts.held(script.maker.subaccount_id)[0] == FUNDS // 2
    parts.contract.check()
    script.withdraw(script.maker, FUNDS)
    script.cut()
    with pytest.raises(Reverted, match="InsufficientCash"):
        parts.contract.execute(parts.jobs(JobKind.BATCH)[1].data, FAR_S)


def test_what_was_written_can_be_undone(parts: Parts) -> None:
    """As a reorganisation does; views of before tell what was."""
    parts.script.trade()
    parts.script.cut()
    ledger = parts.contract.ledger
    length = len(ledger.log)
    maker = parts.script.maker.subaccount_id
    parts.send_all()
    assert ledger.before(length)(("cash", maker), 0) == FUNDS
    ledger.undo(length)
    assert parts.held(maker) == (FUNDS, 0)
    assert parts.send_all() == [1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"price": PRICE + 10**4}, "LimitCrossed"),
        ({"quantity": 3 * QUANTITY_SCALE}, "Overfilled"),
        ({"taker_fee": 10**12}, "FeeAboveCap"),
        ({"time": 2**32 - 1}, "TimeTooLate"),
        ({"seq_offset": 99}, "SeqOutOfRange"),
    ],
)
def test_a_fill_that_was_not_signed_is_refused(parts: Parts, change: dict, error: str) -> None:
    """Price, quantity, fee and time, as in the contract."""
    parts.script.trade()
    parts.script.cut()
    parts.feed.pull()
    batch = parts.feed.build(parts.feed.material(1), {})
    fill = msgspec.structs.replace(batch.fills[0], **change)
    data = settle_calldata(msgspec.structs.replace(batch, fills=(fill,)))
    with pytest.raises(Reverted, match=error):
        parts.contract.execute(data, 2 * 10**9)
    parts.contract.unsigned.add((parts.script.maker.subaccount_id, 2))
    with pytest.raises(Reverted, match="InvalidSignature"):
        parts.contract.execute(settle_calldata(batch), FAR_S)


def test_calldata_is_read_as_it_was_packed(parts: Parts) -> None:
    """Orders, fills and the hash of the batch."""
    parts.script.trade(2)
    parts.script.cut()
    (job,) = parts.jobs(JobKind.BATCH)
    words = batch_words(job.data)
    assert words.batch_hash == job.batch_hash
    assert [order.subaccount_id for order in words.orders] == [
        parts.script.maker.subaccount_id,
        parts.script.taker.subaccount_id,
    ]
    assert (words.fills[0].price, words.fills[0].quantity) == (PRICE, 2 * QUANTITY_SCALE)
