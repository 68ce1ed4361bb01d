"""Signed calls: the right secret, about now, and once."""

import base64
import hmac

import pytest
from tests.unit.api.test_api_keys import create
from tests.unit.api.world import MemoryStore

from exchange.api import key_auth
from exchange.api.api_keys import ApiKeys
from exchange.api.errors import InvalidCredentials, TooManyRequests
from exchange.api.key_auth import WINDOW_MS, KeyProofs, SignedRequest, is_key_header

NOW_MS = 1_795_262_400_000


class Stage:
    def __init__(self):
        self.now_ms = NOW_MS
        self.keys = ApiKeys(MemoryStore())
        self.key = create(self.keys)
        self.proofs = KeyProofs(self.keys, lambda: self.now_ms)

    def sign(self, text):
        return hmac.digest(self.key.client_secret.encode(), text.encode(), "sha256").hex()

    def prove(self, timestamp=None, nonce="n", data="", signature=None):
        timestamp = self.now_ms if timestamp is None else timestamp
        signature = signature or self.sign(f"{timestamp}\n{nonce}\n{data}")
        return self.proofs.of_signature(
            self.key.client_id, (timestamp, nonce), data.encode(), signature, ""
        )

    def request(self, method="GET", target="/api/v2/private/get_positions?a=1", body="", **changes):
        ts = changes.get("ts", str(self.now_ms))
        nonce = changes.get("nonce", "n")
        sig = self.sign(f"{ts}\n{nonce}\n{method}\n{target}\n{body}\n")
        header = f"deri-hmac-sha256 id={self.key.client_id},ts={ts},sig={sig},nonce={nonce}"
        fields = {
            "authorization": header,
            "method": method,
            "target": target.encode(),
            "body": body.encode(),
            "address": "",
        }
        return SignedRequest(**fields | changes.get("sent", {}))


@pytest.fixture
def stage():
    return Stage()


def test_a_signature_of_the_secret_is_the_key(stage):
    assert stage.prove(data="anything") is stage.key
    assert stage.prove(nonce="m", signature=None) is stage.key


def test_a_signature_counts_once(stage):
    stage.prove()
    with pytest.raises(InvalidCredentials, match="before"):
        stage.prove()
    stage.prove(nonce="another")


def test_its_twin_in_capitals_is_the_same_signature(stage):
    signature = stage.sign(f"{NOW_MS}\nn\n")
    stage.prove(signature=signature)
    with pytest.raises(InvalidCredentials, match="before"):
        stage.prove(signature=signature.upper())


@pytest.mark.parametrize("off_ms", [-WINDOW_MS - 1, WINDOW_MS + 1])
def test_a_signature_counts_for_a_minute(stage, off_ms):
    stage.proofs = KeyProofs(stage.keys, lambda: stage.now_ms)
    stage.now_ms += 10 * WINDOW_MS
    with pytest.raises(InvalidCredentials, match="clock"):
        stage.prove(timestamp=stage.now_ms + off_ms)
    assert stage.prove(timestamp=stage.now_ms - WINDOW_MS) is stage.key
    assert stage.prove(timestamp=stage.now_ms + WINDOW_MS) is stage.key


def test_what_is_older_than_the_process_is_refused(stage):
    """A process forgets what it saw, so its successor takes nothing from before."""
    with pytest.raises(InvalidCredentials, match="older"):
        stage.prove(timestamp=NOW_MS - 1)


def test_a_signature_is_remembered_as_long_as_it_counts(stage):
    ahead = NOW_MS + WINDOW_MS
    signature = stage.sign(f"{ahead}\nn\n")
    stage.prove(timestamp=ahead, signature=signature)
    stage.now_ms += 2 * WINDOW_MS
    with pytest.raises(InvalidCredentials, match="before"):
        stage.prove(timestamp=ahead, signature=signature)
    stage.now_ms += 1
    with pytest.raises(InvalidCredentials, match="clock"):
        stage.prove(timestamp=ahead, signature=signature)
    stage.prove()
    assert len(stage.proofs._seen[stage.key.client_id]) == 1


def test_memory_is_bounded(stage, monkeypatch):
    monkeypatch.setattr(key_auth, "SEEN_PER_KEY_MAX", 2)
    stage.prove(nonce="1")
    stage.prove(nonce="2")
    with pytest.raises(TooManyRequests):
        stage.prove(nonce="3")


@pytest.mark.parametrize("changes", [{"nonce": "m"}, {"data": "d"}, {"timestamp": NOW_MS + 1}])
def test_every_signed_part_counts(stage, changes):
    signature = stage.sign(f"{NOW_MS}\nn\n")
    with pytest.raises(InvalidCredentials, match="secret"):
        stage.prove(signature=signature, **changes)
    stage.prove(signature=signature)


def test_a_forged_signature_is_not_remembered(stage):
    with pytest.raises(InvalidCredentials):
        stage.prove(signature="00" * 32)
    assert not stage.proofs._seen.get(stage.key.client_id)


def test_a_signed_request_is_the_key(stage):
    assert stage.proofs.of_request(stage.request()) is stage.key
    assert stage.proofs.of_request(stage.request("POST", "/api/v2", '{"a": 1}')) is stage.key


@pytest.mark.parametrize(
    "sent",
    [
        {"method": "POST"},
        {"target": b"/api/v2/private/get_positions?a=2"},
        {"target": b"/api/v2/private/get_positions"},
        {"body": b"x"},
    ],
)
def test_every_part_of_the_request_is_signed(stage, sent):
    with pytest.raises(InvalidCredentials, match="secret"):
        stage.proofs.of_request(stage.request(sent=sent))


@pytest.mark.parametrize(
    "header",
    [
        "deri-hmac-sha256",
        "deri-hmac-sha256 id=a",
        "deri-hmac-sha256 id=a,ts=1,sig=00",
        "deri-hmac-sha256 id=a,id=b,ts=1,sig=00,nonce=n",
        "deri-hmac-sha256 id=a,ts=1,sig=00,nonce=n,more=1",
        "deri-hmac-sha256 id=a,ts=x,sig=00,nonce=n",
        "deri-hmac-sha256 id=a,ts=9999999999999999,sig=00,nonce=n",
        "deri-hmac-sha256 id=a,ts=1,sig=00,nonce=" + "n" * 200,
        "Basic ???",
        "Basic /w==",
        "Basic \xff",
        "Basic " + base64.b64encode(b"a:b").decode(),
        "Basic " + base64.b64encode(b"a").decode(),
    ],
)
def test_bad_headers_are_refused(stage, header):
    with pytest.raises(InvalidCredentials):
        stage.proofs.of_request(stage.request(sent={"authorization": header}))


def test_basic_shows_the_secret(stage):
    pair = f"{stage.key.client_id}:{stage.key.client_secret}".encode()
    header = "Basic " + base64.b64encode(pair).decode()
    assert stage.proofs.of_request(stage.request(sent={"authorization": header})) is stage.key


def test_which_headers_show_keys():
    assert is_key_header("deri-hmac-sha256 id=a")
    assert is_key_header("basic x")
    assert not is_key_header("Bearer x")
    assert not is_key_header("")
