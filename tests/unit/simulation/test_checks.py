"""What the witness and the engine that looks at itself complain about."""

from collections.abc import Sequence

import pytest

from exchange.commands import CutBatch, PlaceOrder, ReleaseOrders
from exchange.events import (
    AnyEvent,
    BatchConfirmed,
    BatchCut,
    Deposited,
    OrderPlaced,
    Traded,
    Withdrawn,
)
from exchange.journal import EntryEncoder
from exchange.model import Side, TimeInForce
from exchange.sequencer import Reply
from exchange.simulation.checks import Broken, CheckedEngine, Witness, outside, replayed
from exchange.simulation.store import Store, StoreJournal, StoreReader


class Life:
    """A journal under a witness."""

    def __init__(self) -> None:
        self.store = Store()
        self.journal = StoreJournal(self.store)
        self.encoder = EntryEncoder()
        self.witness = Witness(self.store, {})

    def happen(self, *events: AnyEvent) -> Reply:
        """One command with these events, durable and told."""
        entry, record = self.encoder.stamp(10**18, ReleaseOrders(), events)
        self.journal.append([entry], [record])
        self.witness.follow([entry])
        return Reply(
            seq=entry.seq, time_ns=entry.time_ns, events=events, chain_hash=entry.chain_hash
        )


def placed(order_id: int, nonce: int = 7) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id, subaccount_id=3, instrument_id=1, side=Side.BUY, quantity=100,
        limit_price=1, nonce=nonce, time_in_force=TimeInForce.GTC, post_only=False,
        reduce_only=False, label="",
    )  # fmt: skip


def traded(quantity: int) -> Traded:
    return Traded(
        trade_id=1, instrument_id=1, price=1, quantity=quantity, taker_side=Side.BUY,
        maker_order_id=1, taker_order_id=2, maker_subaccount_id=3, taker_subaccount_id=4,
        maker_signed_seq=1, taker_signed_seq=2, maker_fee=0, taker_fee=0,
    )  # fmt: skip


def cut(number: int, first_seq: int, last_seq: int) -> BatchCut:
    return BatchCut(
        number=number, first_seq=first_seq, last_seq=last_seq, risk_epoch=0, state_hash=bytes(32)
    )


WITHDRAWN = Withdrawn(subaccount_id=3, amount=5, recipient="", nonce=9)
CONFIRMED = BatchConfirmed(number=1, block=1, transaction="")


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ((placed(1), placed(2)), "entered twice"),
        ((placed(1), traded(60), traded(60)), "traded more than was signed"),
        ((WITHDRAWN, WITHDRAWN), "money moved twice"),
        ((placed(1, nonce=9), WITHDRAWN), "money moved twice"),
        ((cut(1, 1, 1), cut(3, 2, 2)), "does not follow"),
        ((cut(1, 1, 1), cut(2, 3, 3)), "does not follow"),
        ((CONFIRMED, CONFIRMED), "confirmed twice"),
    ],
)
def test_what_must_not_be_is_seen(events: Sequence[AnyEvent], complaint: str) -> None:
    """At the command where it happens."""
    life = Life()
    *before, last = events
    for event in before:
        life.happen(event)
    with pytest.raises(Broken, match=complaint):
        life.happen(last)


def test_what_may_be_passes() -> None:
    """An order that waited enters once more; cash comes and goes."""
    life = Life()
    life.happen(placed(1), placed(1), traded(40), traded(60), cut(1, 1, 1))
    life.happen(Deposited(subaccount_id=3, amount=8), WITHDRAWN, CONFIRMED)
    assert life.witness.cash == 3
    assert life.witness.order_id(3, 7) == 1
    assert life.witness.traded[1] == 100
    assert outside(Deposited(subaccount_id=3, amount=8, token="0x1")) == 0


def test_replies_must_be_durable_then_and_later() -> None:
    """A reply too early, and one whose command is gone or another one."""
    life = Life()
    reply = life.happen()
    life.witness.hear(reply)
    life.witness.after_crash()
    early = Reply(seq=2, time_ns=1, events=(), chain_hash=b"")
    with pytest.raises(Broken, match="before it was durable"):
        life.witness.hear(early)
    life.store.durable = 0
    life.store.crash()
    with pytest.raises(Broken, match="is lost"):
        life.witness.after_crash()
    encoder = EntryEncoder()
    entry, record = encoder.stamp(10**18, CutBatch(), ())
    StoreJournal(life.store).append([entry], [record])
    with pytest.raises(Broken, match="another command now"):
        life.witness.after_crash()


def test_the_journal_has_no_gap() -> None:
    """What a crash kept is caught up with; anything out of its turn is a complaint."""
    life = Life()
    life.happen()
    entry, record = life.encoder.stamp(10**18, ReleaseOrders(), ())
    life.journal.append([entry], [record])
    life.witness.catch_up()
    assert life.witness.entries == 2
    with pytest.raises(Broken, match="follows 2"):
        life.witness.follow([entry])


def test_cash_from_nowhere_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the engine looks; what it restored must have the cash that came in."""
    from tests.venue import open_venue

    venue = open_venue()
    ann, bob = venue.fund("ann"), venue.fund("bob")
    venue.sell(ann, 1, 2_500)
    engine = CheckedEngine.restored(venue.engine.snapshot())
    with pytest.raises(Broken, match="after a restart"):
        engine.look(venue.engine.total_cash() - 1)
    engine.look(venue.engine.total_cash())

    def rich(self, _command) -> None:
        self._venue.subaccounts[ann].account.add_cash(1)

    monkeypatch.setattr(CheckedEngine, "_dispatch", rich, raising=False)
    order = PlaceOrder(terms=venue.terms(bob, Side.BUY, 1, 2_500), signature=b"")
    with pytest.raises(Broken, match="1 of cash came from nowhere"):
        engine.apply(engine.seq + 1, venue.time_ns, order)


def test_a_replay_that_differs_is_seen() -> None:
    """Events that the engine does not give."""
    life = Life()
    life.happen(WITHDRAWN)
    with pytest.raises(Broken, match="replays to other events"):
        replayed(StoreReader(life.store), CheckedEngine(), {})
