"""Settlement batches out of journal entries: pure, so that any relayer builds the same bytes.

The structs mirror `contracts/src/interfaces/IClearing.sol`: orders and fills packed, the rest in
the ABI's encoding, and `batch_hash` equals what the contract computes. Where a batch ends is the
engine's decision (`BatchCut`), never this module's.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.commands import (
    MassQuote,
    NovatedFill,
    RefusedAct,
    RefusedMove,
    SignedCommand,
    TransferFunds,
)
from exchange.commands import Withdraw as WithdrawCommand
from exchange.events import (
    AnyEvent,
    BatchCut,
    DeliveryPriceFixed,
    FundingAccrued,
    InstrumentListed,
    InterestPaid,
    PortfolioTransferred,
    PositionExpired,
    Traded,
    Transferred,
    Withdrawn,
)
from exchange.fixed import to_seconds_down
from exchange.journal import Entry
from exchange.merkle import merkle_proof, merkle_root
from exchange.model import (
    Legs,
    SheetTerms,
    Side,
    TransferTerms,
    WithdrawalTerms,
    seq_and_place,
    sheet_orders,
)
from exchange.settlement.acts import numbered_events
from exchange.settlement.exit_items import exit_terms
from exchange.settlement.marks_proof import MARKS_TYPE, MarksLookup, MarksProof, prove_marks
from exchange.settlement.novation import Novations, amended, check_novation, house_order
from exchange.settlement.packed import Fill, SignedOrder, pack_fills, pack_orders, pack_tails
from exchange.settlement.takeovers import (
    DUE_EVENTS,
    DUE_TYPE,
    TAKEOVER_EVENTS,
    TAKEOVER_TYPE,
    Due,
    Takeover,
    by_fund_instead,
    dues_of,
    forced_orders,
    in_turn,
    takeover_of,
    takeover_words,
    taker_number,
)
from exchange.signing import order_struct_hash

_HEADER_TYPE: Final = "(uint64,uint64,uint64,uint64,bytes32,bytes32,bytes32)"
_PAYOFF_TYPE: Final = "(uint32,uint64,uint64)"
_FUNDING_TYPE: Final = "(uint64,uint64)"
_LEG_TYPE: Final = "(uint64,int64)"
_WITHDRAWAL_TYPE: Final = "(uint64,address,uint256,address,uint64,uint64,address)"
_INTEREST_TYPE: Final = "(uint32,uint32,uint64,uint256)"
_SHEET_TYPE: Final = "(uint64,uint64,uint64,bytes32,address)"
BATCH_TYPE: Final = (
    f"({_HEADER_TYPE},bytes,bytes,bytes,({_SHEET_TYPE},bytes)[],{_LEG_TYPE}[][],"
    f"{_FUNDING_TYPE}[],{_PAYOFF_TYPE}[],(uint32,uint32,uint64,{_WITHDRAWAL_TYPE},bytes)[],"
    f"{_INTEREST_TYPE}[],{MARKS_TYPE},{TAKEOVER_TYPE}[],{DUE_TYPE}[])"
)
SETTLE_SELECTOR: Final = keccak(f"settle({BATCH_TYPE})".encode())[:4]

_TRADING: Final = (Traded, PositionExpired, Withdrawn, Transferred, InterestPaid)
_MOVES: Final = (*_TRADING, *TAKEOVER_EVENTS)
_NOBODY: Final = "0x" + "0" * 40
SignedLookup = Callable[[int], SignedCommand | MassQuote]  # by `model.numbered`
LegsLookup = Callable[[int], Legs]  # of a combo, by its instrument_id


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """Where the chain of batches ends."""

    number: int = 0
    last_seq: int = 0
    batch_hash: bytes = bytes(32)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Place of a batch in the chain of batches and in the journal."""

    number: int
    first_seq: int
    last_seq: int
    risk_epoch: int
    previous_hash: bytes
    journal_hash: bytes
    state_root: bytes


class SignedSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A quote sheet as its signer signed it."""

    terms: SheetTerms
    root: bytes
    signature: bytes


class Funding(msgspec.Struct, frozen=True, kw_only=True):
    """A funding index that must be on chain before the first batch whose fills see it."""

    instrument_id: int
    ordinal: int
    time: int  # UTC second of the accrual
    index: int


class Payoff(msgspec.Struct, frozen=True, kw_only=True):
    """A position in an expired instrument, to be paid off."""

    seq_offset: int
    subaccount_id: int
    instrument_id: int


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A signed withdrawal, or a transfer to another subaccount, that the engine debited."""

    seq_offset: int
    time: int
    terms: WithdrawalTerms | TransferTerms
    signature: bytes
    act_id: int = 0  # of a forced exit; not part of the struct on chain


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What a debt was charged, micro-USDC."""

    seq_offset: int
    time: int
    subaccount_id: int
    amount: int
    act_id: int = 0  # not part of the struct on chain

    @property
    def words(self) -> tuple[int, int, int, int]:
        """`Interest` of the contract."""
        return self.seq_offset, self.time, self.subaccount_id, self.amount


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery price that must be on chain before the batch that pays it off."""

    underlying_id: int
    expiry: int
    price: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that commands `first_seq..last_seq` move on chain; each list in seq order."""

    header: Header
    orders: tuple[SignedOrder, ...] = ()
    sheets: tuple[SignedSheet, ...] = ()
    combos: tuple[Legs, ...] = ()
    fundings: tuple[Funding, ...] = ()  # those accrued since the last batch; the last counts
    fills: tuple[Fill, ...] = ()
    payoffs: tuple[Payoff, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()  # and transfers
    interests: tuple[Interest, ...] = ()
    marks: MarksProof = MarksProof()  # of what fills
    takeovers: tuple[Takeover, ...] = ()  # in journal order, after all fills
    dues: tuple[Due, ...] = ()
    deliveries: tuple[Delivery, ...] = ()  # not part of the struct on chain
    trades: tuple[Traded, ...] = ()  # of each fill, as acknowledged; nor are they

    @property
    def time_s(self) -> int:
        """UTC second of the last item that carries one; 0 without any."""
        timed = (self.fills, self.withdrawals, self.interests, self.takeovers, self.dues)
        return max((items[-1].time for items in timed if items), default=0)

    @property
    def tip(self) -> Tip:
        """The end of the chain of batches once this one is settled."""
        return Tip(
            number=self.header.number, last_seq=self.header.last_seq, batch_hash=batch_hash(self)
        )


def encode_batch(batch: Batch) -> bytes:
    """The ABI encoding of the batch, which is also what its hash covers."""
    header = batch.header
    value = (
        (
            header.number,
            header.first_seq,
            header.last_seq,
            header.risk_epoch,
            header.previous_hash,
            header.journal_hash,
            header.state_root,
        ),
        pack_orders(batch.orders),
        pack_tails(batch.orders),
        pack_fills(batch.fills),
        [(_sheet_words(item), item.signature) for item in batch.sheets],
        batch.combos,
        sorted({item.instrument_id: item.ordinal for item in batch.fundings}.items()),
        [msgspec.structs.astuple(payoff) for payoff in batch.payoffs],
        [_withdraw_words(item) for item in batch.withdrawals],
        [interest.words for interest in batch.interests],
        msgspec.structs.astuple(batch.marks),
        [takeover_words(item) for item in batch.takeovers],
        [item.words for item in batch.dues],
    )
    return encode([BATCH_TYPE], [value])


def _withdraw_words(item: Withdrawal) -> tuple[object, ...]:
    terms = item.terms
    to, recipient = 0, _NOBODY
    if isinstance(terms, TransferTerms):
        to = terms.to_subaccount_id
    else:
        recipient = terms.recipient
    words = (
        terms.subaccount_id,
        terms.token,
        terms.amount,
        recipient,
        terms.nonce,
        terms.deadline,
        terms.signer,
    )
    return (item.seq_offset, item.time, to, words, item.signature)


def _sheet_words(sheet: SignedSheet) -> tuple[object, ...]:
    terms = sheet.terms
    return (
        terms.subaccount_id,
        terms.sheet_nonce,
        terms.deadline,
        sheet.root,
        terms.signer,
    )


def batch_hash(batch: Batch) -> bytes:
    """What the contract stores as the batch's hash."""
    return keccak(encode_batch(batch))


def settle_calldata(batch: Batch) -> bytes:
    """Calldata of `settle(batch)`."""
    return SETTLE_SELECTOR + encode_batch(batch)


def encode_call(function: str, types: tuple[str, ...], arguments: tuple[object, ...]) -> bytes:
    """Calldata of a function with these canonical argument types."""
    selector = keccak(f"{function}({','.join(types)})".encode())[:4]
    return selector + encode(types, arguments)


