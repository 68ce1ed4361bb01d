"""Batches of a hand-made journal on a real Anvil: what the chain holds equals the journal."""

from pathlib import Path

import msgspec
import pytest
from tests.settlement_world import FUNDS, ORACLE_KEYS, PRICE, RELAYER_KEY, World, no_legs

from exchange.commands import DepositSeen
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal.outbox import JobState
from exchange.model import Side
from exchange.settlement.batch import BatchBuilder, Delivery, Funding, Tip, settle_calldata
from exchange.settlement.chain import Chain
from exchange.settlement.delivery import delivery_digest
from exchange.settlement.deploy import open_chain, project_artifacts
from exchange.settlement.deployment import save_deployment
from exchange.settlement.errors import BatchRefused, Reverted, WrongChain
from exchange.settlement.funding import funding_digest
from exchange.settlement.holdings import Held
from exchange.settlement.reconcile import reconcile
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import Domain, address_of, order_digest

pytestmark = pytest.mark.integration


def run(world: World, steps: int = 20) -> list[JobState]:
    _, relayer, outbox = world.relayer()
    for _ in range(steps):
        if not relayer.step():
            break
    outbox.check()
    states = [job.state for job in outbox.jobs()]
    outbox.close()
    return states


def test_a_traded_batch_settles_and_reconciles(world: World) -> None:
    """Fills, fees, a withdrawal and an expiry's payoffs arrive; nothing differs afterwards."""
    script = world.script
    world.watch()
    script.trade(3)
    script.trade(1)
    script.cut()
    script.withdraw(script.taker, 1_000 * CASH_SCALE)
    script.cut()
    script.expire(4, 103_000 * CASH_SCALE)
    script.cut()
    assert run(world) == [JobState.CONFIRMED] * 4  # three batches and a delivery price
    world.watch()
    found = reconcile(world.reader, world.chain)
    assert (found.batch, found.differences) == (3, ())
    assert world.chain.usdc_balance(script.taker.address) == 1_000 * CASH_SCALE
    value, fees = 4 * PRICE, 4 * 2 * CASH_SCALE
    paid = FUNDS - 1_000 * CASH_SCALE - value - fees + 4 * 3_000 * CASH_SCALE
    assert world.chain.cash_and_positions(3, [script.instrument_id]) == (paid, {})
    assert world.chain.delivery_price(1, script.expiry) == 103_000 * CASH_SCALE


def test_a_venue_that_jumps_in_time_takes_the_chain_along(world: World) -> None:
    """Trades before and after two jumps of weeks settle, each inside the contract's age limit."""
    script = world.script
    world.watch()
    script.list_call(days=60)
    for _ in range(3):
        script.trade()
        script.jump(15 * 86_400)
    script.trade()
    script.cut()
    assert run(world) == [JobState.CONFIRMED] * 4
    assert world.chain.block_time() >= script.time_ns // 10**9
    world.watch()
    assert reconcile(world.reader, world.chain).differences == ()


def test_an_amended_order_settles_in_both_versions(world: World) -> None:
    """One nonce, two signatures in one batch: each fill stands under the terms in force."""
    script = world.script
    first = script.place(script.maker, Side.SELL, 1, nonce=9)
    script.place(script.taker, Side.BUY, 1, script.traded(first.seq, script.seq + 1, 1))
    second = script.place(script.maker, Side.SELL, 3, nonce=9, version=1, amend=True)
    script.place(script.taker, Side.BUY, 2, script.traded(second.seq, script.seq + 1, 2))
    script.cut()
    assert run(world) == [JobState.CONFIRMED]
    _, held = world.chain.cash_and_positions(2, [script.instrument_id])
    assert held == {script.instrument_id: Held(-3 * QUANTITY_SCALE)}


def test_hashes_agree_with_the_contracts(world: World) -> None:
    """Batch hash, order digest and delivery digest are the contracts' own."""
    script, chain = world.script, world.chain
    script.trade()
    script.cut()
    builder = BatchBuilder(lambda seq: script.entries[seq - 1].command, no_legs, Tip())
    batch = next(built for entry in script.entries if (built := builder.add(entry)))
    chain.transact(RELAYER_KEY, chain.deployment.clearing, settle_calldata(batch))
    assert chain.last_batch() == batch.tip
    assert [log.batch_hash for log in chain.all_settled()] == [batch.tip.batch_hash]
    terms = batch.orders[0].terms
    fields = [name for name in terms.__struct_fields__ if name != "legs_hash"]
    words = (*[getattr(terms, name) for name in fields],)
    assert chain.call(chain.clearing, "hashOrder", words) == order_digest(script.domain, terms)
    delivery = Delivery(underlying_id=1, expiry=script.expiry, price=PRICE)
    struct = (1, script.expiry, PRICE, script.expiry + 30 * 86_400)
    domain = Domain(31_337, chain.deployment.oracle)
    expected = chain.call(chain.oracle, "hashDeliveryPrice", struct)
    assert delivery_digest(domain, delivery) == expected
    index = Funding(instrument_id=script.perpetual_id, ordinal=3, time=PRICE, index=-20_000)
    expected = chain.call(chain.oracle, "hashFundingIndex", msgspec.structs.astuple(index))
    assert funding_digest(domain, index) == expected
    assert chain.call(chain.oracle, "isSigner", address_of(ORACLE_KEYS[0]))


