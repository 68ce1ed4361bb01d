"""Journal against a chain in memory."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.fake_chain import CLEARING, WETH, FakeChain, oracle_desks
from tests.settlement_world import PRICE, RELAYER_KEY, Script
from tests.unit.engine.test_published import RULES
from tests.venue import COLLATERALS, configuration

from exchange.commands import (
    DepositSeen,
    ObserveBlocks,
    PublicationParameters,
    SubaccountSeen,
)
from exchange.events import Configured, Refused, RejectReason
from exchange.fixed import CASH_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import Outbox
from exchange.settlement.batch import Tip
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.errors import ChainUnavailable, NodeRefused, ReorgDetected
from exchange.settlement.feed import Feed
from exchange.settlement.holdings import Held
from exchange.settlement.margin_proof import parameters_hash
from exchange.settlement.reconcile import (
    Difference,
    Reconciliation,
    compare_parameters,
    reconcile,
)
from exchange.settlement.watcher import Watcher, WatcherOptions


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    script = Script(tmp_path / "journal.db")
    yield script
    script.close()


def observed(script: Script, chain: FakeChain | None = None) -> FakeChain:
    """A chain with one deposit, in the journal too."""
    chain = chain or FakeChain()
    chain.observe(
        SubaccountSeen(subaccount_id=2, owner="0x"), DepositSeen(subaccount_id=2, amount=100)
    )
    Watcher(chain, script, WatcherOptions()).step(BlockCursor())
    return chain


def compare(script: Script, chain: FakeChain) -> Reconciliation:
    reader = JournalReader(str(script.path))
    try:
        return reconcile(reader, chain)
    finally:
        reader.close()


def test_equal_books_have_no_difference(script: Script) -> None:
    """The fee account and every subaccount were compared."""
    chain = observed(script)
    chain.cash = {2: 100}
    found = compare(script, chain)
    assert (found.accounts, found.figures, found.block, found.batch) == (2, 4, 1, 0)
    assert found.differences == ()


def test_unsettled_trades_are_not_expected_on_chain(script: Script) -> None:
    """A trade without a settled batch is ahead of the chain, not a difference."""
    chain = observed(script)
    chain.cash = {2: 100}
    script.trade()
    script.cut()
    assert compare(script, chain).differences == ()


def test_a_difference_is_named(script: Script) -> None:
    """Which account, what, how much."""
    chain = observed(script)
    chain.cash = {2: 99}
    [difference] = compare(script, chain).differences
    assert difference == Difference(subaccount_id=2, instrument_id=0, expected=100, on_chain=99)
    assert str(difference) == "subaccount 2: cash should be 100, the chain has 99"
    position = Difference(subaccount_id=2, instrument_id=7, expected=1, on_chain=0)
    assert str(position) == "subaccount 2: quantity in 7 should be 1, the chain has 0"


class Forgetful(FakeChain):
    """A node that came back without the states of blocks before its newest."""

    says = "BlockOutOfRangeError"

    def last_batch(self, block: int | str = "latest") -> Tip:
        if block != "latest":
            raise NodeRefused(-32602, self.says)
        return super().last_batch(block)


def test_a_node_without_the_state_says_what_to_do(script: Script) -> None:
    """The journal stands on an older block until it observes the newest."""
    chain = observed(script, Forgetful())
    chain.cash = {2: 100}
    assert compare(script, chain).differences == ()
    chain.mine()
    with pytest.raises(ChainUnavailable, match=r"no state of block 1.* Ask again when the journal"):
        compare(script, chain)
    chain.says = "too many requests"
    with pytest.raises(NodeRefused, match="too many requests"):
        compare(script, chain)


class Busy(FakeChain):
    """A chain on which a payment out of account 2 is mined while it is asked."""

    def cash_and_positions(
        self, subaccount_id: int, instrument_ids: list[int], block: int | str = "latest"
    ) -> tuple[int, dict[int, Held]]:
        if block == "latest":
            if self.head() == 1:
                self.mine()
            return 0, {}
        return super().cash_and_positions(subaccount_id, instrument_ids, block)


def test_a_chain_that_goes_on_is_asked_for_the_observed_block(script: Script) -> None:
    """What is mined during the comparison is no difference."""
    chain = Busy()
    observed(script, chain)
    chain.cash = {2: 100}
    found = compare(script, chain)
    assert (chain.head(), found.block, found.differences) == (2, 1, ())


def test_tokens_are_compared_too(script: Script) -> None:
    """Of everybody, by name: what nobody should have, and what no deployment knows."""
    chain, other = FakeChain(), "0x" + "77" * 20
    seen = [DepositSeen(subaccount_id=2, amount=5, token=token) for token in (WETH, other)]
    chain.observe(SubaccountSeen(subaccount_id=2, owner="0x"), *seen)
    Watcher(chain, script, WatcherOptions()).step(BlockCursor())
    chain.held = {(2, WETH): 5, (2, other): 5}
    found = compare(script, chain)
    assert (found.figures, found.differences) == (6, ())
    chain.held = {(2, WETH): 4, (1, WETH): 1, (2, other): 6}
    assert [str(one) for one in compare(script, chain).differences] == [
        "subaccount 1: WETH should be 0, the chain has 1",
        "subaccount 2: WETH should be 5, the chain has 4",
        f"subaccount 2: {other} should be 5, the chain has 6",
    ]


class Settled(FakeChain):
    """A chain with positions; keeps at which blocks it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[int, dict[int, Held]] = {}
        self.parameters = bytes(32)
        self.blocks_asked: set[object] = set()

    def cash_and_positions(
        self, subaccount_id: int, instrument_ids: list[int], block: int | str = "latest"
    ) -> tuple[int, dict[int, Held]]:
        self.blocks_asked.add(block)
        held = self.positions.get(subaccount_id, {})
        return self.cash.get(subaccount_id, 0), {
            number: one for number, one in held.items() if number in instrument_ids
        }

    def token_held(self, subaccount_id: int, token: str, block: object = "latest") -> int:
        self.blocks_asked.add(block)
        return super().token_held(subaccount_id, token, block)

    def last_batch(self, block: int | str = "latest") -> Tip:
        self.blocks_asked.add(block)
        return super().last_batch(block)

    def parameters_hash(self) -> bytes:
        return self.parameters


