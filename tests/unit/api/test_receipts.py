"""Receipts: who signed which place of the journal."""

import asyncio

import pytest
from tests.unit.api.world import DOMAIN, MAKER_KEY, World, call, session_of

from exchange.api.receipts import ReceiptSigner
from exchange.sequencer import Reply
from exchange.signing import address_of, receipt_digest, recover_signer

KEY = bytes(31) + b"\x09"


@pytest.fixture
def world():
    world = World(receipt_key=KEY)
    yield world
    world.gateway.stop()


def signer_of(answer):
    digest = receipt_digest(DOMAIN, answer["seq"], bytes.fromhex(answer["journal_hash"][2:]))
    return recover_signer(digest, bytes.fromhex(answer["receipt_signature"][2:]))


def ask(world, method, params=None, session=None):
    reply = asyncio.run(call(world, method, params, session=session))
    assert "result" in reply, reply
    return reply["result"]


def test_every_acknowledged_change_carries_a_signed_place(world):
    session = session_of(world).session
    placed = ask(world, "private/buy", world.order("buy", price="900"))
    canceled = ask(world, "private/cancel", {"order_id": placed["order"]["order_id"]}, session)
    withdrawn = ask(world, "private/withdraw", world.withdrawal())
    receipts = [placed, canceled, withdrawn]
    assert [signer_of(answer) for answer in receipts] == [address_of(KEY)] * 3
    assert [answer["seq"] for answer in receipts] == sorted({r["seq"] for r in receipts})


def test_the_venue_says_whose_signature_to_expect(world):
    assert ask(world, "public/get_signing_domain")["receipt_signer"] == address_of(KEY)


def test_a_signature_is_for_one_place_and_one_hash():
    digest = receipt_digest(DOMAIN, 1, bytes(32))
    assert digest != receipt_digest(DOMAIN, 2, bytes(32))
    assert digest != receipt_digest(DOMAIN, 1, b"\x01" * 32)
    with pytest.raises(AssertionError):
        receipt_digest(DOMAIN, 1, b"")


def test_without_a_key_a_receipt_is_unsigned():
    reply = Reply(seq=3, time_ns=0, events=(), chain_hash=bytes(32))
    assert ReceiptSigner().fields(DOMAIN, reply) == {"seq": 3, "journal_hash": "0x" + "00" * 32}
    assert ReceiptSigner().address is None


def test_the_key_stays_out_of_logs():
    assert MAKER_KEY.hex() not in repr(ReceiptSigner(MAKER_KEY))
