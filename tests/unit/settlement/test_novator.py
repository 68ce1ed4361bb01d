"""The search for what the chain refuses; tests/integration/test_novation.py asks a real chain."""

import pytest
from tests.settlement_world import CLEARING, Script, Trader
from tests.unit.settlement.test_feed import Parts

from exchange.commands import Novate, RefusedMove
from exchange.events import FillNovated, MoveRefused
from exchange.model import FEE_SUBACCOUNT_ID, Side
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import Reverted
from exchange.settlement.novator import Novator, _smallest

HOUSE_KEY = b"\x77" * 32


class Contract:
    """Refuses batches in which one of these nonces of a subaccount stands."""

    def __init__(self, *refused: tuple[int, int]) -> None:
        self.refused = [one.to_bytes(8, "big") + nonce.to_bytes(8, "big") for one, nonce in refused]
        self.asked = 0
        names = Deployment.__struct_fields__
        fields = dict.fromkeys(names, "") | {"chain_id": 31_337, "clearing": CLEARING}
        fields |= {"block": 1, "tokens": {}}
        self.deployment = Deployment(**fields)

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        self.asked += 1
        return Reverted("Some") if any(key in data for key in self.refused) else None


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


class Sink:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.commands = []

    def novate(self, command):
        self.commands.append(command)
        self.script.add(command, *novated(command), *refused_moves(self.script, command))


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path)
    yield parts
    parts.close()


def novator(parts, contract):
    feed, sink = parts.feed(), Sink(parts.script)
    feed.pull()
    return feed, sink, Novator(feed, contract, sink, key=HOUSE_KEY, sender="0x")


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
    assert (found.novated, feed.pull()) == (1, 0)
    after = parts.outbox.jobs()
    assert all(old.batch_hash != new.batch_hash for old, new in zip(before, after, strict=True))
    assert contract.refusal("", "", after[0].data) is None
    assert feed.build(feed.material(2), {}).header.previous_hash == after[0].batch_hash
    again = parts.feed()
    again.pull()
    assert parts.outbox.jobs() == after


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
