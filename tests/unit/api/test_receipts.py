"""Receipts: who signed which place of the journal."""

import asyncio
import hashlib
import itertools
import json
from pathlib import Path

import pytest
from tests.unit.api.world import DOMAIN, MAKER_KEY, World, call, session_of

from exchange.api import receipts as module
from exchange.api.receipts import GROUPS_KEPT, ReceiptSigner
from exchange.commands import CutBatch
from exchange.journal import Entry
from exchange.merkle import root_of_proof
from exchange.sequencer import Reply
from exchange.signing import (
    Domain,
    address_of,
    receipt_leaf,
    receipts_digest,
    recover_signer,
    sign_digest,
)

KEY = bytes(31) + b"\x09"
VECTORS = Path(__file__).parents[2] / "vectors" / "receipts.json"


@pytest.fixture
def world():
    world = World(receipt_key=KEY)
    yield world
    world.gateway.stop()


def signer_of(answer):
    leaf = receipt_leaf(answer["seq"], bytes.fromhex(answer["journal_hash"][2:]))
    root = root_of_proof(leaf, [bytes.fromhex(one[2:]) for one in answer["receipt_proof"]])
    return recover_signer(
        receipts_digest(DOMAIN, root), bytes.fromhex(answer["receipt_signature"][2:])
    )


def reply(seq):
    return Reply(seq=seq, time_ns=0, events=(), chain_hash=hashlib.sha256(b"%d" % seq).digest())


def entries(*seqs):
    return [
        Entry(seq=seq, time_ns=0, command=CutBatch(), events=(), chain_hash=reply(seq).chain_hash)
        for seq in seqs
    ]


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
    leaf = receipt_leaf(1, bytes(32))
    assert leaf != receipt_leaf(2, bytes(32))
    assert leaf != receipt_leaf(1, b"\x01" * 32)
    with pytest.raises(AssertionError):
        receipt_leaf(1, b"")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 512])
def test_what_was_committed_together_is_signed_once(monkeypatch, size):
    """However large the group, each receipt leads to the one signature by itself."""
    signed = []
    monkeypatch.setattr(
        module, "sign_digest", lambda *words: signed.append(words) or sign_digest(*words)
    )
    signer = ReceiptSigner(KEY)
    signer.note(entries(1))
    signer.note(entries(*range(2, 2 + size)))
    signer.note(entries(2 + size))
    assert not signed, "nobody asked"
    answers = [signer.fields(DOMAIN, reply(seq)) for seq in range(2, 2 + size)]
    assert {signer_of(answer) for answer in answers} == {address_of(KEY)}
    assert len(signed) == 1
    for answer, other in itertools.pairwise(answers):
        assert signer_of(answer | {"journal_hash": other["journal_hash"]}) != address_of(KEY)


def test_a_receipt_asked_for_late_is_signed_alone():
    """As that of an order which a speed bump held, or of what was committed before the start."""
    signer = ReceiptSigner(KEY)
    for seq in range(10, 10 + 2 * GROUPS_KEPT, 2):
        signer.note(entries(seq, seq + 1))
    signer.note(entries(500, 501))
    signer.note(entries(490))
    for seq in (3, 10, 11, 495):
        answer = signer.fields(DOMAIN, reply(seq))
        assert (signer_of(answer), answer["receipt_proof"]) == (address_of(KEY), [])


def test_the_vectors_are_what_we_sign():
    """Anybody may check an own verifier against them; the terminal's is."""
    vectors = json.loads(VECTORS.read_text())
    signer = ReceiptSigner(KEY)
    signer.note(entries(7))
    signer.note(entries(8, 9, 10, 11, 12))
    assert vectors["receipts"] == [signer.fields(DOMAIN, reply(seq)) for seq in range(7, 13)]
    named = vectors["domain"]
    assert Domain(named["chain_id"], named["verifying_contract"]) == DOMAIN
    assert named["receipt_signer"] == address_of(KEY)


def test_without_a_key_a_receipt_is_unsigned():
    reply = Reply(seq=3, time_ns=0, events=(), chain_hash=bytes(32))
    assert ReceiptSigner().fields(DOMAIN, reply) == {"seq": 3, "journal_hash": "0x" + "00" * 32}
    assert ReceiptSigner().address is None


def test_the_key_stays_out_of_logs():
    assert MAKER_KEY.hex() not in repr(ReceiptSigner(MAKER_KEY))
