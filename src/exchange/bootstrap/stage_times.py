"""How long each stage of a group of commands takes, for Prometheus."""

from typing import Final

from prometheus_client import Histogram

from exchange.sequencer import STAGES, Measure

_BUCKETS_S: Final = tuple(step * 10**power for power in range(-5, 1) for step in (1, 2.5, 5))


def stage_times() -> tuple[Histogram, Measure]:
    """The figure, and where the sequencer tells it. `settle` is the relayer's own figure."""
    seconds = Histogram(
        "exchange_stage_seconds",
        "Time of a group of commands in a stage: queue (of its first), apply, journal, publish",
        ["stage"],
        buckets=_BUCKETS_S,
        registry=None,
    )
    by_stage = {stage: seconds.labels(stage) for stage in STAGES}
    return seconds, lambda stage, took_s: by_stage[stage].observe(took_s)
