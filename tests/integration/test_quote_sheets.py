"""A maker's sheets from the engine to a real Anvil: what the chain holds equals the engine."""

from pathlib import Path

import pytest
from tests.settlement_world import FUNDS, Trader, World
from tests.signed_venue import write_journal
from tests.venue import FEES, Venue, call, put, usdc

from exchange.audit import BatchAudit, Replay
from exchange.commands import CutBatch, DepositSeen, MassQuote, PlaceOrder, SubaccountSeen
from exchange.events import AnyEvent, QuotesReplaced, Refused, Traded
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.journal import JournalReader
from exchange.journal.outbox import JobState
from exchange.merkle import merkle_root
from exchange.model import Quote, SheetTerms, Side
from exchange.settlement.holdings import Held
from exchange.signing import order_digest, sheet_digest, sheet_leaves, sign_digest

pytestmark = pytest.mark.integration

LOT = QUANTITY_SCALE


class Desk:
    """An engine over the accounts of a chain, with real signatures."""

    def __init__(self, world: World) -> None:
        script = world.script
        self.domain, self.maker, self.taker = script.domain, script.maker, script.taker
        self.venue = Venue(clearing=self.domain.clearing, fees=FEES)
        self.venue.wait_until(max(self.venue.now_s, world.chain.block_time()))
        expiry = script.expiry
        self.ids = [
            make(90_000 + 1_000 * i, expiry=expiry) for i in range(5) for make in (call, put)
        ]
        self.venue.list_instruments(*self.ids)
        self.venue.index()
        self.venue.mark(dict.fromkeys(self.ids, 2_500))
        for trader in (self.maker, self.taker):
            subaccount_id = trader.subaccount_id
            self.venue.observe(
                SubaccountSeen(subaccount_id=subaccount_id, owner=trader.address),
                DepositSeen(subaccount_id=subaccount_id, amount=FUNDS),
            )

    def quote(self, nonce: int, width: int, quantity: int) -> tuple[AnyEvent, ...]:
        """Both sides of every instrument under one signature."""
        low, high = usdc(2_500 - width), usdc(2_500 + width)
        quotes = tuple(Quote(id_, low, quantity, high, quantity) for id_ in self.ids)
        terms = SheetTerms(
            subaccount_id=self.maker.subaccount_id,
            sheet_nonce=nonce,
            first_nonce=1_000 * nonce,
            max_fee=100 * CASH_SCALE,
            deadline=self.venue.now_s + 3_600,
            signer=self.maker.address,
        )
        digest = sheet_digest(self.domain, terms, merkle_root(sheet_leaves(terms, quotes)))
        signature = sign_digest(digest, self.maker.key)
        events = self.venue.send(MassQuote(terms=terms, quotes=quotes, signature=signature))
        assert any(isinstance(event, QuotesReplaced) for event in events)
        return events

    def take(self, side: Side, instrument_id: int, price: int) -> Traded:
        """The taker hits one quote for a contract."""
        terms = self.venue.terms(
            self.taker.subaccount_id, side, 1, price, instrument_id, deadline=self.venue.now_s + 60
        )
        signature = sign_digest(order_digest(self.domain, terms), self.taker.key)
        events = self.venue.send(PlaceOrder(terms=terms, signature=signature))
        assert not any(isinstance(event, Refused) for event in events)
        (traded,) = [event for event in events if isinstance(event, Traded)]
        return traded


def same_on_chain(world: World, desk: Desk, trader: Trader) -> None:
    engine = desk.venue.engine
    held = {id_: Held(held) for id_, held in engine.positions(trader.subaccount_id).items()}
    on_chain = world.chain.cash_and_positions(trader.subaccount_id, desk.ids)
    assert on_chain == (engine.subaccounts[trader.subaccount_id].cash, held)


def test_sheets_are_quoted_hit_and_settled(world: World, tmp_path: Path) -> None:
    """Quotes that stay over two sheets fill under both, in one batch and in the next."""
    desk = Desk(world)
    call_id, put_id = desk.ids[:2]
    desk.quote(1, 20, 5 * LOT)
    before = desk.take(Side.SELL, call_id, 2_480)
    desk.take(Side.BUY, put_id, 2_520)
    desk.quote(2, 20, 4 * LOT)
    after = desk.take(Side.SELL, call_id, 2_480)
    assert after.maker_order_id == before.maker_order_id, "it kept its place in the queue"
    assert after.maker_signed_seq != before.maker_signed_seq
    desk.venue.send(CutBatch())
    desk.take(Side.SELL, call_id, 2_480)
    desk.quote(3, 10, 5 * LOT)
    desk.take(Side.BUY, desk.ids[-1], 2_510)
    desk.venue.send(CutBatch())

    path = tmp_path / "engine.db"
    write_journal(desk.venue, path)
    world.reader.close()
    world.reader = JournalReader(str(path))
    feed, relayer, outbox = world.relayer()
    feed.pull()
    for _ in range(20):
        if not relayer.step():
            break
    assert [job.state for job in outbox.jobs()] == [JobState.CONFIRMED] * 3  # and a root
    outbox.close()
    same_on_chain(world, desk, desk.maker)
    same_on_chain(world, desk, desk.taker)

    audit = BatchAudit()
    figures = Replay(world.reader, witness=audit).run()
    assert figures.signatures == 3 + 5, "three sheets and five orders"
    first, second = audit.batches
    assert [sheet.terms.sheet_nonce for sheet in first.sheets] == [1, 2]
    assert [sheet.terms.sheet_nonce for sheet in second.sheets] == [2, 3]
    assert world.chain.last_batch().batch_hash == second.tip.batch_hash
