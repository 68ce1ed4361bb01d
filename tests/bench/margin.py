"""`exchange bench margin`: what margin costs, beside the pricing peers, in one run.

CPU time, the best of several rounds: what a busy machine disturbs least, though a shared core
still shows; ratios are what counts. A peer that does not run fails the bench: py_vollib_vectorized
gets an environment of its own, made on demand, because it needs an older numpy.
"""

import json
import os
import platform
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import QuantLib

from exchange.fixed import CASH_SCALE, QUANTITY_SCALE
from exchange.margin.account import MarginAccount
from exchange.margin.market import ExpiryMarket, Market, UnderlyingMarket
from exchange.margin.marks import MarksBook
from exchange.margin.order import MarginOrder
from exchange.margin.pricing import price
from exchange.margin.remargin import MaintenanceSweep
from exchange.margin.risk_arrays import build_update, risk_rows
from exchange.margin.scenarios import load_preset, margin_parameters
from exchange.margin.standard import StandardAccount
from exchange.margin.surface import FlatSurface
from exchange.margin.svi_fit import Quote, fit_surface
from exchange.model import InstrumentTerms, Kind, OptionKind, pack_instrument_id

HERE = Path(__file__).parent
VENV = HERE.parents[1] / ".venv" / "margin-peers"
NOW = 1_795_248_000  # 2026-11-21 08:00 UTC
DAYS = (1, 2, 7, 14, 35, 63, 98, 126, 217, 308)
STRIKES = range(40_000, 140_000, 2_000)
SEED = 20261121


def run(rounds: int = 9) -> dict[str, object]:
    """Every figure of `exchange bench margin`."""
    figures: dict[str, float] = {}
    figures |= pricing(rounds)
    figures |= arrays(rounds)
    figures |= decisions(rounds)
    figures |= sweeps(rounds)
    figures |= standard_sweep(rounds)
    figures |= growth(rounds)
    figures |= smiles(rounds)
    return {"machine": machine(), "figures": figures}


def machine() -> dict[str, object]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "load": round(os.getloadavg()[0], 1),
    }


def best(rounds: int, work) -> float:
    """CPU seconds of the fastest of `rounds` runs."""
    fastest = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        fastest = min(fastest, time.process_time() - start)
    return fastest


def market(move: float = 1.0, days: tuple[int, ...] = DAYS) -> Market:
    expiries = tuple(
        ExpiryMarket(expiry=NOW + day * 86_400, forward_price=100_000.0 * move) for day in days
    )
    underlying = UnderlyingMarket(
        underlying_id=1,
        index_price=100_000.0 * move,
        surface=FlatSurface(0.65),
        expiries=expiries,
    )
    return Market(time_ns=NOW * 10**9, underlyings=(underlying,))


def chain() -> list[int]:
    """1,000 options: ten expiries, fifty strikes, both kinds."""
    terms = [
        InstrumentTerms(Kind.OPTION, 1, NOW + day * 86_400, strike * CASH_SCALE, kind)
        for day in DAYS
        for strike in STRIKES
        for kind in OptionKind
    ]
    return sorted(map(pack_instrument_id, terms))


def pricing(rounds: int, count: int = 33_000) -> dict[str, float]:
    """Black-76 prices per second, the same options in each library."""
    rng = np.random.default_rng(SEED)
    options = {
        "forward": np.full(count, 100_000.0),
        "strike": rng.uniform(40_000.0, 200_000.0, count),
        "tau": rng.uniform(0.01, 1.0, count),
        "volatility": rng.uniform(0.3, 1.5, count),
        "is_put": rng.random(count) < 0.5,
    }
    columns = [options[name] for name in ("forward", "strike", "tau", "volatility", "is_put")]
    ours = price(*columns)
    ours_s = best(rounds, lambda: price(*columns))
    quantlib, quantlib_s = quantlib_prices(columns)
    vollib, vollib_s = vollib_prices(options)
    for name, theirs in (("QuantLib", quantlib), ("py_vollib_vectorized", vollib)):
        if not np.allclose(ours, theirs, rtol=1e-9, atol=1e-6):
            raise AssertionError(f"{name} prices differently")
    return {
        "prices_per_s": count / ours_s,
        "quantlib_prices_per_s": count / quantlib_s,
        "py_vollib_vectorized_prices_per_s": count / vollib_s,
    }