def test_a_batch_settles_once(world: World) -> None:
    """The same calldata a second time is refused by the contract's numbering."""
    script, chain = world.script, world.chain
    script.trade()
    script.cut()
    run(world)
    _, _, outbox = world.relayer()
    data = outbox.jobs()[0].data
    outbox.close()
    with pytest.raises(Reverted, match=r"WrongNumber\(2\)"):
        chain.transact(RELAYER_KEY, chain.deployment.clearing, data)


def test_a_fill_that_the_chain_refuses_stops_the_relayer(world: World) -> None:
    """The refusal names the batch and the contract's error, and a restart says the same."""
    script = world.script
    ask = script.place(script.maker, Side.SELL, 1)
    too_much = script.traded(ask.seq, script.seq + 1, 2)
    script.place(script.taker, Side.BUY, 2, too_much)
    script.cut()
    for _ in range(2):
        with pytest.raises(BatchRefused, match=r"batch:1 cannot be settled.*Overfilled"):
            run(world)
    assert world.chain.last_batch() == Tip()


def test_a_wrong_figure_is_named(world: World) -> None:
    """Reconciliation points at the first subaccount and figure that differ."""
    script = world.script
    world.watch()
    script.trade()
    script.cut()
    run(world)
    script.add(script.entries[-1].command)  # the watcher's blocks come after it
    world.watch()
    ghost = script.traded(1, 1, 1, taker_subaccount_id=2, maker_subaccount_id=2, maker_fee=0)
    entries = list(world.reader.entries())
    bad = [
        entry
        if entry.seq != 3
        else type(entry)(
            seq=entry.seq,
            time_ns=entry.time_ns,
            command=entry.command,
            events=(*entry.events, ghost),
            chain_hash=entry.chain_hash,
        )
        for entry in entries
    ]

    class Tampered:
        def entries(self) -> list[object]:
            return bad

    found = reconcile(Tampered(), world.chain)
    assert str(found.differences[0]).startswith("subaccount 1: cash should be")


def test_collateral_comes_to_the_custody_and_is_observed(world: World) -> None:
    """A deposit of WETH names its token in ledger units of 1e-8; one of USDC names none."""
    deployment = world.chain.deployment
    custody = world.chain.call(world.chain.clearing, "CUSTODY")
    assert custody == deployment.custody
    wallet = OwnerWallet(world.chain, world.script.maker.key)
    before = world.chain.head()
    wallet.fund(world.script.maker.subaccount_id, 3 * 10**18, "WETH")
    wallet.fund(world.script.maker.subaccount_id, 7)
    assert [seen for _, seen in world.chain.observations(before + 1, world.chain.head())] == [
        DepositSeen(subaccount_id=2, amount=3 * 10**8, token=deployment.tokens["WETH"]),
        DepositSeen(subaccount_id=2, amount=7),
    ]
    assert world.chain.token_balance("WETH", custody) == 3 * 10**18
    assert world.chain.collateral(2, "WETH") == 3 * 10**8
    world.watch()  # the journal takes it in


def test_another_chain_is_refused(world: World, tmp_path: Path) -> None:
    """A deployment of a chain that lost its state gives one clear line."""
    path = tmp_path / "other.json"
    other = type(world.chain.deployment)(
        chain_id=31_337,
        clearing=world.chain.deployment.clearing,
        oracle=world.chain.deployment.oracle,
        usdc=world.chain.deployment.usdc,
        access_manager=world.chain.deployment.access_manager,
        genesis_hash="0x" + "00" * 32,
        block=1,
    )
    save_deployment(path, other)
    with pytest.raises(WrongChain, match="first block differs"):
        open_chain(world.node.url, path, project_artifacts())


def test_the_chain_outlives_its_process(world: World) -> None:
    """A stopped Anvil continues from its state file: same genesis, same batch, old blocks known."""
    script = world.script
    world.watch()
    script.trade()
    script.cut()
    run(world)
    genesis, tip = world.chain.block_hash(0), world.chain.last_batch()
    world.restart_node()
    chain = Chain(world.node.url, world.chain.deployment, project_artifacts())
    chain.verify()
    assert (chain.block_hash(0), chain.last_batch()) == (genesis, tip)
    world.watch()
    assert reconcile(world.reader, chain).differences == ()
