"""Carrying out a plan leaves exactly the sheet, and every order of it can be proven."""

from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.quotes import (
    Quote,
    StandingQuote,
    check_sheet,
    is_in_sheet,
    plan_sheet,
    sheet_orders,
    sheet_proof,
    sheet_root,
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


@given(SHEETS, SHEETS, st.data())
def test_carrying_out_the_plan_leaves_exactly_the_sheet(old, new, data):
    standing = [
        StandingQuote(100 + o.leaf, o.instrument_id, o.side, o.price, data.draw(st.integers(1, 3)))
        for o in sheet_orders(old)
        if data.draw(st.booleans())
    ]
    book = {quote.order_id: quote for quote in standing}
    plan = plan_sheet(standing, new)
    result = {}
    for order_id in plan.cancel:
        del book[order_id]
    for kept in plan.reduce:
        assert kept.quantity < book[kept.order_id].remaining_quantity
        book[kept.order_id] = book[kept.order_id]._replace(remaining_quantity=kept.quantity)
    orders = sheet_orders(new)
    for kept in (*plan.reduce, *plan.keep):
        rests = book.pop(kept.order_id)
        assert rests.remaining_quantity == kept.quantity
        result[kept.leaf] = rests[1:]
    assert not book, "everything that stood was canceled or kept"
    for order in plan.place:
        result[order.leaf] = order[1:]
    assert [result[leaf] for leaf in sorted(result)] == [order[1:] for order in orders]


@given(SHEETS, SHEETS)
def test_risk_only_falls_before_the_first_placement(old, new):
    """Until then every instrument and side has at most what both sheets allow."""
    standing = [StandingQuote(o.leaf, *o[1:]) for o in sheet_orders(old)]
    plan = plan_sheet(standing, new)
    wanted = {(o.instrument_id, o.side, o.price): o.quantity for o in sheet_orders(new)}
    gone = set(plan.cancel)
    left = {kept.order_id: kept.quantity for kept in plan.reduce}
    for quote in standing:
        if quote.order_id not in gone:
            key = (quote.instrument_id, quote.side, quote.price)
            assert left.get(quote.order_id, quote.remaining_quantity) <= wanted[key]


@given(st.integers(1, 40), st.integers(0, 2**16))
def test_every_leaf_and_no_other_is_in_the_sheet(count, seed):
    tree = [keccak(seed.to_bytes(4, "big") + bytes([at])) for at in range(count)]
    root = sheet_root(tree)
    for at, leaf in enumerate(tree):
        proof = sheet_proof(tree, at)
        assert is_in_sheet(root, leaf, proof)
        assert 2 ** len(proof) < 2 * count or count == 1
        assert not is_in_sheet(root, keccak(leaf), proof)
