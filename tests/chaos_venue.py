"""A venue of processes that all may die or freeze: two engines on PostgreSQL, relayer, market,
keeper, chain, and the database itself.

What a supervisor would restart is restarted by `revive`. Close it.
"""

import contextlib
import random
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from tests.leader_proxy import LeaderProxy
from tests.live_venue import LiveVenue, eventually
from tests.ports import free_port
from tests.postgres import Postgres

from exchange.bootstrap import dev_keys
from exchange.bootstrap.dev import all_confirmed
from exchange.bootstrap.processes import Child, StartFailed
from exchange.config import as_environment

ENGINES: Final = ("engine-one", "engine-two")
OTHERS: Final = ("relayer", "market", "keeper")
FAULTS: Final = ("kill", "freeze", "stutter")
VICTIMS: Final = ("leader", "standby", *OTHERS, "chain", "store")
FREEZE_MAX_S: Final = 3.0  # longer than `takeover_s`: a frozen leader is followed by the standby
STUTTERS: Final = 20
STUTTER_S: Final = 0.05  # each; as a disk that takes so long for every write


class ChaosVenue(LiveVenue):
    def __init__(self, folder: Path, store: Postgres) -> None:
        self.store = store
        self.proxy: LeaderProxy | None = None
        self._ports = {name: (free_port(), free_port()) for name in ENGINES}
        super().__init__(folder, journal=store.url, snapshot_commands=500)

    def start_all(self) -> None:
        settings = self.settings
        self.proxy = LeaderProxy(
            {name: admin for name, (_, admin) in self._ports.items()},
            {
                settings.port: {name: port for name, (port, _) in self._ports.items()},
                settings.admin_port: {name: admin for name, (_, admin) in self._ports.items()},
            },
        )
        self.stack.start_chain()
        for name in (*ENGINES, *OTHERS):
            self.start(name)
        eventually(lambda: self.proxy and self.proxy.leader, "one engine leads")

    def start(self, name: str) -> None:
        """One process, as a supervisor does; engines stand by while another leads."""
        settings, options = self.stack.settings, ()
        if name in ENGINES:
            port, admin_port = self._ports[name]
            changes: dict[str, Any] = {"node": name, "port": port, "admin_port": admin_port}
            settings, options = msgspec.structs.replace(settings, **changes), ("--standby",)
        elif name == "keeper":
            options = ("funding", "--url", self.stack.url, "--rpc", settings.rpc_url)
        program = "engine" if name in ENGINES else name
        environment = as_environment(settings) | {"EXCHANGE_KEEPER_KEY": _keeper_key()}
        log = settings.state / f"{name}.log"
        self.stack.children[name] = Child(program, *options, log=log, environment=environment)

    def close(self) -> None:
        for child in self.stack.children.values():
            child.kill()  # they have shown that it does no harm
        for trader in self.traders:
            trader.client.stop()
        self.traders.clear()
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None
        super().close()

    # --- faults

    @property
    def leader(self) -> str:
        """The name of the engine that leads; the first while none does."""
        assert self.proxy is not None
        return self.proxy.leader or ENGINES[0]

    def afflict(self, victim: str, fault: str, dice: random.Random) -> None:
        """One fault of one of `VICTIMS`."""
        if fault == "kill":
            self._kill(victim)
        elif fault == "freeze":
            self._freeze(victim, 0.3 + dice.random() * (FREEZE_MAX_S - 0.3))
        else:
            for _ in range(STUTTERS):
                self._freeze(victim, STUTTER_S)
                time.sleep(STUTTER_S / 2)

    def _name(self, victim: str) -> str:
        if victim == "leader":
            return self.leader
        if victim == "standby":
            return ENGINES[1 - ENGINES.index(self.leader)]
        return victim

    def _kill(self, victim: str) -> None:
        if victim == "store":
            self.store.kill()
            self.store.start()
        elif victim == "chain":
            self.kill_chain()
        else:
            self.stack.children[self._name(victim)].kill()

    def _freeze(self, victim: str, seconds: float) -> None:
        processes = self._processes(victim)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(seconds)
        for process in reversed(processes):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def _processes(self, victim: str) -> list[psutil.Process]:
        if victim == "store":
            return self.store.processes()
        if victim == "chain":
            assert self.stack.anvil is not None
            return [psutil.Process(self.stack.anvil.process.pid)]
        return [psutil.Process(self.stack.children[self._name(victim)].pid)]

    def revive(self) -> list[str]:
        """Start again what has ended; who that was."""
        ended = []
        for name, child in list(self.stack.children.items()):
            try:
                child.require_alive()
            except StartFailed:
                ended.append(name)
                self.start(name)
        return ended

    def settled(self) -> None:
        """As of any venue, while a supervisor does its work."""

        def done() -> bool:
            self.revive()
            return all_confirmed(self.admin("/admin/status"))

        eventually(done, "settlement of every batch")

    def recovered(self) -> None:
        """Wait until an engine leads and takes orders, reviving whoever ends meanwhile."""

        def ready() -> bool:
            self.revive()
            return bool(self.proxy and self.proxy.leader and self.admin("/ready").get("ready"))

        eventually(ready, "an engine is ready")


def _keeper_key() -> str:
    return dev_keys.person(5).key.hex()
