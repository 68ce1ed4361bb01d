"""Every documented code is provoked over the wire: a row of the page without a case here fails."""

import asyncio
import re
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.unit.api.test_methods_liquidations import auction, bid
from tests.unit.api.test_methods_money import signed_transfer
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER,
    TAKER_ID,
    TAKER_KEY,
    World,
    api_key,
    call,
)
from tests.venue import FEES, C, configuration, limits
from tests.venue import call as call_of

from exchange.api.dispatch import Dispatcher, Method
from exchange.api.gateway import Caller
from exchange.api.schemas import Empty
from exchange.commands import Halt, SuspendTrading
from exchange.sequencer import OutcomeUnknown, SequencerBusy, SequencerStopped

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
ERRORS = PAGE.split("## Errors")[1].split("## Signing")[0]
_GENERAL = re.compile(r"^\| (-?\d+) \| `([^`]+)` \| (\d+) \|", re.MULTILINE)
_REASON = re.compile(r"^\| `\w+` \| [^|]+ \| (\d+) \| `([^`]+)` \|", re.MULTILINE)
# (code, message, HTTP status) of the first table; (code, message) of the reasons
GENERAL = {(int(code), message, int(status)) for code, message, status in _GENERAL.findall(ERRORS)}
REASONS = {(int(code), message) for code, message in _REASON.findall(ERRORS)}


