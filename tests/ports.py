"""Ports for the processes that tests start, below those that the system gives to clients.

A port that the system chose (`bind` to 0) may be some client's a moment later.
"""

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_SPAN: Final = 12_000  # Linux gives clients those from 32,768 on
_turns = itertools.count(os.getpid() * 101)  # processes beside each other begin apart


def free_port() -> int:
    """A port of loopback that nobody holds, another one each time."""
    for turn in itertools.islice(_turns, _SPAN):
        port = _FIRST + turn % _SPAN
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
