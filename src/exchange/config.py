"""Settings: read once from the environment, frozen, handed down as arguments.

Only `bootstrap`, `demo` and `__main__` see this module; everything below gets plain values.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

PREFIX = "EXCHANGE_"
SHARD_MAX = 999


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the environment variable EXCHANGE_<NAME> in capitals; times in seconds."""

    state_dir: str = "var"  # everything that outlives a process
    shard: Annotated[int, Meta(ge=0, le=SHARD_MAX)] = 0  # which of those that share a store
    underlyings: str = ""  # BTC,ETH: of this shard; empty: every one of the simulated market
    node: str = ""  # what a standby is called; its read model carries the name
    journal: str = ""  # path or database URL; empty: journal.db in state_dir
    history: str = ""  # the same of a read model that all share; empty: each engine has its own
    redis_url: str = ""  # of the stream between gateways and engines; empty: the engine serves all
    public_url: str = ""  # where clients reach the venue; empty: host and port
    rfq_url: str = ""  # where the leading engine's own listener is reached, from gateways
    host: str = "127.0.0.1"
    port: int = 8080
    proxies: str = ""  # networks, comma-separated, whose X-Forwarded-For says who a client is
    admin_port: int = 8081
    admin_url: str = ""  # of admin listeners, comma-separated; empty: host and admin_port
    admin_token: str = ""  # empty: read from state_dir/admin.token
    admin_keys: str = ""  # alice:operator:TOKEN,bob:risk:TOKEN of people beside admin_token
    rpc_url: str = "http://127.0.0.1:8545"  # or several of one chain, comma-separated
    relayer_port: int = 0  # where the relayer shows its metrics; 0: only through the exchange
    relayer_balance_min: int = 5 * 10**16  # wei; below it the relayer raises an alarm
    chain_port: int = 8545
    api_keys_secret: str = ""  # 64 hex digits that seal state_dir/api_keys; empty: no API keys
    receipt_key: str = ""  # hex private key that signs receipts; empty: they are not signed
    relayer_key: str = ""  # hex private key of the account that sends batches
    oracle_keys: str = ""  # comma-separated hex private keys of this publisher's oracle signers
    house_key: str = ""  # hex key of the treasury, or of its session key: replaces refused fills
    wallet_key: str = ""  # hex private key of an owner, for `exchange escape` alone
    attester_key: str = ""  # hex private key of this attester of the gateway
    second_rpc_url: str = ""  # the chain behind the gateway; the hub's is rpc_url
    confirmations: int = 1  # blocks before a log counts, its own included
    insurance_notice_s: int = (
        0  # a new deployment's insurance fund takes deposits; see `exchange fund`
    )
    batch_interval_s: float = 3.0  # the longest a trade waits for its batch
    index_interval_s: float = 1.0  # between index samples
    marks_interval_s: float = 5.0  # between full epochs of risk arrays
    seed: int = 7  # of the simulated market and its agents
    seed_chain: str = ""  # file of a recorded chain that seeds listings, index and surface
    index_sources: str = ""  # BTC=kraken:BTC/USDC,bitstamp:BTC/USDC;ETH=... as ccxt names them
    recorded_sources: str = ""  # BTC=NAME:FILE,NAME:FILE;ETH=... of rows time,price
    volatility_sources: str = ""  # BTC=deribit:BTC;ETH=... as ccxt names exchanges and coins
    takeover_s: float = 1.0  # the leader's silence after which a standby leads
    snapshot_commands: int = 50_000  # a snapshot after so many commands; 0: none
    trust_state_hashes: bool = False  # once after an upgrade that gives the state another form
    traces: bool = False  # OpenTelemetry over HTTP; where to is said by the variables OTEL_*
    terminal_dir: str = ""  # folder of the web terminal, beside node_modules; empty: not served
    local_keys: str = ""  # comma-separated hex keys that the terminal offers: never with real money
    log_level: str = "info"

    @property
    def state(self) -> Path:
        """The state directory as a path."""
        return Path(self.state_dir)

    @property
    def journal_location(self) -> str:
        """Path or URL of the journal."""
        return self.journal or str(self.state / "journal.db")

    @property
    def history_location(self) -> str:
        """Path or URL of the read model; deleted, it is built anew from the whole journal."""
        if self.history:
            return self.history
        return str(self.state / (f"history-{self.node}.db" if self.node else "history.db"))

    @property
    def snapshot_dir(self) -> Path:
        """Where snapshots lie; they may be deleted, the journal holds everything."""
        return self.state / "snapshots"

    @property
    def token_file(self) -> Path:
        """Where the admin token lies when it is not given."""
        return self.state / "admin.token"

    @property
    def api_keys_file(self) -> Path:
        """Where API keys lie, sealed."""
        return self.state / "api_keys"

    @property
    def deployment_file(self) -> Path:
        """Addresses of the contracts, written when they are deployed."""
        return self.state / "deployment.json"

    def token(self) -> str:
        """The admin token as given, or from its file; empty if there is none."""
        if self.admin_token:
            return self.admin_token
        return self.token_file.read_text().strip() if self.token_file.exists() else ""


class SettingsInvalid(Exception):
    """A setting has the wrong form; names the variable."""


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from variables EXCHANGE_*; a wrong type is refused, other names are left alone."""
    given = {
        field: environment[variable]
        for field in Settings.__struct_fields__
        if (variable := PREFIX + field.upper()) in environment
    }
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsInvalid(f"a variable {PREFIX}* has the wrong form: {error}") from error


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process the same settings."""
    return {
        PREFIX + field.upper(): str(getattr(settings, field))
        for field in settings.__struct_fields__
    }
