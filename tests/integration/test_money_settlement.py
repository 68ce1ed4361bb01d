"""Transfers, tokens and interest from the engine to a real Anvil: all figures are the engine's."""

import random
from pathlib import Path

import msgspec
import pytest
from tests.settlement_world import World
from tests.signed_venue import write_journal
from tests.venue import COLLATERALS, INDEX, Venue, tokens, usdc

from exchange.audit import BatchAudit, Replay
from exchange.commands import (
    AccrueInterest,
    AnyCommand,
    CutBatch,
    DepositSeen,
    InterestParameters,
    PlaceOrder,
    SubaccountSeen,
    TransferFunds,
    Withdraw,
)
from exchange.events import InterestPaid, Refused
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind, JobState
from exchange.model import InstrumentTerms, Kind, Side, TransferTerms, pack_instrument_id
from exchange.settlement.holdings import expected_holdings
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import order_digest, sign_digest, transfer_digest, withdrawal_digest
from exchange.terms import INTEREST_RATE_MAX

pytestmark = pytest.mark.integration

HOUR_S = 3_600
MAKER, TAKER, SAVINGS = 2, 3, 4  # the last two are one owner's


class Desk:
    """An engine over the accounts of a chain, with real signatures; the taker borrows."""

    def __init__(self, world: World) -> None:
        script, deployment = world.script, world.chain.deployment
        self.world, self.domain = world, script.domain
        self.keys = {MAKER: script.maker.key, TAKER: script.taker.key, SAVINGS: script.taker.key}
        wallet = OwnerWallet(world.chain, script.taker.key)
        assert wallet.open_subaccount() == SAVINGS
        wallet.fund(TAKER, 2 * 10**8, "WBTC")
        self.wbtc, self.usdc = deployment.tokens["WBTC"], deployment.usdc
        weth, wbtc = COLLATERALS
        self.venue = Venue(
            clearing=self.domain.clearing,
            collateral=self.usdc,
            collaterals=(
                msgspec.structs.replace(weth, token=deployment.tokens["WETH"]),
                msgspec.structs.replace(wbtc, token=self.wbtc),
            ),
            transfers=True,
            interest=InterestParameters(
                rate=INTEREST_RATE_MAX, interval_ns=HOUR_S * 10**9, debt_max=usdc(10**7)
            ),
        )
        self.venue.wait_until(max(self.venue.now_s, world.chain.block_time()))
        self.venue.send(AccrueInterest())  # what grew since the venue's fixed start nobody owes
        terms = InstrumentTerms(Kind.OPTION, 1, script.expiry, usdc(INDEX))
        self.option = pack_instrument_id(terms)
        self.venue.list_instruments(self.option)
        self.price()
        owners = {MAKER: script.maker.address, TAKER: script.taker.address}
        owners[SAVINGS] = script.taker.address
        for subaccount_id, owner in owners.items():
            self.venue.observe(SubaccountSeen(subaccount_id=subaccount_id, owner=owner))
        for subaccount_id in (MAKER, TAKER):
            self.venue.observe(DepositSeen(subaccount_id=subaccount_id, amount=usdc(10**6)))
        self.venue.observe(DepositSeen(subaccount_id=TAKER, amount=tokens(2), token=self.wbtc))

    def price(self) -> None:
        """A fresh index, and marks."""
        self.venue.index()
        self.venue.mark({self.option: 2_500})

    def wait(self, seconds: int) -> None:
        """Let time pass; everything is priced anew."""
        self.venue.wait(seconds)
        self.price()

    def send(self, command: AnyCommand) -> None:
        events = self.venue.send(command)
        assert not any(isinstance(event, Refused) for event in events), events

    def trade(self, side: Side, quantity: int) -> None:
        """The taker is on `side` at 2,500."""
        for subaccount_id, way in ((MAKER, side.opposite), (TAKER, side)):
            terms = self.venue.terms(
                subaccount_id, way, quantity, 2_500, self.option, deadline=self.venue.now_s + 60
            )
            signature = sign_digest(order_digest(self.domain, terms), self.keys[subaccount_id])
            self.send(PlaceOrder(terms=terms, signature=signature))

    def move(self, source: int, to: int, amount: int, token: str = "") -> None:
        """Transfer `amount` units of a token, or of cash."""
        nonce = self.venue.next_nonce
        self.venue.next_nonce += 1
        terms = TransferTerms(
            subaccount_id=source,
            to_subaccount_id=to,
            token=token or self.usdc,
            amount=amount,
            nonce=nonce,
            deadline=self.venue.now_s + 60,
            signer=self.venue.engine.subaccounts[source].owner,
        )
        signature = sign_digest(transfer_digest(self.domain, terms), self.keys[source])
        self.send(TransferFunds(terms=terms, signature=signature))

    def withdraw(self, source: int, amount: int, token: str = "") -> None:
        """The same out of the venue."""
        owner = self.venue.engine.subaccounts[source].owner
        asked = self.venue.withdrawal(source, 0, token=token or self.usdc, recipient=owner)
        terms = msgspec.structs.replace(asked.terms, amount=amount)
        signature = sign_digest(withdrawal_digest(self.domain, terms), self.keys[source])
        self.send(Withdraw(terms=terms, signature=signature))

    def charge(self) -> list[InterestPaid]:
        """An hour's interest."""
        self.wait(HOUR_S)
        events = self.venue.send(AccrueInterest())
        return [event for event in events if isinstance(event, InterestPaid)]

    def cut(self) -> None:
        """Close the batch, if it has anything."""
        self.venue.send(CutBatch())

    def cash(self, subaccount_id: int) -> int:
        return self.venue.engine.subaccounts[subaccount_id].account.cash

    def settle(self, path: Path) -> None:
        """Write the engine's life as a journal, let a relayer settle it, compare everything."""
        self.cut()
        write_journal(self.venue, path)
        self.world.reader.close()
        self.world.reader = reader = JournalReader(str(path))
        _, relayer, outbox = self.world.relayer()
        for _ in range(400):
            if not relayer.step():
                break
        # the last risk root may wait for the chain's clock
        states = {job.state for job in outbox.jobs() if job.kind is JobKind.BATCH}
        assert states == {JobState.CONFIRMED}
        outbox.close()
        audit = BatchAudit()
        Replay(reader, witness=audit).run()
        assert audit.compare(self.world.chain.all_settled()) == len(audit.batches) > 0
        self._same_everywhere(reader)

    def _same_everywhere(self, reader: JournalReader) -> None:
        chain, last = self.world.chain, len(self.venue.entries)
        folded = expected_holdings(reader.entries(), settled_seq=last, observed_seq=last)
        folded.check()
        for subaccount_id in (1, MAKER, TAKER, SAVINGS):
            cash, _ = chain.cash_and_positions(subaccount_id, [])
            assert cash == folded.cash[subaccount_id] == self.cash(subaccount_id)
            held = self.venue.engine.tokens(subaccount_id).get(self.wbtc, 0)
            assert chain.token_held(subaccount_id, self.wbtc) == held
            assert folded.tokens.get((subaccount_id, self.wbtc), 0) == held


