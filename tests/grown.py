"""The grown shape as processes, without a chain: two engines, two gateways, a store, a stream.

What docker-compose.yml starts, on servers from wheels. Close it.
"""

from pathlib import Path
from typing import Any, ClassVar

from tests.live_venue import eventually
from tests.pair import Pair
from tests.valkey import Valkey

from exchange.bootstrap.processes import Child
from exchange.config import as_environment

GATEWAYS = ("one", "two")


class Grown(Pair):
    """`one` and `two` are gateways; people trade there."""

    NAMES: ClassVar = ("leader", "standby", *GATEWAYS)

    def __init__(self, folder: Path, database: str, server: Valkey, **changes: Any) -> None:
        super().__init__(
            folder, journal=database, history=database, redis_url=server.url, **changes
        )

    def open(self, people: int) -> None:
        """Everything runs, and so many people have money."""
        self.start("leader")
        self.fund("leader", people)
        self.start("standby", "--standby")
        for name in GATEWAYS:
            self.start_gateway(name)
        for name in GATEWAYS:
            eventually(lambda name=name: self.leads(name), f"the gateway {name} takes orders")

    def start_gateway(self, name: str) -> None:
        settings = self.settings[name]
        self.children[name] = Child(
            "serve", log=settings.state / f"{name}.log", environment=as_environment(settings)
        )
        eventually(lambda: self.health(name), f"an answer of the gateway {name}")
