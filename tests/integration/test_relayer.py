"""The relayer through crashes, rivals, lost and stuck transactions, and a node that goes away."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.reorganising import reorganise
from tests.settlement_world import RELAYER_KEY, World

from exchange.events import BlocksObserved
from exchange.journal.outbox import Attempt, Job, JobState, Outbox, Outcome
from exchange.observations import GovernanceSeen
from exchange.settlement.batch import Tip
from exchange.settlement.chain import Chain
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.errors import (
    BatchRefused,
    ChainError,
    ChainUnavailable,
    ReorgDetected,
    Reverted,
)
from exchange.settlement.process import RelayerSettings, run_relayer
from exchange.settlement.reconcile import reconcile
from exchange.settlement.relayer import Relayer
from exchange.signing import address_of

pytestmark = pytest.mark.integration

RELAYER = address_of(RELAYER_KEY)


def settle(relayer: Relayer, *, steps: int = 4) -> None:
    for _ in range(steps):
        relayer.step()


def eventually(holds: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def end(stop: threading.Event, *threads: threading.Thread) -> None:
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "a relayer does not stop"


def require_settled_once(world: World, batches: int, outbox: Outbox) -> None:
    """Every batch is confirmed, has one log on chain, and chain and journal agree."""
    outbox.check()
    assert {job.state for job in outbox.jobs()} == {JobState.CONFIRMED}
    assert [log.number for log in world.chain.all_settled()] == list(range(1, batches + 1))
    world.watch()
    found = reconcile(world.reader, world.chain)
    assert (found.batch, found.differences) == (batches, ())


# --- death


class Crash(BaseException):
    """The process ends here."""


class Countdown:
    """Dies at the n-th moment; every write and every send has one before it and one after it."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class MortalChain(Chain):
    countdown: Countdown

    def broadcast(self, raw: bytes) -> None:
        self.countdown.tick()
        super().broadcast(raw)
        self.countdown.tick()


class MortalOutbox(Outbox):
    countdown: Countdown

    def add(self, jobs: Any) -> None:
        self.countdown.tick()
        super().add(jobs)
        self.countdown.tick()

    def send(self, job: Job, attempt: Attempt) -> Job:
        self.countdown.tick()
        sent = super().send(job, attempt)
        self.countdown.tick()
        return sent

    def move(
        self, job: Job, state: JobState, outcome: Outcome | None = None, *, final_s: int = 0
    ) -> Job:
        self.countdown.tick()
        moved = super().move(job, state, outcome, final_s=final_s)
        self.countdown.tick()
        return moved


def test_death_at_any_moment_settles_each_batch_once(world: World) -> None:
    """The relayer dies before and after every write and every send; its heir finishes the work."""
    script, chain = world.script, world.chain
    world.watch()
    for _ in range(2):
        script.trade()
        script.cut()
    moment, finished = 0, False
    while not finished:
        moment += 1
        snapshot = chain.rpc("evm_snapshot")
        mortal_chain = MortalChain(world.node.url, chain.deployment, project_artifacts())
        store = MortalOutbox(str(world.folder / f"relayer{moment}.db"))
        mortal_chain.countdown = store.countdown = Countdown(moment)
        try:
            settle(world.relayer(mortal_chain, store=store)[1])
            finished = True
        except Crash:
            _, heir, outbox = world.relayer(outbox=f"relayer{moment}.db")
            settle(heir)
            outbox.check()
            assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED] * 2
            assert [log.number for log in chain.all_settled()] == [1, 2]
            assert chain.tx_count(RELAYER) == 2, "a transaction was wasted"
            outbox.close()
        store.close()
        assert chain.rpc("evm_revert", snapshot)
    assert moment > 14, "the moments were not hit"


def test_kill_9_in_mid_flow(world: World) -> None:
    """A real process is killed while batches come in, and nothing settles twice."""
    script, total = world.script, 12
    world.watch()
    settings = world.folder / "settings.json"
    settings.write_bytes(msgspec.json.encode(world.settings()))
    child = start_child(world, settings)
    for number in range(1, total + 1):
        script.trade()
        script.cut()
        if number == 6:
            wait_for_batch(world, number // 2)
            child.send_signal(signal.SIGKILL)
            child.wait()
            child = start_child(world, settings)
    wait_for_batch(world, total)
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    _, relayer, outbox = world.relayer()
    settle(relayer)
    require_settled_once(world, total, outbox)
    outbox.close()


def wait_for_batch(world: World, number: int) -> None:
    eventually(lambda: world.chain.last_batch().number >= number, timeout_s=60)


def start_child(world: World, settings: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, str(settings), str(world.folder), world.node.url]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    with (world.folder / "child.log").open("ab") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "PYTHONPATH": path}
        )


# --- rivals


