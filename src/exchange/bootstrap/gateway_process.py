"""`exchange gateway`: one attester between the hub's chain and a second one."""

import signal
import threading
from pathlib import Path

import msgspec

from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.settlement.chain import Node
from exchange.settlement.errors import ChainUnavailable
from exchange.settlement.gateway import Attester, GatewayDeployment, Site


def run_gateway(settings: Settings) -> None:
    """Vote until SIGTERM or SIGINT."""
    if not settings.attester_key:
        raise StartFailed("EXCHANGE_ATTESTER_KEY is not set: nobody would know whose vote it is")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    attester = open_attester(settings)
    while not stop.is_set():
        try:
            attester.step()
        except ChainUnavailable:  # both ends wait for it
            stop.wait(5.0)
        stop.wait(1.0)


def open_attester(settings: Settings) -> Attester:
    """The attester that the settings describe; its ends are verified."""
    deployment = load_gateway(settings.state / "gateway.json")
    return Attester(
        key_from_hex(settings.attester_key, "EXCHANGE_ATTESTER_KEY"),
        Site(Node(settings.rpc_url), deployment.hub),
        Site(Node(settings.second_rpc_url), deployment.second),
        confirmations=settings.confirmations,
    )


def load_gateway(path: Path) -> GatewayDeployment:
    """Where the two ends are."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=GatewayDeployment)
    except (OSError, msgspec.MsgspecError) as error:
        raise StartFailed(f"there is no gateway at {path}: {error}") from error
