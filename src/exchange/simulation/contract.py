"""The contracts as far as settlement sees them: what a batch does to cash, positions and orders.

A second opinion in integers, written after `contracts/src` (Settler, Fills, Takeovers, Oracle) and
from the calldata alone: it knows no engine and no journal. Every figure can be undone, so that a
block can be lost. Signatures and proofs of margin and marks are not looked at: forge's tests are.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.fixed import QUANTITY_SCALE, div_exact, mul_div_up, notional
from exchange.model import FEE_SUBACCOUNT_ID, Kind, unpack_instrument_id
from exchange.settlement.batch import BATCH_TYPE, SETTLE_SELECTOR
from exchange.settlement.errors import Reverted
from exchange.settlement.holdings import Held
from exchange.settlement.index_samples import SAMPLE_TYPES
from exchange.settlement.packed import FILL_SIZE, ORDER_SIZE
from exchange.settlement.takeovers import FORCED_NONCE, DueKind
from exchange.simulation.parameters import FUND_ID, TICK, USDC

DELIVERY_TYPES: Final = ("(uint32,uint64,uint64,uint64)", "bytes[]")
FUNDING_TYPES: Final = ("(uint64,uint64,uint64,int64)[]", "bytes[][]")
SAMPLE_SELECTOR: Final = keccak(f"postIndex({','.join(SAMPLE_TYPES)})".encode())[:4]
FUNDING_SELECTOR: Final = keccak(f"postFundings({','.join(FUNDING_TYPES)})".encode())[:4]
DELIVERY_SELECTOR: Final = keccak(f"fixDeliveryPrice({','.join(DELIVERY_TYPES)})".encode())[:4]
SKEW_S: Final = 60  # how far a batch's time may lie ahead of the chain's
_SELLS, _REDUCE_ONLY, _IS_COMBO = 1, 2, 8
_NOTHING: Final = Held(0)

Key = tuple[Any, ...]


class Order(NamedTuple):
    """One packed order."""

    subaccount_id: int
    nonce: int
    version: int
    quantity: int
    deadline: int
    flags: int
    instrument_id: int
    limit_price: int
    max_fee: int


class Fill(NamedTuple):
    """One packed fill."""

    seq_offset: int
    time: int
    maker: int
    taker: int
    quantity: int
    price: int
    maker_fee: int
    taker_fee: int


class Words(NamedTuple):
    """A batch out of its calldata."""

    header: tuple[Any, ...]
    batch_hash: bytes
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    fundings: tuple[tuple[int, int], ...]
    payoffs: tuple[tuple[int, int, int], ...]
    withdrawals: tuple[Any, ...]
    interests: tuple[tuple[int, int, int, int], ...]
    takeovers: tuple[Any, ...]
    dues: tuple[tuple[int, int, int, int], ...]


@lru_cache(maxsize=256)
def batch_words(data: bytes) -> Words:
    """Decode `settle(batch)`; kept, because estimate and blocks ask for the same."""
    [words] = decode([BATCH_TYPE], data[4:])
    header, orders, _, fills, _, _, fundings, payoffs, withdrawals, interests, _, taken, dues = (
        words
    )
    return Words(
        header=header,
        batch_hash=keccak(data[4:]),
        orders=tuple(map(_order, _records(orders, ORDER_SIZE))),
        fills=tuple(map(_fill, _records(fills, FILL_SIZE))),
        fundings=fundings,
        payoffs=payoffs,
        withdrawals=withdrawals,
        interests=interests,
        takeovers=taken,
        dues=dues,
    )


def _records(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def _numbers(record: bytes, *sizes: int) -> list[int]:
    """Big-endian integers of these sizes; a negative size is signed."""
    found, at = [], 0
    for size in sizes:
        end = at + abs(size)
        found.append(int.from_bytes(record[at:end], "big", signed=size < 0))
        at = end
    return found


def _order(record: bytes) -> Order:
    return Order(*_numbers(record, 8, 8, 2, 6, 5, 3, 8, -8, 8))


def _fill(record: bytes) -> Fill:
    at, time, maker, taker, _, *rest = _numbers(record, 4, 4, 3, 3, 2, 8, -8, 8, 8)
    return Fill(at, time, maker, taker, *rest)


class Ledger:
    """Everything that the contracts store, by key; `undo` takes the newest writes back."""

    def __init__(self) -> None:
        self._values: dict[Key, Any] = {}
        self.log: list[tuple[Key, Any]] = []  # keys, and what was there before

    def get(self, key: Key, default: Any = 0) -> Any:
        """What is stored, or the default."""
        return self._values.get(key, default)

    def put(self, key: Key, value: Any) -> None:
        """Store."""
        self.log.append((key, self._values.get(key)))
        self._values[key] = value

    def add(self, key: Key, change: int) -> None:
        """Add to a number."""
        self.put(key, self._values.get(key, 0) + change)

    def undo(self, length: int) -> None:
        """Forget what was written after the log had this length."""
        while len(self.log) > length:
            key, before = self.log.pop()
            if before is None:
                del self._values[key]
            else:
                self._values[key] = before

    def before(self, length: int) -> Callable[[Key, Any], Any]:
        """A view as of the time when the log had this length."""
        older = dict(reversed(self.log[length:]))  # the oldest write of a key counts

        def get(key: Key, default: Any = 0) -> Any:
            value = older[key] if key in older else self._values.get(key)
            return default if value is None else value

        return get

    def of(self, kind: str) -> dict[Key, Any]:
        """Everything stored under keys of a kind."""
        return {key: value for key, value in self._values.items() if key[0] == kind}


class Contract:
    """`execute` calldata on the ledger; a refusal leaves no trace."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.unsigned: set[tuple[int, int]] = set()  # (subaccount, nonce) that owners disown

    def execute(self, data: bytes, time_s: int) -> int:
        """Do it; the number of the batch that it settled, 0 for other posts. Raises `Reverted`."""
        length = len(self.ledger.log)
        try:
            if data[:4] == SETTLE_SELECTOR:
                return Settlement(self, batch_words(data), time_s).run()
            self._post(data, time_s)
        except Reverted:
            self.ledger.undo(length)
            raise
        return 0

    # ---- oracle

    def _post(self, data: bytes, time_s: int) -> None:
        if data[:4] == FUNDING_SELECTOR:
            for instrument, ordinal, _, index in decode(FUNDING_TYPES, data[4:])[0]:
                self._fix(("funding", instrument, ordinal), index)
        elif data[:4] == SAMPLE_SELECTOR:
            [(underlying, sample_s, _, deadline), _] = decode(SAMPLE_TYPES, data[4:])
            if sample_s <= self.ledger.get(("index", underlying)) or deadline < time_s:
                raise Reverted("NotNewer")
            self.ledger.put(("index", underlying), sample_s)
        elif data[:4] != DELIVERY_SELECTOR:
            raise Reverted("NoSuchFunction")
        else:
            [(underlying, expiry, price, _), _] = decode(DELIVERY_TYPES, data[4:])
            if expiry > time_s:
                raise Reverted("NotExpired")
            self._fix(("delivery", underlying, expiry), price)

    def _fix(self, key: Key, value: int) -> None:
        """Fix a figure for good; the same again changes nothing."""
        known = self.ledger.get(key, None)
        if known is not None and known != value:
            raise Reverted("FixedOtherwise", (known, value))
        if known is None:
            self.ledger.put(key, value)

    def check(self) -> None:
        """Assert that nothing was made: positions net to zero, cash is what came less what left."""
        ledger = self.ledger
        net: dict[int, int] = {}
        owed = 0
        for (_, _, instrument_id), held in ledger.of("held").items():
            net[instrument_id] = net.get(instrument_id, 0) + held.quantity
            move = ledger.get(("index in force", instrument_id)) - held.funding_index
            owed += held.cost + div_exact(held.quantity * move, QUANTITY_SCALE)
        assert not any(net.values()), "positions on chain do not net to zero"
        cash = sum(ledger.of("cash").values())
        inside = ledger.get(("deposited",)) - ledger.get(("withdrawn",))
        assert cash - owed == inside, f"cash on chain {cash - owed}, {inside} came in"


