"""A real HAProxy with deploy/haproxy.cfg before gateways and engines of this machine."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.live_venue import eventually
from tests.ports import free_port

from exchange.config import Settings
from exchange.settlement.deploy import REPOSITORY

PROGRAM: Final = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
_FILE: Final = REPOSITORY / "deploy" / "haproxy.cfg"
_SERVER: Final = re.compile(r"^( *server \w+) ([\w-]+):8080(.*) port 8081 .*$", re.MULTILINE)
_RESOLVERS: Final = re.compile(r"^resolvers docker\n( +.*\n)+", re.MULTILINE)


class Proxy(NamedTuple):
    """Where it listens."""

    gateways: str
    engine: str


def local_configuration(places: Mapping[str, Settings], ports: tuple[int, int]) -> str:
    """The file as it is, but for where it listens, where its servers are, and room for fewer."""

    def here(found: re.Match[str]) -> str:
        settings = places[found[2]]
        server = f"{found[1]} 127.0.0.1:{settings.port}"
        return f"{server}{found[3]} port {settings.admin_port}"

    text, servers = _SERVER.subn(here, _RESOLVERS.sub("", _FILE.read_text()))
    assert servers == len(places)
    for name, port in zip((":8080", ":8082"), ports, strict=True):
        assert text.count(f"bind {name}\n") == 1
        text = text.replace(f"bind {name}\n", f"bind 127.0.0.1:{port}\n")
    assert text.count("maxconn 20000\n") == 1
    return text.replace("maxconn 20000\n", "maxconn 2000\n")  # files that any machine lets it open


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@contextlib.contextmanager
def proxy_before(places: Mapping[str, Settings], folder: Path) -> Iterator[Proxy]:
    """Runs until the end of the block. `places` by the names of docker-compose.yml."""
    assert PROGRAM
    ports = free_port(), free_port()
    file = folder / "haproxy.cfg"
    file.write_text(local_configuration(places, ports))
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-db", "-f", str(file)], stdout=log, stderr=log)
        try:
            eventually(lambda: all(map(_listens, ports)), "HAProxy")
            yield Proxy(*(f"127.0.0.1:{port}" for port in ports))
        finally:
            process.terminate()
            process.wait(30)
