"""What watches a venue names figures that exist, and machines that the compose files start."""

import json
import re
from collections.abc import Iterator
from inspect import getsource
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from tests.unit.api.world import World

from exchange.api.admin import ExchangeMetrics
from exchange.bootstrap import serve_process
from exchange.bootstrap.ingress_parts import Figures, LeadersEnd
from exchange.bootstrap.stage_times import stage_times
from exchange.config import Settings
from exchange.journal import StreamId
from exchange.settlement.deploy import REPOSITORY
from exchange.settlement.status import RelayerMetrics, RelayerStatus, StatusReader

FOLDER = REPOSITORY / "deploy"
DOCS = REPOSITORY / "docs"
FILES = ["alerts.yml", "grafana/exchange.json"]
SHARDS = [f"shards/{job}-ether.yml" for job in ("engine", "gateway", "relayer")]
MACHINES = [
    *("haproxy.cfg", "haproxy-ether.cfg", "prometheus.yml", "grafana/datasource.yml"),
    *SHARDS,
]
COMPOSE = ["docker-compose.yml", "docker-compose.shards.yml"]


@pytest.fixture(scope="module")
def figures() -> Iterator[set[str]]:
    """Names on the metrics pages of engine, gateways and relayer."""
    world = World()
    relayer = RelayerMetrics()
    relayer.status = RelayerStatus(
        address="", endpoint="", head=0, balance=0, jobs={"built": 1}, pending_batches=0,
        oldest_pending_s=0, last_batch=0, settled_fills=0, gas_used=0, gas_per_fill=0,
        confirmation_lag_s=0, failures=0, replacements=0, alarms=("balance_low",),
    )  # fmt: skip
    registry = CollectorRegistry()
    settings = Settings(redis_url="redis://127.0.0.1:1/0", admin_token="t" * 16)
    journal = SimpleNamespace(last_place=StreamId(0, 0))
    end = LeadersEnd(settings, world.sequencer, journal, world.gateway)
    engine = ExchangeMetrics(world.sequencer, world.gateway)
    beside = SimpleNamespace(
        connected=True, leader_silent_s=lambda: 0.0, unread_s=lambda: 0.0
    )  # a gateway's replica
    gateway = Figures(lambda: serve_process._figures(beside))
    for one in (engine, relayer, stage_times()[0], Figures(end.figures), gateway):
        registry.register(one)
    text = generate_latest(registry).decode()
    yield {re.split(r"[ {]", line)[0] for line in text.splitlines()} | set(text.split())
    world.gateway.stop()


@pytest.mark.parametrize("file", FILES)
def test_what_is_watched_is_there(file: str, figures: set[str]) -> None:
    """Dashboard and alerts name nothing that no process shows."""
    named = set(re.findall(r"\bexchange_[a-z_]+", (FOLDER / file).read_text()))
    assert named
    assert named <= figures, named - figures


def test_the_runbook_says_what_to_do() -> None:
    """Of each alert, and of each alarm of the relayer, in a row of its own; of nothing else."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    alarms = set(re.findall(r'(?m)^ +"(\w+)": status\.', getsource(StatusReader._alarms)))
    _, book, _ = re.split(r"(?m)^## (?:Alarms|Traces)$", (DOCS / "runbook.md").read_text())
    of_prometheus, of_the_relayer, _ = re.split(r"(?m)^The relayer's|^In the engine's", book)
    for rows, names in ((of_prometheus, alerts), (of_the_relayer, alarms)):
        assert len(names) > 8
        assert set(re.findall(r"(?m)^\| `(\w+)` \|", rows)) == names


@pytest.mark.parametrize("file", MACHINES)
def test_machines_are_those_of_the_compose_files(file: str) -> None:
    """Host and port of each are a service there."""
    services = {
        name
        for source in COMPOSE
        for name in re.findall(r"(?m)^  ([a-z-]+):", (REPOSITORY / source).read_text())
    }
    named = set(re.findall(r"([a-z-]+):(?:8080|8081|9090|9100)\b", (FOLDER / file).read_text()))
    assert named
    assert named <= services, named - services


def test_every_process_that_shows_figures_is_asked_for_them() -> None:
    """Engines, gateways and relayers of both shards, each with the label of its shard."""
    asked = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    first, second = (yaml.safe_load((REPOSITORY / source).read_text()) for source in COMPOSE)
    mounted = second["services"]["prometheus"]["volumes"]
    assert mounted == ["./deploy/shards:/etc/prometheus/shards:ro"]
    assert [job["job_name"] for job in asked] == ["engine", "gateway", "relayer"]
    for job in asked:
        kind, port = job["job_name"], "9100" if job["job_name"] == "relayer" else "8081"
        assert job["file_sd_configs"] == [{"files": [f"/etc/prometheus/shards/{kind}-*.yml"]}]
        beside = yaml.safe_load((FOLDER / f"shards/{kind}-ether.yml").read_text())
        groups = *job["static_configs"], *beside
        for shard, (text, group) in enumerate(zip((first, second), groups, strict=True)):
            prefix = "ether-" if shard else ""
            names = [name for name in text["services"] if name.startswith(prefix + kind)]
            assert group["targets"] == [f"{name}:{port}" for name in names] != []
            assert group["labels"] == {"shard": str(shard)}
    for text, name in (first, "relayer"), (second, "ether-relayer"):
        assert text["services"][name]["environment"]["EXCHANGE_RELAYER_PORT"] == "9100"


def test_a_second_shard_is_told_what_the_first_is() -> None:
    """Its processes have every setting of the first one's, and which shard they are."""
    first, second = (
        set(re.findall(r"\b(EXCHANGE_\w+):", re.split(r"(?m)^services:", text)[0]))
        for text in ((REPOSITORY / source).read_text() for source in COMPOSE)
    )
    assert second - first == {"EXCHANGE_SHARD", "EXCHANGE_UNDERLYINGS"}
    assert first <= second


def test_the_dashboard_has_no_panel_without_a_question() -> None:
    """Each has its own place and asks Prometheus for something."""
    panels = json.loads((FOLDER / "grafana/exchange.json").read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) > 12
    assert all(target["expr"] for panel in panels for target in panel["targets"])