class BatchBuilder:
    """Collects entries from `tip` on; each `BatchCut` completes a batch.

    `novations` are those of its batches: they come later in the journal.
    """

    def __init__(
        self,
        signed: SignedLookup,
        legs: LegsLookup,
        tip: Tip,
        novations: Novations | None = None,
        marks: MarksLookup | None = None,
    ) -> None:
        self._novations: Novations = {} if novations is None else novations
        self._marks = marks  # None: of journals that publish none
        self.tip = tip
        self._signed = signed
        self._legs = legs
        self._seq = tip.last_seq
        self._begin()

    def _begin(self) -> None:
        self._trades: list[tuple[Entry, Traded]] = []
        self._payoffs: list[tuple[Entry, PositionExpired]] = []
        self._withdrawals: list[tuple[Entry, Withdrawn | Transferred, int]] = []  # with acts
        self._interests: list[tuple[Entry, InterestPaid, int]] = []
        self._takeovers: list[Takeover] = []
        self._dues: list[Due] = []
        self._deliveries: list[Delivery] = []
        self._fundings: list[Funding] = []

    @property
    def pending(self) -> bool:
        """Whether something waits for the next cut."""
        moved = (self._trades, self._payoffs, self._withdrawals, self._interests)
        return any(moved) or bool(self._takeovers or self._dues)

    def add(self, entry: Entry) -> Batch | None:
        """Take the next entry in; the batch that it completes, if any."""
        assert entry.seq == self._seq + 1, f"seq {entry.seq} does not follow {self._seq}"
        self._seq = entry.seq
        batch: Batch | None = None
        for event, act_id in numbered_events(entry):
            assert batch is None or not isinstance(event, _MOVES)
            if isinstance(event, BatchCut):
                batch = self._complete(entry, event)
            else:
                self._collect(entry, event, act_id)
        return batch

    def resume(self, entry: Entry) -> None:
        """Take in what followed the tip's cut in the same entry: it belongs to the next batch."""
        assert entry.seq == self._seq, "the entry that cut the tip"
        events = numbered_events(entry)
        next(event for event, _ in events if isinstance(event, BatchCut))
        for event, act_id in events:
            self._collect(entry, event, act_id)

    def _collect(self, entry: Entry, event: AnyEvent, act_id: int) -> None:
        takes = bool(self._takeovers or self._dues)
        assert not (takes and isinstance(event, _TRADING)), "takeovers come last in a batch"
        match event:
            case Traded():
                self._trades.append((entry, event))
            case PositionExpired():
                self._payoffs.append((entry, event))
            case Withdrawn() | Transferred():
                self._withdrawals.append((entry, event, act_id))
            case InterestPaid():
                self._interests.append((entry, event, act_id))
            case PortfolioTransferred() if not event.on_chain:
                self._takeovers.append(takeover_of(entry, event, act_id))
            case _ if isinstance(event, DUE_EVENTS):
                self._dues += dues_of(to_seconds_down(entry.time_ns), event, act_id)
            case FundingAccrued():
                assert not self.pending, "funding moves between batches"
                self._fundings.append(_funding(entry, event))
            case DeliveryPriceFixed():
                delivery = Delivery(
                    underlying_id=event.underlying_id, expiry=event.expiry, price=event.price
                )
                self._deliveries.append(delivery)
            case _:
                pass

    def _complete(self, entry: Entry, cut: BatchCut) -> Batch:
        assert cut.number == self.tip.number + 1, "a batch is missing from the journal"
        assert (cut.first_seq, cut.last_seq) == (self.tip.last_seq + 1, entry.seq)
        trades = [(at, self._amend(trade)) for at, trade in self._trades]
        takeovers = self._amended_takeovers()
        combo_ids = sorted({trade.combo_id for _, trade in trades if trade.combo_id})
        combos = {combo_id: self._legs(combo_id) for combo_id in combo_ids}
        ascending, sheets = self._orders([trade for _, trade in trades], combo_ids)
        place = {number: index for index, number in enumerate(ascending)}
        batch = Batch(
            header=Header(
                number=cut.number,
                first_seq=cut.first_seq,
                last_seq=cut.last_seq,
                risk_epoch=cut.risk_epoch,
                previous_hash=self.tip.batch_hash,
                journal_hash=entry.chain_hash,
                state_root=cut.state_hash,
            ),
            orders=tuple(ascending.values()),
            sheets=sheets,
            combos=tuple(combos.values()),
            fundings=tuple(self._fundings),
            fills=tuple(
                _fill(at, trade, cut.first_seq, place, combos.get(trade.combo_id, ()))
                for at, trade in trades
            ),
            payoffs=tuple(_payoff(at, event, cut.first_seq) for at, event in self._payoffs),
            withdrawals=self._moves(cut.first_seq),
            interests=tuple(
                _interest(at, event, cut.first_seq, act_id)
                for at, event, act_id in self._interests
                if self._happens(act_id)
            ),
            marks=self._prove_marks(cut, takeovers),
            takeovers=takeovers,
            dues=in_turn([due for due in self._dues if self._happens(due.act_id)]),
            deliveries=tuple(self._deliveries),
            trades=tuple(trade for _, trade in self._trades),
        )
        self._begin()
        check_batch(batch)
        self.tip = batch.tip
        return batch

    def _happens(self, act_id: int) -> bool:
        return RefusedAct(act_id=act_id).key not in self._novations

    def _amended_takeovers(self) -> tuple[Takeover, ...]:
        """All but those that the chain refused; the fund's where it took a keeper's place."""
        amended = []
        for takeover in self._takeovers:
            refused = self._novations.get(RefusedAct(act_id=takeover.act_id).key)
            if refused is None:
                amended.append(takeover)
            elif isinstance(refused, RefusedAct) and refused.fund_subaccount_id:
                amended.append(by_fund_instead(takeover, refused.fund_subaccount_id))
        return tuple(amended)

    def _prove_marks(self, cut: BatchCut, takeovers: tuple[Takeover, ...]) -> MarksProof:
        taken = [takeover.event for takeover in takeovers]
        filled = [trade.instrument_id for _, trade in self._trades]
        filled += [leg.instrument_id for event in taken for leg in event.legs]
        underlyings = [token.underlying_id for event in taken for token in event.tokens]
        if not (filled or underlyings) or not cut.marks_seq:
            return MarksProof()
        assert self._marks is not None, "who builds batches of a venue that publishes needs marks"
        return prove_marks(self._marks(cut.marks_seq), filled, underlyings)

    def _moves(self, first_seq: int) -> tuple[Withdrawal, ...]:
        """Withdrawals and transfers but for those that the chain refused."""
        return tuple(
            _withdrawal(at, event, first_seq, act_id)
            for at, event, act_id in self._withdrawals
            if _move_key(at, act_id) not in self._novations
        )

    def _amend(self, trade: Traded) -> Traded:
        for maker in (True, False):
            fill = self._novations.get((trade.trade_id, maker))
            if isinstance(fill, NovatedFill):
                check_novation(trade, fill)
        return amended(trade, self._novations)

    def _orders(
        self, trades: list[Traded], combo_ids: list[int]
    ) -> tuple[dict[int, SignedOrder], tuple[SignedSheet, ...]]:
        """All orders of the trades by their numbers, as they must ascend, and their sheets."""
        numbers = sorted(
            {number for one in trades for number in (one.maker_signed_seq, taker_number(one))}
        )
        orders, sheets = self._signed_orders(numbers, combo_ids, forced_orders(trades))
        pairs = sorted(zip(numbers, orders, strict=True), key=lambda pair: pair[1].key)
        return dict(pairs), sheets

    def _signed_orders(
        self, numbers: list[int], combo_ids: list[int], forced: dict[int, SignedOrder]
    ) -> tuple[tuple[SignedOrder, ...], tuple[SignedSheet, ...]]:
        """The orders with these numbers, and the sheets of those that are leaves."""
        orders: list[SignedOrder] = []
        sheets: dict[int, Leaves] = {}  # by seq
        for number in numbers:
            if number in forced:
                orders.append(forced[number])
                continue
            if number < 0:
                fill = house_order(number, self._novations)
                orders.append(SignedOrder(terms=fill.terms, signature=fill.signature))
                continue
            seq, leaf = seq_and_place(number)
            if seq in sheets:
                orders.append(sheets[seq].order(leaf))
                continue
            command = self._signed(number)
            if isinstance(command, MassQuote):
                sheets[seq] = Leaves(command, len(sheets))
                orders.append(sheets[seq].order(leaf))
            else:
                terms = command.terms
                combo = combo_ids.index(terms.instrument_id) if terms.legs_hash else None
                orders.append(SignedOrder(terms=terms, signature=command.signature, combo=combo))
        return tuple(orders), tuple(leaves.sheet for leaves in sheets.values())