def test_two_relayers_settle_each_batch_once(world: World) -> None:
    """Two relayers with one key and two outboxes take turns; both end with the same batches."""
    script = world.script
    world.watch()
    _, first, first_box = world.relayer(outbox="first.db")
    _, second, second_box = world.relayer(outbox="second.db")
    for number in range(1, 7):
        script.trade()
        script.cut()
        for relayer in (first, second) if number % 2 else (second, first):
            settle(relayer)
    require_settled_once(world, 6, first_box)
    assert {job.state for job in second_box.jobs()} == {JobState.CONFIRMED}
    first_box.close()
    second_box.close()


def test_two_relayers_at_the_same_time(world: World) -> None:
    """The same, side by side in two threads."""
    script, stop = world.script, threading.Event()
    world.watch()
    threads = [
        threading.Thread(target=run_relayer, args=(world.settings(name), fresh_chain(world), stop))
        for name in ("first.db", "second.db")
    ]
    for thread in threads:
        thread.start()
    for _ in range(10):
        script.trade()
        script.cut()
        time.sleep(0.03)
    boxes = [Outbox(world.settings(name).outbox) for name in ("first.db", "second.db")]
    eventually(lambda: all(len(done(box)) == 10 for box in boxes))
    end(stop, *threads)
    for box in boxes:
        require_settled_once(world, 10, box)
        box.close()


def test_one_outbox_has_one_user(world: World) -> None:
    """A second relayer on the same state directory is refused with one line."""
    stop = threading.Event()
    arguments = (world.settings(), fresh_chain(world), stop)
    thread = threading.Thread(target=run_relayer, args=arguments)
    thread.start()
    eventually(lambda: (world.folder / "relayer.db").exists())
    with pytest.raises(ChainError, match="another relayer is using"):
        run_relayer(*arguments)
    end(stop, thread)


def test_a_stranger_in_the_place_of_a_batch_is_told_apart(world: World) -> None:
    """If the chain holds another batch under our number, the relayer stops and says so."""
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    settle(relayer)
    outbox.close()
    _, relayer, outbox = world.relayer(outbox="other.db")
    wrong = msgspec.structs.replace
    feed_add = outbox.add
    outbox.add = lambda jobs: feed_add([wrong(job, batch_hash=bytes(32)) for job in jobs])
    with pytest.raises(BatchRefused, match="the chain holds another batch"):
        settle(relayer)
    outbox.close()


def fresh_chain(world: World) -> Chain:
    return Chain(world.node.url, world.chain.deployment, project_artifacts())


def done(box: Outbox) -> list[Job]:
    return [job for job in box.jobs() if job.state is JobState.CONFIRMED]


# --- transactions that do not arrive


def test_a_dropped_transaction_is_sent_again(world: World) -> None:
    """The node forgets the pending transaction: the same bytes go out once more."""
    chain = world.chain
    world.watch()
    chain.rpc("evm_setAutomine", False)
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    settle(relayer)
    [attempt] = outbox.attempts("batch:1")
    chain.rpc("anvil_dropTransaction", attempt.tx_hash)
    assert not chain.knows(attempt.tx_hash)
    relayer.step()
    assert chain.knows(attempt.tx_hash)
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    settle(relayer)
    require_settled_once(world, 1, outbox)
    outbox.close()


def test_one_block_takes_batches_that_follow_each_other(world: World) -> None:
    """Each is sent before the one before it is mined, judged by the node's pending block."""
    chain = world.chain
    world.watch()
    chain.rpc("evm_setAutomine", False)
    for _ in range(4):
        world.script.trade()
        world.script.cut()
    _, relayer, outbox = world.relayer()
    settle(relayer)
    sent = [outbox.attempts(f"batch:{number}") for number in range(1, 5)]
    assert [one.tx_nonce for [one] in sent] == [0, 1, 2, 3]
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    settle(relayer)
    assert len({job.block for job in outbox.jobs()}) == 1
    require_settled_once(world, 4, outbox)
    outbox.close()


def test_a_stuck_transaction_is_replaced(world: World) -> None:
    """After the patience runs out the fee rises by at least an eighth, on the same tx_nonce."""
    chain = world.chain
    world.watch()
    chain.rpc("evm_setAutomine", False)
    world.script.trade()
    world.script.cut()
    feed, relayer, outbox = world.relayer()
    settle(relayer)
    Relayer(feed, outbox, chain, world.options(stuck_after_s=0.0)).step()
    old, new = outbox.attempts("batch:1")
    assert old.tx_nonce == new.tx_nonce
    assert new.max_fee * 8 >= old.max_fee * 9
    assert new.priority_fee * 8 >= old.priority_fee * 9
    chain.rpc("evm_mine")
    chain.rpc("evm_setAutomine", True)
    settle(relayer)
    [job] = outbox.jobs()
    assert job.tx_hash == new.tx_hash
    require_settled_once(world, 1, outbox)
    outbox.close()


