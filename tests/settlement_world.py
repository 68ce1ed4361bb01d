"""A chain, a journal and two traders: settlement without an engine.

`Script` writes a journal by hand, the way the engine would: real signatures and hash chain, made-up
matches. `World` adds an Anvil with the contracts, and journals what the watcher reads.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

import msgspec
from tests.ports import free_port

from exchange.commands import (
    AccrueFunding,
    AdvanceClock,
    AmendOrder,
    AnyCommand,
    AnyObservation,
    BatchSeen,
    CutBatch,
    DepositSeen,
    ExpireInstruments,
    ObserveBlocks,
    PlaceOrder,
    RevertBlocks,
    SubaccountSeen,
    UnderlyingRisk,
    UpdateIndex,
    UpdateMarks,
    Withdraw,
)
from exchange.events import (
    AnyEvent,
    BatchConfirmed,
    BatchCut,
    BlocksObserved,
    ClockAdvanced,
    DeliveryPriceFixed,
    Deposited,
    FundingAccrued,
    IndexUpdated,
    MarksUpdated,
    PositionExpired,
    SubaccountOpened,
    Traded,
    Withdrawn,
)
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.journal import Entry, EntryEncoder, Journal, JournalReader
from exchange.journal.outbox import Outbox
from exchange.model import (
    InstrumentTerms,
    Kind,
    Legs,
    OrderTerms,
    Side,
    WithdrawalTerms,
    pack_instrument_id,
)
from exchange.reversals import BlocksReverted
from exchange.settlement.anvil import Anvil
from exchange.settlement.chain import Chain, Node
from exchange.settlement.cursor import BlockCursor, trail
from exchange.settlement.deploy import (
    REPOSITORY,
    DeployOptions,
    open_or_deploy,
    project_artifacts,
)
from exchange.settlement.feed import Feed
from exchange.settlement.process import RelayerSettings, build_relayer
from exchange.settlement.relayer import Relayer, RelayerOptions
from exchange.settlement.wallet import OwnerWallet
from exchange.settlement.watcher import Watcher, WatcherOptions
from exchange.signing import Domain, address_of, order_digest, sign_digest, withdrawal_digest

NS: Final = 10**9
CLEARING: Final = "0x" + "aA" * 20
TOKEN: Final = "0x" + "cC" * 20
DEPLOYER_KEY: Final = b"\x31" * 32
RELAYER_KEY: Final = b"\x32" * 32
MAKER_KEY: Final = b"\x33" * 32
TAKER_KEY: Final = b"\x34" * 32
ORACLE_KEYS: Final = (b"\x35" * 32, b"\x36" * 32, b"\x37" * 32)
FUNDS: Final = 1_000_000 * CASH_SCALE
PRICE: Final = 2_500 * CASH_SCALE
FEE: Final = 3 * CASH_SCALE  # a contract
MINUTE: Final = 60
_BEGINNING: Final = ("anvil.json", "deployment.json")
STATES_KEPT: Final = 4_000  # of blocks, those that were reorganised away among them


def deploy_options(**changes: Any) -> DeployOptions:
    """Of a venue whose keys are those above."""
    fields = {
        "deployer_key": DEPLOYER_KEY,
        "relayer": address_of(RELAYER_KEY),
        "treasury": address_of(DEPLOYER_KEY),
        "oracle_signers": tuple(map(address_of, ORACLE_KEYS)),
        "oracle_threshold": 2,
    }
    return DeployOptions(**(fields | changes))


class Trader(msgspec.Struct):
    key: bytes
    subaccount_id: int
    next_nonce: int = 1
    standard: bool = False

    @property
    def address(self) -> str:
        return address_of(self.key)

    def nonce(self) -> int:
        self.next_nonce += 1
        return self.next_nonce


class Script:
    """Writes a journal by hand; one commit a command."""

    def __init__(
        self,
        path: Path,
        *,
        clearing: str = CLEARING,
        token: str = TOKEN,
        start_s: int = 1_800_000_000,
        first_id: int = 2,
    ) -> None:
        self.path = path
        self.token = token
        self.domain = Domain(31_337, clearing)
        self.time_ns = start_s * NS
        self.entries: list[Entry] = []
        self.maker = Trader(MAKER_KEY, first_id)
        self.taker = Trader(TAKER_KEY, first_id + 1, standard=True)
        self.list_call(days=2)
        self._encoder = EntryEncoder()
        self._journal = Journal(str(path))
        self._batch = BatchCut(
            number=0, first_seq=0, last_seq=0, risk_epoch=0, state_hash=bytes(32)
        )

    def list_call(self, *, days: int) -> None:
        """From now on the instrument is a 100,000 call that expires at 08:00 in so many days."""
        self.expiry = (self.time_ns // NS // 86_400 + days) * 86_400 + 8 * 3600
        terms = InstrumentTerms(Kind.OPTION, 1, self.expiry, 100_000 * CASH_SCALE)
        self.instrument_id = pack_instrument_id(terms)

    @property
    def seq(self) -> int:
        return len(self.entries)

    def add(self, command: AnyCommand, *events: AnyEvent) -> Entry:
        entry, record = self._encoder.stamp(self.time_ns, command, events)
        self._journal.append([entry], [record])
        self.entries.append(entry)
        return entry

    def place(
        self,
        trader: Trader,
        side: Side,
        contracts: int,
        *events: AnyEvent,
        nonce: int = 0,
        version: int = 0,
        amend: bool = False,
        price: int = PRICE,
    ) -> Entry:
        terms = OrderTerms(
            subaccount_id=trader.subaccount_id,
            instrument_id=self.instrument_id,
            side=side,
            quantity=contracts * QUANTITY_SCALE,
            limit_price=price,
            max_fee=FEE,
            nonce=nonce or trader.nonce(),
            version=version,
            deadline=self.time_ns // NS + 86_400,
            signer=trader.address,
        )
        signature = sign_digest(order_digest(self.domain, terms), trader.key)
        kind = AmendOrder if amend else PlaceOrder
        return self.add(kind(terms=terms, signature=signature), *events)

    def traded(self, maker_seq: int, taker_seq: int, contracts: int, **changes: int) -> Traded:
        """A match of the maker's ask with the taker's bid."""
        fields = {
            "trade_id": self.seq + 1,
            "instrument_id": self.instrument_id,
            "price": PRICE,
            "quantity": contracts * QUANTITY_SCALE,
            "taker_side": Side.BUY,
            "maker_order_id": maker_seq,
            "taker_order_id": taker_seq,
            "maker_subaccount_id": self.maker.subaccount_id,
            "taker_subaccount_id": self.taker.subaccount_id,
            "maker_signed_seq": maker_seq,
            "taker_signed_seq": taker_seq,
            "maker_fee": contracts * CASH_SCALE,
            "taker_fee": 2 * contracts * CASH_SCALE,
        }
        return Traded(**(fields | changes))

    @property
    def perpetual_id(self) -> int:
        return pack_instrument_id(InstrumentTerms(Kind.PERPETUAL, 1))

    def accrual(self, ordinal: int, index: int) -> FundingAccrued:
        """The perpetual's funding index moves to `index`."""
        return FundingAccrued(
            instrument_id=self.perpetual_id, ordinal=ordinal, index=index, rate=0, index_price=0
        )

    def accrue(self, ordinal: int, index: int) -> Entry:
        """The same as a command of its own, with nothing pending."""
        return self.add(AccrueFunding(), self.accrual(ordinal, index))

    def trade(self, contracts: int = 1) -> None:
        """A fresh ask, and a fresh bid that takes it."""
        ask = self.place(self.maker, Side.SELL, contracts)
        self.place(self.taker, Side.BUY, contracts, self.traded(ask.seq, self.seq + 1, contracts))

    def cut(self) -> BatchCut:
        """End the batch by a command of its own."""
        self.add(CutBatch(), self._next_cut())
        return self._batch

    def cut_with(self, accrual: FundingAccrued) -> None:
        """End the batch because funding moves."""
        self.add(AccrueFunding(), self._next_cut(), accrual)

    def _next_cut(self) -> BatchCut:
        seq = self.seq + 1
        self._batch = BatchCut(
            number=self._batch.number + 1,
            first_seq=self._batch.last_seq + 1,
            last_seq=seq,
            risk_epoch=1,
            state_hash=seq.to_bytes(32, "big"),
        )
        return self._batch

    def jump(self, seconds: int) -> None:
        """Move the venue's clock, after a cut as the engine does."""
        self.cut()
        by_ns = seconds * NS
        self.add(AdvanceClock(by_ns=by_ns), ClockAdvanced(offset_ns=by_ns))
        self.time_ns += by_ns

    def withdraw(self, trader: Trader, amount: int) -> Entry:
        terms = WithdrawalTerms(
            subaccount_id=trader.subaccount_id,
            token=self.token,
            amount=amount,
            recipient=trader.address,
            nonce=trader.nonce(),
            deadline=self.time_ns // NS + 3600,
            signer=trader.address,
        )
        event = Withdrawn(
            subaccount_id=trader.subaccount_id,
            amount=amount,
            recipient=trader.address,
            nonce=terms.nonce,
        )
        signature = sign_digest(withdrawal_digest(self.domain, terms), trader.key)
        return self.add(Withdraw(terms=terms, signature=signature), event)

    def expire(self, contracts: int, price: int) -> Entry:
        """Fix the delivery price; the taker is long `contracts` calls, the maker short."""
        self.time_ns = (self.expiry + MINUTE) * NS
        value = max(0, price - 100_000 * CASH_SCALE) * contracts
        events: list[AnyEvent] = [
            DeliveryPriceFixed(underlying_id=1, expiry=self.expiry, price=price, samples=9)
        ]
        for trader, sign in ((self.maker, -1), (self.taker, 1)):
            expired = PositionExpired(
                subaccount_id=trader.subaccount_id,
                instrument_id=self.instrument_id,
                quantity=sign * contracts * QUANTITY_SCALE,
                payoff=sign * value,
            )
            events.append(expired)
        return self.add(ExpireInstruments(underlying_id=1, expiry=self.expiry), *events)

    def mark(self, epoch: int, root: bytes = b"\x0e" * 32) -> None:
        """An epoch of marks is published; it holds an index alone."""
        update = UpdateMarks(
            epoch=epoch,
            root=root,
            underlyings=(
                UnderlyingRisk(underlying_id=1, index_price=10**11, confidence=RATIO_SCALE),
            ),
            expiries=(),
            instrument_ids=(),
            rows=b"",
        )
        self.add(update, MarksUpdated(epoch=epoch, root=root, published=True))

    def sample(self, price: int) -> None:
        """An index sample of underlying 1."""
        self.add(
            UpdateIndex(underlying_id=1, index_price=price, confidence=RATIO_SCALE),
            IndexUpdated(underlying_id=1, index_price=price),
        )

    def post(self, command: ObserveBlocks) -> None:
        """What the exchange does with the watcher's blocks."""
        seen = [event for item in command.observations if (event := _event(item))]
        self.add(command, *seen, BlocksObserved(last_block=command.last_block))

    def revert(self, command: RevertBlocks, *undone: AnyEvent) -> Entry:
        """What the exchange does where the chain has lost blocks."""
        last = next(
            entry.command.last_block
            for entry in reversed(self.entries)
            if isinstance(entry.command, ObserveBlocks)
        )
        reverted = BlocksReverted(last_block=command.last_block, lost_block=last)
        return self.add(command, *undone, reverted)

    def close(self) -> None:
        self._journal.close()


