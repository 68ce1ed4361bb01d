"""kill -9 of the process that holds sequencer and journal, at random instants, many times.

`python -m tests.killed_writer KILLS ORDERS SEED` prints what it did, and fails with the first order
that was acknowledged and lost, or is there twice. No chain and no HTTP, so that a kill costs half a
second: `tests/e2e/test_kills.py` kills the other processes. A client sends orders in windows of
random size and knows what came through a pipe before the kill, less some last answers, as if the
network had lost them; after the restart it sends once more what it knows no answer for, as people
do. Forks, so it must be a process without threads.
"""

import asyncio
import itertools
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.venue import NS, START_S, Venue, open_venue

from exchange.commands import AnyCommand, PlaceOrder
from exchange.engine import Engine
from exchange.events import OrderPlaced, OrderRepeated
from exchange.journal import Entry, Journal, JournalReader
from exchange.model import Side
from exchange.sequencer import Reply, Sequencer

KILLS_EACH: Final = 2  # of one journal: longer ones cost more to replay
WINDOW_MAX: Final = 64  # orders that wait for an answer at once
INSTANT_S: Final = 0.004  # about a commit and what surrounds it
ACK: Final = struct.Struct(">QQ32s")  # number of the order, seq, chain hash at that seq

Ack = tuple[int, int, bytes]


class Workload:
    """Two people who trade with each other; what each order is follows from its number alone."""

    def __init__(self) -> None:
        venue = open_venue()
        self.people = (venue.fund("ann"), venue.fund("bob"))
        self.opening: list[AnyCommand] = [command for _, _, command, _ in venue.entries]
        self._venue: Venue = venue

    def order(self, number: int) -> AnyCommand:
        """Odd ones offer, even ones take that offer; the nonce is the number."""
        pair, maker = number + 1 >> 1, number % 2
        return PlaceOrder(
            terms=self._venue.terms(
                self.people[maker ^ (pair >> 8 & 1)],  # so that positions come and go
                Side.SELL if maker else Side.BUY,
                "0.01",
                2_500,
                nonce=number,
            ),
            signature=b"",
        )


def write(path: str, workload: Workload, first: int, last: int, seed: int, pipe: int) -> None:
    """A venue and its client; every answer goes into the pipe once it is given."""
    dice = random.Random(seed)

    async def run() -> None:
        with Journal(path) as journal:
            sequencer = Sequencer(Engine(), journal, machine_clock=lambda: START_S * NS)
            writing = asyncio.create_task(sequencer.run())
            for command in workload.opening[sequencer.last_seq :]:
                await sequencer.submit(command)
            number = first
            while number <= last:
                window = range(number, min(last, number + dice.randrange(WINDOW_MAX)) + 1)
                orders = [sequencer.submit(workload.order(one)) for one in window]
                replies = await asyncio.gather(*orders)
                os.write(pipe, b"".join(map(_ack, window, replies)))
                number = window.stop
            await sequencer.read(lambda engine: engine.check())
            writing.cancel()

    asyncio.run(run())


def _ack(number: int, reply: Reply) -> bytes:
    assert isinstance(reply.events[0], OrderPlaced | OrderRepeated), reply.events
    return ACK.pack(number, reply.seq, reply.chain_hash)


class Campaign:
    """Journals one after the other, each killed and restarted until all its orders are answered."""

    def __init__(self, kills: int, orders: int, seed: int) -> None:
        self.kills = self.acks = self.repeated = 0
        self._dice = random.Random(seed)
        self._workload = Workload()
        self._left = kills
        self._orders = orders * KILLS_EACH // kills  # on each journal

    def run(self, folder: Path) -> None:
        """All of it."""
        for at in itertools.count():
            if not self._left:
                return
            path = folder / f"{at}.db"
            acks = self._live(str(path), min(KILLS_EACH, self._left))
            self._examine(path, acks)
            path.unlink()

    def _live(self, path: str, kills: int) -> list[Ack]:
        acks: list[Ack] = []
        self._left -= kills
        for at in range(kills + 1):
            first = acks[-1][0] + 1 if acks else 1
            first = max(1, first - self._dice.randrange(WINDOW_MAX))  # answers that got lost
            # Anywhere in what is left, so that no kill comes after the last answer.
            until = self._dice.randrange(1, max(2, (self._orders - first) // (kills + 1 - at)))
            acks += self._once(path, first, until if at < kills else 0)
        assert acks[-1][0] == self._orders, f"{acks[-1]} is the last answer"
        return acks

    def _once(self, path: str, first: int, until: int) -> list[Ack]:
        """One life of the process, ended after so many answers (0: not at all); its answers."""
        reading, writing = os.pipe()
        seed = self._dice.randrange(1 << 32)
        pid = os.fork()
        if not pid:
            os.close(reading)
            try:
                write(path, self._workload, first, self._orders, seed, writing)
                os._exit(0)
            finally:  # it raised; nothing of the parent's may run in the child
                traceback.print_exc()
                os._exit(1)
        os.close(writing)
        content = bytearray()
        if until:
            while len(content) < until * ACK.size and (chunk := os.read(reading, 1 << 16)):
                content += chunk
            time.sleep(self._dice.random() * INSTANT_S)
            os.kill(pid, signal.SIGKILL)
        while chunk := os.read(reading, 1 << 16):  # what was said before it died
            content += chunk
        os.close(reading)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or not status, f"the writer failed: {status}"
        self.kills += os.WIFSIGNALED(status)
        whole = len(content) - len(content) % ACK.size
        return list(ACK.iter_unpack(bytes(content[:whole])))

    def _examine(self, path: Path, acks: list[Ack]) -> None:
        """Each answer is what the journal holds, each order is there once."""
        reader = JournalReader(str(path))
        entries = {entry.seq: entry for entry in reader.entries()}
        reader.close()
        placed = sorted(number for entry in entries.values() for number in _placed(entry))
        assert placed == list(range(1, self._orders + 1)), "an order is lost, or there twice"
        for number, seq, chain_hash in acks:
            entry = entries[seq]
            assert entry.chain_hash == chain_hash, f"seq {seq} was acknowledged as another one"
            command = entry.command
            assert isinstance(command, PlaceOrder)
            assert command.terms.nonce == number, f"seq {seq} is another order"
            self.repeated += not list(_placed(entry))
        self.acks += len(acks)


def _placed(entry: Entry) -> Iterator[int]:
    return (event.nonce for event in entry.events if isinstance(event, OrderPlaced))


def main() -> None:
    """Kill and count."""
    kills, orders, seed = map(int, sys.argv[1:])
    began = time.monotonic()
    campaign = Campaign(kills, orders, seed)
    with tempfile.TemporaryDirectory() as folder:
        campaign.run(Path(folder))
    sys.stdout.write(
        f"{campaign.kills} kills, {campaign.acks} answers, {campaign.repeated} of them to orders "
        f"that were sent again, 0 lost, 0 doubled, {time.monotonic() - began:.0f} s\n"
    )


if __name__ == "__main__":
    main()
