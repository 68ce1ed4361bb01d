"""Messages: late, overtaken, doubled, lost; and what the sender hears."""

import asyncio
import random

from exchange.commands import CancelAll
from exchange.sequencer import Reply, SequencerStopped
from exchange.simulation.loop import VirtualLoop, run
from exchange.simulation.network import TIMEOUT_S, Network
from exchange.simulation.parameters import Faults


class Edge:
    """Answers with a number; `dead`: nobody leads."""

    def __init__(self) -> None:
        self.dead = False
        self.got: list[int] = []

    async def submit(self, command):
        if self.dead:
            raise SequencerStopped("nobody leads")
        self.got.append(command.subaccount_id)
        return Reply(seq=len(self.got), time_ns=1, events=(), chain_hash=b"")

    async def read(self, query):
        raise NotImplementedError


def sent(count: int, edge: Edge, **faults: float) -> tuple[Network, list[int | None]]:
    """So many messages at once, and the seqs that were heard, None for nothing."""
    network = Network(edge, random.Random(3), Faults(**faults))
    heard: list[int | None] = []

    async def main() -> None:
        for number in range(count):
            command = CancelAll(subaccount_id=number)
            network.send(command, lambda reply: heard.append(reply.seq if reply else None))
        await asyncio.sleep(2 * TIMEOUT_S)
        assert network.quiet

    run(VirtualLoop(), main())
    assert len(heard) == count, "everybody hears once"
    return network, heard


def test_a_good_network_delivers_once() -> None:
    """Though not in the order of sending: delays differ."""
    edge = Edge()
    _, heard = sent(30, edge)
    assert sorted(heard) == list(range(1, 31))
    assert sorted(edge.got) == list(range(30))
    assert edge.got != list(range(30))


def test_doubled_messages_arrive_twice_and_are_heard_once() -> None:
    """The first reply counts."""
    edge = Edge()
    network, heard = sent(30, edge, message_doubled=1.0)
    assert len(edge.got) == 60
    assert network.doubled == 30
    assert None not in heard


def test_lost_messages_are_silence() -> None:
    """Some of them were carried out: the reply was lost."""
    edge = Edge()
    network, heard = sent(60, edge, message_lost=0.5)
    assert 0 < heard.count(None) == network.timeouts < 60
    assert len(edge.got) > 60 - heard.count(None)


def test_a_dead_exchange_is_silence() -> None:
    """The connection breaks."""
    edge = Edge()
    edge.dead = True
    assert sent(5, edge)[1] == [None] * 5
