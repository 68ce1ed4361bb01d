"""`exchange bench gas`: what settlement costs on chain, whole receipts on an Anvil.

Gas is deterministic, so a busy machine changes nothing. Slots are in use: every account holds every
instrument, and before each measurement a batch of the same shape settles. Price bands are in force,
each batch proves the marks of what fills among those of 433 instruments. Execution is the receipt
less 21,000 and the calldata's price.
"""

import json
import random
import sys
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

from tests.bench.gas_liquidation import liquidation_figures
from tests.bench.gas_margin import margin_figures
from tests.bench.margin import machine
from tests.settlement_world import DEPLOYER_KEY, ORACLE_KEYS, RELAYER_KEY, World

from exchange.commands import UnderlyingRisk, UpdateMarks
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.merkle import merkle_proof, merkle_root
from exchange.model import (
    InstrumentTerms,
    Kind,
    OrderTerms,
    SheetTerms,
    Side,
    WithdrawalTerms,
    pack_instrument_id,
)
from exchange.settlement.batch import (
    Batch,
    Delivery,
    Header,
    Payoff,
    SignedSheet,
    Tip,
    Withdrawal,
    encode_call,
    settle_calldata,
)
from exchange.settlement.delivery import DeliveryDesk
from exchange.settlement.marks_proof import MarksProof, prove_marks
from exchange.settlement.packed import Fill, SignedOrder
from exchange.settlement.risk_root import Publication, RiskDesk
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import (
    Domain,
    address_of,
    order_digest,
    order_struct_hash,
    sheet_digest,
    sign_digest,
    withdrawal_digest,
)

FILLS: Final = (1, 10, 50, 200)
ACCOUNTS: Final = (2, 20, 100)
INSTRUMENTS: Final = 20
LISTED: Final = 433
MARKS_AGE_S: Final = 1_800  # then a fresh epoch is posted
INTRINSIC: Final = 21_000
OWNER_KEY: Final = b"\x41" * 32
SEED: Final = 20261121
PRICE: Final = 2_500 * CASH_SCALE


def run() -> dict[str, object]:
    """Every figure of `exchange bench gas`."""
    from tests.bench.gas_solvency import solvency_figures  # it measures with what is here

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            figures = margin_figures(world.chain) | Meter(world).figures()
            figures |= liquidation_figures() | solvency_figures()
            return {"machine": machine(), "figures": figures}
        finally:
            world.close()


def calldata_gas(data: bytes) -> int:
    """Price of calldata: 4 for a zero byte, 16 for any other."""
    zeros = data.count(0)
    return 4 * zeros + 16 * (len(data) - zeros)