@pytest.fixture
def settled(script: Script, tmp_path: Path) -> Settled:
    """Its first batch sold a contract of the maker's to the taker; it shows that."""
    chain = Settled()
    seen = [SubaccountSeen(subaccount_id=number, owner="0x") for number in (2, 3)]
    chain.observe(*seen)
    watcher = Watcher(chain, script, WatcherOptions())
    watcher.step(BlockCursor())
    script.trade()
    script.cut()
    reader, outbox = JournalReader(str(script.path)), Outbox(str(tmp_path / "outbox.db"))
    Feed(reader, outbox, clearing=CLEARING, **oracle_desks()).pull()
    chain.settle_as(RELAYER_KEY, outbox.jobs()[0].data)
    outbox.close()
    reader.close()
    block_hash = chain.block_hash(2) or ""
    script.post(ObserveBlocks(first_block=2, last_block=2, last_hash=block_hash))
    chain.cash = {1: 3 * CASH_SCALE, 2: PRICE - CASH_SCALE, 3: -PRICE - 2 * CASH_SCALE}
    number = script.instrument_id
    chain.positions = {2: {number: Held(-10_000)}, 3: {number: Held(10_000)}}
    return chain


def test_what_settled_is_expected_on_chain(script: Script, settled: Settled) -> None:
    """Through the last batch of the observed block; later blocks are not looked at."""
    found = compare(script, settled)
    assert found == Reconciliation(
        block=2, batch=1, settled_seq=4, accounts=3, figures=3 * 5, differences=()
    )
    assert settled.blocks_asked == {"latest"}
    settled.mine()
    settled.blocks_asked.clear()
    assert compare(script, settled).differences == ()
    assert settled.blocks_asked == {2}


def test_a_position_differs_by_figure(script: Script, settled: Settled) -> None:
    """One that is missing, one too many, another cost."""
    number = script.instrument_id
    settled.positions = {1: {number: Held(5)}, 3: {number: Held(10_000, 7, 9)}}
    assert [str(one) for one in compare(script, settled).differences] == [
        f"subaccount 1: quantity in {number} should be 0, the chain has 5",
        f"subaccount 2: quantity in {number} should be -10000, the chain has 0",
        f"subaccount 3: cost in {number} should be 0, the chain has 7",
        f"subaccount 3: funding_index in {number} should be 0, the chain has 9",
    ]


def test_parameters_are_compared_with_those_in_force(script: Script, settled: Settled) -> None:
    """The last that the engine took; where the deployment has a Margin."""
    first = configuration()
    other = configuration(collaterals=COLLATERALS)
    script.add(first, Configured(version=1))
    script.add(other, Refused(reason=RejectReason.STALE_VERSION, detail=""))
    assert not compare(script, settled).parameters_differ
    oracle = settled.deployment.oracle
    settled.deployment = msgspec.structs.replace(settled.deployment, margin=oracle)
    assert compare(script, settled).parameters_differ
    settled.parameters = parameters_hash(first.margin, first.collaterals)
    assert not compare(script, settled).parameters_differ


def test_a_journal_that_saw_no_block_has_nothing_to_compare(script: Script) -> None:
    """An empty venue is in order."""
    assert compare(script, FakeChain()) == Reconciliation(
        block=0, batch=0, settled_seq=0, accounts=0, figures=0, differences=()
    )


def test_another_history_is_not_compared(script: Script) -> None:
    """If the observed block is gone, figures would mean nothing."""
    chain = observed(script)
    chain.reorganise(1)
    with pytest.raises(ReorgDetected):
        compare(script, chain)


WIDE = (RULES.band_rate, RULES.linear_band_rate, 600)


@pytest.mark.parametrize(
    ("rules", "bands", "differs"),
    [
        (RULES, (0, 0, 0), False),
        (None, (0, 0, 0), False),
        (RULES, WIDE, False),
        (None, WIDE, True),
        (RULES, (WIDE[0] - 1, *WIDE[1:]), True),
        (RULES, (WIDE[0], WIDE[1] - 1, WIDE[2]), True),
        (RULES, (*WIDE[:2], 599), True),
    ],
)
def test_bands_on_chain_must_leave_room_for_the_engines(
    rules: PublicationParameters | None, bands: tuple[int, int, int], *, differs: bool
) -> None:
    """Else it would acknowledge fills that the chain refuses; and bands need marks."""
    chain = FakeChain()
    chain.bands = bands
    assert compare_parameters(configuration(publication=rules), chain) is differs
