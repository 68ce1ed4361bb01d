"""Stage times reach the metrics page under their names."""

from prometheus_client import CollectorRegistry, generate_latest

from exchange.bootstrap.stage_times import stage_times
from exchange.sequencer import STAGES


def test_each_stage_is_counted_by_itself():
    """Count, sum and buckets; a stage that nothing went through shows zero."""
    figure, measure = stage_times()
    measure("apply", 0.000_3)
    measure("apply", 0.002)
    measure("journal", 0.1)
    registry = CollectorRegistry()
    registry.register(figure)
    lines = generate_latest(registry).decode().splitlines()
    counts = {stage: f'exchange_stage_seconds_count{{stage="{stage}"}}' for stage in STAGES}
    assert [float(line.split()[1]) for line in lines if line.startswith(counts["apply"])] == [2]
    assert f"{counts['queue']} 0.0" in lines
    assert 'exchange_stage_seconds_bucket{le="0.0005",stage="apply"} 1.0' in lines
    assert 'exchange_stage_seconds_sum{stage="journal"} 0.1' in lines
