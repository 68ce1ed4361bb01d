"""A wallet that is a contract withdraws through the gateway: a node is asked, then the chain."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.settlement_world import DEPLOYER_KEY, MAKER_KEY, World
from tests.signed_venue import write_journal
from tests.unit.api.world import FakeSequencer, call
from tests.venue import Venue, usdc

from exchange.api.app import METHODS
from exchange.api.dispatch import Dispatcher
from exchange.api.gateway import Gateway
from exchange.api.settings import GatewaySettings
from exchange.audit import BatchAudit, Replay
from exchange.commands import CutBatch, DepositSeen, SubaccountSeen, WithdrawalVoidSeen
from exchange.events import WithdrawalVoided
from exchange.journal import JournalReader
from exchange.journal.outbox import JobKind, JobState
from exchange.model import WithdrawalTerms
from exchange.settlement.batch import encode_call
from exchange.settlement.contract_owners import ContractSignatures
from exchange.settlement.deploy import create, project_artifacts
from exchange.signing import address_of, sign_digest, withdrawal_digest

pytestmark = pytest.mark.integration

WALLET_ID, CASH = 4, usdc(1_000)
HONEST, DENYING, REVERTING, GREEDY = range(4)


class WalletDesk:
    """An engine behind a real gateway, and a contract that owns a subaccount on a real chain."""

    def __init__(self, world: World) -> None:
        self.world, self.domain = world, world.script.domain
        chain, deployment = world.chain, world.chain.deployment
        keyholder = address_of(MAKER_KEY)
        wallet = project_artifacts()["MockWallet"]
        self.wallet = create(chain, DEPLOYER_KEY, wallet, keyholder)
        mint = encode_call("mint", ("address", "uint256"), (self.wallet, CASH))
        chain.transact(MAKER_KEY, deployment.usdc, mint)
        self.run(deployment.clearing, "openSubaccount", ())
        self.run(deployment.usdc, "approve", ("address", "uint256"), deployment.custody, CASH)
        words = (WALLET_ID, deployment.usdc, CASH)
        self.run(deployment.custody, "deposit", ("uint64", "address", "uint256"), *words)

        self.venue = Venue(clearing=self.domain.clearing, collateral=deployment.usdc)
        self.venue.wait_until(max(self.venue.now_s, chain.block_time()))
        self.venue.observe(
            SubaccountSeen(subaccount_id=WALLET_ID, owner=self.wallet),
            DepositSeen(subaccount_id=WALLET_ID, amount=CASH),
        )
        self.followed = chain.head()
        self.nonce = 0
        self.void: list[WithdrawalVoided] = []

    def run(self, to: str, function: str, types: tuple[str, ...], *words: object) -> None:
        """The keyholder lets the wallet call a contract."""
        data = encode_call("run", ("address", "bytes"), (to, encode_call(function, types, words)))
        self.world.chain.transact(MAKER_KEY, self.wallet, data)

    def be(self, mood: int) -> None:
        data = encode_call("setMood", ("uint8",), (mood,))
        self.world.chain.transact(MAKER_KEY, self.wallet, data)

    def withdraw(self, amount: int, key: bytes = MAKER_KEY) -> dict[str, Any]:
        """What the gateway answers to a withdrawal that the keyholder signed for the wallet."""
        self.nonce += 1
        terms = WithdrawalTerms(
            subaccount_id=WALLET_ID,
            token=self.world.chain.deployment.usdc,
            amount=usdc(amount),
            recipient=address_of(b"\x51" * 32),
            nonce=self.nonce,
            deadline=self.venue.now_s + 3_600,
            signer=self.wallet,
        )
        signature = sign_digest(withdrawal_digest(self.domain, terms), key) + b"of the board"
        params = {
            "amount": str(amount),
            "address": terms.recipient,
            "subaccount_id": WALLET_ID,
            "nonce": terms.nonce,
            "deadline": terms.deadline,
            "signer": self.wallet,
            "signature": "0x" + signature.hex(),
        }
        return asyncio.run(self._ask(params))

    async def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        node = ContractSignatures(self.world.chain.url, self.domain.clearing)
        sequencer = FakeSequencer(self.venue)
        gateway = Gateway(
            sequencer, GatewaySettings(), sequencer.entries(), ask_contract=node.approves
        )
        gateway.start()
        self.dispatcher = Dispatcher(gateway, METHODS)
        try:
            return await call(self, "private/withdraw", params)
        finally:
            gateway.stop()
            await node.close()

    def settle(self, path: Path) -> None:
        """A relayer settles what the engine did; then the engine sees what came back."""
        chain, venue = self.world.chain, self.venue
        venue.send(CutBatch())
        write_journal(venue, path)
        self.world.reader.close()
        self.world.reader = JournalReader(str(path))
        _, relayer, outbox = self.world.relayer()
        for _ in range(400):
            if not relayer.step():
                break
        states = {job.state for job in outbox.jobs() if job.kind is JobKind.BATCH}
        assert states == {JobState.CONFIRMED}
        outbox.close()
        head = chain.head()
        seen = [one for _, one in chain.observations(self.followed + 1, head)]
        self.followed = head
        for back in (one for one in seen if isinstance(one, DepositSeen | WithdrawalVoidSeen)):
            self.void += [one for one in venue.observe(back) if isinstance(one, WithdrawalVoided)]
        assert venue.cash(WALLET_ID) == chain.cash_and_positions(WALLET_ID, [])[0]


def test_a_contract_withdraws_and_what_it_denies_later_comes_back(
    world: World, tmp_path: Path
) -> None:
    """Paid; refused at once where it does not confirm; void on chain where it changed its mind."""
    desk, chain = WalletDesk(world), world.chain
    recipient = address_of(b"\x51" * 32)
    assert desk.withdraw(100)["result"]["state"] == "unconfirmed"
    desk.settle(tmp_path / "paid.db")
    assert chain.usdc_balance(recipient) == usdc(100)

    refused = desk.withdraw(100, key=b"\x52" * 32)["error"]
    assert refused["data"]["reject_reason"] == "bad_signature"
    for mood in (DENYING, REVERTING, GREEDY):
        desk.be(mood)
        assert desk.withdraw(100)["error"]["data"]["reject_reason"] == "bad_signature"
    assert desk.venue.cash(WALLET_ID) == CASH - usdc(100), "nothing was debited"

    for mood in (DENYING, GREEDY):
        desk.be(HONEST)
        assert "result" in desk.withdraw(200)
        assert "result" in desk.withdraw(300)
        desk.be(mood)
        desk.settle(tmp_path / f"void-{mood}.db")
        assert chain.usdc_balance(recipient) == usdc(100), "it pays nobody"
        assert desk.venue.cash(WALLET_ID) == CASH - usdc(100), "and all of it is back"

    desk.be(HONEST)
    assert "result" in desk.withdraw(900)
    desk.settle(tmp_path / "all.db")
    assert chain.usdc_balance(recipient) == CASH
    write_journal(desk.venue, tmp_path / "whole.db")
    reader = JournalReader(str(tmp_path / "whole.db"))
    audit = BatchAudit()
    figures = Replay(reader, witness=audit).run()
    assert figures.contract_signatures == 6
    assert [one.nonce for one in desk.void] == [6, 7, 8, 9], "those that it changed its mind about"
    assert audit.compare(chain.all_settled()) == 4
    reader.close()
