"""Blocks to commands, each once; refusals of exchange and chain."""

import http.server
import re
import threading
from collections.abc import Iterator
from typing import ClassVar

import msgspec
import pytest
from tests.fake_chain import FakeChain

from exchange.commands import (
    DepositSeen,
    HoldWithdrawals,
    Novate,
    ObserveBlocks,
    RevertBlocks,
)
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.errors import ChainUnavailable, ReorgDetected
from exchange.settlement.feed import ClockJump
from exchange.settlement.pending import PendingPost
from exchange.settlement.watcher import (
    AdminSink,
    CommandRefused,
    ExchangeUnavailable,
    Watcher,
    WatcherOptions,
)


class Exchange:
    """Takes observations and moves its cursor, as the journal would."""

    def __init__(self) -> None:
        self.cursor = BlockCursor()
        self.commands: list[ObserveBlocks] = []
        self.reverted: list[RevertBlocks] = []
        self.trail: list[BlockCursor] = []
        self.deaf = False

    def post(self, command: ObserveBlocks) -> None:
        self.commands.append(command)
        if not self.deaf:
            self.cursor = BlockCursor(block=command.last_block, block_hash=command.last_hash)
            self.trail.append(self.cursor)

    def revert(self, command: RevertBlocks) -> None:
        self.reverted.append(command)
        self.trail = [known for known in self.trail if known.block < command.last_block]
        self.cursor = BlockCursor(block=command.last_block, block_hash=command.last_hash)
        self.trail.append(self.cursor)


def deposit(amount: int) -> DepositSeen:
    return DepositSeen(subaccount_id=2, amount=amount)


def watch(chain: FakeChain, exchange: Exchange, **options: int) -> Watcher:
    return Watcher(chain, exchange, WatcherOptions(**options), lambda: exchange.trail)


def spans(exchange: Exchange) -> list[tuple[int, int]]:
    return [(command.first_block, command.last_block) for command in exchange.commands]


def amounts(exchange: Exchange) -> list[int]:
    return [
        seen.amount
        for command in exchange.commands
        for seen in command.observations
        if isinstance(seen, DepositSeen)
    ]


def test_logs_are_reported_at_once_and_once() -> None:
    """A block with a log goes out with all the quiet ones before it."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange)
    chain.mine(3)
    assert not watcher.step(exchange.cursor)
    chain.observe(deposit(5))
    assert watcher.step(exchange.cursor)
    assert not watcher.step(exchange.cursor)
    assert spans(exchange) == [(1, 4)]
    assert exchange.commands[0].last_hash == chain.block_hash(4)
    assert amounts(exchange) == [5]


def test_silence_is_reported_rarely() -> None:
    """Without logs the cursor moves only every so many blocks."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange, quiet_blocks=4)
    for _ in range(11):
        chain.mine()
        watcher.step(exchange.cursor)
    assert spans(exchange) == [(1, 4), (5, 8)]


def test_a_log_waits_for_its_confirmations() -> None:
    """With a depth of three, two more blocks must follow."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange, confirmations=3)
    chain.observe(deposit(5))
    for expected in ([], [], [5]):
        watcher.step(exchange.cursor)
        assert amounts(exchange) == expected
        chain.mine()


def test_a_long_absence_is_caught_up_in_parts() -> None:
    """Bounded spans and bounded numbers of logs, no block cut in two."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange)
    chain.mine(600)
    for block in range(3):
        chain.observe(*(deposit(100 * block + n) for n in range(90)))
    while watcher.step(exchange.cursor):
        pass
    assert spans(exchange) == [(1, 500), (501, 602), (603, 603)]
    assert len(amounts(exchange)) == len(set(amounts(exchange))) == 270


def test_a_full_block_is_never_split() -> None:
    """One block with more logs than a post should have goes out whole."""
    chain, exchange = FakeChain(), Exchange()
    chain.observe(*(deposit(n) for n in range(250)))
    assert watch(chain, exchange).step(exchange.cursor)
    assert len(amounts(exchange)) == 250


class Shifting(FakeChain):
    """Reorganises itself after it was asked for so many hashes."""

    asked_max = 0

    def block_hash(self, number: int) -> str | None:
        found = super().block_hash(number)
        self.asked_max -= 1
        if self.asked_max == 0:
            self.reorganise(3)
        return found


