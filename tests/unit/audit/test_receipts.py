"""`exchange audit receipt`: what holds, and every way in which one does not."""

import json

import msgspec
import pytest
from tests.signed_venue import write_journal
from tests.venue import CLEARING, open_venue

from exchange.audit import Difference
from exchange.audit.receipts import check_receipt, read_receipt
from exchange.journal import JournalReader
from exchange.merkle import root_of_proof
from exchange.signing import (
    Domain,
    address_of,
    receipt_digest,
    receipt_leaf,
    receipts_digest,
    sign_digest,
)

KEY, OTHER = bytes(31) + b"\x09", bytes(31) + b"\x08"


@pytest.fixture
def reader(tmp_path):
    venue = open_venue()
    venue.fund("0x" + "1" * 40)
    write_journal(venue, tmp_path / "journal.db")
    reader = JournalReader(str(tmp_path / "journal.db"))
    yield reader
    reader.close()


def answer(reader, place, key=KEY, **changes):
    chain_hash = reader.entry(place).chain_hash
    neighbour = bytes(32)
    root = root_of_proof(receipt_leaf(place, chain_hash), [neighbour])
    digest = receipts_digest(Domain(31_337, CLEARING), root)
    fields = {
        "seq": place,
        "journal_hash": "0x" + chain_hash.hex(),
        "receipt_signature": "0x" + sign_digest(digest, key).hex(),
        "receipt_proof": ["0x" + neighbour.hex()],
        "order": {"order_id": "7"},
    }
    return json.dumps({"jsonrpc": "2.0", "result": fields | changes}).encode()


def check(reader, text, signer=""):
    return check_receipt(reader, read_receipt(text), signer)


def test_a_good_receipt_says_what_it_is_for(reader):
    last = reader.last_seq()
    found = check(reader, answer(reader, last), address_of(KEY))
    assert (found.seq, found.signer, found.command) == (last, address_of(KEY), "ObserveBlocks")
    assert check(reader, answer(reader, 1)).command == "Configure"


def test_a_result_alone_is_a_receipt_too(reader):
    text = json.dumps(json.loads(answer(reader, 2))["result"]).encode()
    assert check(reader, text).seq == 2


def test_an_unsigned_receipt_holds_unless_a_signer_is_expected(reader):
    text = answer(reader, 2, receipt_signature="")
    assert check(reader, text).signer is None
    with pytest.raises(Difference, match="no signature"):
        check(reader, text, address_of(KEY))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"journal_hash": "0x" + "00" * 32}, "another hash"),
        ({"seq": 3}, "another hash"),
        ({"seq": 999}, "ends before"),
        ({"receipt_signature": "0x" + "00" * 65}, "nobody"),
        ({"receipt_signature": "0xno"}, "hexadecimal"),
        ({"receipt_proof": []}, "signed by 0x"),
        ({"receipt_proof": ["0x" + "01" * 32]}, "signed by 0x"),
        ({"receipt_proof": ["0x00"]}, "no hash"),
        ({"receipt_proof": ["rope"]}, "hexadecimal"),
    ],
)
def test_what_does_not_hold(reader, changes, words):
    with pytest.raises(Difference, match=words):
        check(reader, answer(reader, 2, **changes), address_of(KEY))


def test_a_receipt_of_an_earlier_version_holds(reader):
    """Those were signed each alone, and said nothing of a proof."""
    chain_hash = reader.entry(2).chain_hash
    signed = sign_digest(receipt_digest(Domain(31_337, CLEARING), 2, chain_hash), KEY)
    found = json.loads(answer(reader, 2, receipt_signature="0x" + signed.hex()))["result"]
    del found["receipt_proof"]
    assert check(reader, json.dumps(found), address_of(KEY)).signer == address_of(KEY)


def test_anothers_signature_is_named(reader):
    with pytest.raises(Difference, match=address_of(OTHER)):
        check(reader, answer(reader, 2, OTHER), address_of(KEY))


def test_text_that_is_no_receipt():
    with pytest.raises(msgspec.ValidationError):
        read_receipt(b"{}")
