"""Orders and fills packed: each byte where docs/contracts.md draws it."""

from exchange.model import OrderTerms, Side
from exchange.settlement.packed import (
    FILL_SIZE,
    ORDER_SIZE,
    Fill,
    SignedOrder,
    pack_fills,
    pack_orders,
    pack_tails,
    traded_instruments,
)

ALICE = "0x" + "a1" * 20
BOB = "0x" + "b0" * 20
SIGNATURE = bytes(range(65))


def terms(subaccount_id: int, nonce: int, **changes: object) -> OrderTerms:
    fields: dict[str, object] = {
        "subaccount_id": subaccount_id,
        "instrument_id": 0x1122334455667788,
        "side": Side.BUY,
        "quantity": 0x0102030405,
        "limit_price": -2,
        "max_fee": 9,
        "nonce": nonce,
        "version": 3,
        "deadline": 0x0A0B0C0D,
        "signer": ALICE,
    }
    return OrderTerms(**(fields | changes))


def test_an_order_is_56_bytes_high_field_first() -> None:
    """Head: account, nonce, version, quantity, deadline, flags; then what it wants."""
    packed = pack_orders([SignedOrder(terms=terms(2, 7), signature=SIGNATURE)])
    assert len(packed) == ORDER_SIZE
    assert packed.hex(" ", 4) == (
        "00000000 00000002 00000000 00000007 00030001 02030405 000a0b0c 0d000020 "
        "11223344 55667788 ffffffff fffffffe 00000000 00000009"
    )


def test_flags_say_what_the_tail_holds() -> None:
    """A seller's reduce-only order with a trigger; signer, trigger and signature follow."""
    order = SignedOrder(
        terms=terms(2, 7, side=Side.SELL, reduce_only=True, trigger_hash=b"\x77" * 32),
        signature=SIGNATURE,
    )
    assert pack_orders([order])[29:32] == bytes([0, 0, 1 | 2 | 16 | 32])
    assert pack_tails([order]) == b"\xa1" * 20 + b"\x77" * 32 + SIGNATURE


def test_a_signer_is_named_where_it_changes() -> None:
    """Once an account, and again after another key of the account."""
    orders = [
        SignedOrder(terms=terms(2, 1), signature=SIGNATURE),
        SignedOrder(terms=terms(2, 2), signature=SIGNATURE),
        SignedOrder(terms=terms(2, 3, signer=BOB), signature=SIGNATURE),
        SignedOrder(terms=terms(3, 1, signer=BOB), signature=SIGNATURE),
    ]
    flags = [pack_orders(orders)[56 * i + 31] for i in range(4)]
    assert flags == [32, 0, 32, 32]
    a, b = b"\xa1" * 20, b"\xb0" * 20
    assert pack_tails(orders) == a + SIGNATURE + SIGNATURE + b + SIGNATURE + b + SIGNATURE


def test_a_leaf_has_its_sheets_place_and_its_proof() -> None:
    """And never a signer: it is the sheet's."""
    leaf = SignedOrder(terms=terms(2, 1), sheet=0x0203, proof=(b"\x11" * 32, b"\x22" * 32))
    assert pack_orders([leaf])[31] == 4
    assert pack_tails([leaf]) == b"\x02\x03\x02" + b"\x11" * 32 + b"\x22" * 32


def test_a_combo_order_names_the_place_of_its_legs() -> None:
    """Instead of an instrument."""
    order = SignedOrder(terms=terms(2, 1), signature=SIGNATURE, combo=5)
    packed = pack_orders([order])
    assert packed[31] == 8 | 32
    assert packed[32:40] == (5).to_bytes(8, "big")


def test_traded_instruments_are_read_back() -> None:
    """Each once; a combo's legs are in the batch itself."""
    orders = [
        SignedOrder(terms=terms(2, 1), signature=SIGNATURE),
        SignedOrder(terms=terms(2, 2, instrument_id=77), signature=SIGNATURE),
        SignedOrder(terms=terms(2, 3), signature=SIGNATURE),
        SignedOrder(terms=terms(2, 4), signature=SIGNATURE, combo=5),
    ]
    found = traded_instruments(pack_orders(orders))
    assert found == {terms(2, 1).instrument_id, 77}
    assert traded_instruments(b"") == set()
    assert traded_instruments(pack_orders([orders[3], orders[1]])) == {77}


def test_a_fill_is_48_bytes_high_field_first() -> None:
    """Match, then fees; a price may be negative."""
    fill = Fill(
        seq_offset=1,
        time=2,
        maker=3,
        taker=4,
        leg=5,
        quantity=6,
        price=-7,
        maker_fee=8,
        taker_fee=9,
    )
    packed = pack_fills([fill, fill])
    assert len(packed) == 2 * FILL_SIZE
    assert packed[:FILL_SIZE] == packed[FILL_SIZE:]
    assert packed[:FILL_SIZE].hex(" ", 4) == (
        "00000001 00000002 00000300 00040005 00000000 00000006 ffffffff fffffff9 "
        "00000000 00000008 00000000 00000009"
    )