@pytest.mark.parametrize("asked_max", [1, 2])
def test_a_chain_that_changes_while_it_is_read_is_read_again(asked_max: int) -> None:
    """Logs of one chain never go out under a hash of another, where a read is cut short either."""
    chain, exchange = Shifting(), Exchange()
    for block in range(3):
        chain.observe(*(deposit(100 * block + n) for n in range(90)))
    chain.asked_max = asked_max
    with pytest.raises(ChainUnavailable, match="block 3 went away"):
        watch(chain, exchange).step(exchange.cursor)
    assert exchange.commands == []


@pytest.mark.parametrize("asked_max", [1, 2, 3])
def test_blocks_of_a_branch_that_does_not_follow_the_journal_are_not_told(asked_max: int) -> None:
    """A deposit that a reorganisation moved on, after the cursor was looked at, counts once."""
    chain, exchange = Shifting(), Exchange()
    watcher = watch(chain, exchange)
    for amount in (1, 2, 3):
        chain.observe(deposit(amount))
        assert watcher.step(exchange.cursor)
    chain.mine()
    chain.observe(deposit(4))
    chain.asked_max = asked_max
    with pytest.raises(ChainUnavailable, match="block 5 went away"):
        watcher.step(exchange.cursor)
    assert watcher.step(exchange.cursor)
    assert [command.last_block for command in exchange.reverted] == [2]


def test_the_exchange_goes_back_to_the_newest_block_that_is_still_there() -> None:
    """What it acted on is gone: it is told so, and then what the chain holds instead."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange)
    for amount in range(1, 6):
        chain.observe(deposit(amount))
        watcher.step(exchange.cursor)
    chain.reorganise(3)
    assert watcher.step(exchange.cursor)
    assert exchange.reverted == [RevertBlocks(last_block=2, last_hash=chain.block_hash(2) or "")]
    chain.observe(deposit(9))
    while watcher.step(exchange.cursor):
        pass
    assert amounts(exchange) == [1, 2, 3, 4, 5, 9]
    assert spans(exchange)[-1] == (3, 6)


def test_without_any_block_in_common_the_watcher_stops() -> None:
    """Then it is another chain, or one that lost its state: a person must look."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange)
    chain.observe(deposit(1))
    watcher.step(exchange.cursor)
    chain.reorganise(1)
    with pytest.raises(ReorgDetected, match="block 1 is not the one"):
        watcher.step(exchange.cursor)
    assert exchange.reverted == []


def test_a_chain_that_is_shorter_is_waited_for() -> None:
    """A node that is behind is no reorganisation, until it stays so for too long."""
    chain, exchange = FakeChain(), Exchange()
    patient, quick = watch(chain, exchange), watch(chain, exchange, behind_s=0)
    for amount in (1, 2):
        chain.observe(deposit(amount))
        patient.step(exchange.cursor)
    kept = chain.blocks.pop()
    for _ in range(2):
        with pytest.raises(ChainUnavailable, match="ends before block 2"):
            patient.step(exchange.cursor)
    chain.blocks.append(kept)
    assert not patient.step(exchange.cursor)
    chain.blocks.pop()
    assert quick.step(exchange.cursor)
    assert [command.last_block for command in exchange.reverted] == [1]


def test_another_block_counts_once_as_many_follow_it() -> None:
    """With a depth of three a branch that is one block long settles nothing yet."""
    chain, exchange = FakeChain(), Exchange()
    watcher = watch(chain, exchange, confirmations=3)
    for amount in (1, 2):
        chain.observe(deposit(amount))
    chain.mine(2)
    for _ in range(2):
        watcher.step(exchange.cursor)
    chain.reorganise(3)
    chain.blocks.pop()
    with pytest.raises(ChainUnavailable, match="ends before"):
        watcher.step(exchange.cursor)
    chain.mine()
    with pytest.raises(ReorgDetected):  # both were observed together, so nothing is known before
        watcher.step(exchange.cursor)


def test_a_post_that_the_journal_does_not_show_is_not_repeated_at_once() -> None:
    """The exchange refused it: say so and wait, then try again."""
    chain, exchange = FakeChain(), Exchange()
    exchange.deaf = True
    watcher = watch(chain, exchange)
    chain.observe(deposit(1))
    watcher.step(exchange.cursor)
    with pytest.raises(ExchangeUnavailable, match="did not journal the blocks from 1 on"):
        watcher.step(exchange.cursor)
    exchange.deaf = False
    assert watcher.step(exchange.cursor)
    assert spans(exchange) == [(1, 1), (1, 1)]


