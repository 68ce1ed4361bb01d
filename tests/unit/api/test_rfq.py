"""The registry of requests: bounds, order of quotes, and every end."""

import pytest

from exchange.api import rfq as module
from exchange.api.errors import BadRequest, NotFound, TooManyRequests, Unavailable
from exchange.api.rfq import KEPT_AFTER_MS, REQUESTS_PER_TAKER, Rfqs, RfqState, ends_ms
from exchange.commands import PlaceOrder
from exchange.model import OrderTerms, Side

ANNE, BOB, CARL = "0xA", "0xB", "0xC"


def create(rfqs, now_ms=0, owner=ANNE, **changes):
    fields = {
        "subaccount_id": 2,
        "owner": owner,
        "instrument_id": 7,
        "quantity": 10_000,
        "side": None,
        "disclosed": False,
        "makers": (),
        "label": "",
        "ends_ms": now_ms + 1_000,
    }
    return rfqs.create(now_ms, **(fields | changes))


def order(side, price, nonce=1):
    terms = OrderTerms(
        subaccount_id=3,
        instrument_id=7,
        side=side,
        quantity=10_000,
        limit_price=price,
        max_fee=0,
        nonce=nonce,
        deadline=1,
        signer=BOB,
    )
    return PlaceOrder(terms=terms, signature=b"")


def test_the_best_price_comes_first_then_the_oldest():
    rfqs = Rfqs()
    rfq = create(rfqs)
    for subaccount, price in ((3, 110), (4, 100), (5, 100)):
        rfqs.add_quote(rfq, subaccount, order(Side.SELL, price), 0)
    for subaccount, price in ((3, 90), (4, 95)):
        rfqs.add_quote(rfq, subaccount, order(Side.BUY, price), 0)
    assert [quote.subaccount_id for quote in rfq.best_first(Side.BUY)] == [4, 5, 3]
    assert [quote.subaccount_id for quote in rfq.best_first(Side.SELL)] == [4, 3]


def test_a_new_quote_replaces_the_makers_old_one():
    rfqs = Rfqs()
    rfq = create(rfqs)
    rfqs.add_quote(rfq, 3, order(Side.SELL, 110), 0)
    rfqs.add_quote(rfq, 3, order(Side.BUY, 90), 0)
    rfqs.add_quote(rfq, 3, order(Side.SELL, 105), 0)
    prices = [quote.order.terms.limit_price for quote in rfq.quotes.values()]
    assert sorted(prices) == [90, 105]


def test_a_request_ends_with_its_time_and_is_forgotten_later():
    rfqs = Rfqs()
    rfq = create(rfqs)
    rfqs.add_quote(rfq, 3, order(Side.SELL, 110), 0)
    assert rfqs.expire(999) == []
    assert rfqs.expire(1_000) == [rfq]
    assert (rfq.state, rfq.quotes) == (RfqState.EXPIRED, {})
    with pytest.raises(BadRequest, match="expired"):
        rfqs.open(rfq.rfq_id, 1_001)
    assert rfqs.get(rfq.rfq_id, 999 + KEPT_AFTER_MS) is rfq
    with pytest.raises(NotFound):
        rfqs.get(rfq.rfq_id, 1_000 + KEPT_AFTER_MS)
    assert list(rfqs) == []


def test_whoever_is_asked_may_answer():
    rfqs = Rfqs()
    everybody, some = create(rfqs), create(rfqs, makers=(BOB,))
    assert [everybody.invites(who) for who in (ANNE, BOB, CARL)] == [False, True, True]
    assert [some.invites(who) for who in (ANNE, BOB, CARL)] == [False, True, False]


def test_everything_is_bounded(monkeypatch):
    rfqs = Rfqs()
    for _ in range(REQUESTS_PER_TAKER):
        rfq = create(rfqs)
    with pytest.raises(TooManyRequests):
        create(rfqs)
    rfqs.finish(rfq, RfqState.CANCELED, 0)
    create(rfqs)
    create(rfqs, owner=BOB)
    monkeypatch.setattr(module, "QUOTES_PER_REQUEST", 1)
    other = create(rfqs, owner=CARL)
    rfqs.add_quote(other, 3, order(Side.SELL, 1), 0)
    with pytest.raises(TooManyRequests):
        rfqs.add_quote(other, 4, order(Side.SELL, 1), 0)
    monkeypatch.setattr(module, "REQUESTS_MAX", 1)
    with pytest.raises(TooManyRequests):
        create(rfqs, owner="0xD")


def test_what_is_over_shuts_nobody_out(monkeypatch):
    """Who asks and cancels as fast as allowed leaves room for others, and fills no memory."""
    monkeypatch.setattr(module, "REQUESTS_MAX", 3)
    rfqs = Rfqs()
    kept = create(rfqs, owner=BOB)
    for _ in range(9):
        rfqs.finish(create(rfqs), RfqState.CANCELED, 0)
    assert create(rfqs, owner=CARL).state is RfqState.OPEN
    assert len(list(rfqs)) == 3
    assert rfqs.get(kept.rfq_id, 0) is kept


def test_seconds_become_an_end():
    assert ends_ms(5, 2) == 2_005


def test_a_quote_ends_with_its_signature():
    """Its deadline is a second that still counts, the next one does not."""
    rfqs = Rfqs()
    rfq = create(rfqs, ends_ms=9_000)
    quote = rfqs.add_quote(rfq, 3, order(Side.SELL, 100), 0)
    assert quote.ends_ms == 1_000
    rfqs.expire(1_000)
    assert list(rfq.quotes) == [quote.quote_id]
    rfqs.expire(1_001)
    assert rfq.quotes == {}
    assert rfq.state is RfqState.OPEN


def test_requests_that_are_served_elsewhere_are_not_served_here():
    """Whatever is asked of them: two registries would be two markets."""
    rfqs = Rfqs("http://engine:8080")
    for question in (
        lambda: create(rfqs),
        lambda: rfqs.get(1, 0),
        lambda: rfqs.open(1, 0),
        lambda: rfqs.expire(0),
        rfqs.require_here,
    ):
        with pytest.raises(Unavailable, match="http://engine:8080"):
            question()
