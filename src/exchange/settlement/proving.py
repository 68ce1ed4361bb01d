"""Margin of one subaccount, proven: what the chain computes from a proof and what the engine says.

The proof is built from the journal alone, of what batches settled, under the root that was posted
last. The engine's figure comes from its own margin classes, without open orders and concentration,
which the chain does not know.
"""

import contextlib
from collections.abc import Iterable, Iterator

import msgspec

from exchange.commands import Configure, UpdateMarks
from exchange.events import Configured, MarksUpdated
from exchange.fixed import QUANTITY_SCALE, div_exact
from exchange.journal import Entry, JournalReader
from exchange.margin.account import MarginAccount
from exchange.margin.marks import MarksBook
from exchange.margin.standard import StandardAccount
from exchange.model import Kind, OptionKind, unpack_instrument_id
from exchange.settlement.chain import BlockName, Chain
from exchange.settlement.cursor import BlockCursor, follow_blocks
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.holdings import Held, Holdings, expected_holdings
from exchange.settlement.margin_proof import NO_PROOF, EpochProver, parameters_hash


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """Equity beyond each requirement, micro-USDC."""

    initial: int
    maintenance: int


class ProvenMargin(msgspec.Struct, frozen=True, kw_only=True):
    """Two computations of one thing: equal to the last unit, or one of them is wrong."""

    subaccount_id: int
    epoch: int
    block: int
    batch: int
    positions: int
    calldata_bytes: int
    on_chain: Excess
    engine: Excess

    @property
    def agrees(self) -> bool:
        """Whether chain and engine say the same."""
        return self.on_chain == self.engine