# --- the admin listener


class Listener(http.server.BaseHTTPRequestHandler):
    status = 200
    requests: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[str]:
    Listener.status, Listener.requests = 200, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


COMMAND = ObserveBlocks(first_block=1, last_block=2, last_hash="0x02", observations=(deposit(3),))


def test_the_command_arrives_with_the_token(listener: str) -> None:
    """The body decodes to the command that was posted."""
    sink = AdminSink(listener, "secret")
    sink.post(COMMAND)
    sink.close()
    [(path, authorization, body)] = Listener.requests
    assert (path, authorization) == ("/admin/observe_blocks", "Bearer secret")
    assert msgspec.json.decode(body, type=ObserveBlocks) == COMMAND


def test_a_reversal_goes_to_a_route_of_its_own(listener: str) -> None:
    """With the block that is still there."""
    sink = AdminSink(listener, "secret")
    command = RevertBlocks(last_block=7, last_hash="0x07")
    sink.revert(command)
    sink.close()
    [(path, _, body)] = Listener.requests
    assert path == "/admin/revert_blocks"
    assert msgspec.json.decode(body, type=RevertBlocks) == command


POST = PendingPost(key="batch:1", kind="batch", to="0x", data="0x01", waiting_s=11)
STATUS = ClockJump(to_s=5, after_batch=1)  # any struct


@pytest.mark.parametrize(
    ("method", "given", "route", "what"),
    [
        ("post", COMMAND, "observe_blocks", "blocks 1..2"),
        (
            "revert",
            RevertBlocks(last_block=7, last_hash="0x07"),
            "revert_blocks",
            "to go back to block 7",
        ),
        ("novate", Novate(batch=4, fills=()), "novate", "a novation in batch 4"),
        (
            "hold_withdrawals",
            HoldWithdrawals(subaccount_id=6, held=True, detail="why"),
            "hold_withdrawals",
            "to hold withdrawals of subaccount 6",
        ),
        ("show", (POST,), "pending_posts", "pending posts"),
        ("report", STATUS, "relayer", "the relayer's report"),
    ],
)
def test_each_message_has_a_route_and_names_itself_when_refused(
    listener: str, method: str, given: object, route: str, what: str
) -> None:
    """What the exchange decodes is what was given."""
    sink = AdminSink(listener, "secret")
    getattr(sink, method)(given)
    Listener.status = 500
    with pytest.raises(
        ExchangeUnavailable, match=f"the exchange refused {re.escape(what)}: 500 no$"
    ):
        getattr(sink, method)(given)
    sink.close()
    (path, _, body), _ = Listener.requests
    assert path == f"/admin/{route}"
    assert body == msgspec.json.encode({"posts": given} if method == "show" else given)


def test_a_refusal_and_silence_are_unavailable(listener: str) -> None:
    """The line shows the blocks and what was answered."""
    Listener.status = 503
    sink = AdminSink(listener, "secret")
    with pytest.raises(ExchangeUnavailable, match=r"blocks 1\.\.2: 503 no"):
        sink.post(COMMAND)
    sink.close()
    silent = AdminSink("http://127.0.0.1:1", "secret")
    with pytest.raises(ExchangeUnavailable, match="does not answer"):
        silent.post(COMMAND)
    silent.close()


def test_the_leaders_own_refusal_ends_the_search_for_a_leader(listener: str) -> None:
    """Asking who stands by would hide it."""
    Listener.status = 409
    sink = AdminSink(f"{listener},http://127.0.0.1:1", "secret")
    with pytest.raises(CommandRefused, match="409 no"):
        sink.post(COMMAND)
    sink.close()


def test_it_finds_who_leads(listener: str) -> None:
    """Of several; and stays with that one as long as it answers."""
    sink = AdminSink(f"http://127.0.0.1:1,{listener}", "secret")
    sink.post(COMMAND)
    sink.post(COMMAND)
    assert len(Listener.requests) == 2
    Listener.status = 503
    with pytest.raises(ExchangeUnavailable, match=r"does not answer|503"):
        sink.post(COMMAND)
    Listener.status = 200
    sink.post(COMMAND)
    assert len(Listener.requests) == 4
    sink.close()
