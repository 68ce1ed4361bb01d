"""The operator disappears on a real Anvil: a wallet and a node alone bring all money out."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.integration.test_linear_settlement import PERPETUAL, settle
from tests.integration.test_proving import MarginDesk
from tests.settlement_world import DEPLOYER_KEY, FUNDS, MAKER_KEY, ORACLE_KEYS, TAKER_KEY, World
from tests.venue import COLLATERALS, INDEX

from exchange.commands import AccrueFunding, CutBatch, ObserveBlocks
from exchange.events import ExitServed, Refused, RejectReason
from exchange.fixed import CASH_SCALE
from exchange.keepers.ethereum import Ethereum
from exchange.keepers.force_exit import ExitOrder, ForceExitKeeper
from exchange.keepers.posts import ExitKeeper, ExitPayment
from exchange.keepers.runner import Books, Keeper, Limits, Runner
from exchange.model import SECONDS_PER_DAY, Side
from exchange.settlement.batch import Delivery
from exchange.settlement.delivery import DeliveryDesk
from exchange.settlement.deploy import furnish_margin
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.escape import Waiting, WayOut
from exchange.settlement.exit_service import due_exits
from exchange.settlement.reconcile import reconcile
from exchange.settlement.wallet import OwnerWallet

pytestmark = pytest.mark.integration

MAKER, TAKER = 2, 3
BITCOIN = 10**8


@pytest.fixture
def desk(world: World) -> MarginDesk:
    deployment = world.chain.deployment
    tokens = tuple(
        msgspec.structs.replace(asset, token=deployment.tokens[coin])
        for asset, coin in zip(COLLATERALS, ("WETH", "WBTC"), strict=True)
    )
    desk = MarginDesk(world, collateral=deployment.usdc, collaterals=tokens)
    assert furnish_margin(world.chain, DEPLOYER_KEY, desk.configured)
    return desk


@pytest.fixture
def maker(world: World) -> WayOut:
    return WayOut(world.chain, MAKER_KEY)


@pytest.fixture
def taker(world: World) -> WayOut:
    return WayOut(world.chain, TAKER_KEY)


def pass_time(world: World, seconds: int) -> None:
    world.chain.advance_time(world.chain.block_time() + seconds)


def observe(world: World, desk: MarginDesk) -> tuple[object, ...]:
    """The engine sees every block of the chain, as the watcher would tell it."""
    chain, venue = world.chain, desk.venue
    first, last = venue.engine.last_block + 1, chain.head()
    seen = [item for block, item in chain.observations(first, last) if block >= first]
    command = ObserveBlocks(
        first_block=first,
        last_block=last,
        last_hash=chain.block_hash(last) or "",
        observations=tuple(seen),
    )
    venue.wait_until(max(venue.now_s, chain.block_time()))
    return venue.send(command)


def start_observing(world: World, desk: MarginDesk) -> None:
    """What the desk was told by hand counts as the blocks up to here."""
    head = world.chain.head()
    first = desk.venue.engine.last_block + 1
    tip = world.chain.block_hash(head) or ""
    desk.venue.send(ObserveBlocks(first_block=first, last_block=head, last_hash=tip))


def traded(world: World, desk: MarginDesk, path: Path) -> None:
    """Options, a perpetual that owes funding and a future, settled, marks posted."""
    call_, _, put_ = desk.ids[2:]
    desk.trade(Side.BUY, call_, 60, 2_500)
    desk.trade(Side.SELL, put_, 40, 2_480)
    desk.trade(Side.BUY, desk.future, 20, INDEX + 10)
    desk.trade(Side.BUY, PERPETUAL, 30, INDEX)
    desk.venue.wait(25)
    desk.venue.index()
    desk.venue.send(AccrueFunding())
    desk.trade(Side.SELL, PERPETUAL, 10, INDEX + 20)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, path)


def deliver(world: World, desk: MarginDesk, price: int) -> None:
    """What the oracle's signers agreed on, posted by anybody."""
    signer = DeliveryDesk(
        chain_id=world.chain.deployment.chain_id,
        oracle=world.chain.deployment.oracle,
        keys=ORACLE_KEYS,  # all: no samples were posted
    )
    delivery = Delivery(underlying_id=1, expiry=desk.expiry, price=price * CASH_SCALE)
    world.chain.transact(MAKER_KEY, world.chain.deployment.oracle, signer.job(delivery).data)


