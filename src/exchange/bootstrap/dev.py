"""`exchange dev`: a local venue as children of one process, and `Stack`, which tests and demo use.

A stack is a chain, the engine process, the relayer and, if wanted, the simulated market's agents.
Everything it keeps lies in the state directory, so a second start resumes.
"""

import contextlib
import secrets
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Final

import httpx
import msgspec
from rich.console import Console

from exchange.bootstrap import dev_keys
from exchange.bootstrap.chain_process import ACCOUNTS, ANVIL, chain_state
from exchange.bootstrap.deploy_command import open_local
from exchange.bootstrap.processes import (
    Child,
    StartFailed,
    require_free_port,
    wait_for_answer,
)
from exchange.config import Settings, as_environment
from exchange.settlement.anvil import Anvil
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import REPOSITORY

READY_S: Final = 60.0
_QUOTES_S: Final = 20.0
_WATCH_S: Final = 0.2
_DRAIN_S: Final = 8.0


def local_settings(settings: Settings) -> Settings:
    """`settings` with the keys, token and node of a local venue filled in."""
    settings.state.mkdir(parents=True, exist_ok=True)
    if not settings.token():
        settings.token_file.write_text(secrets.token_urlsafe(24))
        settings.token_file.chmod(0o600)
    secret_file = settings.state / "api_keys.secret"
    if not settings.api_keys_secret and not secret_file.exists():
        secret_file.touch(0o600)
        secret_file.write_text(secrets.token_hex(32))
    keys = [f"0x{signer.key.hex()}" for signer in dev_keys.oracle_signers()]
    people = [f"0x{dev_keys.person(number).key.hex()}" for number in range(dev_keys.PEOPLE_FUNDED)]
    return msgspec.structs.replace(
        settings,
        admin_token=settings.token(),
        api_keys_secret=settings.api_keys_secret or secret_file.read_text().strip(),
        rpc_url=f"http://127.0.0.1:{settings.chain_port}",
        relayer_key=settings.relayer_key or f"0x{dev_keys.relayer().key.hex()}",
        receipt_key=f"0x{dev_keys.sequencer().key.hex()}",
        house_key=f"0x{dev_keys.treasury().key.hex()}",
        oracle_keys=",".join(keys),
        terminal_dir=settings.terminal_dir or str(REPOSITORY / "web"),
        local_keys=",".join(people),
    )


