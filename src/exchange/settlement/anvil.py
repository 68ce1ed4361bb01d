"""A local chain: Anvil as a child process, with its state on disk.

Starts and stops the process and nothing else; talks just enough JSON-RPC to see that it answers.
"""

import contextlib
import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

import httpx

from exchange.settlement.errors import ChainUnavailable, ToolMissing

HARDFORK: Final = "prague"  # equals `evm_version` in contracts/foundry.toml
_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 10.0


class Anvil:
    """A running Anvil; `url` answers from the moment the constructor returns.

    A state file from an earlier run is continued, so the chain outlives its process.
    """

    def __init__(
        self,
        binary: Path,
        *,
        port: int,
        state: Path | None = None,
        log: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        self.url = f"http://{_HOST}:{port}"
        _require_free(port)
        command = anvil_command(binary, port=port, state=state, options=options)
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
            self.process = subprocess.Popen(  # noqa: S603  the binary is the one that setup installed
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the parent, which stops the chain last
            )
        try:
            self._wait_until_ready(log)
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self, log: Path | None) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                hint = f"; see {log}" if log else ""
                raise ChainUnavailable(f"anvil could not start at {self.url}{hint}")
            if chain_id(self.url) is not None:
                return
            time.sleep(0.05)
        raise ChainUnavailable(f"anvil did not answer at {self.url} in {_START_TIMEOUT_S:.0f} s")

    def stop(self) -> None:
        """End the process; it writes its state before it goes. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> "Anvil":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def anvil_command(
    binary: Path,
    *,
    host: str = _HOST,
    port: int,
    state: Path | None = None,
    options: tuple[str, ...] = (),
) -> list[str]:
    """What starts Anvil now; makes a state file of an earlier run fit to be continued."""
    if not binary.exists():
        raise ToolMissing(f"there is no Anvil at {binary}: run scripts/setup")
    command = [str(binary), "--host", host, "--port", str(port), "--hardfork", HARDFORK]
    if state is not None:
        state.parent.mkdir(parents=True, exist_ok=True)
        _keep_first_genesis(state)
        command += ["--state", str(state), "--state-interval", "1"]
        # Without --preserve-historical-states: they are four fifths of a file that is written
        # every second, and nothing here looks at a block from before the restart.
    return [*command, *options]


def _keep_first_genesis(state: Path) -> None:
    """Drop from a dump the block 0 of each restart: Anvil keeps all and may load a later one.

    A dump that a kill left torn stays as it is; Anvil refuses or ignores it.
    """
    try:
        dump = json.loads(state.read_bytes())
    except (FileNotFoundError, ValueError):
        return
    first = [block for block in dump.get("blocks", ()) if int(block["header"]["number"], 16) == 0]
    if len(first) < 2:
        return
    first.sort(key=lambda block: int(block["header"]["timestamp"], 16))
    dump["blocks"] = [block for block in dump["blocks"] if block not in first[1:]]
    whole = state.with_suffix(".tmp")
    whole.write_text(json.dumps(dump))
    whole.replace(state)


def _require_free(port: int) -> None:
    # Anvil waits for a taken port without a word, and whoever holds it would answer in its place.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise ChainUnavailable(f"port {port} for the local chain is in use") from error


def chain_id(url: str) -> int | None:
    """Id of the chain that a node serves, or None when nothing answers there."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        answer = httpx.post(url, json=request, timeout=2.0).json()
    except (httpx.HTTPError, ValueError):
        return None
    result = answer.get("result") if isinstance(answer, dict) else None
    return int(result, 16) if isinstance(result, str) else None