def quantlib_prices(columns: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """One call an option, its fastest interface to Python."""
    forward, strike, tau, volatility, is_put = (column.tolist() for column in columns)
    kinds = [QuantLib.Option.Put if put else QuantLib.Option.Call for put in is_put]
    deviations = [vol * years**0.5 for vol, years in zip(volatility, tau, strict=True)]
    cases = list(zip(kinds, strike, forward, deviations, strict=True))
    start = time.process_time()
    prices = [QuantLib.blackFormula(*case) for case in cases]
    return np.array(prices), time.process_time() - start


def vollib_prices(options: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    python = VENV / "bin" / "python"
    done = VENV / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        peers = ["-r", str(HERE / "margin_peers.txt")]
        subprocess.run([python, "-m", "pip", "install", "-q", *peers], check=True)
        done.touch()
    given = json.dumps({name: values.tolist() for name, values in options.items()})
    answer = subprocess.run(
        [python, HERE / "margin_peer.py"], input=given, capture_output=True, text=True, check=True
    )
    found = json.loads(answer.stdout)
    return np.array(found["prices"]), found["seconds"]


def arrays(rounds: int) -> dict[str, float]:
    """From a market to integers; then with the Merkle root; then into the engine."""
    preset, ids, world = load_preset("pm33"), chain(), market()
    rows_s = best(3 * rounds, lambda: risk_rows(preset, world, ids))
    update_s = best(rounds, lambda: build_update(preset, world, ids, 1))
    update = build_update(preset, world, ids, 1)

    def apply() -> None:
        MarksBook(margin_parameters(preset)).update(update)

    few = ids[:100]
    pm35 = load_preset("pm35")
    return {
        "risk_arrays_ms": rows_s * 1e3,
        "risk_arrays_ms_100_instruments": best(rounds, lambda: risk_rows(preset, world, few)) * 1e3,
        "risk_arrays_ms_35_scenarios": best(rounds, lambda: risk_rows(pm35, world, ids)) * 1e3,
        "risk_arrays_and_root_ms": update_s * 1e3,
        "marks_update_ms": best(rounds, apply) * 1e3,
    }


def decisions(rounds: int) -> dict[str, float]:
    """One order against an account: the whole scenario vector each time, no shortcut."""
    rng = random.Random(SEED)
    marks = marks_book()
    figures = {}
    for legs in (10, 100, 1000):
        account = trader(marks, rng, legs)
        for order_id in range(20):
            account.place_order(order_id, fair_order(marks, rng))
        orders = [fair_order(marks, rng) for _ in range(500)]
        for order in orders:
            account.initial_excess_with(order)  # unit effects are made once an epoch

        def decide(account=account, orders=orders) -> None:
            for order in orders:
                account.initial_excess_with(order)

        seconds = best(3 * rounds, decide)
        name = "margin_decision_us" if legs == 100 else f"margin_decision_us_{legs}_legs"
        figures[name] = seconds / len(orders) * 1e6
        if legs == 100:
            figures |= changes(rounds, account, orders)
    return figures


def changes(rounds: int, account: MarginAccount, orders: list[MarginOrder]) -> dict[str, float]:
    def place_and_remove() -> None:
        for order in orders:
            account.place_order(10**6, order)
            account.remove_order(10**6)

    def fill_and_ask() -> None:
        for order in orders:
            account.apply_fill(order.instrument_id, order.sign)
            account.initial_excess()

    return {
        "place_and_remove_us": best(rounds, place_and_remove) / len(orders) * 1e6,
        "fill_and_excess_us": best(rounds, fill_and_ask) / len(orders) * 1e6,
    }


def sweeps(rounds: int) -> dict[str, float]:
    """Which of all accounts are liquidatable, after each of several new epochs."""
    rng = random.Random(SEED)
    preset, ids = load_preset("pm33"), chain()
    marks = marks_book()
    accounts = [trader(marks, rng, 50, subaccount_id) for subaccount_id in range(10_000)]
    for account in accounts:  # cash for one to three times its margin; about one in fifty short
        spare = rng.uniform(-0.02, 2.0) * account.maintenance_margin()
        account.add_cash(round(spare) - account.maintenance_excess())
    sweep, smaller = MaintenanceSweep(marks), MaintenanceSweep(marks)
    first_s = best(1, lambda: sweep.liquidatable(accounts))
    smaller.liquidatable(accounts[:1000])
    all_s = few_s = float("inf")
    for at in range(rounds):
        world = market(move=1 - 0.0005 * at)
        marks.update(build_update(preset, world, ids, marks.epoch + 1))
        all_s = min(all_s, best(1, lambda: sweep.liquidatable(accounts)))
        few_s = min(few_s, best(1, lambda: smaller.liquidatable(accounts[:1000])))
    found = sweep.liquidatable(accounts)
    expected = [one.subaccount_id for one in accounts if one.maintenance_excess() < 0]
    if found != expected:
        raise AssertionError("the sweep is not exact")
    return {
        "remargin_10k_ms": all_s * 1e3,
        "remargin_1k_ms": few_s * 1e3,
        "remargin_10k_after_packing_all_ms": first_s * 1e3,
        "remargin_10k_liquidatable": float(len(found)),
    }


def standard_sweep(rounds: int, legs: int = 5) -> dict[str, float]:
    """The same of 10,000 small accounts, each position by itself."""
    rng = random.Random(SEED)
    preset, ids, marks = load_preset("pm33"), chain(), marks_book()
    members = []
    for subaccount_id in range(10_000):
        account = StandardAccount(subaccount_id, marks)
        for instrument_id in rng.sample(ids, legs):
            account.apply_fill(instrument_id, rng.choice((-1, 1)) * QUANTITY_SCALE)
        account.add_cash(rng.randrange(10**9) - account.maintenance_excess())
        members.append(account)
    sweep, fastest = MaintenanceSweep(marks), float("inf")
    for at in range(rounds):
        update = build_update(preset, market(move=1 - 0.0005 * at), ids, marks.epoch + 1)
        marks.update(update)
        fastest = min(fastest, best(1, lambda: sweep.liquidatable(members)))
    return {"remargin_10k_standard_ms": fastest * 1e3}


def growth(rounds: int, accounts: int = 1_000) -> dict[str, float]:
    """What more legs and more scenarios cost, beside the figures of `decisions` and `sweeps`."""
    figures = {}
    for name, legs in (("pm33", 10), ("pm33", 200), ("pm35", 50)):
        rng = random.Random(SEED)
        preset, ids, marks = load_preset(name), chain(), marks_book(name)
        members = [trader(marks, rng, legs, subaccount_id) for subaccount_id in range(accounts)]
        for account in members:
            spare = rng.uniform(-0.02, 2.0) * account.maintenance_margin()
            account.add_cash(round(spare) - account.maintenance_excess())
        sweep = MaintenanceSweep(marks)
        sweep.liquidatable(members)
        fastest = float("inf")
        for at in range(rounds):
            update = build_update(preset, market(move=1 - 0.0005 * at), ids, marks.epoch + 1)
            marks.update(update)
            fastest = min(fastest, best(1, lambda s=sweep, m=members: s.liquidatable(m)))
        grown = f"{legs}_legs" if name == "pm33" else "35_scenarios"
        figures[f"remargin_1k_ms_{grown}"] = fastest * 1e3
    return figures | {"margin_decision_us_35_scenarios": decision_us(rounds, "pm35")}


def decision_us(rounds: int, name: str) -> float:
    """One order's decision on 100 legs under a preset, in microseconds."""
    rng = random.Random(SEED)
    marks = marks_book(name)
    account = trader(marks, rng, 100)
    orders = [fair_order(marks, rng) for _ in range(500)]

    def decide() -> None:
        for order in orders:
            account.initial_excess_with(order)

    decide()  # unit effects are made once an epoch
    return best(3 * rounds, decide) / len(orders) * 1e6


def smiles(rounds: int, strikes: int = 18) -> dict[str, float]:
    """One expiry's smile from its quotes; beside the cycle, in a process of its own."""
    quotes = [
        Quote(1, 30 / 365, 100_000.0, 60_000.0 + 5_000.0 * at, 0.6 + 0.001 * (at - 8) ** 2, 0.02)
        for at in range(strikes)
    ]
    return {"smile_fit_ms": best(rounds, lambda: fit_surface(quotes)) * 1e3}


def marks_book(name: str = "pm33") -> MarksBook:
    preset = load_preset(name)
    marks = MarksBook(margin_parameters(preset))
    marks.update(build_update(preset, market(), chain(), 1))
    return marks


def trader(
    marks: MarksBook, rng: random.Random, legs: int, subaccount_id: int = 1
) -> MarginAccount:
    account = MarginAccount(subaccount_id, marks)
    for instrument_id in rng.sample(marks.instrument_ids, legs):
        account.apply_fill(instrument_id, rng.choice((-1, 1)) * rng.randint(1_000, 50_000))
    return account


def fair_order(marks: MarksBook, rng: random.Random) -> MarginOrder:
    instrument_id = rng.choice(marks.instrument_ids)
    limit = max(10_000, marks.mark_price(instrument_id) // 10_000 * 10_000)
    return MarginOrder(instrument_id, rng.choice((-1, 1)), 10_000, limit, 50 * CASH_SCALE)


if __name__ == "__main__":
    text = msgspec.json.format(msgspec.json.encode(run()))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_bytes(text + b"\n")
    print(text.decode())