class Leaves:
    """The orders of one sheet, each with what proves it to the contract.

    That is the sheet's place among the batch's, and the nodes of its Merkle proof.
    """

    def __init__(self, command: MassQuote, place: int) -> None:
        self._orders = sheet_orders(command.terms, command.quotes)
        self._hashes = [order_struct_hash(terms) for terms in self._orders]
        self._place = place
        self.sheet = SignedSheet(
            terms=command.terms, root=merkle_root(self._hashes), signature=command.signature
        )

    def order(self, leaf: int) -> SignedOrder:
        """One order of the sheet."""
        proof = merkle_proof(self._hashes, leaf)
        return SignedOrder(terms=self._orders[leaf], sheet=self._place, proof=proof)


def _fill(entry: Entry, trade: Traded, first_seq: int, place: dict[int, int], legs: Legs) -> Fill:
    instruments = [leg.instrument_id for leg in legs]
    return Fill(
        seq_offset=entry.seq - first_seq,
        time=to_seconds_down(entry.time_ns),
        maker=place[trade.maker_signed_seq],
        taker=place[taker_number(trade)],
        leg=instruments.index(trade.instrument_id) if instruments else 0,
        quantity=trade.quantity,
        price=trade.price,
        maker_fee=trade.maker_fee,
        taker_fee=trade.taker_fee,
    )


