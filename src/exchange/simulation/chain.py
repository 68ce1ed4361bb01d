"""A chain in memory: blocks, a pool, fees, and reorganisations that take blocks back.

Whoever asks it gets true answers at once; what goes wrong on the way is `node`'s. Transactions of
owners (opening, deposits, cancels) are observations that a block brings; those of relayers carry
calldata and run on `contract`.
"""

import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.observations import AnyObservation, BatchSeen, DepositSeen, SubaccountSeen
from exchange.settlement.batch import Tip
from exchange.settlement.chain import BlockName, Call, Fees, Receipt, Settled, SignedTransaction
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import Reverted
from exchange.settlement.holdings import Held
from exchange.simulation.contract import Contract, Key
from exchange.simulation.mempool import Transaction, enter, signed
from exchange.simulation.parameters import DEPLOYMENT

GWEI: Final = 10**9
GAS: Final = 100_000


class Block(msgspec.Struct):
    """One block, and how far back the contract's log goes without it."""

    number: int
    block_hash: str
    time_s: int
    log_length: int
    transactions: list[tuple[str, Transaction, bool]]  # with hash, and whether it succeeded
    owners: list[AnyObservation]  # what owners did, to be done again after a reorganisation
    observations: list[AnyObservation]


class ModelChain:
    """The state of one chain; `mine` and `reorganise` are what others do to it."""

    deployment: Final[Deployment] = DEPLOYMENT

    def __init__(self, draw: random.Random, start_s: int, *, shows_pending: bool = True) -> None:
        self.contract = Contract()
        self.base_fee = GWEI
        self.pool: dict[str, Transaction] = {}
        self.owners: list[AnyObservation] = []  # what owners sent, in order
        self.reorganisations = 0
        self.parents: dict[str, str] = {}  # of each block that ever was, by hash
        self._draw = draw
        self._shows_pending = shows_pending  # whether the node runs what waits in its pool
        self._salt = 0
        self._receipts: dict[str, Receipt] = {}
        self._counts: dict[str, int] = {}
        self.blocks: list[Block] = []
        self._append(start_s, [], [])

    # ---- what happens to it

    def send(self, *seen: AnyObservation) -> None:
        """Owners act: the next block has it."""
        self.owners.extend(seen)

    def mine(self, time_s: int) -> None:
        """A block of what waits and pays enough."""
        included = self._next_transactions()
        owners, self.owners = self.owners, []
        self._append(max(time_s, self.blocks[-1].time_s + 1), included, owners)
        self.pool = {
            key: tx
            for key, tx in self.pool.items()
            if tx.tx_nonce >= self._counts.get(tx.sender, 0)
        }

    def _next_transactions(self) -> list[Transaction]:
        """Those in the pool that pay enough and leave no gap."""
        included: list[Transaction] = []
        counts = dict(self._counts)
        for tx in sorted(self.pool.values(), key=lambda tx: tx.tx_nonce):
            pays = tx.max_fee >= self.base_fee
            if pays and tx.tx_nonce == counts.get(tx.sender, 0):
                included.append(tx)
                counts[tx.sender] = tx.tx_nonce + 1
        return included

    def reorganise(self, depth: int, *, lose: float) -> int:
        """Other blocks in the place of the newest; how many.

        What owners did comes again, except deposits that are lost with a probability; transactions
        of relayers are gone from the pool.
        """
        depth = min(depth, len(self.blocks) - 1)
        gone = self.blocks[len(self.blocks) - depth :]
        del self.blocks[len(self.blocks) - depth :]
        self.contract.ledger.undo(gone[0].log_length)
        kept: list[AnyObservation] = []
        for block in gone:
            for tx_hash, tx, _ in block.transactions:
                del self._receipts[tx_hash]
                self._counts[tx.sender] -= 1
            kept += [one for one in block.owners if not self._is_lost(one, lose)]
        self.owners = [*kept, *self.owners]
        for block in gone[:-1]:
            self._append(block.time_s, [], [])
        again: list[AnyObservation] = []
        if self._draw.random() < 0.5:  # in the newest of them, or in the block after it
            again, self.owners = self.owners, []
        for block in gone[-1:]:
            self._append(block.time_s, [], again)
        self.reorganisations += 1
        return depth

    def _is_lost(self, seen: AnyObservation, probability: float) -> bool:
        return isinstance(seen, DepositSeen) and self._draw.random() < probability

    def _append(
        self, time_s: int, transactions: Iterable[Transaction], owners: list[AnyObservation]
    ) -> None:
        self._salt += 1
        number = len(self.blocks)
        block = Block(
            number=number,
            block_hash="0x" + keccak(f"{number}:{self._salt}".encode()).hex(),
            time_s=time_s,
            log_length=len(self.contract.ledger.log),
            transactions=[],
            owners=owners,
            observations=[],
        )
        self.parents[block.block_hash] = self.blocks[-1].block_hash if self.blocks else ""
        self.blocks.append(block)
        for seen in owners:
            self._observe(block, seen)
        for tx in transactions:
            self._include(block, tx)

    def _observe(self, block: Block, seen: AnyObservation) -> None:
        ledger = self.contract.ledger
        if isinstance(seen, SubaccountSeen):
            ledger.put(("owner", seen.subaccount_id), seen.owner)
        elif isinstance(seen, DepositSeen):
            name = ("token", seen.token.lower()) if seen.token else ("cash",)
            ledger.add((*name, seen.subaccount_id), seen.amount)
            ledger.add(("deposited", *name[1:]), seen.amount)
        block.observations.append(seen)

    def _include(self, block: Block, tx: Transaction) -> None:
        tx_hash, number, succeeded = tx.tx_hash, 0, True
        try:
            number = self.contract.execute(tx.data, block.time_s)
        except Reverted:
            succeeded = False
        block.transactions.append((tx_hash, tx, succeeded))
        self._counts[tx.sender] = self._counts.get(tx.sender, 0) + 1
        self._receipts[tx_hash] = Receipt(
            tx_hash=tx_hash,
            succeeded=succeeded,
            block=block.number,
            gas_used=GAS,
            contract=None,
        )
        if number:
            self.contract.ledger.put(("where", number), (block.number, tx_hash))
            settled = self.settled(number)
            assert settled is not None
            block.observations.append(
                BatchSeen(
                    number=number,
                    batch_hash=settled.batch_hash,
                    block=block.number,
                    transaction=tx_hash,
                )
            )

    # ---- what `settlement.chain.Chain` answers

    clearing = "clearing"  # the names of contracts, for `call`

    def head(self) -> int:
        """Number of the newest block."""
        return len(self.blocks) - 1

    def block_hash(self, number: int) -> str | None:
        """Of a block on this chain."""
        return self.blocks[number].block_hash if 0 <= number < len(self.blocks) else None

    def block_time(self) -> int:
        """UTC second of the newest block."""
        return self.blocks[-1].time_s

    def tx_count(self, address: str) -> int:
        """The next nonce."""
        return self._counts.get(address, 0)

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Of a mined transaction."""
        return self._receipts.get(tx_hash)

    def knows(self, tx_hash: str) -> bool:
        """Whether it waits or is mined."""
        return tx_hash in self.pool or tx_hash in self._receipts

    def suggested_fees(self) -> Fees:
        """Enough for the next block."""
        return Fees(max_fee=2 * self.base_fee, priority_fee=GWEI)

    def refusal(self, _sender: str, _to: str, data: bytes) -> Reverted | None:
        """Why the contract would refuse this now."""
        ledger = self.contract.ledger
        length = len(ledger.log)
        try:
            self.contract.execute(data, self.block_time())
        except Reverted as refused:
            return refused
        ledger.undo(length)
        return None

    def estimate_gas(self, sender: str, to: str, data: bytes, *, pending: bool = False) -> int:
        """Raises `Reverted`; if `pending`, and this node can, after what waits in the pool."""
        ledger = self.contract.ledger
        length = len(ledger.log)
        if pending and self._shows_pending:
            for tx in self._next_transactions():
                with contextlib.suppress(Reverted):
                    self.contract.execute(tx.data, self.block_time())
        refused = self.refusal(sender, to, data)
        ledger.undo(length)
        if refused is not None:
            raise refused
        return GAS

    def sign(
        self, key: bytes, call: Call, *, chain_id: int, tx_nonce: int, fees: Fees
    ) -> SignedTransaction:
        """Needs no node."""
        assert chain_id == self.deployment.chain_id
        return signed(key, call, tx_nonce, fees)

    def broadcast(self, raw: bytes) -> None:
        """Into the pool."""
        enter(self.pool, raw, self.tx_count)

    def last_batch(self, block: BlockName = "latest") -> Tip:
        """The end of the settled chain of batches."""
        number, last_seq, batch_hash = self._view(block)(("tip",), (0, 0, bytes(32)))
        return Tip(number=number, last_seq=last_seq, batch_hash=batch_hash)

    def settled(self, number: int) -> Settled | None:
        """Where a batch is."""
        known = self.contract.ledger.get(("batch", number), None)
        if known is None:
            return None
        batch_hash, first_seq, last_seq, state_root = known
        block, tx_hash = self.contract.ledger.get(("where", number))
        return Settled(
            number=number,
            batch_hash=batch_hash,
            first_seq=first_seq,
            last_seq=last_seq,
            state_root=state_root,
            block=block,
            tx_hash=tx_hash,
        )

    def delivery_price(self, underlying_id: int, expiry: int) -> int | None:
        """A fixed price."""
        price: int | None = self.contract.ledger.get(("delivery", underlying_id, expiry), None)
        return price

    def funding_index(self, instrument_id: int, ordinal: int) -> int | None:
        """A posted index."""
        index: int | None = self.contract.ledger.get(("funding", instrument_id, ordinal), None)
        return index

    def index_time(self, underlying_id: int) -> int:
        """Of the newest sample."""
        return int(self.contract.ledger.get(("index", underlying_id)))

    def risk_epoch(self) -> int:
        """No epochs are published here."""
        return 0

    def marks_time(self, _epoch: int) -> int | None:
        """The same."""
        return None

    def price_bands(self) -> tuple[int, int, int]:
        """None are set."""
        return 0, 0, 0

    def force_until(self, _subaccount_id: int) -> int:
        """Nobody proves anything here."""
        return 0

    def call(self, _contract: str, function: str) -> int:
        """The two views that a relayer asks for by name."""
        return {"batchMargin": 0, "fundId": int(self.contract.ledger.get(("fund",)))}[function]

    def token_held(self, subaccount_id: int, token: str, block: BlockName = "latest") -> int:
        """In ledger units."""
        return int(self._view(block)(("token", token.lower(), subaccount_id), 0))

    def cash_and_positions(
        self, subaccount_id: int, instrument_ids: list[int], block: BlockName = "latest"
    ) -> tuple[int, dict[int, Held]]:
        """Positions that are not zero."""
        get = self._view(block)
        held = {one: get(("held", subaccount_id, one), Held(0)) for one in instrument_ids}
        cash = int(get(("cash", subaccount_id), 0))
        return cash, {one: value for one, value in held.items() if value.quantity}

    def observations(self, first: int, last: int) -> list[tuple[int, AnyObservation]]:
        """Logs of blocks."""
        blocks = self.blocks[first : last + 1]
        return [(block.number, seen) for block in blocks for seen in block.observations]

    def _view(self, block: BlockName) -> Callable[[Key, Any], Any]:
        ledger = self.contract.ledger
        if block == "latest" or block >= self.head():
            return ledger.get
        return ledger.before(self.blocks[block + 1].log_length)