class Stage:
    """A world, and ways to ask it."""

    def __init__(self, **settings):
        self.world = World(**settings)
        key = api_key(self.world, TAKER_KEY)
        self.bot = self.world.gateway.sessions.open(key).session

    def text(self, body, dispatcher=None):
        dispatcher = dispatcher or self.world.dispatcher
        outcome = asyncio.run(dispatcher.call_text(body, Caller(address="test")))
        return msgspec.json.decode(outcome.body)["error"], outcome.status

    def ask(self, method, session=None, **params):
        reply = asyncio.run(call(self.world, method, params, session=session))
        return reply["error"], None

    def order(self, side="buy", **fields):
        terms = {"instrument_name": CALL_NAME, "amount": 1, "price": 1_000} | fields
        return self.ask(f"private/{side}", self.bot, **terms)

    def configured(self, **changes):
        command = configuration(version=2, fees=FEES, limits=limits(**changes))
        self.world.do(lambda venue: venue.send(command))
        return self

    def offered(self):
        order = self.world.order("sell", key=MAKER_KEY)
        asyncio.run(call(self.world, "private/sell", order))
        return self

    def failing(self, error):
        self.world.sequencer.failure = error
        return self.order()

    def broken(self):
        async def handler(*_):
            raise KeyError

        method = Method(name="public/broken", params=Empty, handler=handler, summary="")
        dispatcher = Dispatcher(self.world.gateway, [method])
        return self.text(b'{"method":"public/broken"}', dispatcher)

    def large(self):
        async def post():
            transport = httpx.ASGITransport(self.world.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://venue") as client:
                return await client.post("/api/v2", content=b" " * 20_000)

        found = asyncio.run(post())
        return found.json()["error"], found.status_code

    def combo(self):
        legs = [{"instrument_name": name, "amount": 1} for name in (CALL_NAME, PUT_NAME)]
        made = call(self.world, "private/create_combo", {"trades": legs}, session=self.bot)
        return asyncio.run(made)["result"]["id"]

    def later(self, seconds):
        self.world.venue.wait(seconds)
        return self

    def coarse(self):
        """An option of which a whole contract is the least."""
        strike = call_of(101_000)

        def list_it(venue):
            venue.list_instruments(strike, min_quantity=10_000)
            venue.mark({strike: 1_000})

        self.world.do(list_it)
        return self

    def suspended(self):
        command = SuspendTrading(subaccount_id=TAKER_ID, suspended=True, detail="test")
        self.world.do(lambda venue: venue.send(command))
        return self

    def halted(self):
        self.world.do(lambda venue: venue.send(Halt(instrument_id=C, reason="test")))
        return self

    def stranger(self, **changes):
        return self.ask("private/buy", **self.world.order("buy", **changes))

    def payment(self, **changes):
        return self.ask("private/withdraw", **self.world.withdrawal(**changes))

    def transfer(self):
        self.world.other = self.world.do(lambda venue: venue.fund(TAKER, 0))
        return self.ask(
            "private/submit_transfer_between_subaccounts", **signed_transfer(self.world)
        )

    def late_bid(self):
        seller = auction(self.world)
        return self.ask("private/liquidation_bid", **bid(self.world, seller, expected_step=99))


STRIKE_NAME = "BTC_USDC-25DEC26-101000-C"
WRONG_KEY = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
CASES = {
    (-32700, "Parse error"): lambda s: s.text(b"{"),
    (-32600, "Invalid Request"): lambda s: s.text(b'{"id":1}'),
    (-32601, "Method not found"): lambda s: s.text(b'{"method":"public/nothing"}'),
    (-32602, "Invalid params"): lambda s: s.text(b'{"method":"public/ticker"}'),
    (11050, "bad_request"): lambda s: s.ask("public/test", expected_result="exception"),
    (10020, "invalid_or_unsupported_instrument"): lambda s: s.order(instrument_name="X"),
    (10004, "order_not_found"): lambda s: s.ask("private/cancel", s.bot, order_id="999"),
    (13020, "not_found"): lambda s: s.ask("private/get_settlement_status", s.bot, trade_id="9"),
    (10030, "must_be_websocket_request"): lambda s: s.ask("public/unsubscribe_all"),
    (13009, "unauthorized"): lambda s: s.ask("private/get_positions"),
    (13004, "invalid_credentials"): lambda s: s.ask("public/auth", **WRONG_KEY),
    (13021, "forbidden"): lambda s: s.order(subaccount_id=MAKER_ID),
    (10028, "too_many_requests"): lambda _: Stage(requests_burst=0.5, requests_per_s=0.001).ask(
        "public/get_time"
    ),
    (10047, "matching_engine_queue_full"): lambda s: s.failing(SequencerBusy("full")),
    (13028, "temporarily_unavailable"): lambda s: s.failing(SequencerStopped()),
    (13888, "timed_out"): lambda s: s.failing(OutcomeUnknown("ask by nonce")),
    (11094, "internal_server_error"): lambda s: s.broken(),
    (13007, "user_not_found"): lambda s: s.stranger(subaccount_id=999),
    (11049, "bad_arguments"): lambda s: s.stranger(deadline=1),
    (10019, "locked_by_admin"): lambda s: s.suspended().order(),
    (11051, "system_maintenance"): lambda s: s.halted().order(),
    (10012, "book_closed"): lambda s: s.later(3_000).order(),
    (11044, "not_open_order"): lambda s: s.ask("private/edit", s.bot, order_id="999", amount=1),
    (11047, "unsupported_arg_combination"): lambda s: s.order(
        instrument_name=s.combo(), reduce_only=True
    ),
    (11030, "other_reject"): lambda s: s.order(reduce_only=True),
    (10021, "invalid_amount"): lambda s: s.order(amount=0),
    (10002, "qty_too_low"): lambda s: s.coarse().order(instrument_name=STRIKE_NAME, amount="0.1"),
    (10022, "invalid_quantity"): lambda s: s.order(amount=10**9),
    (10023, "invalid_price"): lambda s: s.order(price=0),
    (10043, "price_wrong_tick"): lambda s: s.order(price="1000.001"),
    (10011, "price_not_allowed"): lambda s: s.order(price=90_000),
    (10013, "max_total_open_orders"): lambda s: s.configured(open_orders_max=0).order(),
    (10009, "not_enough_funds"): lambda s: s.order("sell", amount=1_000),
    (11054, "post_only_reject"): lambda s: s.offered().order(post_only=True, reject_post_only=True),
    (11090, "invalid_addr"): lambda s: s.payment(address="0x" + "0" * 40),
    (10040, "retry"): lambda s: s.late_bid(),
    (11042, "permission_denied"): lambda s: s.transfer(),
}


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.world.gateway.stop()


@pytest.mark.parametrize(("code", "message"), CASES)
def test_the_code_is_provoked(stage, code, message):
    error, status = CASES[code, message](stage)
    assert (error["code"], error["message"]) == (code, message), error
    assert status is None or (code, message, status) in GENERAL


def test_a_body_that_is_too_large_has_a_status_of_its_own(stage):
    error, status = stage.large()
    assert (error["code"], error["message"], status) == (11050, "bad_request", 413)


def test_every_documented_code_has_a_case():
    assert {(code, message) for code, message, _ in GENERAL} | REASONS == set(CASES)
    assert len(GENERAL) == 18
