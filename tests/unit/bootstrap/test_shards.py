"""A process belongs to one shard: its contracts, its underlyings, its part of every store."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.unit.bootstrap.test_recovery import Life
from tests.unit.oracle.test_loop import CONFIGURE

from exchange.bootstrap.audit_command import audit
from exchange.bootstrap.deploy_command import local_options
from exchange.bootstrap.ingress_parts import seal_of
from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.recovery import take_snapshot
from exchange.bootstrap.shards import deployment_of, require_underlyings, shard_market
from exchange.bootstrap.standby import Follower, open_past
from exchange.config import Settings
from exchange.engine import Engine
from exchange.ingress.messages import Committed, Forged
from exchange.journal import Journal, LeaseLost
from exchange.model import Underlying
from exchange.settlement.deployment import Deployment, save_deployment


def deployed(tmp_path: Path, shard: int) -> Settings:
    """Settings of shard 0, whose folder holds contracts of another perhaps."""
    settings = Settings(state_dir=str(tmp_path))
    one = "0x" + "11" * 20
    save_deployment(
        settings.deployment_file,
        Deployment(
            chain_id=1, clearing=one, oracle=one, usdc=one, access_manager=one,
            genesis_hash="0x", block=1, shard=shard,
        ),
    )  # fmt: skip
    return settings


def test_contracts_of_another_shard_are_refused(tmp_path: Path) -> None:
    """Two journals would settle in one Clearing."""
    assert deployment_of(deployed(tmp_path, 0)).shard == 0
    with pytest.raises(StartFailed, match=r"is of shard 3, EXCHANGE_SHARD is 0"):
        deployment_of(deployed(tmp_path, 3))


@pytest.mark.parametrize(
    ("text", "names"), [("", ["BTC", "ETH"]), ("ETH", ["ETH"]), ("ETH,BTC", ["BTC", "ETH"])]
)
def test_a_shard_has_some_of_the_underlyings(text: str, names: list[str]) -> None:
    """All of them unless somebody says so."""
    assert list(shard_market(Settings(underlyings=text)).underlyings) == names


@pytest.mark.parametrize("text", ["SOL", "BTC,", "BTC,BTC", "btc", "BTC ETH"])
def test_what_is_no_underlying_is_named(text: str) -> None:
    """Before anything is journaled."""
    with pytest.raises(StartFailed, match="EXCHANGE_UNDERLYINGS="):
        shard_market(Settings(underlyings=text))


def test_underlyings_must_be_those_of_the_journal() -> None:
    """Every command about others would be refused, for ever."""
    engine = Engine()
    require_underlyings(engine, Settings())
    bitcoin = Underlying(underlying_id=1, name="BTC")
    engine.apply(1, 1, msgspec.structs.replace(CONFIGURE, underlyings=(bitcoin,)))
    require_underlyings(engine, Settings(underlyings="BTC"))
    with pytest.raises(StartFailed, match=r"knows nothing of ETH: set EXCHANGE_UNDERLYINGS .*BTC"):
        require_underlyings(engine, Settings())


def test_a_shard_offers_the_collateral_that_it_can_price() -> None:
    """A token's price is the index of its underlying; each relayer counts nonces of its own."""
    found = local_options(
        Settings(shard=2, underlyings="ETH", relayer_key="0x" + "61" * 32),
        shard_market(Settings(underlyings="ETH")),
    )
    assert (found.shard, found.tokens) == (2, ("WETH",))
    both = local_options(Settings(), shard_market(Settings()))
    assert (both.shard, set(both.tokens)) == (0, {"WETH", "WBTC"})
    assert found.relayer != both.relayer


def test_a_message_of_one_shard_is_forged_in_another() -> None:
    """Though both know the same token."""
    first, second = (seal_of(Settings(admin_token="t" * 16, shard=shard)) for shard in (0, 1))
    sealed = first.news(Committed(1))
    assert first.open_news(sealed) == Committed(1)
    with pytest.raises(Forged):
        second.open_news(sealed)


def test_two_shards_in_one_store_do_not_see_each_other(tmp_path: Path) -> None:
    """Journal, lease, snapshots and read model: each recovers what it wrote, however long."""
    store = {"journal": str(tmp_path / "journal.db"), "history": str(tmp_path / "history.db")}
    lives = [Life(tmp_path / "state", shard=shard, **store) for shard in (0, 1)]
    lengths = [lives[0].write(), lives[1].write(8)]
    assert lengths[0] > lengths[1] == 8
    assert [take_snapshot(life.settings) for life in lives] == lengths
    followers = [Follower(life.settings, open_past(life.settings)) for life in lives]
    assert [follower.snapshot_seq for follower in followers] == [0, 0], "their pasts are empty"
    assert [follower.catch_up() for follower in followers] == lengths
    with followers[0].lead() as first, followers[1].lead() as second:
        first.beat()
        second.beat()
        with pytest.raises(LeaseLost):
            Journal(store["journal"], shard=1, seen=first.reader.lease())
        assert [first.last_seq, second.last_seq] == lengths
        pasts = [follower.inherit() for follower in followers]
        rows = [asyncio.run(past.page((1, 2), ("trade", "order", "deposit")))[0] for past in pasts]
        assert len(rows[0]) > len(rows[1]) > 0
        assert [past.last_seq for past in pasts] == lengths
        for past in pasts:
            past.close()
    again = [Follower(life.settings, open_past(life.settings)) for life in lives]
    assert [follower.snapshot_seq for follower in again] == lengths


def test_an_audit_is_of_one_shard(tmp_path: Path) -> None:
    """Of that which is asked for."""
    lives = [Life(tmp_path, shard=shard) for shard in (0, 1)]
    lengths = [lives[0].write(2), lives[1].write(3)]
    location = lives[0].settings.journal_location
    assert [audit(location, shard=shard).commands for shard in (0, 1, 2)] == [*lengths, 0]
