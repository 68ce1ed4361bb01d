"""The gateway's limits, frozen at start; `bootstrap` fills them in."""

import os
from typing import Final

import msgspec

# Of a gateway that serves a venue: its loop needs a core of its own.
SIGNATURE_WORKERS: Final = max(1, min(4, (os.cpu_count() or 1) - 1))


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds, counts per gateway unless the name says otherwise."""

    public_url: str = "http://127.0.0.1:8080"  # its host is the domain that sign-in texts must name
    rfq_url: str = ""  # where requests for quote are served, if elsewhere
    testnet: bool = True
    terminal_dir: str = ""  # the web terminal's folder, beside node_modules; served at / when given
    local_keys: tuple[str, ...] = ()  # hex keys that the terminal offers to anybody: local venues
    local_node: str = ""  # the node that these keys' transactions go to, from the page itself
    body_max: int = 16 * 1024
    sheet_max: int = 128 * 1024  # a message of a signed-in WebSocket: quote sheets are long
    connections_max: int = 2_000
    connections_per_address_max: int = 200
    in_flight_per_connection_max: int = 256
    subscriptions_per_connection_max: int = 1_000
    outbox_messages_max: int = 4_096
    outbox_bytes_max: int = 4 * 1024 * 1024
    session_s: float = 900.0
    refresh_s: float = 7 * 86_400.0
    sessions_max: int = 10_000
    nonce_s: float = 300.0
    requests_per_s: float = 500.0  # of one account, other than signed orders
    requests_burst: float = 2_000.0
    orders_per_s: float = 2_000.0
    orders_burst: float = 5_000.0
    network_factor: float = 4.0  # what all accounts at one network address share, in multiples
    signature_workers: int = 0  # processes that recover signers; 0: the loop itself
    receipt_key: bytes = b""  # signs receipts; empty: they carry no signature
