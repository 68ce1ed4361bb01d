"""A whole venue of real processes on a real Anvil, for tests of what happens between them.

The exchange and its relayer are children that can be killed and started again; people trade through
the SDK. Close it.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
from tests.ports import free_port

from exchange.bootstrap import dev_keys
from exchange.bootstrap.audit_command import AuditResult, audit
from exchange.bootstrap.dev import Stack, all_confirmed
from exchange.config import Settings
from exchange.events import AnyEvent
from exchange.fixed import CASH_SCALE
from exchange.journal import Entry, JournalReader
from exchange.sdk import Client
from exchange.sdk.types import Receipt
from exchange.settlement.chain import Chain
from exchange.settlement.cursor import trail
from exchange.settlement.reconcile import reconcile
from exchange.settlement.wallet import OwnerWallet

WAIT_S: Final = 300.0  # of a loaded machine; a quiet one needs a few seconds
RICH: Final = 1_000_000 * CASH_SCALE


def eventually(holds: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The first true answer; processes that are away answer later."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if found := holds():
                return found
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:.0f} s"
        time.sleep(0.05)


def whole_dump(dump: Path, block: int) -> bytes:
    """The dump if it is whole and holds that block, else nothing."""
    content = dump.read_bytes() if dump.exists() else b""  # its first one is a second away
    with contextlib.suppress(ValueError):
        held = json.loads(content).get("blocks", ())
        if any(int(one["header"]["number"], 16) == block for one in held):
            return content
    return b""


class Trader:
    """A key, a subaccount and a client."""

    def __init__(self, venue: "LiveVenue", number: int, cash: int) -> None:
        self.party = dev_keys.person(number)
        self.wallet = OwnerWallet(venue.chain, self.party.key)
        self.subaccount_id = self.wallet.open_subaccount()
        self.wallet.fund(self.subaccount_id, cash)
        venue.observed()
        self.client = Client(
            venue.url,
            self.party.key,
            subaccount_id=self.subaccount_id,
            transport="http",
        )
        self.client.start()


class LiveVenue:
    def __init__(self, folder: Path, **changes: Any) -> None:
        self.settings = Settings(
            state_dir=str(folder / "var"),
            **{
                "port": free_port(),
                "admin_port": free_port(),
                "chain_port": free_port(),
                "batch_interval_s": 0.3,
                "marks_interval_s": 2.0,
            }
            | changes,
        )
        self.stack = Stack(self.settings)
        self.underlying = self.settings.underlyings or "BTC"  # the one that is traded
        self.traders: list[Trader] = []
        self.joined_block = 0  # the newest that brought one
        try:
            self.start_all()
        except BaseException:
            self.close()
            raise

    def start_all(self) -> None:
        """The chain first."""
        self.stack.start_chain()
        self.stack.start("engine")
        self.stack.start("relayer")

    @property
    def url(self) -> str:
        """Where people trade."""
        return self.stack.url

    @property
    def chain(self) -> Chain:
        return self.stack.chain

    def kill_chain(self) -> None:
        """kill -9 of Anvil, which loses up to a second, and a new start from what it had dumped.

        Nobody's subaccount: a venue without its traders could settle none of their fills.
        """
        assert self.stack.anvil is not None
        dump = self.settings.state / "anvil.json"
        since = max(trail(self.entries())[0].block, self.joined_block)
        kept = eventually(lambda: whole_dump(dump, since), "a dump of what the journal stands on")
        self.stack.anvil.process.kill()
        self.stack.anvil.process.wait()
        if not whole_dump(dump, since):  # Anvil does not replace its dump in one step
            dump.write_bytes(kept)
        assert not self.stack.start_chain(), "the contracts are gone"

    def close(self) -> None:
        for trader in self.traders:
            trader.client.stop()
        self.stack.stop()

    # --- people

    def join(self, cash: int = RICH) -> Trader:
        """Somebody new with a funded subaccount."""
        trader = Trader(self, len(self.traders), cash)
        self.traders.append(trader)
        self.joined_block = trail(self.entries())[-1].block
        return trader

    def option(self) -> str:
        """The name of a call that is worth something and lives for days."""
        client = self.traders[0].client
        marked = {
            row.instrument_name for row in client.summaries(self.underlying) if row.mark_price
        }
        listed = [
            one
            for one in client.instruments(self.underlying)
            if one.kind == "option" and one.option_type == "call" and one.instrument_name in marked
        ]
        last = max(one.expiration_timestamp for one in listed)
        index = client.index_price(f"{self.underlying.lower()}_usdc")
        chain = [one for one in listed if one.expiration_timestamp == last]
        return min(chain, key=lambda one: abs(one.strike - index)).instrument_name

    def trade(
        self, seller: Trader, buyer: Trader, name: str, amount: str = "0.1"
    ) -> tuple[Receipt, Receipt]:
        """One fill near the mark."""
        client = seller.client
        ticker = client.ticker(name)
        assert ticker.mark_price is not None
        tick = client.instrument(name).tick_size
        price = (ticker.mark_price / tick).to_integral_value() * tick or Decimal(tick)
        ask = seller.client.sell(name, amount, price)
        return ask, buyer.client.buy(name, amount, price)

    # --- what operators see

    def admin(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.stack.settings.token()}"}
        with httpx.Client(base_url=self.stack.admin_url, headers=headers, timeout=10.0) as client:
            reply = client.get(path) if body is None else client.post(path, json=body)
        document: dict[str, Any] = reply.json()
        return document

    def alarms(self) -> list[str]:
        report = self.admin("/admin/status")["relayer"]
        return list(report["figures"]["alarms"]) if report else []

    def observed(self) -> None:
        """Wait until the exchange knows every block of the chain that holds a log."""
        head = self.chain.head()
        self.chain.rpc("anvil_mine", hex(32))  # blocks without a log are reported 32 at a time
        eventually(lambda: self.admin("/admin/status")["last_block"] >= head, f"block {head}")

    def settled(self) -> None:
        """Wait until every batch is final and the exchange knows."""
        eventually(lambda: all_confirmed(self.admin("/admin/status")), "settlement of every batch")

    # --- what journal and chain say

    @contextlib.contextmanager
    def reader(self) -> Iterator[JournalReader]:
        reader = JournalReader(self.settings.journal_location, shard=self.settings.shard)
        yield reader
        reader.close()

    def entries(self) -> list[Entry]:
        with self.reader() as reader:
            return list(reader.entries())

    def events(self, kind: type[Any]) -> list[AnyEvent | Any]:
        return [e for entry in self.entries() for e in entry.events if isinstance(e, kind)]

    def require_agreement(self) -> None:
        """Chain = engine: every figure, each batch once, and an auditor finds nothing."""
        self.settled()
        self.observed()  # blocks of before a kill of the chain have no state any more
        with self.reader() as reader:
            found = reconcile(reader, self.chain)
        assert found.differences == ()
        numbers = [log.number for log in self.chain.all_settled()]
        assert numbers == list(range(1, len(numbers) + 1))
        settings = self.stack.settings
        result: AuditResult = audit(
            settings.journal_location, settings.rpc_url, shard=settings.shard
        )
        assert result.difference == "", result
