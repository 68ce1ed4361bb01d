"""What a terminal shows, as text: the figures that matter are there, and nothing is asked twice."""

import io
from decimal import Decimal

import msgspec
import pytest
from rich.console import Console

from exchange.sdk import types
from exchange.sdk.rfq import BlockRfq, RfqPrice
from exchange.trade import tables
from exchange.trade.account import PositionRisk, Risk
from exchange.trade.market import Chain, ChainQuote, ChainRow, Depth
from exchange.trade.payoff import PayoffLeg, payoff

CALL, PUT = "BTC_USDC-25DEC26-100000-C", "BTC_USDC-25DEC26-100000-P"
EXPIRY_MS = 1_798_185_600_000


def text(shown, width=140):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(shown)
    return console.file.getvalue()


def order(**changes):
    fields = {
        "order_id": "17", "order_state": "open", "instrument_name": CALL, "direction": "buy",
        "price": 990, "amount": 2, "filled_amount": 0, "average_price": 0, "commission": 0,
        "time_in_force": "good_til_cancelled", "post_only": False, "reduce_only": False,
        "label": "mine", "subaccount_id": 3, "nonce": 5, "version": 0, "deadline": 9, "max_fee": 60,
    }  # fmt: skip
    return msgspec.convert(fields | changes, types.Order, strict=False)


def account(**changes):
    fields = {
        "subaccount_id": 3, "owner": "0x", "balance": 5_000, "equity": 10_000,
        "available_funds": 4_000, "available_withdrawal_funds": 0, "initial_margin": 6_000,
        "maintenance_margin": 4_800, "initial_excess": 4_000, "maintenance_excess": 5_200,
    }  # fmt: skip
    return fields | changes


def trade(**changes):
    fields = {
        "trade_id": "7", "instrument_name": CALL, "timestamp": EXPIRY_MS, "direction": "sell",
        "price": "1000.5", "amount": "0.1",
    }  # fmt: skip
    return msgspec.convert(fields | changes, types.Trade, strict=False)


def chain():
    quote = ChainQuote(
        instrument_name=CALL, bid=Decimal(990), ask=None, mark=Decimal("1000.5"),
        volatility=Decimal("61.25"), delta=0.512, open_interest=Decimal("12.5"),
    )  # fmt: skip
    return Chain(
        currency="BTC", expiry="25DEC26", expiry_ms=EXPIRY_MS,
        index_price=Decimal(99_000), forward_price=Decimal(99_500),
        expiries=["25DEC26", "26MAR27"],
        rows=[ChainRow(strike=Decimal(100_000), call=quote, put=None)],
    )  # fmt: skip


def test_a_chain_has_its_figures_and_the_other_expiries():
    shown = text(tables.show_chain(chain(), 140))
    for word in ("25DEC26", "99,500.00", "100,000", "990.00", "1,000.50", "61.2", "0.51", "12.5"):
        assert word in shown
    assert "other expiries: 26MAR27" in shown


@pytest.mark.parametrize(("width", "seen", "gone"), [(100, "mark", "vol"), (80, "ask", "mark")])
def test_a_narrow_terminal_gets_fewer_columns(width, seen, gone):
    lines = text(tables.show_chain(chain(), width), width).splitlines()
    (heading,) = [line for line in lines if "strike" in line]
    assert seen in heading
    assert gone not in heading


def test_a_book_shows_amounts_as_bars():
    book = types.OrderBook(
        instrument_name=CALL, timestamp=0, change_id=1,
        bids=[(Decimal(990), Decimal(4)), (Decimal(980), Decimal(1))],
        asks=[(Decimal(1_010), Decimal(2))], mark_price=Decimal(1_000),
    )  # fmt: skip
    lines = text(tables.show_depth(Depth(book=book, trades=[trade()]))).splitlines()
    (best,) = [line for line in lines if "990.00" in line]
    assert best.count("█") == tables.BAR_WIDTH + tables.BAR_WIDTH // 2
    assert any("1,000.50" in line for line in lines)


def test_an_empty_book_says_so():
    book = types.OrderBook(instrument_name=CALL, timestamp=0, change_id=0, bids=[], asks=[])
    assert "nobody" in text(tables.show_depth(Depth(book=book, trades=[])))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["990.00", "open", "mine"]),
        ({"post_only": True, "reduce_only": True}, ["post-only", "reduce-only"]),
        ({"time_in_force": "immediate_or_cancel"}, ["ioc"]),
        ({"time_in_force": "fill_or_kill"}, ["fok"]),
        ({"implv": "61.5", "limit_price": 1_200, "advanced": "implv"}, ["61.5 % to 1,200.00"]),
        (
            {"order_type": "stop_limit", "order_state": "untriggered", "trigger_price": 900},
            ["990.00 at 900.00", "stop_limit"],
        ),
        ({"cancel_reason": "price_band", "order_state": "cancelled"}, ["price_band"]),
        ({"filled_amount": 1, "average_price": "989.5"}, ["989.50"]),
    ],
)
def test_orders_say_what_they_are(changes, words):
    shown = " ".join(text(tables.show_orders([order(**changes)]), 200).split())
    assert [word for word in words if word not in shown] == []


def test_no_orders_is_a_sentence():
    assert text(tables.show_orders([])).strip() == "no open orders"


def test_a_receipt_names_its_seq_and_trades():
    own = trade(order_id="17", fee="0.03")
    receipt = types.Receipt(order=order(), trades=[own], seq=41, journal_hash="00")
    shown = text(tables.show_receipt(receipt))
    assert "seq 41" in shown
    assert "0.03" in shown