def _event(seen: AnyObservation) -> AnyEvent | None:
    match seen:
        case SubaccountSeen():
            return SubaccountOpened(
                subaccount_id=seen.subaccount_id, owner=seen.owner, standard=seen.standard
            )
        case DepositSeen():
            return Deposited(subaccount_id=seen.subaccount_id, amount=seen.amount, token=seen.token)
        case BatchSeen():
            return BatchConfirmed(number=seen.number, block=seen.block, transaction="")
        case _:
            return None


def no_legs(combo_id: int) -> Legs:
    """For journals without combos."""
    raise AssertionError(combo_id)


class World:
    """A chain with the contracts, two funded traders and a journal. Close it.

    The first of a process deploys; the others begin with a copy of its chain.
    """

    _first: ClassVar[TemporaryDirectory[str] | None] = None  # holds the files of `_BEGINNING`
    insurance_notice_s: ClassVar[int] = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.begun = self._copy_first()
        self.node = self._start_node()
        try:
            self._furnish()
        except BaseException:
            self.node.stop()
            raise

    def _furnish(self) -> None:
        self.chain = self._deploy()
        deployment = self.chain.deployment
        self.script = Script(
            self.folder / "journal.db",
            clearing=deployment.clearing,
            token=deployment.usdc,
            start_s=self.chain.block_time(),
            first_id=deployment.fund_subaccount_id + 1,
        )
        if not self.begun:
            self._open_subaccounts()
            self._keep_first()
        self.reader = JournalReader(str(self.script.path))
        self.watcher = Watcher(self.chain, self.script, WatcherOptions(), self._trail)

    def _open_subaccounts(self) -> None:
        for trader in (self.script.maker, self.script.taker):
            wallet = OwnerWallet(self.chain, trader.key)
            opened = wallet.open_subaccount(standard=trader.standard)
            assert opened == trader.subaccount_id
            wallet.fund(trader.subaccount_id, FUNDS)

    def _copy_first(self) -> bool:
        if World._first is None:
            return False
        for name in _BEGINNING:
            shutil.copy(Path(World._first.name) / name, self.folder)
        return True

    def _keep_first(self) -> None:
        self.restart_node()  # it writes its state as it stops
        World._first = TemporaryDirectory(prefix="world-")
        for name in _BEGINNING:
            shutil.copy(self.folder / name, World._first.name)

    def _trail(self) -> list[BlockCursor]:
        return trail(self.script.entries)

    def _start_node(self) -> Anvil:
        return Anvil(
            REPOSITORY / ".venv" / "bin" / "anvil",
            port=self.port,
            state=self.folder / "anvil.json",
            log=self.folder / "anvil.log",
            # Anvil 1.7.1 moves states beyond these from memory to disk, and what comes back from
            # there has no code: a reorganisation to such a block would leave no contract.
            options=("--accounts", "1", "--prune-history", str(STATES_KEPT)),
        )

    def restart_node(self) -> None:
        self.node.stop()
        self.node = self._start_node()

    def _give_ether(self, address: str) -> None:
        Node(self.node.url).rpc("anvil_setBalance", address, hex(10**20))

    def _deploy(self) -> Chain:
        node_keys = (DEPLOYER_KEY, RELAYER_KEY, MAKER_KEY, TAKER_KEY)
        options = deploy_options(insurance_notice_s=self.insurance_notice_s)
        if not self.begun:
            for key in node_keys:
                self._give_ether(address_of(key))
        path = self.folder / "deployment.json"
        chain = open_or_deploy(self.node.url, path, options, project_artifacts())[0]
        chain.rpc("evm_mine")  # its clock is that of the newest block, which may be a copy
        return chain

    def settings(self, outbox: str = "relayer.db") -> RelayerSettings:
        return RelayerSettings(
            journal=str(self.script.path),
            outbox=str(self.folder / outbox),
            admin_url="http://127.0.0.1:9",
            admin_token="",
            key=RELAYER_KEY,
            oracle_keys=ORACLE_KEYS,
            stuck_after_s=1_000.0,  # a busy machine must not look like a stuck transaction
        )

    def options(self, **options: float) -> RelayerOptions:
        defaults = {"key": RELAYER_KEY, "stuck_after_s": 1_000.0}
        return RelayerOptions(**(defaults | options))

    def relayer(
        self, chain: Chain | None = None, outbox: str = "relayer.db", store: Outbox | None = None
    ) -> tuple[Feed, Relayer, Outbox]:
        settings = self.settings(outbox)
        store = store or Outbox(settings.outbox)
        feed, relayer = build_relayer(settings, chain or self.chain, self.reader, store)
        return feed, relayer, store

    def watch(self) -> None:
        """Journal every block up to the head."""
        feed, _, store = self.relayer(outbox="watch.db")
        while True:
            feed.pull()
            if not self.watcher.step(feed.cursor):
                break
        store.close()

    def close(self) -> None:
        self.reader.close()
        self.script.close()
        self.node.stop()
