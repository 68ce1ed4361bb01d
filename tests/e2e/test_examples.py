"""The examples, as processes of their own before a venue of real processes on a real Anvil."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.live_venue import LiveVenue, Trader, eventually

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PERPETUAL = "BTC_USDC-PERPETUAL"
RUN_S = 300


def environment(venue: LiveVenue, who: Trader) -> dict[str, str]:
    return {
        **os.environ,
        "EXCHANGE_URL": venue.stack.url,
        "EXCHANGE_RPC_URL": venue.stack.settings.rpc_url,
        "EXCHANGE_TRADE_KEY": who.party.key.hex(),
        "EXCHANGE_KEEPER_KEY": who.party.key.hex(),
        "COLUMNS": "140",
    }


def run(venue: LiveVenue, who: Trader, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        env=environment(venue, who),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_and_the_command_line_trade_with_one_another(
    venue: LiveVenue, tmp_path: Path
) -> None:
    """A maker quotes; a condor, a hedge and a hand-typed order trade with it; chain = engine."""
    maker, trader = venue.join(), venue.join()
    output = tmp_path / "maker.txt"
    # A job in a shell's background ignores Ctrl-C, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with output.open("wb") as out:
        quoting = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "quote_chain.py")],
            env=environment(venue, maker),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    signal.signal(signal.SIGINT, before)
    try:
        eventually(lambda: "quotes stand" in output.read_text(), "a sheet of quotes")

        shown = run(venue, trader, str(EXAMPLES / "condor.py"))
        assert "filled 0.1" in shown, shown
        assert "breaks even at" in shown
        legs = trader.client.positions()
        assert sorted(leg.size * 10 for leg in legs) == [-1, -1, 1, 1]

        bought = run(venue, trader, "-m", "exchange", "trade", "order", "buy", PERPETUAL, "0.5",
                     "--market", "--json")  # fmt: skip
        assert json.loads(bought)["order"]["order_state"] == "filled"
        assert "BTC" in run(venue, trader, "-m", "exchange", "trade", "risk")

        keeper = ("-m", "exchange", "keeper", "strategy", str(EXAMPLES / "hedge_keeper.py"))
        where = ("--url", venue.stack.url, "--rpc", venue.stack.settings.rpc_url)
        shown = run(venue, trader, *keeper, *where, "--rounds", "6", "--interval", "0.5")
        assert "sell" in shown, shown
        delta = sum(one.delta for one in trader.client.positions())
        assert abs(delta) < 0.25, shown

        assert " logs of 0x" in run(venue, trader, str(EXAMPLES / "follow_settlement.py"))
    finally:
        quoting.send_signal(signal.SIGINT)
        code = quoting.wait(60)
    assert (code, "quotes canceled" in output.read_text()) == (0, True), output.read_text()
    assert maker.client.open_orders() == []
    venue.require_agreement()
