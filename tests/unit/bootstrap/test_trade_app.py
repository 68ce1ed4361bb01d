"""`exchange trade` from the words that are typed to what is printed, before a real gateway."""

import json

import pytest
from tests.unit.api.world import (
    CALL_NAME,
    MAKER_ID,
    MAKER_KEY,
    PUT_NAME,
    TAKER_ID,
    TAKER_KEY,
    free_port,
    served,
)
from typer.testing import CliRunner

from exchange.__main__ import app
from exchange.bootstrap.dev_keys import person
from exchange.bootstrap.trade_app import KEY_VARIABLE
from exchange.sdk import BadArgument
from exchange.trade.desk import TradeFailed


@pytest.fixture(scope="module")
def venue():
    with served() as found:
        yield found


@pytest.fixture
def shell(venue, monkeypatch):
    """Runs words as the taker does; what is printed, or the one line of an error."""
    monkeypatch.setenv("EXCHANGE_URL", venue[1])
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv(KEY_VARIABLE, TAKER_KEY.hex())

    def run(*words, fails=False):
        result = CliRunner().invoke(app, ["trade", *words])
        if fails:
            assert isinstance(result.exception, TradeFailed | BadArgument), result.output
            return str(result.exception)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return run


@pytest.fixture
def maker(shell, tmp_path):
    """The same shell with the maker's key in a file."""
    file = tmp_path / "key"
    file.write_text(f"0x{MAKER_KEY.hex()}\n")

    def run(*words, **options):
        return shell(*words, "--key", str(file), **options)

    return run


def test_a_day_at_the_desk(shell, maker):
    """Quote, look, trade, amend, cancel, and see what became of it."""
    asked = json.loads(maker("order", "sell", CALL_NAME, "2", "1010", "--post-only", "--json"))
    assert (asked["order"]["order_state"], asked["order"]["price"]) == ("open", 1010)
    assert "1,010.00" in shell("chain", "BTC", "--expiry", "25dec26")
    assert "1,010.00" in shell("book", CALL_NAME)
    bought = shell("order", "buy", CALL_NAME, "0.5", "--market", "--label", "mine")
    assert "filled" in bought
    assert "seq" in bought
    assert "+0.5000" in shell("positions")
    rest = json.loads(shell("--json", "order", "buy", CALL_NAME, "1", "900"))["order"]["order_id"]
    assert "901.00" in shell("order", "amend", rest, "--price", "901", "--amount", "2")
    assert rest in shell("order", "list")
    assert "open" in shell("order", "show", rest)
    assert "cancelled" in shell("order", "cancel", rest)
    assert shell("order", "list").strip() == "no open orders"
    assert shell("order", "cancel", "--all").strip() == "0 canceled"
    assert shell("order", "cancel", "--label", "mine").strip() == "0 canceled"
    assert json.loads(maker("order", "cancel", "--all", "--json")) == {"canceled": 1}
    kinds = ("--tif", "fok", "--max-fee", "100", "--reduce-only")
    assert "reduce_only_increases" in shell(
        "order", "buy", CALL_NAME, "1", "900", *kinds, fails=True
    )


def test_orders_that_wait_and_orders_on_volatility(shell):
    stop = ("--type", "stop_limit", "--trigger", "index_price", "--trigger-price", "120000")
    assert "untriggered" in shell("order", "buy", CALL_NAME, "1", "1200", *stop)
    shown = shell("order", "buy", CALL_NAME, "1", "4", "--implv", "900")
    assert "4 %" in shown
    (order,) = [one for one in json.loads(shell("order", "list", "--json")) if one["advanced"]]
    assert "4.5 %" in shell("order", "amend", order["order_id"], "--price", "4.5")
    assert shell("order", "cancel", "--all").strip() == "2 canceled"