def escaped(world: World, way: WayOut, subaccount_id: int) -> None:
    way.request(subaccount_id, world.chain.deployment.usdc, 1)
    with pytest.raises(Reverted, match="TooEarly"):
        way.start(subaccount_id)
    pass_time(world, 4 * SECONDS_PER_DAY + 1)
    way.start(subaccount_id)


def test_a_wallet_and_a_node_bring_everybodys_money_out(
    world: World, desk: MarginDesk, maker: WayOut, taker: WayOut, tmp_path: Path
) -> None:
    """Expired options that nobody paid off, a perpetual, a debtor's tokens: all is paid out."""
    chain = world.chain
    OwnerWallet(chain, MAKER_KEY).fund(MAKER, 3 * BITCOIN, "WBTC")
    traded(world, desk, tmp_path / "engine.db")
    assert taker.subaccounts() == [TAKER]
    escaped(world, taker, TAKER)
    deliver(world, desk, 5_000_000)  # the maker's short calls cost 2.9 million
    lines = list(taker.value_all())
    assert any("priced" in line for line in lines)
    assert any("valued" in line for line in lines)
    state = taker.state()
    assert state.valued
    assert state.cash + state.seized < state.senior  # not all can be paid
    paid = taker.claim(TAKER)
    assert paid[chain.deployment.tokens["WBTC"]] == 3 * BITCOIN
    assert chain.token_balance("WBTC", taker.address) == 3 * BITCOIN
    assert maker.claim(MAKER) == {}
    assert chain.usdc_balance(taker.address) == paid[chain.deployment.usdc] > FUNDS
    assert chain.usdc_balance(chain.deployment.custody) == 0
    assert chain.token_balance("WBTC", chain.deployment.custody) == 0
    assert taker.claim(TAKER) == {}


def test_without_signers_prices_are_waited_for_and_replaced(
    world: World, desk: MarginDesk, maker: WayOut, taker: WayOut, tmp_path: Path
) -> None:
    """No delivery price ever comes: seven days later the last marks count."""
    traded(world, desk, tmp_path / "engine.db")
    escaped(world, maker, MAKER)
    with pytest.raises(Waiting, match="prices are missing"):
        list(maker.value_all())
    with pytest.raises(Waiting, match="not all accounts"):
        maker.claim(MAKER)
    pass_time(world, 7 * SECONDS_PER_DAY + 1)
    list(maker.value_all())
    usdc = world.chain.deployment.usdc
    paid = [maker.claim(MAKER)[usdc], taker.claim(TAKER)[usdc]]
    treasury = WayOut(world.chain, DEPLOYER_KEY).claim(1)[usdc]
    assert sum(paid) + treasury == 2 * FUNDS
    assert world.chain.usdc_balance(world.chain.deployment.custody) == 0


def test_the_engine_pays_a_forced_exit(
    world: World, desk: MarginDesk, taker: WayOut, tmp_path: Path
) -> None:
    """Request on chain, payment in the next batch, without the owner's signature."""
    start_observing(world, desk)
    desk.trade(Side.BUY, desk.ids[2], 60, 2_500)
    free = desk.venue.engine.margin(TAKER).initial_excess
    taker.request(TAKER, world.chain.deployment.usdc, FUNDS // 2)
    asked = taker.open_request(TAKER)
    assert asked is not None
    assert asked.amount == FUNDS // 2 < free
    observe(world, desk)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "engine.db")
    assert taker.open_request(TAKER) is None
    assert world.chain.cash_and_positions(TAKER, [])[0] == desk.venue.cash(TAKER) < FUNDS // 2 + 1
    observe(world, desk)
    desk.journal(tmp_path / "after.db")
    assert reconcile(world.reader, world.chain).differences == ()


def test_anybody_serves_what_the_operator_did_not(
    world: World, desk: MarginDesk, taker: WayOut, tmp_path: Path
) -> None:
    """Without positions no proof is needed; the journal follows the chain."""
    start_observing(world, desk)
    taker.request(TAKER, world.chain.deployment.usdc, 7 * CASH_SCALE)
    with pytest.raises(Reverted, match="TooEarly"):
        taker.serve(TAKER)
    pass_time(world, SECONDS_PER_DAY + 3_601)
    assert taker.serve(TAKER) == 7 * CASH_SCALE
    assert world.chain.usdc_balance(taker.address) == 7 * CASH_SCALE
    events = observe(world, desk)
    assert ExitServed(subaccount_id=TAKER, ordinal=1, amount=7 * CASH_SCALE) in events
    assert desk.venue.cash(TAKER) == FUNDS - 7 * CASH_SCALE
    desk.journal(tmp_path / "after.db")
    assert reconcile(world.reader, world.chain).differences == ()


