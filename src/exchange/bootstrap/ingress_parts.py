"""The stream between gateways and engines, as settings choose it: its parts at either end."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.api.gateway import Gateway
from exchange.api.key_store import StoreBroken
from exchange.api.methods_settlement import PendingPostsBody
from exchange.config import Settings
from exchange.ingress.intake import Intake
from exchange.ingress.messages import Seal
from exchange.ingress.stream import Stream
from exchange.journal import Journal
from exchange.sequencer import Sequencer

TELL_S: Final = 2.0
KEYS_S: Final = 1.0  # until a gateway knows what another did to an API key
_POSTS: Final = "pending_posts"

log = structlog.get_logger(__name__)


def seal_of(settings: Settings) -> Seal:
    """Under the token that the venue's own processes share."""
    return Seal(settings.token(), shard=settings.shard)


class LeadersEnd:
    """What an engine that leads does for gateways of other processes."""

    def __init__(
        self, settings: Settings, sequencer: Sequencer, journal: Journal, gateway: Gateway
    ) -> None:
        self._gateway = gateway
        self._stream = Stream(settings.redis_url, shard=settings.shard)
        self.intake = Intake(sequencer, journal, self._stream, seal_of(settings))

    async def run(self) -> None:
        """Until cancelled; raises `LeaseLost` where another leads by now."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.intake.run())
                tasks.create_task(self._tell())
                tasks.create_task(follow_keys(self._gateway))
        finally:
            await self._stream.close()

    async def _tell(self) -> None:
        """What the relayer told this process alone; whoever missed it hears it again."""
        while True:
            body = msgspec.json.encode({"posts": self._gateway.pending_posts})
            await self.intake.tell(_POSTS, body)
            await asyncio.sleep(TELL_S)

    def figures(self) -> dict[str, float]:
        """For the metrics page."""
        return {
            "ingress_connected": float(self.intake.connected),
            "ingress_taken": self.intake.taken,
            "ingress_expired": self.intake.expired,
        }


def hear_for(gateway: Gateway) -> Callable[[str, bytes], None]:
    """Takes over what the leader's process tells."""

    def hear(topic: str, body: bytes) -> None:
        if topic != _POSTS:
            return
        try:
            gateway.pending_posts = msgspec.json.decode(body, type=PendingPostsBody).posts
        except msgspec.MsgspecError as error:  # an engine of another version
            log.warning("news_refused", reason=str(error))

    return hear


async def follow_keys(gateway: Gateway) -> None:
    """Know what other gateways do to API keys."""
    while True:
        await asyncio.sleep(KEYS_S)
        try:
            gateway.keys.refresh()
        except (StoreBroken, OSError) as error:  # a shared folder may be away for a while
            log.warning("api_keys_unreadable", reason=str(error))


class Figures(Collector):
    """A dictionary as gauges, read when the page is asked for."""

    def __init__(self, read: Callable[[], dict[str, float]]) -> None:
        self._read = read

    def collect(self) -> list[Metric]:
        """One family a figure."""
        return [
            GaugeMetricFamily(f"exchange_{name}", name.replace("_", " "), value=value)
            for name, value in self._read().items()
        ]