def _payoff(entry: Entry, event: PositionExpired, first_seq: int) -> Payoff:
    return Payoff(
        seq_offset=entry.seq - first_seq,
        subaccount_id=event.subaccount_id,
        instrument_id=event.instrument_id,
    )


def _funding(entry: Entry, event: FundingAccrued) -> Funding:
    return Funding(
        instrument_id=event.instrument_id,
        ordinal=event.ordinal,
        time=to_seconds_down(entry.time_ns),
        index=event.index,
    )


def _move_key(entry: Entry, act_id: int) -> tuple[int, bool]:
    return RefusedAct(act_id=act_id).key if act_id else RefusedMove(seq=entry.seq).key


def _withdrawal(
    entry: Entry, event: Withdrawn | Transferred, first_seq: int, act_id: int
) -> Withdrawal:
    command = entry.command
    time = to_seconds_down(entry.time_ns)
    at = entry.seq - first_seq
    if isinstance(event, Withdrawn) and act_id:
        terms = exit_terms(event)
        return Withdrawal(seq_offset=at, time=time, terms=terms, signature=b"", act_id=act_id)
    assert isinstance(command, WithdrawCommand | TransferFunds), f"seq {entry.seq} is not signed"
    return Withdrawal(seq_offset=at, time=time, terms=command.terms, signature=command.signature)


def _interest(entry: Entry, event: InterestPaid, first_seq: int, act_id: int) -> Interest:
    return Interest(
        seq_offset=entry.seq - first_seq,
        time=event.accrued_s or to_seconds_down(entry.time_ns),
        subaccount_id=event.subaccount_id,
        amount=event.amount,
        act_id=act_id,
    )


def check_batch(batch: Batch) -> None:
    """Assert what the contract demands of a batch's form."""
    header = batch.header
    span = header.last_seq - header.first_seq
    assert span >= 0
    for items in (batch.fills, batch.payoffs, batch.withdrawals, batch.interests):
        offsets = [item.seq_offset for item in items]
        assert offsets == sorted(offsets), "not in seq order"
        assert not offsets or (offsets[0] >= 0 and offsets[-1] <= span)
    keys = [order.key for order in batch.orders]
    assert keys == sorted(keys), "orders do not ascend"
    used = {index for fill in batch.fills for index in (fill.maker, fill.taker)}
    assert used == set(range(len(batch.orders))), "an order without a fill, or a fill without one"
    for fill in batch.fills:
        maker, taker = _wants(batch, fill.maker, fill.leg), _wants(batch, fill.taker, fill.leg)
        assert maker[0] == taker[0], "two instruments in one fill"
        assert {maker[1], taker[1]} == {Side.BUY, Side.SELL}


def _wants(batch: Batch, place: int, leg: int) -> tuple[int, Side]:
    """Instrument and side of an order in a fill: its own, or those of its leg."""
    order = batch.orders[place]
    if order.combo is None:
        return order.terms.instrument_id, order.terms.side
    instrument_id, ratio = batch.combos[order.combo][leg]
    return instrument_id, order.terms.side if ratio > 0 else order.terms.side.opposite


def listed_legs(entry: Entry, combo_id: int) -> Legs:
    """The legs of a combo, out of the entry that listed it."""
    for event in entry.events:
        if isinstance(event, InstrumentListed) and event.instrument.instrument_id == combo_id:
            return event.instrument.legs
    raise AssertionError(f"seq {entry.seq} listed no combo {combo_id}")
