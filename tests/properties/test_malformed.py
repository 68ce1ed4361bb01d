"""Malformed input: whatever comes, the answer is one of ours, and never a server error.

Counted, from a seed: 20,000 HTTP requests, 100,000 messages of a WebSocket, 2,000,000 inputs of
decoders in each CI run, a twentieth with the `dev` profile, fifty times as many in the long one.
HTTP goes through the whole application, messages through the call that the WebSocket makes.
"""

import asyncio
import random
import sys
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import settings
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_KEY,
    TAKER,
    TAKER_KEY,
    World,
    api_key,
    mark_as_presets_do,
    session_of,
    sign_in_text,
)

from exchange.api import schemas
from exchange.api.app import METHODS, PREFIX
from exchange.api.auth import parse_sign_in
from exchange.api.errors import ExchangeError
from exchange.api.gateway import Caller
from exchange.fixed import parse_decimal

SHARE = {"dev": 0.05, "night": 50}.get(settings.get_current_profile_name(), 1)
HTTP, MESSAGES, DECODED = (int(n * SHARE) for n in (20_000, 100_000, 2_000_000))
SEED = 20_261_122

ODD = [
    b"", b"null", b"true", b"{}", b"[]", b'""', b"0", b"-0", b"00", b"1e5", b"1E+3000000", b"-1",
    b"0.1", b"1_0", b"+1", b" 1 ", b"NaN", b"Infinity", b"0x10", b"9" * 40, b"1." + b"0" * 70,
    b'"1e9"', b'"\xd9\xa1"', b'"\\ud800"', b"\xff\xfe", b'"\x00"', b"1.0000001", b"9" * 20,
    b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40, b'{"a":' * 40, b'"' + b"x" * 600 + b'"', b'"0x"',
    b'"0x' + b"f" * 40 + b'"', b'"0x' + b"F" * 130 + b'"', CALL_NAME.encode(), b'"any"', b'"BTC"',
    b'["book.X.raw"]', b'["trades.any.any.raw"]', b"-0.0", b"1.5", b"'1'", b"\\", b"\r\n", b'"..."',
]  # fmt: skip


def say(words):
    """Counts, for whoever runs it with -s or -rP."""
    sys.stdout.write(words + "\n")


