"""`exchange bench settle`: a day of trading through engine, journal and relayer onto an Anvil.

Twenty accounts trade twenty options, a perpetual and a future; every order is singly signed. Gas is
deterministic; lags are seconds of this machine from a batch's cut until it is final, the node's own
work included. First a few hundred fills for each size of batch, from which `batch_items_max` was
chosen, then the day: `--fills 100000` is the long one. Differences between engine and chain must be
0, or the bench fails.
"""

import random
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.bench.margin import machine
from tests.settlement_world import World
from tests.venue import FEES, FUNDING, INDEX, Venue, limits

from exchange.commands import (
    AccrueFunding,
    CutBatch,
    DepositSeen,
    PlaceOrder,
    SubaccountSeen,
)
from exchange.events import BatchCut, Refused
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal import EntryEncoder, Journal, JournalReader
from exchange.journal.outbox import JobKind, JobState
from exchange.model import InstrumentTerms, Kind, OrderTerms, Side, pack_instrument_id
from exchange.settlement.holdings import Held
from exchange.settlement.process import Backoff
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import order_digest, sign_digest

SIZES: Final = (10, 25, 50, 100, 150)
SIZE: Final = 100  # `batch_items_max` of a venue
DAY_S: Final = 86_400
OPTIONS: Final = 20
ACCOUNTS: Final = 10  # of each of two owners
WARM: Final = 600  # fills after which most slots are in use
CASH: Final = 50_000_000 * CASH_SCALE
SEED: Final = 20_261_121
PERPETUAL: Final = pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))


def run(fills: int = 2_000) -> dict[str, object]:
    """Gas and lag by size of batch, then a day of so many fills."""
    figures: dict[str, float] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            day = Day(Path(folder), size)
            try:
                found = day.play(WARM + 3 * size, seconds=3_600)
            finally:
                day.world.close()
        figures[f"gas_per_fill_{size}"] = found["gas_per_fill"]
        figures[f"lag_p50_s_{size}"] = found["lag_p50_s"]
    with tempfile.TemporaryDirectory() as folder:
        day = Day(Path(folder), SIZE)
        try:
            figures |= {f"day_{name}": value for name, value in day.play(fills, DAY_S).items()}
        finally:
            day.world.close()
    return {"machine": machine(), "figures": figures}


