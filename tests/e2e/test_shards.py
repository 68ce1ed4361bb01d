"""Two shards of real processes: one chain, one PostgreSQL, one Redis, and nothing else in common.

One story in its order; each test leaves everything running for the next.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from tests.live_venue import LiveVenue, eventually
from tests.ports import free_port
from tests.postgres import postgres
from tests.valkey import valkey

from exchange.bootstrap import dev_keys
from exchange.bootstrap.processes import Child
from exchange.config import as_environment
from exchange.engine import Engine
from exchange.fixed import CASH_SCALE
from exchange.sdk import Client
from exchange.sequencer import catch_up

pytestmark = pytest.mark.e2e

CASH: Final = 500_000 * CASH_SCALE  # of each trader in each shard
MOVED: Final = 123_456_789_012  # from one shard to the other, micro-USDC
TRADES: Final = 5  # while the other shard's engine is dead


class Shard(LiveVenue):
    """Engine, relayer and a gateway, where people trade."""

    def __init__(self, folder: Path, beside: "Shard | None", **changes: Any) -> None:
        self._beside = beside
        self.gateway_port, self._gateway_admin_port = free_port(), free_port()
        super().__init__(folder, **changes)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    def start_all(self) -> None:
        if self._beside is None:
            self.stack.start_chain()
        else:
            self.stack.join_chain(self._beside.settings.deployment_file)
        self.stack.start("engine")
        self.stack.start("relayer")
        gateway = msgspec.structs.replace(
            self.stack.settings, port=self.gateway_port, admin_port=self._gateway_admin_port
        )
        self.stack.children["serve"] = Child(
            "serve", log=gateway.state / "serve.log", environment=as_environment(gateway)
        )

    def ready(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        self.stack.require_alive()
        address = f"http://127.0.0.1:{self._gateway_admin_port}/ready"
        answer: dict[str, Any] = httpx.get(address, timeout=10.0).json()
        return answer

    def kill_engine(self) -> None:
        """kill -9."""
        self.stack.children.pop("engine").kill()

    def replayed(self) -> Engine:
        """What the shard's journal gives, every event and hash compared."""
        engine = Engine()
        with self.reader() as reader:
            for _ in catch_up(reader, engine):
                pass
        engine.check()
        return engine

    def custody(self) -> int:
        """USDC that the shard's contracts hold."""
        return self.chain.usdc_balance(self.chain.deployment.custody)

    def trade_once(self) -> None:
        """The first trader sells to the second."""
        seller, buyer = self.traders
        _, bought = self.trade(seller, buyer, self.option())
        assert [trade.amount for trade in bought.trades] == [Decimal("0.1")]


class World:
    """Both shards."""

    def __init__(self, bitcoin: Shard, ether: Shard) -> None:
        self.bitcoin, self.ether = bitcoin, ether

    def total(self) -> int:
        """All USDC there is: both custodies and the traders' wallets."""
        wallets = {trader.party.address for shard in self for trader in shard.traders}
        held = sum(self.bitcoin.chain.usdc_balance(address) for address in wallets)
        return held + sum(shard.custody() for shard in self)

    def __iter__(self) -> Iterator[Shard]:
        yield from (self.bitcoin, self.ether)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("shards")
    with postgres() as store, valkey() as server:
        common = {
            "journal": store, "history": store, "redis_url": server.url, "chain_port": free_port()
        }  # fmt: skip
        with closing(Shard(folder / "0", None, underlyings="BTC", **common)) as bitcoin:
            second = Shard(
                folder / "1",
                bitcoin,
                shard=1,
                underlyings="ETH",
                relayer_key=f"0x{dev_keys.person(5).key.hex()}",
                **common,
            )
            with closing(second) as ether:
                for shard in (bitcoin, ether):
                    eventually(lambda shard=shard: shard.ready()["ready"], "gateways take orders")
                yield World(bitcoin, ether)


def test_each_trades_its_own_underlying(world: World) -> None:
    """Owners are the same people; contracts, instruments, pasts and batches are the shard's own."""
    for shard, name in zip(world, ("BTC", "ETH"), strict=True):
        for _ in range(2):
            shard.join(CASH)
        shard.trade_once()
        client = shard.traders[0].client
        assert {one["currency"] for one in client.call("public/get_currencies")} >= {name}
        assert {one.base_currency for one in client.instruments()} == {name}
        rows = eventually(lambda client=client: client.history("trades"), "the read model")
        assert len(rows) == 1
    assert [shard.ready()["shard"] for shard in world] == [0, 1]
    first, second = (shard.chain.deployment for shard in world)
    assert first.usdc == second.usdc
    assert first.clearing != second.clearing
    for shard in world:
        shard.settled()


def test_money_moves_through_the_chain(world: World) -> None:
    """Out of one custody, through the owner's wallet, into the other; to the unit at each step."""
    total, before = world.total(), [shard.custody() for shard in world]
    assert total == sum(shard.replayed().total_cash() for shard in world) == 4 * CASH
    source, target = (shard.traders[0] for shard in world)
    source.client.withdraw(amount(MOVED))
    eventually(
        lambda: source.wallet.chain.usdc_balance(source.party.address) == MOVED,
        "the withdrawal in the wallet",
    )
    assert world.total() == total
    target.wallet.deposit(target.subaccount_id, MOVED)
    assert world.total() == total
    world.ether.observed()
    for shard in world:
        shard.settled()
    assert [shard.custody() for shard in world] == [before[0] - MOVED, before[1] + MOVED]
    for shard in world:
        assert shard.replayed().total_cash() == shard.custody()


def amount(units: int) -> str:
    """Micro-USDC as the wire has them."""
    return str(Decimal(units) / CASH_SCALE)


def test_a_dead_shard_does_not_touch_the_other(world: World) -> None:
    """The other trades and settles on; once it is back, it does so too, with all that it had."""
    world.ether.kill_engine()
    started = time.monotonic()
    for _ in range(TRADES):
        world.bitcoin.trade_once()
    print(f"{TRADES} trades beside a dead engine: {time.monotonic() - started:.2f} s")
    world.bitcoin.settled()
    assert world.bitcoin.ready()["ready"]
    eventually(lambda: "engine" in world.ether.ready()["reasons"], "word that nobody leads")
    with Client(world.ether.url, transport="http") as client:  # reads go on
        assert client.instruments("ETH")
    world.ether.stack.start("engine")
    eventually(lambda: world.ether.ready()["ready"], "the shard is back")
    world.ether.trade_once()


def test_both_journals_are_the_chain(world: World) -> None:
    """An auditor finds nothing in either; batches count from 1 in each; no unit is missing."""
    for shard in world:
        shard.require_agreement()
    assert world.total() == 4 * CASH
    with world.bitcoin.reader() as first, world.ether.reader() as second:
        assert first.last_seq() != second.last_seq()
    hashes = {shard.replayed().state_hash() for shard in world}
    assert len(hashes) == 2