class _Terms:
    """What of the journal the margin of an epoch depends on besides holdings."""

    def __init__(self, epoch: int) -> None:
        self.configured: Configure | None = None
        self.update: UpdateMarks | None = None
        self._epoch = epoch

    def watched(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries, unchanged, while their parameters and marks are noted."""
        for entry in entries:
            for event in entry.events:
                match event, entry.command:
                    case Configured(), Configure() as command:
                        self.configured = command
                    case MarksUpdated(epoch=self._epoch), UpdateMarks() as update:
                        self.update = update
                    case _:
                        pass
            yield entry


def prove_margin(reader: JournalReader, chain: Chain, subaccount_id: int) -> ProvenMargin:
    """Prove the margin of what a subaccount holds on chain at the last block that was observed."""
    cursor = BlockCursor()
    for entry in reader.entries():
        cursor = follow_blocks(cursor, entry)
    # By name where possible: a node that lost its old states still has the newest.
    if chain.head() == cursor.block:
        with contextlib.suppress(Reverted):
            found = _prove_at("latest", cursor, reader, chain, subaccount_id)
            if chain.head() == cursor.block:  # it did not go on meanwhile
                return found
    return _prove_at(cursor.block, cursor, reader, chain, subaccount_id)


def margin_proof(reader: JournalReader, chain: Chain, subaccount_id: int) -> tuple[object, ...]:
    """`MarginProof` of what a subaccount holds on chain now, for whatever asks for one."""
    cursor = BlockCursor()
    for entry in reader.entries():
        cursor = follow_blocks(cursor, entry)
    found = _Evidence(chain.head(), cursor, reader, chain, subaccount_id)
    return found.prover.proof(found.portfolio.live, found.portfolio.expired)


def proof_where_needed(
    reader: JournalReader, chain: Chain, subaccount_id: int
) -> tuple[object, ...]:
    """The same, or an empty one for who neither holds positions nor owes: nobody reads it."""
    cash, count, _ = chain.call(chain.clearing, "holdings", subaccount_id, [])
    return margin_proof(reader, chain, subaccount_id) if count or int(cash) < 0 else NO_PROOF


def _prove_at(
    block: BlockName, cursor: BlockCursor, reader: JournalReader, chain: Chain, subaccount_id: int
) -> ProvenMargin:
    found = _Evidence(block, cursor, reader, chain, subaccount_id)
    portfolio = found.portfolio
    data = found.prover.excess_calldata(subaccount_id, portfolio.live, portfolio.expired)
    initial, maintenance = chain.excess(data, block=block)
    return ProvenMargin(
        subaccount_id=subaccount_id,
        epoch=found.epoch,
        block=cursor.block,
        batch=found.batch,
        positions=len(portfolio.live) + len(portfolio.expired),
        calldata_bytes=len(data),
        on_chain=Excess(initial=initial, maintenance=maintenance),
        engine=portfolio.excess(chain, found.configured, found.update),
    )


class _Evidence:
    """What a proof at a block is made of: the epoch of its root, and holdings settled there."""

    def __init__(
        self,
        block: BlockName,
        cursor: BlockCursor,
        reader: JournalReader,
        chain: Chain,
        subaccount_id: int,
    ) -> None:
        self.epoch = epoch = chain.risk_epoch(block=block)
        if epoch == 0:
            raise ChainError(
                "no risk root was posted yet: the relayer posts one every five minutes"
            )
        tip = chain.last_batch(block=block)
        self.batch = tip.number
        terms = _Terms(epoch)
        entries = terms.watched(reader.entries())
        holdings = expected_holdings(entries, settled_seq=tip.last_seq, observed_seq=cursor.seq)
        # The epoch may be younger than all that settled and was observed: quiet blocks are reported
        # many at a time.
        while terms.update is None and next(entries, None) is not None:
            pass
        if terms.configured is None or terms.update is None:
            raise ChainError(f"the journal does not hold epoch {epoch}, whose root is on chain")
        if subaccount_id not in holdings.cash:
            raise ChainError(f"there is no subaccount {subaccount_id}")
        self.configured, self.update = terms.configured, terms.update
        self.portfolio = _Portfolio(holdings, subaccount_id, self.update)
        margin, collaterals = self.configured.margin, self.configured.collaterals
        if chain.parameters_hash(block=block) != parameters_hash(margin, collaterals):
            raise ChainError(
                "Margin holds other parameters than the venue: its governance must act"
            )
        self.prover = EpochProver(self.update, margin, collaterals)


class _Portfolio:
    """What one subaccount holds, split into what has a row in the epoch and what expired."""

    def __init__(self, holdings: Holdings, subaccount_id: int, update: UpdateMarks) -> None:
        self._holdings = holdings
        self._subaccount_id = subaccount_id
        held = holdings.positions_of(subaccount_id)
        rows = set(update.instrument_ids)
        self.live = {number: one for number, one in held.items() if number in rows}
        self.expired = {number: one for number, one in held.items() if number not in rows}

    def excess(self, chain: Chain, configured: Configure, update: UpdateMarks) -> Excess:
        """By the engine's classes."""
        margin = msgspec.structs.replace(configured.margin, concentration=None)
        marks = MarksBook(margin)
        marks.set_collaterals(configured.collaterals)
        marks.update(update)
        standard = self._subaccount_id in self._holdings.standard
        account = (StandardAccount if standard else MarginAccount)(self._subaccount_id, marks)
        account.add_cash(self._net_cash() + self._payoffs(chain))
        for number, held in self.live.items():
            account.apply_fill(number, held.quantity)
        for asset in configured.collaterals:
            amount = self._holdings.tokens.get((self._subaccount_id, asset.token), 0)
            if amount:
                account.add_collateral(asset.asset_id, amount)
        return Excess(initial=account.initial_excess(), maintenance=account.maintenance_excess())

    def _net_cash(self) -> int:
        """Cash less entry costs and unrealised funding of what has a row."""
        owed = sum(held.cost + self._funding(number, held) for number, held in self.live.items())
        return self._holdings.cash[self._subaccount_id] - owed

    def _funding(self, number: int, held: Held) -> int:
        move = self._holdings.indices.get(number, held.funding_index) - held.funding_index
        return div_exact(held.quantity * move, QUANTITY_SCALE)

    def _payoffs(self, chain: Chain) -> int:
        return sum(
            div_exact(self._payoff(chain, number) * held.quantity, QUANTITY_SCALE) - held.cost
            for number, held in self.expired.items()
        )

    @staticmethod
    def _payoff(chain: Chain, number: int) -> int:
        terms = unpack_instrument_id(number)
        price = chain.delivery_price(terms.underlying_id, terms.expiry)
        if price is None:
            raise ChainError(
                f"instrument {number} has no row in the epoch and no delivery price yet: try again "
                "after the next root"
            )
        if terms.kind is Kind.FUTURE:
            return price
        call = terms.option_kind is OptionKind.CALL
        return max(0, price - terms.strike if call else terms.strike - price)