class Stack:
    """A running local venue. Children can be killed and started one by one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = local_settings(settings)
        self.children: dict[str, Child] = {}
        self.anvil: Anvil | None = None
        self._chain: Chain | None = None

    @property
    def chain(self) -> Chain:
        """The chain with our contracts."""
        assert self._chain is not None, "the chain is not started"
        return self._chain

    @property
    def url(self) -> str:
        """Base URL of the public listener."""
        return f"http://{self.settings.host}:{self.settings.port}"

    @property
    def admin_url(self) -> str:
        """Base URL of the admin listener."""
        return f"http://{self.settings.host}:{self.settings.admin_port}"

    def start_chain(self) -> bool:
        """Start Anvil and make sure the contracts are there; whether they were deployed now."""
        settings = self.settings
        self.anvil = Anvil(
            ANVIL,
            port=settings.chain_port,
            state=chain_state(settings),
            log=settings.state / "anvil.log",
            options=ACCOUNTS,
        )
        self._chain, fresh = open_local(settings)
        return fresh

    def join_chain(self, beside: Path) -> bool:
        """Use the chain of another stack, whose deployment.json this is: as another shard of it."""
        self._chain, fresh = open_local(self.settings, beside)
        return fresh

    def start(self, name: str) -> None:
        """Start `exchange NAME` as a child; the engine is waited for until it is ready."""
        log = self.settings.state / f"{name}.log"
        child = Child(name, log=log, environment=as_environment(self.settings))
        self.children[name] = child
        if name == "engine":
            wait_for_answer(child, f"{self.admin_url}/health", timeout_s=READY_S)

    def wait_for_quotes(self) -> None:
        """Wait until the market offers an option, but not for ever: it may be halted."""
        url = f"{self.url}/api/v2/public/get_book_summary_by_currency?currency=BTC"
        deadline = time.monotonic() + _QUOTES_S
        while time.monotonic() < deadline:
            self.require_alive()
            with contextlib.suppress(httpx.HTTPError):
                rows = httpx.get(url, timeout=2.0).raise_for_status().json()["result"]
                if any(row["ask_price"] for row in rows):
                    return
            time.sleep(_WATCH_S)

    def drain(self) -> bool:
        """Let the relayer settle what is pending, for a few seconds; whether it did.

        The contract refuses fills older than its batch age, so a venue that stands still for days
        must not leave any behind.
        """
        headers = {"Authorization": f"Bearer {self.settings.token()}"}
        deadline = time.monotonic() + _DRAIN_S
        with httpx.Client(base_url=self.admin_url, headers=headers, timeout=2.0) as admin:
            while time.monotonic() < deadline:
                try:
                    status = admin.get("/admin/status").raise_for_status().json()
                except httpx.HTTPError:
                    return False
                if all_confirmed(status):
                    return True
                time.sleep(_WATCH_S)
        return False

    def stop(self) -> None:
        """Stop every child, newest first, and the chain last. Safe to call twice."""
        for child in reversed(self.children.values()):
            child.stop()
        self.children.clear()
        if self.anvil is not None:
            self.anvil.stop()
            self.anvil = None

    def require_alive(self) -> None:
        """`StartFailed` if a child or the chain ended by itself."""
        for child in self.children.values():
            child.require_alive()
        if self.anvil is not None and self.anvil.process.poll() is not None:
            raise StartFailed(f"anvil ended (log: {self.settings.state / 'anvil.log'})")

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def all_confirmed(status: Mapping[str, Any]) -> bool:
    """Whether the admin listener's status says that nothing waits for the chain."""
    return not status["pending"] and status["confirmed_batch"] == status["batch_number"]


class _Interrupted(Exception):
    """A signal asked us to end."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise _Interrupted


def run_dev(settings: Settings) -> None:
    """Run a whole venue until Ctrl-C or SIGTERM, or until a part of it ends."""
    console = Console()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # Engine and Anvil ask again, but the engine only when a chain runs.
    require_free_port(settings.port, "EXCHANGE_PORT")
    require_free_port(settings.admin_port, "EXCHANGE_ADMIN_PORT")
    require_free_port(settings.chain_port, "EXCHANGE_CHAIN_PORT")
    with Stack(settings) as stack:
        try:
            with console.status("starting the chain"):
                fresh = stack.start_chain()
            for name in ("engine", "relayer", "market"):
                with console.status(f"starting the {name}"):
                    stack.start(name)
            with console.status("waiting for quotes"):
                stack.wait_for_quotes()
            _print_places(console, stack, resumed=not fresh)
            while True:
                stack.require_alive()
                time.sleep(_WATCH_S)
        except _Interrupted:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not orphan children
            console.print("stopping")
            if "market" in stack.children:
                stack.children.pop("market").stop()
            if "relayer" in stack.children and not stack.drain():
                console.print("some trades are not settled yet: start again within a day")


def _print_places(console: Console, stack: Stack, *, resumed: bool) -> None:
    settings = stack.settings
    console.print("resumed from the journal" if resumed else "a new venue", style="bold green")
    rows = [
        ("web terminal", f"{stack.url}/"),
        ("API, documentation", f"{stack.url}/api/v2/docs"),
        ("WebSocket", f"ws://{settings.host}:{settings.port}/ws/api/v2"),
        ("a first look", f"{stack.url}/api/v2/public/get_instruments?currency=BTC"),
        ("operator's page", f"{stack.admin_url}/ with the token in {settings.state}/admin.token"),
        ("health, metrics", f"{stack.admin_url}/health  {stack.admin_url}/metrics"),
        ("chain", f"{settings.rpc_url}  Clearing {stack.chain.deployment.clearing}"),
        ("a funded key to try", f"0x{dev_keys.person(0).key.hex()}"),
        ("journal, logs", f"{settings.state}/"),
    ]
    for name, value in rows:
        console.print(f"  {name:<20} {value}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops everything; the next start resumes.")
