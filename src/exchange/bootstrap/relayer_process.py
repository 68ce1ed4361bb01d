"""`exchange relayer`: settlement and watcher in a process of their own."""

import signal
import threading

from exchange.bootstrap.deploy_command import chain_of
from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed, require_free_port
from exchange.config import Settings
from exchange.settlement.process import RelayerSettings, run_relayer


def run_relayer_process(settings: Settings) -> None:
    """Settle and watch until SIGTERM or SIGINT."""
    if not settings.relayer_key:
        raise StartFailed("EXCHANGE_RELAYER_KEY is not set: the relayer cannot sign")
    if settings.relayer_port:
        require_free_port(settings.relayer_port, "EXCHANGE_RELAYER_PORT")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chain = chain_of(settings)
    run_relayer(
        RelayerSettings(
            journal=settings.journal_location,
            shard=settings.shard,
            outbox=str(settings.state / "relayer.db"),
            admin_url=settings.admin_url or f"http://{settings.host}:{settings.admin_port}",
            admin_token=settings.token(),
            key=key_from_hex(settings.relayer_key, "EXCHANGE_RELAYER_KEY"),
            oracle_keys=tuple(
                key_from_hex(text, "EXCHANGE_ORACLE_KEYS")
                for text in settings.oracle_keys.split(",")
                if text
            ),
            house_key=(
                key_from_hex(settings.house_key, "EXCHANGE_HOUSE_KEY")
                if settings.house_key
                else b""
            ),
            confirmations=settings.confirmations,
            metrics_host=settings.host,
            metrics_port=settings.relayer_port,
            balance_min=settings.relayer_balance_min,
        ),
        chain,
        stop,
    )