class Settlement:
    """One batch on its way through the contract."""

    def __init__(self, contract: Contract, words: Words, time_s: int) -> None:
        self.contract = contract
        self.ledger = contract.ledger
        self.words = words
        self.time_s = time_s
        self.last_time = 0

    def run(self) -> int:
        """Settle; the batch's number."""
        number, first_seq, last_seq, _, previous_hash, _, state_root = self.words.header
        tip, tip_seq, tip_hash = self.ledger.get(("tip",), (0, 0, bytes(32)))
        if number != tip + 1:
            raise Reverted("WrongNumber", (tip + 1,))
        if previous_hash != tip_hash:
            raise Reverted("WrongPreviousHash")
        if first_seq != tip_seq + 1 or last_seq < first_seq:
            raise Reverted("WrongFirstSeq", (tip_seq + 1,))
        self._fundings()
        self._replay()
        for takeover in self.words.takeovers:
            self._take_over(takeover)
        for due in self.words.dues:
            self._pay_due(*due)
        self.ledger.put(("tip",), (number, last_seq, self.words.batch_hash))
        where = (self.words.batch_hash, first_seq, last_seq, state_root)
        self.ledger.put(("batch", number), where)
        return int(number)

    def _fundings(self) -> None:
        for instrument, ordinal in self.words.fundings:
            if ordinal <= self.ledger.get(("ordinal", instrument)):
                raise Reverted("FundingNotNewer", (instrument,))
            index = self.ledger.get(("funding", instrument, ordinal), None)
            if index is None:
                raise Reverted("FundingNotPosted")
            self.ledger.put(("ordinal", instrument), ordinal)
            self.ledger.put(("index in force", instrument), index)

    def _replay(self) -> None:
        """All items by their seq: of one seq fills first, then payoffs, withdrawals, interest."""
        words = self.words
        items: list[tuple[int, int, Callable[[], None]]] = [
            *((fill.seq_offset, 0, partial(self._fill, fill)) for fill in words.fills),
            *((at, 1, partial(self._pay_off, *payoff)) for at, *payoff in words.payoffs),
            *((item[0], 2, partial(self._withdraw, item)) for item in words.withdrawals),
            *((at, 3, partial(self._charge, *charge)) for at, *charge in words.interests),
        ]
        span = words.header[2] - words.header[1]
        for at, _, act in sorted(items, key=lambda item: item[:2]):
            if at > span:
                raise Reverted("SeqOutOfRange")
            act()

    def _advance(self, time: int) -> None:
        if time < self.last_time:
            raise Reverted("TimeFell")
        if time > self.time_s + SKEW_S:
            raise Reverted("TimeTooLate")
        self.last_time = time

    def _fill(self, fill: Fill) -> None:
        self._advance(fill.time)
        maker, taker = self.words.orders[fill.maker], self.words.orders[fill.taker]
        if maker.instrument_id != taker.instrument_id:
            raise Reverted("InstrumentMismatch")
        if (maker.flags ^ taker.flags) & _SELLS == 0:
            raise Reverted("SameSide")
        if fill.quantity == 0 or fill.price % TICK:
            raise Reverted("ZeroQuantity")
        terms = unpack_instrument_id(maker.instrument_id)
        if terms.expiry and terms.expiry <= fill.time:
            raise Reverted("InstrumentExpired")
        self._fill_order(maker, fill, fill.maker_fee)
        self._fill_order(taker, fill, fill.taker_fee)
        self._pay(FEE_SUBACCOUNT_ID, fill.maker_fee + fill.taker_fee)

    def _fill_order(self, order: Order, fill: Fill, fee: int) -> None:
        if order.flags & _IS_COMBO:
            raise Reverted("UnknownLeg")
        if order.deadline < fill.time:
            raise Reverted("DeadlinePassed")
        sells = order.flags & _SELLS
        worse = fill.price < order.limit_price if sells else fill.price > order.limit_price
        if worse:
            raise Reverted("LimitCrossed")
        if fee > order.max_fee * fill.quantity // QUANTITY_SCALE:
            raise Reverted("FeeAboveCap")
        change = -fill.quantity if sells else fill.quantity
        held = self.ledger.get(("held", order.subaccount_id, order.instrument_id), _NOTHING)
        if order.flags & _REDUCE_ONLY and order.nonce != FORCED_NONCE:
            reduces = change <= -held.quantity if change > 0 else change >= -held.quantity
            if not reduces:
                raise Reverted("NotReducing")
        if order.nonce != FORCED_NONCE:
            self._add_filled(order, fill.quantity)
        self._pay(order.subaccount_id, -fee)
        self._move(order.subaccount_id, order.instrument_id, change, fill.price)

    def _add_filled(self, order: Order, quantity: int) -> None:
        key = ("filled", order.subaccount_id, order.nonce)
        filled, version = self.ledger.get(key, (0, 0))
        if (order.subaccount_id, order.nonce) in self.contract.unsigned:
            raise Reverted("InvalidSignature")
        if order.version < version:
            raise Reverted("StaleVersion")
        if filled + quantity > order.quantity:
            raise Reverted("Overfilled", (order.subaccount_id, order.nonce))
        self.ledger.put(key, (filled + quantity, order.version))

    def _move(self, subaccount_id: int, instrument_id: int, change: int, price: int) -> None:
        """A fill of a position; of a linear one cash moves by funding and where it closes."""
        key = ("held", subaccount_id, instrument_id)
        held = self.ledger.get(key, _NOTHING)
        value = notional(price, change)
        if unpack_instrument_id(instrument_id).kind is Kind.OPTION:
            self._pay(subaccount_id, -value)
            self.ledger.put(key, Held(held.quantity + change))
            return
        index = self.ledger.get(("index in force", instrument_id))
        owed = held.quantity * (index - held.funding_index) if held.quantity else 0
        cash, cost = -div_exact(owed, QUANTITY_SCALE), held.cost
        if held.quantity * change >= 0:
            cost += value
        else:
            crosses = abs(change) > abs(held.quantity)
            closed = -held.quantity if crosses else change
            closed_value = notional(price, closed)
            released = cost if crosses else mul_div_up(cost, abs(closed), abs(held.quantity))
            cash -= closed_value + released
            cost += value - closed_value - released
        self._pay(subaccount_id, cash)
        quantity = held.quantity + change
        self.ledger.put(key, Held(quantity, cost, index) if quantity else _NOTHING)

    def _pay(self, subaccount_id: int, amount: int) -> None:
        self.ledger.add(("cash", subaccount_id), amount)

    def _pay_off(self, holder: int, instrument_id: int) -> None:
        key = ("held", holder, instrument_id)
        held = self.ledger.get(key, _NOTHING)
        if not held.quantity:
            return
        terms = unpack_instrument_id(instrument_id)
        price = self.ledger.get(("delivery", terms.underlying_id, terms.expiry), None)
        if price is None:
            raise Reverted("NotFixed")
        self._pay(holder, notional(terms.payoff(price), held.quantity) - held.cost)
        self.ledger.put(key, _NOTHING)

    def _withdraw(self, item: Any) -> None:
        _, time, to_id, (holder, token, amount, _, nonce, deadline, _), _ = item
        self._advance(time)
        if deadline < time:
            raise Reverted("DeadlinePassed")
        if self.ledger.get(("filled", holder, nonce), None) is not None:
            raise Reverted("NonceUsed", (holder, nonce))
        self.ledger.put(("filled", holder, nonce), (0, 0))
        name = ("cash",) if token.lower() == USDC.lower() else ("token", token.lower())
        if self.ledger.get((*name, holder)) < amount:
            raise Reverted("InsufficientCash")
        self.ledger.add((*name, holder), -amount)
        if to_id:
            self.ledger.add((*name, to_id), amount)
        else:
            self.ledger.add(("withdrawn", *name[1:]), amount)

    def _charge(self, time: int, debtor: int, amount: int) -> None:
        if time > self.time_s + SKEW_S:
            raise Reverted("TimeTooLate")
        self._pay(debtor, -amount)
        self._pay(FEE_SUBACCOUNT_ID, amount)

    # ---- liquidation

    def _take_over(self, item: Any) -> None:
        time, seller, taker, _, discount, by_fund, legs, tokens, *_ = item
        self._advance(time)
        for instrument_id, quantity, price in legs:
            held = self.ledger.get(("held", seller, instrument_id), _NOTHING)
            fits = abs(quantity) <= abs(held.quantity) and quantity * held.quantity > 0
            if not fits:
                raise Reverted("WrongFraction", (instrument_id,))
            self._move(seller, instrument_id, -quantity, price)
            self._move(taker, instrument_id, quantity, price)
        for token, amount, value in tokens:
            if self.ledger.get(("token", token.lower(), seller)) < amount:
                raise Reverted("InsufficientCollateral")
            self.ledger.add(("token", token.lower(), seller), -amount)
            self.ledger.add(("token", token.lower(), taker), amount)
            self._pay(seller, value)
            self._pay(taker, -value)
        self._pay(self._fund_id if by_fund else seller, -discount)
        self._pay(taker, discount)

    def _pay_due(self, time: int, kind: int, holder: int, amount: int) -> None:
        self._advance(time)
        fund = self._fund_id
        payer, payee = {
            DueKind.COVER: (fund, holder),
            DueKind.LOSS: (fund, fund),
            DueKind.SHARE: (holder, fund),
            DueKind.FEES: (holder, fund),
        }[DueKind(kind)]
        self._pay(payer, -amount)
        self._pay(payee, amount)

    @property
    def _fund_id(self) -> int:
        return int(self.ledger.get(("fund",), FUND_ID))