def test_keepers_ask_and_serve_by_proof(
    world: World, desk: MarginDesk, taker: WayOut, tmp_path: Path
) -> None:
    """What the engine cannot pay in its hour anybody pays later, as far as margin leaves it."""
    chain = world.chain
    start_observing(world, desk)
    desk.trade(Side.BUY, desk.ids[2], 60, 2_500)
    desk.trade(Side.BUY, PERPETUAL, 30, INDEX)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "engine.db")
    asking = partial(ForceExitKeeper, order=everything(world, taker))
    assert run_keeper(world, TAKER_KEY, asking, dry_run=True).seen == 1
    assert taker.open_request(TAKER) is None
    books = run_keeper(world, TAKER_KEY, asking)
    assert (books.done, books.profit) == (1, -books.gas_cost)
    assert books.wei > books.gas_used > 0
    observe(world, desk)
    desk.remark()
    desk.venue.send(CutBatch())
    settle(world, desk, tmp_path / "paid.db")
    paid = chain.usdc_balance(taker.address)
    assert paid > 0  # by the engine, and something is left
    for key, build in ((TAKER_KEY, asking), (MAKER_KEY, partial(serving, world))):
        assert run_keeper(world, key, build).seen == 0  # the operator has time, a batch could pay
    pass_time(world, SECONDS_PER_DAY + 3_601)
    desk.venue.wait_until(chain.block_time())
    desk.prices[PERPETUAL] = INDEX + 1_000  # more than margin asks for
    desk.remark()
    observe(world, desk)
    settle(world, desk, tmp_path / "later.db")
    assert run_keeper(world, MAKER_KEY, partial(serving, world), dry_run=True).seen == 1
    assert run_keeper(world, MAKER_KEY, partial(serving, world)).done == 1
    served = chain.usdc_balance(taker.address) - paid
    assert served > 0
    assert run_keeper(world, TAKER_KEY, asking).seen == 0  # it is closed
    assert ExitServed(subaccount_id=TAKER, ordinal=1, amount=served) in observe(world, desk)
    desk.journal(tmp_path / "after.db")
    assert reconcile(world.reader, chain).differences == ()
    taker.request(TAKER, chain.deployment.usdc, 1)
    pass_time(world, 4 * SECONDS_PER_DAY + 1)
    assert run_keeper(world, TAKER_KEY, asking).done == 1
    assert taker.state().started_at > 0  # nobody served that one


def everything(world: World, way: WayOut) -> ExitOrder:
    """All cash of the taker, whatever it holds positions for."""
    deployment = world.chain.deployment
    return ExitOrder(
        clearing=deployment.clearing,
        subaccount_id=TAKER,
        token=deployment.usdc,
        amount=world.chain.cash_and_positions(TAKER, [])[0],
        recipient=way.address,
    )


def serving(world: World, _: Ethereum) -> ExitKeeper:
    def due() -> list[ExitPayment]:
        return [
            ExitPayment(subaccount_id=one.subaccount_id, paid=one.paid, data=one.data)
            for one in due_exits(world.chain, world.reader)
        ]

    return ExitKeeper(world.chain.deployment.clearing, due)


def run_keeper(
    world: World, key: bytes, build: Callable[[Ethereum], Keeper], *, dry_run: bool = False
) -> Books:
    """One round as a process has it, ether at 3,000 USDC."""

    async def run() -> Books:
        chain = Ethereum(world.chain.url, key)

        async def ether_price() -> Decimal:
            return Decimal(3_000)

        limits = Limits(rounds=1, interval_s=0.0, dry_run=dry_run)
        books = await Runner(build(chain), limits, chain, ether_price).run()
        await chain.stop()
        return books

    return asyncio.run(run())


def test_the_engine_ends_with_the_chain(
    world: World, desk: MarginDesk, taker: WayOut, tmp_path: Path
) -> None:
    """Whoever comes back finds a venue that refuses everything."""
    start_observing(world, desk)
    with pytest.raises(ChainError, match="not ended"):
        list(taker.value_all())
    escaped(world, taker, TAKER)
    observe(world, desk)
    assert desk.venue.engine.escaped
    [refusal] = desk.venue.index(INDEX)
    assert isinstance(refusal, Refused)
    assert refusal.reason is RejectReason.ESCAPED