def test_a_loan_from_the_first_hour_to_its_repayment(world: World, tmp_path: Path) -> None:
    """Charged by the hour at the highest rate that the contract takes, and repaid from savings."""
    desk = Desk(world)
    desk.move(TAKER, SAVINGS, usdc(995_000))
    desk.trade(Side.BUY, 10)
    assert desk.cash(TAKER) == -usdc(20_000)
    paid = [one for _ in range(3) for one in desk.charge()]
    desk.cut()
    paid += desk.charge()
    assert [one.subaccount_id for one in paid] == [TAKER] * 4
    desk.move(SAVINGS, TAKER, usdc(30_000))
    assert desk.charge() == [], "who owes nothing pays nothing"
    desk.move(TAKER, SAVINGS, tokens(1), desk.wbtc)
    desk.withdraw(SAVINGS, tokens("0.4"), desk.wbtc)
    desk.settle(tmp_path / "engine.db")
    assert desk.cash(1) == sum(one.amount for one in paid) > 0
    assert world.chain.token_balance("WBTC", world.script.taker.address) == tokens("0.4")


def test_a_deposit_that_the_journal_has_not_seen_stops_no_batch(
    world: World, tmp_path: Path
) -> None:
    """The debtor pays back on chain before the batch that charges it is there."""
    desk = Desk(world)
    desk.move(TAKER, SAVINGS, usdc(995_000))
    desk.trade(Side.BUY, 10)
    assert len(desk.charge()) == 1
    OwnerWallet(world.chain, world.script.taker.key).fund(TAKER, usdc(50_000))
    owed = DepositSeen(subaccount_id=TAKER, amount=usdc(50_000))
    desk.cut()
    desk.venue.observe(owed)
    assert desk.charge() == []
    desk.settle(tmp_path / "engine.db")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_moves_settle_to_the_last_unit(world: World, tmp_path: Path, seed: int) -> None:
    """Cash and tokens between subaccounts and out, trades and interest, in batches of all sizes."""
    rng = random.Random(seed)
    desk = Desk(world)
    desk.move(TAKER, SAVINGS, usdc(995_000))
    desk.trade(Side.BUY, 10)
    charged = 0
    for _ in range(30):
        match rng.randrange(6):
            case 0:
                charged += len(desk.charge())
            case 1:
                desk.trade(rng.choice((Side.BUY, Side.SELL)), rng.randrange(1, 4))
            case 2:
                desk.move(SAVINGS, TAKER, rng.randrange(1, usdc(5_000)))
            case 3:
                source, to = rng.choice(((TAKER, SAVINGS), (SAVINGS, TAKER)))
                held = desk.venue.engine.tokens(source).get(desk.wbtc, 0)
                amount = rng.randrange(1, tokens("0.1"))
                if held > amount and (source == SAVINGS or held - amount > tokens(1)):
                    desk.move(source, to, amount, desk.wbtc)
            case 4:
                desk.withdraw(SAVINGS, rng.randrange(1, usdc(5_000)))
            case 5:
                desk.cut()
        desk.price()
    assert charged
    desk.settle(tmp_path / "engine.db")