def mutated(rng, text):
    """The text with a few bytes changed, cut, doubled or put in."""
    body = bytearray(text)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(body) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            body[at:at] = rng.choice(ODD)
        elif kind == 1:
            del body[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            body[at:at] = body[: rng.randrange(1, 30)]
        elif at < len(body):
            body[at] = rng.randrange(256)
    return bytes(body)


def fields_of(rng, method, known):
    """Parameters of a method: some right, some odd, some missing, now and then one too many."""
    parts = []
    for field in method.params.__struct_fields__:
        if rng.random() < 0.6:
            value = known.get(field, b"1") if rng.random() < 0.6 else rng.choice(ODD)
            parts.append(b'"%s":%s' % (field.encode(), value))
    if rng.random() < 0.1:
        parts.append(b'"surprise":%s' % rng.choice(ODD))
    return b"{" + b",".join(parts) + b"}"


KNOWN = {
    "instrument_name": b'"%s"' % CALL_NAME.encode(),
    "channels": b'["book.%s.raw"]' % CALL_NAME.encode(),
    "currency": b'"BTC"',
    "index_name": b'"btc_usdc"',
    "order_id": b'"7"',
    "subaccount_id": b"3",
    "amount": b"1",
    "price": b"1000",
    "type": b'"limit"',
    "direction": b'"buy"',
    "label": b'"x"',
    "legs": b'[{"instrument_name":"%s","amount":1}]' % CALL_NAME.encode(),
    "grant_type": b'"client_credentials"',
    "start_timestamp": b"0",
    "end_timestamp": b"1795262400000",
    "resolution": b'"60"',
}
ENDS = {"private/logout", "private/remove_api_key"}  # or nothing after it is signed in
CALLED = [method for method in METHODS if method.name not in ENDS]


@pytest.fixture(scope="module")
def world():
    world = World(requests_per_s=1e9, orders_per_s=1e9)
    mark_as_presets_do(world)
    for key in (TAKER_KEY, MAKER_KEY):
        api_key(world, key)
    yield world
    world.gateway.stop()


@pytest.mark.long_run("malformed messages of a WebSocket", messages=MESSAGES)
def test_messages(world):
    """As the WebSocket hands them on: text to a reply, by sessions and without."""
    rng = random.Random(SEED)
    callers = [Caller(address="a"), Caller(address="b", session=session_of(world).session)]
    bot = world.gateway.sessions.open(api_key(world, TAKER_KEY)).session
    callers.append(Caller(address="c", session=bot))
    answered = asyncio.run(ask_all(world, rng, callers))
    assert sum(answered.values()) == MESSAGES
    say(f"messages {MESSAGES}, of them accepted {answered.pop(0)}, by code {answered}")
    assert len(answered) > 8, "the input is too poor to prove anything"


async def ask_all(world, rng, callers):
    answered = {}
    for _ in range(MESSAGES):
        method = rng.choice(CALLED)
        text = b'{"jsonrpc":"2.0","id":%d,"method":"%s","params":%s}' % (
            rng.randrange(99),
            method.name.encode(),
            fields_of(rng, method, KNOWN),
        )
        if rng.random() < 0.5:
            text = mutated(rng, text)
        outcome = await world.dispatcher.call_text(text, rng.choice(callers))
        code = code_of(outcome.body, text)
        answered[code] = answered.get(code, 0) + 1
    return answered


def code_of(body, sent):
    """The error's code, 0 for a result; a bug of ours ends the test with what was sent."""
    reply = msgspec.json.decode(body)
    assert ("result" in reply) is not ("error" in reply), (reply, sent)
    code = reply["error"]["code"] if "error" in reply else 0
    assert code != 11094, (reply, sent)
    return code


@pytest.mark.long_run("malformed HTTP requests", requests=HTTP)
def test_http_requests(world):
    """The application as the server calls it: paths, queries, headers and bodies of all sorts."""
    rng = random.Random(SEED + 1)
    statuses = asyncio.run(request_all(world, rng))
    say(f"HTTP requests {HTTP}, by status {statuses}")
    assert sum(statuses.values()) == HTTP
    assert not [status for status in statuses if status >= 500]
    assert {200, 400, 401, 404, 413} <= set(statuses)


async def request_all(world, rng):
    token = session_of(world).access_token.encode()
    right = [b"", b"Bearer " + token]
    wrong = [b"Bearer x", b"Bearer \xff", b"Basic \xff", b"Basic eDp5", b"Basic eA==", b"\xff \xff"]
    keyed = [b"id=,", b"id=\xff,ts=1,sig=\xff,nonce=\xff", b"id=x,ts=1,sig=0,nonce=n"]
    wrong += [b"deri-hmac-sha256 " + words for words in keyed]
    statuses = {}
    for _ in range(HTTP):
        method = rng.choice(CALLED)
        params = fields_of(rng, method, KNOWN)
        path = rng.choice((PREFIX, f"{PREFIX}/{method.name}", f"{PREFIX}/{method.name}"))
        query, body, verb = b"", params, rng.choice(("GET", "POST", "POST", "PUT"))
        if path == PREFIX:
            body = b'{"method":"%s","params":%s}' % (method.name.encode(), params)
        if verb == "GET":
            query = b"&".join(b"%s=%s" % (rng.choice(FIELDS), rng.choice(ODD)) for _ in range(3))
        if rng.random() < 0.4:
            body, query = mutated(rng, body), mutated(rng, query)
        query = quote(query, safe='=&%[]",{}').encode()  # more than that no server lets pass
        if rng.random() < 0.05:
            path = path[: rng.randrange(len(path))]
        if rng.random() < 0.02:
            body += b" " * 20_000
        authorization = rng.choice(right if rng.random() < 0.7 else wrong)
        status, reply = await request(world.app, verb, path, query, body, authorization)
        assert status < 500, (verb, path, query, body, reply)
        statuses[status] = statuses.get(status, 0) + 1
    return statuses


FIELDS = [b"instrument_name", b"currency", b"depth", b"count", b"channels", b"type", b"\xff", b""]


async def request(app, verb, path, query, body, authorization):
    """One request by ASGI: nothing of a server but its interface."""
    sent = []
    headers = [(b"host", b"venue"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": verb,
        "scheme": "http",
        "path": path or "/",
        "raw_path": path.encode() or b"/",
        "query_string": query,
        "root_path": "",
        "headers": [*headers, (b"authorization", authorization)],
        "client": ("127.0.0.1", 1),
        "server": ("venue", 80),
    }
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"][:500]


def decoded(text, kind):
    """As the dispatcher does it."""
    schemas.check_json(text)
    return schemas.decode(text, kind)


DECODERS = [
    lambda text: schemas.parse_price(msgspec.Raw(text)),
    lambda text: schemas.parse_quantity(msgspec.Raw(text)),
    lambda text: schemas.parse_usdc(msgspec.Raw(text)),
    lambda text: schemas.parse_token(msgspec.Raw(text), signed=True),
    lambda text: schemas.parse_percent(msgspec.Raw(text), 10**9),
    lambda text: parse_decimal(text.decode("latin1"), 10**6),
    lambda text: schemas.parse_address(text.decode("latin1"), "signer"),
    lambda text: schemas.parse_hex(text.decode("latin1"), "signature"),
    lambda text: schemas.query_to_json([("depth", text.decode("latin1"))], schemas.BookParams),
    lambda text: decoded(text, schemas.BookParams),
    lambda text: decoded(b'{"instrument_name":%s}' % text, schemas.LastTradesParams),
    lambda text: schemas.check_json(text),
]


@pytest.mark.long_run("malformed inputs of decoders", inputs=DECODED)
def test_decoders():
    """Each input to one decoder after the other: a value, or a refusal with a name."""
    rng = random.Random(SEED + 2)
    rounds, taken = DECODED // len(DECODERS), 0
    seeds = [*ODD, b'{"instrument_name":"X","depth":5}', b"1250.5", b'"0.0001"', b"123456.654321"]
    for _ in range(rounds):
        text = mutated(rng, rng.choice(seeds))
        for decode in DECODERS:
            try:
                decode(text)
                taken += 1
            except ExchangeError:
                pass
    say(f"decoder inputs {rounds * len(DECODERS)}, of them accepted {taken}")
    assert 0 < taken < rounds * len(DECODERS) * 0.9


def test_sign_in_texts(world):
    """The one parser of free text: mutations of a text that holds are refused by name."""
    rng = random.Random(SEED + 3)
    good = sign_in_text(world, TAKER, "n" * 16).encode()
    assert parse_sign_in(good.decode())
    refused = 0
    for _ in range(max(200, HTTP // 10)):
        try:
            parse_sign_in(mutated(rng, good).decode("latin1"))
        except ExchangeError:
            refused += 1
    assert refused > 0


def test_the_counts_of_ci_are_those_that_were_promised():
    page = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()
    assert "20,000 HTTP requests, 100,000 WebSocket messages and 2,000,000 decoder inputs" in page