def test_positions_and_what_they_use():
    held = types.Position(
        instrument_name=CALL, direction="sell", size=Decimal(-2), average_price=Decimal(900),
        mark_price=Decimal(1_000), floating_profit_loss=Decimal(-200),
        realized_profit_loss=Decimal(0), delta=Decimal("-1.02"), subaccount_id=3,
    )  # fmt: skip
    summary = msgspec.convert(account(), types.Account, strict=False)
    shown = text(tables.show_positions([held], summary))
    assert "-2.0000" in shown
    assert "-200.00" in shown
    assert "uses 48.0% of equity" in shown
    assert "flat" in text(tables.show_positions([], summary))


@pytest.mark.parametrize(("equity", "share"), [(0, "100.0%"), (5_000, "96.0%"), (7_000, "68.6%")])
def test_what_is_used_when_little_is_left(equity, share):
    summary = msgspec.convert(account(equity=equity), types.Account, strict=False)
    assert share in text(tables.show_account(summary))


def risk(groups):
    scenarios = [("1.18", "up"), ("1", "none"), ("0.82", "up"), ("1", "skew_absolute")]
    simulation = account(
        projected_initial_margin=0, projected_maintenance_margin=0, current_initial_margin=0,
        current_maintenance_margin=0, positions={CALL: 1}, collateral={}, scenario_spots={},
        margin_model="cross_pm", groups=groups,
        scenarios=[{"spot": spot, "volatility": mode, "weight": 1} for spot, mode in scenarios],
    )  # fmt: skip
    greeks = {
        name: Decimal(number) for number, name in enumerate(("delta", "gamma", "vega", "theta"))
    }
    row = PositionRisk(instrument_name=CALL, size=Decimal(1), mark_price=Decimal(1), greeks=greeks)
    return Risk(
        simulation=msgspec.convert(simulation, types.Simulation, strict=False),
        positions=[row],
        greeks={"BTC": greeks},
    )


def test_risk_is_a_table_of_spot_by_volatility():
    group = {
        "underlyings": ["BTC"], "scenarios": [1_500, 0, -900, -30], "basis_contingency": -5,
        "worst": -900,
    }  # fmt: skip
    shown = text(tables.show_risk(risk([group])))
    assert "cross_pm" in shown
    lines = shown.splitlines()
    (up,) = [line for line in lines if "+18.0%" in line]
    (level,) = [line for line in lines if "+0.0%" in line]
    assert "+1,500.00" in up
    assert level.split() == ["+0.0%", "+0.00", "-30.00"]
    assert "vol skew absolute" in shown
    assert "worst -900.00" in shown


def test_risk_without_scenarios_says_so():
    assert "no scenario" in text(tables.show_risk(risk([])))


def test_a_payoff_names_what_is_read_off_it():
    legs = [
        PayoffLeg(
            instrument_name=CALL, kind="call", size=1.0, entry=1_000.0, forward=100_000.0,
            strike=100_000.0, expiry_ms=EXPIRY_MS, volatility=0.5,
        )
    ]  # fmt: skip
    found = payoff("BTC", legs, index_price=100_000.0, now_ms=EXPIRY_MS - 10**9)
    shown = text(tables.show_payoff(found))
    for word in ("101,000.00", "worst -1,000.00", "at expiry, 2026-12-25", CALL, "now"):
        assert word in shown
    linear = [
        PayoffLeg(instrument_name="X", kind="linear", size=1.0, entry=10.0, forward=100_000.0)
    ]
    shown = text(tables.show_payoff(payoff("BTC", linear, index_price=100_000.0, now_ms=0)))
    assert "at expiry" not in shown
    assert "no price in this range" in shown


@pytest.mark.parametrize(
    ("topic", "row", "words"),
    [
        ("trades", {"price": Decimal("1000.50"), "direction": "buy"}, ["1,000.5", "buy"]),
        ("log", {"type": "deposit", "change": 5_000, "price": None}, ["deposit", "5,000"]),
        ("deposits", {"currency": "USDC", "amount": 7, "state": "done"}, ["USDC", "done"]),
    ],
)  # fmt: skip
def test_history_shows_the_fields_of_its_topic(topic, row, words):
    shown = text(tables.show_history(topic, [{"timestamp": EXPIRY_MS, "seq": 4} | row]))
    assert "2026-12-25 08:00:00" in shown
    assert [word for word in words if word not in shown] == []
    assert text(tables.show_history(topic, [])).strip() == f"no {topic} yet"


def test_requests_for_quote_with_their_prices():
    asked = BlockRfq(
        block_rfq_id=3, state="open", role="taker", instrument_name=CALL, amount=Decimal(5),
        taker_direction="buy", expiration_timestamp=61_000,
        asks=[RfqPrice(block_rfq_quote_id=1, price=Decimal(1_010), amount=Decimal(5))],
    )  # fmt: skip
    shown = text(tables.show_rfqs([asked], 1_000))
    assert "1,010.00" in shown
    assert "60 s" in shown
    assert "no open requests" in text(tables.show_rfqs([], 0))


@pytest.mark.parametrize(
    ("value", "shown"), [("1.500", "1.5"), ("2000", "2,000"), ("10.00", "10"), ("0.0001", "0.0001")]
)
def test_numbers_keep_their_digits(value, shown):
    assert tables.plain(Decimal(value)) == shown
    assert tables.plain(None) == tables.figure(None) == ""
