"""What is margined of an account: rows, what expired, and why a proof has to wait."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.fake_chain import FakeChain, oracle_desks
from tests.margin_world import EXPIRIES, account, collaterals, option, perpetual, preset, update
from tests.settlement_world import RELAYER_KEY
from tests.venue import configuration

from exchange.commands import Configure
from exchange.events import Configured, MarksUpdated
from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.margin.scenarios import margin_parameters
from exchange.model import InstrumentTerms, Kind, pack_instrument_id
from exchange.settlement import proving
from exchange.settlement.batch import Delivery
from exchange.settlement.cursor import BlockCursor
from exchange.settlement.errors import ChainError
from exchange.settlement.holdings import Held, Holdings
from exchange.settlement.margin_proof import NO_PROOF, parameters_hash
from exchange.settlement.proving import Excess, _Evidence, _Portfolio, proof_where_needed

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
    return portfolio.excess(chain, configured(), update())  # type: ignore[arg-type]


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
