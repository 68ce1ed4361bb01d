"""The limits that documents promise."""

from pathlib import Path

from exchange.api.settings import GatewaySettings

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()


def test_the_api_page_states_the_limits_in_force():
    settings = GatewaySettings()
    assert settings.body_max == 16 * 1024
    assert "16 KB" in DOCS
    assert settings.sheet_max == 128 * 1024
    assert "128 KB" in DOCS
    for figure in (
        settings.connections_max,
        settings.connections_per_address_max,
        settings.in_flight_per_connection_max,
        settings.subscriptions_per_connection_max,
        settings.outbox_messages_max,
        int(settings.requests_per_s),
        int(settings.orders_burst),
    ):
        assert f"{figure:,}" in DOCS
    assert settings.network_factor == 4
    assert "one four times as large" in DOCS
