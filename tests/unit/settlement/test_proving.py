"""What is margined of an account: rows, what expired, and why a proof has to wait."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.fake_chain import FakeChain, oracle_desks
from tests.margin_world import EXPIRIES, account, collaterals, option, perpetual, preset, update
from tests.settlement_world import RELAYER_KEY, Script
from tests.venue import configuration

from exchange.commands import Configure, DepositSeen, ObserveBlocks, SubaccountSeen
from exchange.events import Configured, MarksUpdated
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE, RATIO_SCALE
from exchange.journal import JournalReader
from exchange.margin.scenarios import margin_parameters
from exchange.model import InstrumentTerms, Kind, pack_instrument_id
from exchange.settlement import proving
from exchange.settlement.batch import Delivery, Tip
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.holdings import Held, Holdings
from exchange.settlement.margin_proof import NO_PROOF, EpochProver, parameters_hash
from exchange.settlement.proving import (
    Excess,
    ProvenMargin,
    _Evidence,
    _Portfolio,
    margin_proof,
    proof_where_needed,
    prove_margin,
)
from exchange.terms import ConcentrationTerms

PAST = EXPIRIES[0] - 7 * 86_400
CALL, PUT = option(90_000, "C", PAST), option(90_000, "P", PAST)
FUTURE = pack_instrument_id(InstrumentTerms(Kind.FUTURE, 1, PAST))
UNIT = QUANTITY_SCALE


def configured() -> Configure:
    return configuration(margin=margin_parameters(preset()), collaterals=collaterals())


def holdings(positions: dict[int, Held]) -> Holdings:
    found = Holdings()
    found.cash[7] = 50_000 * CASH_SCALE
    found.positions = {(7, number): held for number, held in positions.items()}
    return found


def excess(found: Holdings, chain: FakeChain) -> Excess:
    portfolio = _Portfolio(found, 7, update())
    return portfolio.excess(chain, configured(), update())


def priced(price: int) -> FakeChain:
    """A chain on which the past expiry was delivered at this price."""
    chain = FakeChain()
    delivery = Delivery(underlying_id=1, expiry=PAST, price=price * CASH_SCALE)
    chain.settle_as(RELAYER_KEY, oracle_desks()["desks"].delivery.job(delivery).data)
    return chain


def test_costs_and_funding_are_owed_and_tokens_count() -> None:
    """As in an account that the engine keeps."""
    number = perpetual()
    found = holdings({number: Held(2 * UNIT, 150_000 * CASH_SCALE, 10_000)})
    found.indices[number] = 40_000
    found.tokens[7, collaterals()[0].token] = 10**8
    cash = 50_000 - 150_000 - 2 * 0.03
    twin = account({number: 2}, cash=cash, tokens={1: 1})
    assert excess(found, FakeChain()) == Excess(
        initial=twin.initial_excess(), maintenance=twin.maintenance_excess()
    )


def test_the_engines_figure_leaves_concentration_out() -> None:
    """The chain does not know it: the two would never agree."""
    found = holdings({perpetual(): Held(100 * UNIT)})
    terms = configured()
    rate = ConcentrationTerms(free_notional=1, share=0, rate=RATIO_SCALE // 10)
    dear = msgspec.structs.replace(
        terms, margin=msgspec.structs.replace(terms.margin, concentration=rate)
    )
    portfolio, chain = _Portfolio(found, 7, update()), FakeChain()
    assert portfolio.excess(chain, dear, update()) == excess(found, chain)


@pytest.mark.parametrize(("price", "paid"), [(100_000, 10_000), (80_000, -20_000)])
def test_what_expired_counts_as_cash(price: int, paid: int) -> None:
    """A call less two short puts, and a future that cost 85,000."""
    positions = {CALL: Held(UNIT), PUT: Held(-2 * UNIT), FUTURE: Held(UNIT, 85_000 * CASH_SCALE)}
    figure = (50_000 + paid + price - 85_000) * CASH_SCALE
    assert excess(holdings(positions), priced(price)) == Excess(initial=figure, maintenance=figure)


def test_without_row_and_delivery_price_the_proof_waits() -> None:
    """Listed after the epoch, or expired a moment ago."""
    with pytest.raises(ChainError, match="no delivery price yet"):
        excess(holdings({CALL: Held(UNIT)}), FakeChain())


@pytest.mark.parametrize("held", [(0, 0), (5, 0), (-1, 0), (0, 1)])
def test_positions_and_debts_need_a_proof(
    monkeypatch: pytest.MonkeyPatch, held: tuple[int, int]
) -> None:
    """Else an empty one does, which the contract does not read."""
    monkeypatch.setattr(proving, "margin_proof", lambda *_: ("proof",))
    chain: Any = SimpleNamespace(clearing=None, call=lambda *_: (*held, []))
    reader: Any = None
    wanted = ("proof",) if held[0] < 0 or held[1] else NO_PROOF
    assert proof_where_needed(reader, chain, 7) == wanted


class Provable(FakeChain):
    """A chain on which the first batch settled; answers margin, and keeps what it was asked."""

    def __init__(self, last_seq: int) -> None:
        super().__init__()
        self.tip = Tip(number=1, last_seq=last_seq)
        self.heads = [0]
        self.asked: list[tuple[bytes, object]] = []
        self.refused: list[object] = []
        self.asked_at: list[object] = []
        terms = configured()
        self.found = parameters_hash(terms.margin, terms.collaterals)

    def head(self) -> int:
        return self.heads.pop(0) if len(self.heads) > 1 else self.heads[0]

    def last_batch(self, block: object = "latest") -> Tip:
        self.asked_at.append(block)
        return self.tip

    def risk_epoch(self, block: object = "latest") -> int:
        if block in self.refused:
            raise Reverted("header not found")
        return 1

    def parameters_hash(self, block: object = "latest") -> bytes:
        self.asked_at.append(block)
        return self.found

    def delivery_price(self, underlying_id: int, expiry: int) -> int | None:
        assert (underlying_id, expiry) == (1, PAST)
        return 100_000 * CASH_SCALE

    def excess(self, data: bytes, block: object = "latest") -> tuple[int, int]:
        self.asked.append((data, block))
        return 5, -6


LIVE = option(100_000, "C")


@pytest.fixture
def proven(tmp_path: Path) -> Iterator[tuple[JournalReader, Provable]]:
    """The maker is short of a call that lives and of one that expired; more is not settled."""
    script = Script(tmp_path / "journal.db")
    script.add(configured(), Configured(version=1))
    seen = (
        SubaccountSeen(subaccount_id=2, owner="0x"),
        DepositSeen(subaccount_id=2, amount=50_000 * CASH_SCALE),
    )
    script.post(ObserveBlocks(first_block=1, last_block=4, last_hash="0x4", observations=seen))
    for number in (LIVE, CALL):
        script.instrument_id = number
        script.trade()
    cut = script.cut()
    script.trade()
    script.add(update(), MarksUpdated(epoch=1, root=update().root, published=True))
    reader = JournalReader(str(script.path))
    yield reader, Provable(cut.last_seq)
    reader.close()
    script.close()


def the_proof() -> tuple[EpochProver, list[int], list[int]]:
    terms = configured()
    return EpochProver(update(), terms.margin, terms.collaterals), [LIVE], [CALL]


ALWAYS = [4]


@pytest.mark.parametrize(
    ("heads", "refused", "blocks"),
    [
        (ALWAYS, [], ["latest"]),
        ([4, 5], [], ["latest", 4]),
        ([5], [], [4]),
        (ALWAYS, ["latest"], [4]),
    ],
)
def test_margin_is_proven_at_the_observed_block(
    proven: tuple[JournalReader, Provable],
    heads: list[int],
    refused: list[object],
    blocks: list[object],
) -> None:
    """By its number where the chain went on, or where its newest state is another."""
    reader, chain = proven
    chain.heads, chain.refused = list(heads), refused
    prover, live, expired = the_proof()
    data = prover.excess_calldata(2, live, expired)
    cash = 50_000 + 2 * 2_500 - 2 - 10_000
    twin = account({LIVE: -1}, cash=cash)
    assert prove_margin(reader, chain, 2) == ProvenMargin(
        subaccount_id=2,
        epoch=1,
        block=4,
        batch=1,
        positions=2,
        calldata_bytes=len(data),
        on_chain=Excess(initial=5, maintenance=-6),
        engine=Excess(initial=twin.initial_excess(), maintenance=twin.maintenance_excess()),
    )
    assert chain.asked == [(data, block) for block in blocks]
    assert chain.asked_at == [block for block in blocks for _ in range(2)]


def test_a_proof_is_of_what_the_chain_holds_now(proven: tuple[JournalReader, Provable]) -> None:
    """At its head; the journal may not have observed that."""
    reader, chain = proven
    chain.heads, chain.refused = [7], ["latest", 4]
    prover, live, expired = the_proof()
    assert margin_proof(reader, chain, 2) == prover.proof(live, expired)


def test_no_proof_is_made_of_what_the_chain_does_not_know(
    proven: tuple[JournalReader, Provable], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No root, another epoch's parameters, nobody of that number."""
    reader, chain = proven
    unknown: Any = chain
    with pytest.raises(ChainError, match="there is no subaccount 5"):
        margin_proof(reader, unknown, 5)
    chain.found = bytes(32)
    with pytest.raises(ChainError, match="other parameters than the venue"):
        margin_proof(reader, unknown, 2)
    monkeypatch.setattr(chain, "risk_epoch", lambda block: 0)
    with pytest.raises(ChainError, match="no risk root was posted yet"):
        margin_proof(reader, unknown, 2)


def test_an_epoch_younger_than_what_was_observed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holdings end where the chain was observed last; the marks that were posted may come later."""
    marked = MarksUpdated(epoch=4, root=bytes(32))
    journal = [
        SimpleNamespace(command=configured(), events=(Configured(version=1),)),
        SimpleNamespace(command=None, events=()),
        SimpleNamespace(command=update(), events=(marked,)),
    ]

    def observed(entries: Any, **_: int) -> Holdings:
        next(entries)
        return holdings({})

    monkeypatch.setattr(proving, "expected_holdings", observed)
    terms = configured()
    found = parameters_hash(terms.margin, terms.collaterals)
    chain: Any = SimpleNamespace(
        risk_epoch=lambda **_: 4,
        last_batch=lambda **_: SimpleNamespace(number=1, last_seq=1),
        parameters_hash=lambda **_: found,
    )
    reader: Any = SimpleNamespace(entries=lambda: iter(journal))
    assert _Evidence("latest", BlockCursor(), reader, chain, 7).update == update()
    journal.pop()
    with pytest.raises(ChainError, match="does not hold epoch 4"):
        _Evidence("latest", BlockCursor(), reader, chain, 7)