def test_risk_and_payoff_of_what_would_be(shell):
    assert "worst" in shell("risk", "--add", f"{CALL_NAME}=-2")
    found = json.loads(shell("risk", "--add", f"{PUT_NAME}=3", "--json"))
    assert found["simulation"]["positions"][PUT_NAME] == 3
    condor = ("--add", f"{CALL_NAME}=-1", "--add", f"{PUT_NAME}=-1", "--alone")
    assert "at expiry, 2026-12-25" in shell("payoff", *condor)
    assert json.loads(shell("payoff", *condor, "--json"))["breakevens"] == [98_000, 102_000]
    assert "NAME=AMOUNT" in shell("payoff", "--add", "what=ever", fails=True)
    assert "between 0 and 1" in shell("payoff", *condor, "--reach", "2", fails=True)


def test_the_past_as_a_table_and_as_a_file(venue, shell, tmp_path):
    world, _ = venue
    world.do(lambda venue: venue.sell(MAKER_ID, 1, 1_001))
    world.do(lambda venue: venue.buy(TAKER_ID, 1, 1_001))
    assert "1,001" in shell("history", "trades", "--limit", "1")
    assert "deposit" in shell("history", "log", "--since", "2026-01-01", "--until", "2027-01-01")
    assert "no funding yet" in shell("history", "funding")
    file = tmp_path / "trades.csv"
    assert "rows of trades" in shell("history", "trades", "--csv", str(file))
    assert CALL_NAME in file.read_text()
    assert "for trades and log" in shell("history", "orders", "--since", "2026-01-01", fails=True)
    assert "gossip is none of orders" in shell("history", "gossip", fails=True)


def test_a_block_is_asked_for_quoted_and_taken(shell, maker):
    legs = (f"{CALL_NAME}=1", f"{PUT_NAME}=-1")
    (asked,) = json.loads(shell("rfq", "ask", "--amount", "2", "--json", *legs))
    number = str(asked["block_rfq_id"])
    assert number in maker("rfq", "list")
    maker("rfq", "quote", number, "sell", "10")
    assert "stands" in maker("rfq", "quote", number, "sell", "5")
    assert "5.00" in shell("rfq", "list")
    assert "filled" in shell("rfq", "accept", number, "buy", "6")
    assert "no open request" in shell("rfq", "accept", number, "buy", "6", fails=True)
    (again,) = json.loads(shell("rfq", "ask", "--amount", "2", "--side", "sell", "--json", *legs))
    assert "canceled" in shell("rfq", "cancel", str(again["block_rfq_id"]))
    assert "buy or sell" in maker("rfq", "quote", "1", "up", "5", fails=True)


def test_a_combo_is_found_by_its_legs(shell):
    shown = shell("combo", f"{CALL_NAME}=-1", f"{PUT_NAME}=-1")
    assert "BTC_USDC-STRD-25DEC26-100000" in shown
    assert "is selling this" in shown


def test_a_local_venues_people_are_chosen_by_number(venue, shell):
    world, _ = venue
    world.do(lambda venue: venue.fund(person(0).address))
    assert "flat" in shell("positions", "--person", "0")
    assert "--person is 0 to 5" in shell("positions", "--person", "9", fails=True)
    assert "one of them" in shell("positions", "--person", "0", "--key", "x", fails=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chain", "--url", f"http://127.0.0.1:{free_port()}"], "scripts/run"),
        (["book", CALL_NAME[:-1] + "X"], "did you mean"),
        (["order", "buy", CALL_NAME, "1"], "--market"),
        (["order", "buy", CALL_NAME, "1", "2", "--market"], "--market"),
        (["order", "buy", CALL_NAME, "one", "2"], "no number"),
        (["order", "buy", CALL_NAME, "1", "2", "--tif", "day"], "--tif"),
        (["order", "buy", CALL_NAME, "0.001", "2"], "quantity_off_lot"),
        (["order", "sell", CALL_NAME, "1000", "1000"], "trade risk"),
        (["order", "cancel"], "name an order"),
        (["order", "cancel", "77"], "order list"),
        (["positions", "--key", "/nonexistent"], "No such file"),
        (["positions", "--subaccount", "2"], "another --subaccount"),
    ],
)
def test_errors_say_what_to_do_next(shell, words, said):
    assert said in shell(*words, fails=True)
