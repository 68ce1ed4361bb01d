"""A process that recovers signers: `python -m exchange.api.recovering FD`.

Fixed records both ways over a socket, so that nothing is parsed: a digest and a signature come in,
addresses go out in the same order; zeros for a signature that the contract would refuse. Ends when
the other side closes.
"""

import signal
import socket
import sys
from typing import Final

from exchange.signing import SIGNATURE_BYTES, recover_address

DIGEST_BYTES: Final = 32
REQUEST_BYTES: Final = DIGEST_BYTES + SIGNATURE_BYTES
ADDRESS_BYTES: Final = 20
NOBODY: Final = bytes(ADDRESS_BYTES)
READ_MAX: Final = 32 * REQUEST_BYTES  # answered together: bounds the wait of the first one


def answer(requests: bytes) -> bytes:
    """The addresses of whole requests, one after the other."""
    return b"".join(
        _signer(requests[start : start + REQUEST_BYTES])
        for start in range(0, len(requests), REQUEST_BYTES)
    )


def _signer(request: bytes) -> bytes:
    return recover_address(request[:DIGEST_BYTES], request[DIGEST_BYTES:]) or NOBODY


def serve(line: socket.socket) -> None:
    """Answer until the other side closes."""
    waiting = b""
    while read := line.recv(READ_MAX):
        waiting += read
        whole = len(waiting) - len(waiting) % REQUEST_BYTES
        line.sendall(answer(waiting[:whole]))
        waiting = waiting[whole:]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the keyboard: the gateway ends us
    with socket.socket(fileno=int(sys.argv[1])) as gateway:
        serve(gateway)
