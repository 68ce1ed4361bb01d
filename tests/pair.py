"""Two engine processes on one journal, without a chain: one leads, one stands by.

For tests and the bench of failover. What a chain would say is posted by hand. Close it.
"""

import json
import signal
import time
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx
import msgspec
from tests.live_venue import eventually
from tests.ports import free_port

from exchange.bootstrap import dev_keys
from exchange.bootstrap.dev import local_settings
from exchange.bootstrap.processes import Child
from exchange.commands import ObserveBlocks
from exchange.config import Settings, as_environment
from exchange.fixed import CASH_SCALE
from exchange.observations import DepositSeen, SubaccountSeen
from exchange.sdk import Client
from exchange.settlement.deployment import Deployment, save_deployment

HASH: Final = "0x" + "11" * 32


class Pair:
    """`leader` and `standby` are names of processes, whoever leads by now."""

    NAMES: ClassVar = ("leader", "standby")

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.settings: dict[str, Settings] = {}
        self.children: dict[str, Child] = {}
        for name in self.NAMES:
            self.settings[name] = local_settings(
                Settings(
                    state_dir=str(folder / "var"),
                    node=name,
                    port=free_port(),
                    admin_port=free_port(),
                    marks_interval_s=2.0,
                    **changes,
                )
            )
        address = "0x" + "22" * 20
        save_deployment(
            self.settings["leader"].deployment_file,
            Deployment(
                chain_id=31337, clearing=address, oracle=address, usdc=address,
                access_manager=address, genesis_hash=HASH, block=1,
            ),
        )  # fmt: skip

    def start(self, name: str, *options: str) -> None:
        """`start("standby", "--standby")` waits; without the option it leads."""
        settings = self.settings[name]
        self.children[name] = Child(
            "engine",
            *options,
            log=settings.state / f"{name}.log",
            environment=as_environment(settings),
        )
        eventually(lambda: self.health(name), f"an answer of the {name}")

    def health(self, name: str) -> dict[str, Any]:
        """What its admin listener says; empty when nobody answers."""
        self.children[name].require_alive()
        settings = self.settings[name]
        try:
            reply = httpx.get(f"http://127.0.0.1:{settings.admin_port}/ready", timeout=10.0)
        except httpx.HTTPError:
            return {}
        answer: dict[str, Any] = reply.json()
        return answer

    def fund(self, name: str, people: int) -> None:
        """Open and fund subaccounts 1, 2, … of the first people."""
        seen = [
            one
            for number in range(people)
            for one in (
                SubaccountSeen(subaccount_id=number + 1, owner=dev_keys.person(number).address),
                DepositSeen(subaccount_id=number + 1, amount=10**6 * CASH_SCALE),
            )
        ]
        command = ObserveBlocks(
            first_block=2, last_block=2, last_hash=HASH, observations=tuple(seen)
        )
        settings = self.settings[name]
        answer = httpx.post(
            f"http://127.0.0.1:{settings.admin_port}/admin/observe_blocks",
            content=msgspec.json.encode(command),
            headers={"Authorization": f"Bearer {settings.token()}"},
            timeout=30.0,
        )
        answer.raise_for_status()

    def client(self, name: str, number: int) -> Client:
        """Of one of the people, not yet started."""
        settings = self.settings[name]
        return Client(
            f"http://127.0.0.1:{settings.port}",
            dev_keys.person(number).key,
            subaccount_id=number + 1,
            transport="http",
        )

    def leads(self, name: str) -> bool:
        """Whether it takes orders."""
        return bool(self.health(name).get("ready"))

    def freeze(self, name: str) -> None:
        """SIGSTOP: it lives and does nothing."""
        self.children[name].signal(signal.SIGSTOP)

    def wake(self, name: str) -> None:
        """SIGCONT."""
        self.children[name].signal(signal.SIGCONT)

    def kill(self, name: str) -> float:
        """SIGKILL; when that was, by the monotonic clock."""
        self.children[name].kill()
        return time.monotonic()

    def said(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log that are structured."""
        text = (self.settings[name].state / f"{name}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def close(self) -> None:
        for child in self.children.values():
            child.signal(signal.SIGCONT)
            child.stop()