class Day:
    """An engine over the accounts of a chain; each batch settles as it is cut."""

    def __init__(self, folder: Path, size: int) -> None:
        self.rng = random.Random(SEED)
        self.world = World(folder)
        script = self.world.script
        script.list_call(days=30)
        self.domain = script.domain
        self.venue = Venue(
            clearing=self.domain.clearing,
            fees=FEES,
            funding=FUNDING,
            limits=limits(batch_items_max=size, marks_age_ns_max=0),
        )
        self.venue.checking = False
        self.venue.wait_until(max(self.venue.now_s, self.world.chain.block_time()))
        self.ids = [
            pack_instrument_id(InstrumentTerms(Kind.OPTION, 1, script.expiry, usdc_of(strike)))
            for strike in range(90_000, 90_000 + 1_000 * OPTIONS, 1_000)
        ]
        self.ids += [PERPETUAL, pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, script.expiry))]
        self.venue.list_instruments(*self.ids)
        self.sides = [self._open(script.maker.key), self._open(script.taker.key)]
        self.encoder = EntryEncoder()
        path = folder / "engine.db"
        self.journal = Journal(str(path))
        self.written = 0
        self._write()
        self.world.reader.close()
        self.world.reader = JournalReader(str(path))
        _, self.relayer, self.outbox = self.world.relayer()

    def _open(self, key: bytes) -> list[tuple[int, bytes]]:
        wallet = OwnerWallet(self.world.chain, key)
        opened = []
        for _ in range(ACCOUNTS):
            number = wallet.open_subaccount()
            wallet.fund(number, CASH)
            opened.append((number, key))
        return opened

    def play(self, fills: int, seconds: int) -> dict[str, float]:
        """Trade and settle; the figures."""
        self._know_accounts()
        began, lags = time.monotonic(), []
        for done in range(fills):
            if done % 50 == 0:
                self.venue.wait(max(1, seconds * 50 // fills))
                self._price()
            if done % 500 == 499:
                self.venue.send(AccrueFunding())
                self._price()
            if self._trade():
                lags.append(self._settle())
        self.venue.send(CutBatch())
        lags.append(self._settle())
        totals = self.outbox.totals()
        lags.sort()
        differences = self._differences()
        assert differences == 0, f"{differences} figures differ"
        assert totals.fills == fills
        return {
            "fills": totals.fills,
            "batches": totals.last_final,
            "gas_per_fill": self._gas_per_fill(),
            "lag_p50_s": lags[len(lags) // 2],
            "lag_max_s": lags[-1],
            "fills_per_s": fills / (time.monotonic() - began),
            "differences": differences,
        }

    def _gas_per_fill(self) -> float:
        """Of the later half of the batches: most slots are in use then, as on any later day."""
        batches = [job for job in self.outbox.jobs() if job.kind is JobKind.BATCH]
        later = batches[len(batches) // 2 :]
        return sum(job.gas_used for job in later) / sum(job.fills for job in later)

    def _know_accounts(self) -> None:
        self._price()
        for owned in self.sides:
            for number, key in owned:
                wallet = OwnerWallet(self.world.chain, key)
                self.venue.observe(
                    SubaccountSeen(subaccount_id=number, owner=wallet.address),
                    DepositSeen(subaccount_id=number, amount=CASH),
                )

    def _price(self) -> None:
        """The index walks a little; options are marked at what they are worth and some."""
        index = INDEX + self.rng.randrange(-50, 51)
        self.venue.index(index)
        self.prices = {
            one: index if at >= OPTIONS else max(0, index - 90_000 - 1_000 * at) + 2_500
            for at, one in enumerate(self.ids)
        }
        self.venue.mark(self.prices)

    def _trade(self) -> bool:
        """One fill; whether it cut a batch."""
        instrument_id = self.rng.choice(self.ids)
        quantity = self.rng.randrange(1, 50) * QUANTITY_SCALE // 100
        sides = [self.rng.choice(owned) for owned in self.sides]
        self.rng.shuffle(sides)
        events: tuple[object, ...] = ()
        for (number, key), side in zip(sides, (Side.SELL, Side.BUY), strict=True):
            terms: OrderTerms = self.venue.terms(
                number,
                side,
                quantity / QUANTITY_SCALE,
                self.prices[instrument_id],
                instrument_id,
                deadline=self.venue.now_s + 600,
            )
            signature = sign_digest(order_digest(self.domain, terms), key)
            events += self.venue.send(PlaceOrder(terms=terms, signature=signature))
        assert not any(isinstance(event, Refused) for event in events), events
        return any(isinstance(event, BatchCut) for event in events)

    def _write(self) -> None:
        """What happened since goes into the journal, in one commit."""
        news = self.venue.entries[self.written :]
        if not news:
            return
        stamped = [
            self.encoder.stamp(time_ns, command, events) for _, time_ns, command, events in news
        ]
        hashes = {
            entry.seq: event.state_hash
            for entry, _ in stamped
            for event in entry.events
            if isinstance(event, BatchCut)
        }
        self.journal.append([entry for entry, _ in stamped], [r for _, r in stamped], hashes)
        self.written = len(self.venue.entries)

    def _settle(self) -> float:
        """Seconds until everything that was cut is final."""
        began = time.monotonic()
        self._write()
        settling = Backoff("settlement", patience_s=60.0)  # a log may come after its state
        while settling.run(self.relayer.step) or self._unfinished():
            assert time.monotonic() - began < 600, "settlement does not get on"
        return time.monotonic() - began

    def _unfinished(self) -> bool:
        return any(job.state is not JobState.CONFIRMED for job in self.outbox.unfinished())

    def _differences(self) -> int:
        """Figures on which engine and chain disagree."""
        count = 0
        for number, _ in [*self.sides[0], *self.sides[1], (1, b"")]:
            account = self.venue.engine.subaccounts[number].account
            cash, held = self.world.chain.cash_and_positions(number, self.ids)
            wanted = {
                one: Held(*account.linear.get(one, (quantity, 0, 0)))
                for one, quantity in account.positions.items()
            }
            count += (cash != account.cash) + (held != wanted)
        return count


def usdc_of(dollars: int) -> int:
    """Micro-USDC."""
    return dollars * CASH_SCALE
