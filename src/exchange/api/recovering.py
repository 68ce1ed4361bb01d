"""A process that reads signed requests and recovers signers: `recovering FD`.

Frames of a length, a kind and a body come in over a socket: a digest and a signature, a request's
text, or what names mean, which is learned. Answers leave in the same order, an empty one where the
gateway must look for itself. Ends when the other side closes.
"""

import gc
import signal
import socket
import struct
import sys
from typing import Final, NamedTuple

import msgspec

from exchange.api.errors import Unavailable, UnknownInstrument
from exchange.api.reading import read
from exchange.signing import Domain, recover_address

FRAME: Final = struct.Struct(">IB")  # bytes of the body, kind
ANSWER: Final = struct.Struct(">I")  # bytes of the answer
RECOVER: Final = 0  # a digest and a signature; answered by an address of 20 bytes
READ: Final = 1  # a request's text; answered by a `Reading`
LEARN: Final = 2  # a `Lesson`, which has no answer
DIGEST_BYTES: Final = 32
READ_MAX: Final = 16 * 1024  # answered together: bounds the wait of the first one


class Lesson(msgspec.Struct, frozen=True, array_like=True):
    """Instruments that were listed, and the domain, which never changes in practice."""

    chain_id: int
    clearing: str
    instruments: list[tuple[str, int, bytes]]  # name, number, hash of its legs


class Meaning(NamedTuple):
    """What a name stands for."""

    instrument_id: int
    legs_hash: bytes


class Learned:
    """Names as this process knows them."""

    def __init__(self) -> None:
        self._domain: Domain | None = None
        self._meanings: dict[str, Meaning] = {}

    def learn(self, lesson: Lesson) -> None:
        """Add what was listed."""
        self._domain = Domain(lesson.chain_id, lesson.clearing)
        for name, instrument_id, legs_hash in lesson.instruments:
            self._meanings[name] = Meaning(instrument_id, legs_hash)

    def instrument(self, name: str) -> Meaning:
        """See `Names`."""
        if name not in self._meanings:
            raise UnknownInstrument(f"no instrument {name}", "instrument_name")
        return self._meanings[name]

    def domain(self) -> Domain:
        """See `Names`."""
        if self._domain is None:
            raise Unavailable("the venue has no parameters yet")
        return self._domain


_readings: Final = msgspec.msgpack.Encoder()
_lessons: Final = msgspec.msgpack.Decoder(Lesson)


class Answering:
    """What came in and was not answered yet: however it was cut, frames are answered whole."""

    def __init__(self) -> None:
        self._learned = Learned()
        self._waiting = b""

    def answer(self, data: bytes) -> bytes:
        """The answers to all frames that are whole by now."""
        waiting, at = self._waiting + data, 0
        answers: list[bytes] = []
        while len(waiting) - at >= FRAME.size:
            size, kind = FRAME.unpack_from(waiting, at)
            end = at + FRAME.size + size
            if end > len(waiting):
                break
            body = waiting[at + FRAME.size : end]
            at = end
            if kind == LEARN:
                self._learned.learn(_lessons.decode(body))
            else:
                found = self._read(body) if kind == READ else self._recover(body)
                answers += (ANSWER.pack(len(found)), found)
        self._waiting = waiting[at:]
        return b"".join(answers)

    def _recover(self, body: bytes) -> bytes:
        return recover_address(body[:DIGEST_BYTES], body[DIGEST_BYTES:]) or b""

    def _read(self, text: bytes) -> bytes:
        try:
            reading = read(text, self._learned)
        except Exception:  # noqa: BLE001  the gateway meets it too, and says or logs it
            return b""
        return b"" if reading is None else _readings.encode(reading)


def serve(line: socket.socket) -> None:
    """Answer until the other side closes."""
    answering = Answering()
    while data := line.recv(READ_MAX):
        line.sendall(answering.answer(data))


if __name__ == "__main__":
    gc.freeze()  # what was imported stays: each look at it would hold up whoever waits
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the keyboard: the gateway ends us
    with socket.socket(fileno=int(sys.argv[1])) as gateway:
        serve(gateway)