class Meter:
    """Settles batches of every shape on one chain and reads the receipts."""

    def __init__(self, world: World) -> None:
        self.chain = world.chain
        self.domain = Domain(31_337, world.chain.deployment.clearing)
        self.rng = random.Random(SEED)
        self.tip = Tip()
        self.sheets = count(1)
        self.expiry = (self.chain.block_time() // 86_400 + 7) * 86_400 + 8 * 3600
        self.chain.rpc("anvil_setBalance", address_of(OWNER_KEY), hex(10**20))
        self.wallet = OwnerWallet(self.chain, OWNER_KEY)
        self.ids = [self.wallet.open_subaccount() for _ in range(max(ACCOUNTS))]
        self.nonces = dict.fromkeys(self.ids, 0)
        self.instruments = [
            pack_instrument_id(
                InstrumentTerms(Kind.OPTION, 1, self.expiry, strike * 1_000 * CASH_SCALE)
            )
            for strike in range(90, 90 + INSTRUMENTS)
        ]
        self.posted_s = 0
        bands = (RATIO_SCALE // 10, RATIO_SCALE // 10, 3_600)
        data = encode_call("setPriceBands", ("(uint64,uint64,uint64)",), (bands,))
        self.chain.transact(DEPLOYER_KEY, self.chain.deployment.clearing, data)
        self.post_marks()

    def post_marks(self) -> int:
        """An epoch of the traded instruments among others; the gas of its post."""
        others = range(90 + INSTRUMENTS, 90 + LISTED)
        listed = self.instruments + [
            pack_instrument_id(
                InstrumentTerms(Kind.OPTION, 1, self.expiry, strike * 1_000 * CASH_SCALE)
            )
            for strike in others
        ]
        risk = UnderlyingRisk(
            underlying_id=1, index_price=100_000 * CASH_SCALE, confidence=RATIO_SCALE
        )
        self.marks = UpdateMarks(
            epoch=self.chain.risk_epoch() + 1,
            root=bytes(32),
            underlyings=(risk,),
            expiries=(),
            instrument_ids=tuple(sorted(listed)),
            rows=PRICE.to_bytes(8, "little") * LISTED,
        )
        self.marks = self.furnished(self.marks)
        oracle = self.chain.deployment.oracle
        self.posted_s = self.chain.block_time()
        publication = Publication.of(self.marks, self.posted_s)
        data = RiskDesk(31_337, oracle, ORACLE_KEYS).calldata(publication)
        return self.chain.transact(RELAYER_KEY, oracle, data).gas_used

    def furnished(self, marks: UpdateMarks) -> UpdateMarks:
        """The epoch that is posted: no margin is proven, so rows need no root."""
        return marks

    def calldata(self, batch: Batch) -> bytes:
        """What settles the batch."""
        return settle_calldata(batch)

    def figures(self) -> dict[str, int]:
        figures: dict[str, int] = {}
        for accounts in ACCOUNTS:
            self.hold_everything(accounts)
            for kind, make in (("single", self.singles), ("sheets", self.quoted)):
                for fills in FILLS:
                    self.settle(make(fills, accounts))
                    execution, calldata = self.settle(make(fills, accounts))
                    name = f"settle_{kind}_{fills}_fills_{accounts}_accounts"
                    figures[f"{name}_execution_per_fill"] = execution // fills
                    figures[f"{name}_calldata_per_fill"] = calldata // fills
                    figures[f"{name}_per_fill"] = (INTRINSIC + execution + calldata) // fills
        figures["settle_gas_per_fill_200"] = figures["settle_single_200_fills_20_accounts_per_fill"]
        figures["settle_gas_per_fill_200_sheets"] = figures[
            "settle_sheets_200_fills_20_accounts_per_fill"
        ]
        figures |= self.custody()
        figures["root_gas_433_marks"] = self.post_marks()
        return figures | self.expiries()

    def settle(self, batch: Batch) -> tuple[int, int]:
        """Gas of the batch: execution, calldata."""
        data = self.calldata(batch)
        receipt = self.chain.transact(RELAYER_KEY, self.chain.deployment.clearing, data)
        self.tip = batch.tip
        calldata = calldata_gas(data)
        return receipt.gas_used - INTRINSIC - calldata, calldata

    # ---- fills

    def hold_everything(self, accounts: int) -> None:
        """Neighbours trade each instrument."""
        pairs = [
            (self.ids[at], self.ids[at + 1], instrument_id)
            for at in range(0, accounts, 2)
            for instrument_id in self.instruments
        ]
        for first in range(0, len(pairs), max(FILLS)):
            orders, matches = [], []
            for at, (maker, taker, instrument_id) in enumerate(pairs[first : first + max(FILLS)]):
                terms = self.terms(maker, Side.SELL, instrument_id, quantity=10**7)
                other = self.terms(taker, Side.BUY, instrument_id, quantity=10**7)
                orders += [self.signed(terms), self.signed(other)]
                matches.append((at, 2 * at, 2 * at + 1))
            self.settle(self.batch(orders, matches))

    def singles(self, fills: int, accounts: int) -> Batch:
        """Random pairs on random instruments, each fill with two fresh orders."""
        orders, matches = [], []
        for at in range(fills):
            maker, taker = self.rng.sample(self.ids[:accounts], 2)
            terms = self.terms(maker, Side.SELL, self.rng.choice(self.instruments))
            other = self.terms(taker, Side.BUY, terms.instrument_id, quantity=terms.quantity)
            orders += [self.signed(terms), self.signed(other)]
            matches.append((at, 2 * at, 2 * at + 1))
        return self.batch(orders, matches)

    def quoted(self, fills: int, accounts: int) -> Batch:
        """Takers' fresh orders against quotes of one or two makers, all under a sheet each."""
        makers = self.ids[: 1 if accounts == 2 else 2]
        takers = self.ids[len(makers) : accounts]
        sheets, leaves = [], []
        for place, maker in enumerate(makers):
            sheet, orders = self.sheet(maker, place)
            sheets.append(sheet)
            leaves += orders
        chosen = [self.rng.randrange(len(leaves)) for _ in range(fills)]
        used = sorted(set(chosen))
        orders = [leaves[leaf] for leaf in used]
        matches = []
        for at, leaf in enumerate(chosen):
            quote = leaves[leaf].terms
            terms = self.terms(
                self.rng.choice(takers), quote.side.opposite, quote.instrument_id, quote.limit_price
            )
            matches.append((at, used.index(leaf), len(orders)))
            orders.append(self.signed(terms))
        return self.batch(orders, matches, tuple(sheets))

    def sheet(self, maker: int, place: int) -> tuple[SignedSheet, list[SignedOrder]]:
        """Both sides of every instrument."""
        deadline = self.chain.block_time() + 86_400
        self.nonces[maker] = -(-self.nonces[maker] // 4) * 4
        quotes = [
            self.terms(
                maker, side, instrument_id, PRICE, quantity=100 * QUANTITY_SCALE, deadline=deadline
            )
            for instrument_id in self.instruments
            for side in Side
        ]
        hashes = [order_struct_hash(terms) for terms in quotes]
        terms = SheetTerms(
            subaccount_id=maker,
            sheet_nonce=next(self.sheets),
            first_nonce=quotes[0].nonce,
            max_fee=quotes[0].max_fee,
            deadline=deadline,
            signer=self.wallet.address,
        )
        root = merkle_root(hashes)
        signature = sign_digest(sheet_digest(self.domain, terms, root), OWNER_KEY)
        return SignedSheet(terms=terms, root=root, signature=signature), [
            SignedOrder(terms=quote, sheet=place, proof=merkle_proof(hashes, at))
            for at, quote in enumerate(quotes)
        ]

    def terms(
        self,
        subaccount_id: int,
        side: Side,
        instrument_id: int,
        price: int = PRICE,
        *,
        quantity: int = 0,
        deadline: int = 0,
    ) -> OrderTerms:
        self.nonces[subaccount_id] += 1
        return OrderTerms(
            subaccount_id=subaccount_id,
            instrument_id=instrument_id,
            side=side,
            quantity=quantity or self.rng.randrange(1, 100_000),
            limit_price=price,
            max_fee=10_000 * CASH_SCALE,
            nonce=self.nonces[subaccount_id],
            version=0,
            deadline=deadline or self.chain.block_time() + 86_400,
            signer=self.wallet.address,
        )

    def signed(self, terms: OrderTerms) -> SignedOrder:
        signature = sign_digest(order_digest(self.domain, terms), OWNER_KEY)
        return SignedOrder(terms=terms, signature=signature)

    def batch(
        self,
        orders: list[SignedOrder],
        matches: list[tuple[int, int, int]],
        sheets: tuple[SignedSheet, ...] = (),
        **others: object,
    ) -> Batch:
        """The next batch; `matches` are (seq offset, maker, taker) by place in `orders`."""
        order = sorted(range(len(orders)), key=lambda at: orders[at].key)
        place = {was: now for now, was in enumerate(order)}
        second = self.chain.block_time()
        if second > self.posted_s + MARKS_AGE_S:
            self.post_marks()
        filled = {orders[maker].terms.instrument_id for _, maker, _ in matches}
        fills = tuple(
            Fill(
                seq_offset=offset,
                time=second,
                maker=place[maker],
                taker=place[taker],
                quantity=orders[taker].terms.quantity,
                price=orders[maker].terms.limit_price,
                maker_fee=900,
                taker_fee=1_500,
            )
            for offset, maker, taker in matches
        )
        header = Header(
            number=self.tip.number + 1,
            first_seq=self.tip.last_seq + 1,
            last_seq=self.tip.last_seq + 1_000,
            risk_epoch=self.marks.epoch,
            previous_hash=self.tip.batch_hash,
            journal_hash=self.rng.randbytes(32),
            state_root=self.rng.randbytes(32),
        )
        ascending = tuple(orders[at] for at in order)
        marks = prove_marks(self.marks, filled) if filled else MarksProof()
        return Batch(
            header=header, orders=ascending, fills=fills, sheets=sheets, marks=marks, **others
        )

    # ---- the rest

    def custody(self) -> dict[str, int]:
        """A deposit (its transaction alone), and withdrawals in a batch."""
        figures = {}
        self.wallet.fund(self.ids[0], 1_000_000 * CASH_SCALE)
        for _ in range(2):
            figures["deposit_gas"] = self.deposit()
        for size in (1, 20):
            for _ in range(2):
                execution, calldata = self.settle(self.withdrawals(size))
            figures[f"withdraw_{size}_execution_each"] = execution // size
            figures[f"withdraw_{size}_calldata_each"] = calldata // size
        return figures

    def deposit(self) -> int:
        chain = self.chain
        self.wallet.fund(self.ids[0], CASH_SCALE)
        block = chain.rpc("eth_getBlockByNumber", "latest", False)
        return int(chain.rpc("eth_getTransactionReceipt", block["transactions"][-1])["gasUsed"], 16)

    def withdrawals(self, size: int) -> Batch:
        requests = []
        for _ in range(size):
            self.nonces[self.ids[0]] += 1
            terms = WithdrawalTerms(
                subaccount_id=self.ids[0],
                token=self.chain.deployment.usdc,
                amount=CASH_SCALE,
                recipient=self.wallet.address,
                nonce=self.nonces[self.ids[0]],
                deadline=self.chain.block_time() + 3_600,
                signer=self.wallet.address,
            )
            signature = sign_digest(withdrawal_digest(self.domain, terms), OWNER_KEY)
            requests.append(
                Withdrawal(
                    seq_offset=0, time=self.chain.block_time(), terms=terms, signature=signature
                )
            )
        return self.batch([], [], withdrawals=tuple(requests))

    def expiries(self) -> dict[str, int]:
        """Payoffs of all positions of 1 and of 20 accounts, and the post of a delivery price."""
        self.chain.advance_time(self.expiry + 1)
        oracle = self.chain.deployment.oracle
        desk = DeliveryDesk(chain_id=31_337, oracle=oracle, keys=ORACLE_KEYS)
        delivery = Delivery(underlying_id=1, expiry=self.expiry, price=100_000 * CASH_SCALE)
        posted = self.chain.transact(RELAYER_KEY, oracle, desk.job(delivery).data)
        figures = {"delivery_price_gas": posted.gas_used}
        for accounts in (self.ids[:1], self.ids[1:20]):
            payoffs = tuple(
                Payoff(seq_offset=0, subaccount_id=subaccount_id, instrument_id=instrument_id)
                for subaccount_id in accounts
                for instrument_id in self.instruments
            )
            execution, calldata = self.settle(self.batch([], [], payoffs=payoffs))
            figures[f"expire_{len(payoffs)}_execution_each"] = execution // len(payoffs)
            figures[f"expire_{len(payoffs)}_calldata_each"] = calldata // len(payoffs)
        return figures


if __name__ == "__main__":
    text = json.dumps(run(), indent=2, sort_keys=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    print(text)
