"""Starting the local chain; a fake binary stands in for Anvil."""

import json
import socket
import stat
from pathlib import Path

import pytest
from tests.ports import free_port

from exchange.settlement.anvil import Anvil, chain_id
from exchange.settlement.errors import ChainUnavailable, ToolMissing

FAKE = """#!/usr/bin/env python3
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(sys.argv[sys.argv.index("--port") + 1])
print("options", *sys.argv[1:], flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_it_starts_answers_and_stops(tmp_path: Path) -> None:
    """It answers when the constructor returns, and its process is gone after the block."""
    binary = executable(tmp_path / "anvil", FAKE)
    port = free_port()
    state, log = tmp_path / "var" / "anvil.json", tmp_path / "anvil.log"
    with Anvil(binary, port=port, state=state, log=log, options=("--accounts", "3")) as anvil:
        assert chain_id(anvil.url) == 31_337
    assert anvil.process.poll() is not None
    anvil.stop()
    assert chain_id(anvil.url) is None
    options = log.read_text()
    assert f"--host 127.0.0.1 --port {port} --hardfork prague --state {state}" in options
    assert "--state-interval 1" in options
    assert "--accounts 3" in options


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Whoever holds the port would answer in the chain's place."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(ChainUnavailable, match=f"port {port} .* in use"):
            Anvil(tmp_path / "never started", port=port)


def test_a_binary_that_ends_at_once_is_named(tmp_path: Path) -> None:
    """One line, and where to read more."""
    binary = executable(tmp_path / "anvil", "#!/bin/sh\nexit 3\n")
    with pytest.raises(ChainUnavailable, match=r"could not start at .*; see .*anvil\.log"):
        Anvil(binary, port=free_port(), log=tmp_path / "anvil.log")


def test_a_missing_binary_is_a_hint(tmp_path: Path) -> None:
    """What to run, and where the binary should be."""
    with pytest.raises(ToolMissing, match=r"no Anvil at .*anvil: run scripts/setup"):
        Anvil(tmp_path / "anvil", port=free_port())


def test_a_restarted_chain_keeps_its_first_block(tmp_path: Path) -> None:
    """Anvil dumps a block 0 for each start, in any order; the oldest is the chain's."""
    state = tmp_path / "anvil.json"
    numbers = [("0x0", "0x9"), ("0x1", "0x6"), ("0x0", "0x5"), ("0x0", "0x7")]
    blocks = [{"header": {"number": number, "timestamp": time}} for number, time in numbers]
    state.write_text(json.dumps({"blocks": blocks, "best_block_number": 1}))
    binary = executable(tmp_path / "anvil", "#!/bin/sh\nexit 3\n")
    with pytest.raises(ChainUnavailable):
        Anvil(binary, port=free_port(), state=state)
    assert json.loads(state.read_text()) == {"blocks": blocks[1:3], "best_block_number": 1}