def test_a_taken_nonce_is_signed_again(world: World) -> None:
    """Another transaction of the same account wins the tx_nonce: the batch goes out on the next."""
    chain = world.chain
    world.watch()
    chain.rpc("evm_setAutomine", False)
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    settle(relayer)
    [attempt] = outbox.attempts("batch:1")
    chain.rpc("anvil_dropTransaction", attempt.tx_hash)
    chain.rpc("evm_setAutomine", True)
    chain.transact(RELAYER_KEY, RELAYER, b"")
    settle(relayer)
    assert [a.tx_nonce for a in outbox.attempts("batch:1")] == [0, 1]
    require_settled_once(world, 1, outbox)
    outbox.close()


def test_a_reorganised_batch_settles_again(world: World) -> None:
    """The block with the batch disappears before it is confirmed: its bytes go out once more."""
    world.watch()
    world.script.trade()
    world.script.cut()
    feed, _, outbox = world.relayer()
    options = world.options(confirmations=3)
    relayer = Relayer(feed, outbox, world.chain, options)
    settle(relayer)
    assert [job.state for job in outbox.jobs()] == [JobState.MINED]
    reorganise(world.chain, 1)
    assert world.chain.last_batch() == Tip()
    for _ in range(3):
        settle(relayer)
        world.chain.rpc("evm_mine")
    settle(relayer)
    assert world.chain.last_batch().number == 1
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED]
    outbox.close()


def test_a_node_that_goes_away_is_waited_for(world: World) -> None:
    """The relayer says what it waits for, and settles when the node is back."""
    script, stop = world.script, threading.Event()
    world.watch()
    world.node.stop()
    script.trade()
    script.cut()
    thread = threading.Thread(target=run_relayer, args=(world.settings(), fresh_chain(world), stop))
    thread.start()
    time.sleep(0.5)
    world.restart_node()
    eventually(lambda: world.chain.last_batch().number == 1)
    end(stop, thread)


def test_patience_ends(world: World) -> None:
    """A node that stays away longer than allowed ends the process with one line."""
    world.node.stop()
    settings = msgspec.structs.replace(world.settings(), patience_s=0.3)
    world.script.trade()
    world.script.cut()
    with pytest.raises(ChainUnavailable, match="does not answer"):
        run_relayer(settings, fresh_chain(world), threading.Event())


# --- the watcher


def test_a_refusal_that_is_over_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that the chain refused a moment ago, and takes now, settles."""
    world.watch()
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    estimate, refusals = world.chain.estimate_gas, [Reverted("UnknownSubaccount", (3,))]

    def refused_once(sender: str, to: str | None, data: bytes) -> int:
        if refusals:
            raise refusals.pop()
        return estimate(sender, to, data)

    monkeypatch.setattr(world.chain, "estimate_gas", refused_once)
    settle(relayer)
    assert refusals == []
    assert world.chain.last_batch().number == 1
    outbox.close()


def test_blocks_are_observed_once_and_in_order(world: World) -> None:
    """The journal ends up with every block from the deployment on, without gap or repetition."""
    world.watch()
    world.script.trade()
    world.script.cut()
    _, relayer, outbox = world.relayer()
    settle(relayer)
    world.watch()
    spans = [
        (entry.command.first_block, entry.command.last_block)
        for entry in world.script.entries
        if any(isinstance(event, BlocksObserved) for event in entry.events)
    ]
    assert spans[0][0] == world.chain.deployment.block
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(spans))
    seen = [
        item
        for entry in world.script.entries
        for item in getattr(entry.command, "observations", ())
        if not isinstance(item, GovernanceSeen)  # of the deployment
    ]
    assert [type(item).__name__ for item in seen] == [
        "SubaccountSeen",
        "SubaccountSeen",
        "DepositSeen",
        "SubaccountSeen",
        "DepositSeen",
        "BatchSeen",
    ]
    assert seen[-1].batch_hash == world.chain.last_batch().batch_hash
    outbox.close()


def test_a_deep_reorg_is_not_silent(world: World) -> None:
    """A block that the journal acted on disappears: the watcher refuses to go on."""
    world.chain.rpc("anvil_mine", "0x2")  # a node that was restarted undoes no older block
    world.watch()
    feed, _, outbox = world.relayer()
    feed.pull()
    assert feed.cursor != BlockCursor()
    reorganise(world.chain, 2)
    with pytest.raises(ReorgDetected, match=f"block {feed.cursor.block} is not the one"):
        world.watcher.step(feed.cursor)
    outbox.close()


def main(settings_file: str, folder: str, url: str) -> None:
    """The child of the kill test: a relayer until SIGTERM."""
    from exchange.settlement.deploy import open_chain

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = msgspec.json.decode(Path(settings_file).read_bytes(), type=RelayerSettings)
    chain = open_chain(url, Path(folder) / "deployment.json", project_artifacts())
    run_relayer(settings, chain, stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
