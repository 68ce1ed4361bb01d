"""A standby takes over from a leader that died or froze, and no acknowledged order is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.live_venue import eventually
from tests.order_load import Orders, require_all
from tests.pair import Pair
from tests.postgres import postgres, postgres_server

from exchange.sdk.types import Receipt

pytestmark = pytest.mark.e2e

ORDERS = 40  # acknowledged before and after each change of the leader


@contextmanager
def two_engines(folder: Path, journal: str = "") -> Iterator[Pair]:
    """One leads and has two funded accounts, the other stands by."""
    pair = Pair(folder, journal=journal)
    try:
        pair.start("leader")
        pair.fund("leader", 2)
        pair.start("standby", "--standby")
        yield pair
    finally:
        pair.close()


def trade(pair: Pair) -> Receipt:
    """One trade at the mark, before anything else happens."""
    with pair.client("leader", 0) as buyer, pair.client("leader", 1) as seller:
        marked = [row for row in buyer.summaries("BTC") if row.mark_price]
        option = max(marked, key=lambda row: row.mark_price or 0)
        tick = next(
            one.tick_size
            for one in buyer.instruments("BTC")
            if one.instrument_name == option.instrument_name
        )
        assert option.mark_price is not None
        price = option.mark_price // tick * tick
        seller.sell(option.instrument_name, "0.1", price)
        return buyer.buy(option.instrument_name, "0.1", price)


def journal_of(pair: Pair) -> str:
    return pair.settings["leader"].journal_location


def test_a_standby_leads_when_the_leader_dies(tmp_path: Path) -> None:
    """And shows that it waits until then; orders that were acknowledged are open in it."""
    with two_engines(tmp_path) as pair:
        waiting = pair.health("standby")
        assert (waiting["ready"], waiting["role"]) == (False, "standby")
        traded = trade(pair)
        orders = Orders(pair.client("leader", 0))
        try:
            orders.wait(ORDERS)
            pair.kill("leader")
        finally:
            before = orders.end()
        eventually(lambda: pair.leads("standby"), "the standby leads")
        with pair.client("standby", 0) as client:
            open_ids = {order.order_id for order in client.open_orders()}
            assert {receipt.order.order_id for receipt in before} <= open_ids
            known = [trade.trade_id for trade in client.my_trades(traded.order.instrument_name)]
            assert known == [traded.trades[0].trade_id]
        orders = Orders(pair.client("standby", 0))
        orders.wait(ORDERS)
        require_all(journal_of(pair), before + orders.end())


def test_a_frozen_leader_that_wakes_writes_nothing(tmp_path: Path) -> None:
    """It finds another's lease, ends, and never acknowledges what it held.

    On a server: a process that is frozen in the middle of a commit keeps a file locked. There the
    server has ended its session, which is as good as another's lease.
    """
    with postgres() as url, two_engines(tmp_path, url) as pair:
        orders = Orders(pair.client("leader", 0))
        try:
            orders.wait(ORDERS)
            pair.freeze("leader")
            eventually(lambda: pair.leads("standby"), "the standby leads")
            others = Orders(pair.client("standby", 0))
            others.wait(ORDERS)
            pair.wake("leader")
            assert pair.children["leader"].wait(60.0) != 0
        finally:
            orders.end()
        others.wait(len(others.receipts) + ORDERS)
        require_all(journal_of(pair), orders.receipts + others.end())
        log = pair.settings["leader"].state / "leader.log"
        ends = ("another engine leads this journal", "server closed the connection")
        assert any(end in log.read_text() for end in ends)


def test_a_store_that_hangs_is_seen_from_outside(tmp_path: Path) -> None:
    """`/ready` answers while a commit waits for somebody's lock, and says so; then all goes on."""
    with postgres_server() as server:
        pair = Pair(tmp_path, journal=server.url)
        try:
            pair.start("leader")
            eventually(lambda: pair.leads("leader"), "the leader leads")
            database = sa.create_engine(server.url)
            with database.connect() as connection, connection.begin():
                connection.exec_driver_sql("SELECT * FROM journal_leases FOR UPDATE")
                eventually(
                    lambda: "journal" in pair.health("leader").get("reasons", ()), "a lagging store"
                )
                assert not pair.leads("leader")
            database.dispose()
            eventually(lambda: pair.leads("leader"), "the leader leads again")
        finally:
            pair.close()
