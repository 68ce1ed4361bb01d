"""A real engine sends its traces to a real collector: one request from the wire to its stages."""

from pathlib import Path

import pytest
from tests.live_venue import eventually
from tests.pair import Pair
from tests.span_receiver import receiver

pytestmark = pytest.mark.e2e

SOON_S = 30.0


def test_an_order_is_followed_from_the_call_to_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trace: the call with its request id, the command with its seq, four stages."""
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "venue-one")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        pair = Pair(tmp_path, traces=True)
        try:
            pair.start("leader")
            pair.fund("leader", 1)
            with pair.client("leader", 0) as client:
                name = client.instruments("BTC")[0].instrument_name
                receipt = client.buy(name, "0.1", "10", post_only=True)

            def placed() -> bool:
                return any(
                    span.attributes["exchange.seq"] == receipt.seq
                    for span in collector.named("PlaceOrder")
                )

            eventually(placed, "a span of the order", SOON_S)
            (order,) = collector.named("PlaceOrder")
            eventually(lambda: collector.named("private/buy"), "a span of the call", SOON_S)
        finally:
            pair.close()
    (call,) = collector.named("private/buy")
    assert (order.trace_id, order.parent_id) == (call.trace_id, call.span_id)
    assert "exchange.request_id" in call.attributes
    assert call.service == "venue-one"
    stages = collector.below(order)
    assert [one.name for one in stages] == ["queue", "apply", "journal", "publish"]
    assert call.start_ns <= order.start_ns <= order.end_ns
    assert collector.named("UpdateMarks"), "what nobody called has a trace of its own"
