"""Carrying out a plan leaves exactly the sheet, and every order of it can be proven."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.quotes import StandingQuote, check_sheet, plan_sheet
from exchange.model import OrderTerms, Quote, SheetTerms, sheet_orders

TERMS = SheetTerms(
    subaccount_id=1, sheet_nonce=1, first_nonce=1, max_fee=0, deadline=1, signer="maker"
)

QUOTES = st.builds(
    Quote,
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(4, 6),
    st.integers(0, 3),
)
SHEETS = st.lists(QUOTES, max_size=5, unique_by=lambda quote: quote.instrument_id).filter(
    lambda quotes: check_sheet(quotes) is None
)


def wanted_of(order: OrderTerms) -> tuple[int, int, int, int]:
    return order.instrument_id, order.side, order.limit_price, order.quantity


@given(SHEETS, SHEETS, st.data())
def test_carrying_out_the_plan_leaves_exactly_the_sheet(old, new, data):
    standing = [
        StandingQuote(100 + leaf, *wanted_of(order)[:3], data.draw(st.integers(1, 3)))
        for leaf, order in enumerate(sheet_orders(TERMS, old))
        if data.draw(st.booleans())
    ]
    book = {quote.order_id: quote for quote in standing}
    orders = sheet_orders(TERMS, new)
    plan = plan_sheet(standing, orders)
    result = {}
    for order_id in plan.cancel:
        del book[order_id]
    for kept in plan.reduce:
        assert kept.quantity < book[kept.order_id].remaining_quantity
        book[kept.order_id] = book[kept.order_id]._replace(remaining_quantity=kept.quantity)
    for kept in (*plan.reduce, *plan.keep):
        rests = book.pop(kept.order_id)
        assert rests.remaining_quantity == kept.quantity
        result[kept.leaf] = rests[1:]
    assert not book, "everything that stood was canceled or kept"
    for leaf in plan.place:
        result[leaf] = wanted_of(orders[leaf])
    assert [result[leaf] for leaf in sorted(result)] == list(map(wanted_of, orders))


@given(SHEETS, SHEETS)
def test_risk_only_falls_before_the_first_placement(old, new):
    """Until then every instrument and side has at most what both sheets allow."""
    standing = [
        StandingQuote(leaf, *wanted_of(order))
        for leaf, order in enumerate(sheet_orders(TERMS, old))
    ]
    orders = sheet_orders(TERMS, new)
    plan = plan_sheet(standing, orders)
    wanted = {wanted_of(order)[:3]: order.quantity for order in orders}
    gone = set(plan.cancel)
    left = {kept.order_id: kept.quantity for kept in plan.reduce}
    for quote in standing:
        if quote.order_id not in gone:
            key = (quote.instrument_id, quote.side, quote.price)
            assert left.get(quote.order_id, quote.remaining_quantity) <= wanted[key]
