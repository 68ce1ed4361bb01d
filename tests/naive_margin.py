"""The formulas of `pm33` once more, one number at a time, written from the page and not from src.

The specification that `margin.reference` is compared with. Knows nothing of the package.
"""

import math

GRID = [1.135, 1.09, 1.045, 1.0, 0.955, 0.91, 0.865]
TAILS = [
    (0.34, 0.21),
    (0.67, 0.42),
    (1.5, 0.2772),
    (2, 0.1386),
    (3, 0.0693),
    (4, 0.0462),
    (5, 0.03465),
    (6, 0.02772),
]
SCENARIOS = [
    (1.18, "up", 1.0),
    *((spot, mode, 1.0) for spot in GRID for mode in ("up", "none", "down")),
    (0.82, "up", 1.0),
    *((spot, "up", weight) for spot, weight in TAILS),
    (1.0, "linear", 1.0),
    (1.0, "absolute", 1.0),
]


def normal(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


def black(forward, strike, tau, vol, put, rate):
    deviation = vol * math.sqrt(tau)
    discount = math.exp(-rate * tau)
    if deviation == 0:
        return discount * max(0.0, strike - forward if put else forward - strike)
    first = math.log(forward / strike) / deviation + deviation / 2
    second = first - deviation
    if put:
        return discount * (strike * normal(-second) - forward * normal(-first))
    return discount * (forward * normal(first) - strike * normal(second))


def shocked_vol(vol, mode, days, strike, forward):
    power = 0.30 if days <= 30 else 0.13
    scale = (30 / max(days, 1)) ** power
    if mode == "up":
        return max(0.4, vol * (1 + 0.5 * scale))
    if mode == "down":
        return vol * max(0, 1 - 0.3 * scale)
    if mode == "none":
        return vol
    tau = days / 365
    cap = 0.25 - 0.1 * math.sqrt(tau)
    k = math.log(strike / forward)
    k = abs(k) if mode == "absolute" else k
    width = max(0.01, math.sqrt(tau) * 4 * 0.6)
    return vol * (1 + min(cap, max(-cap, k * cap / width)))


def margin(index, confidence, stablecoin, cash, perpetual, expiries):
    """(scenario results, basis, initial excess, maintenance excess) of one underlying.

    `perpetual` is (quantity, price); `expiries` are dicts of days, forward, fixed, rate and legs,
    legs being (quantity, strike, put, vol).
    """
    results = [perpetual[0] * perpetual[1] * (spot - 1) * weight for spot, _, weight in SCENARIOS]
    basis = naked = net_short = 0.0
    mark_value = perpetual[0] * perpetual[1]
    for expiry in expiries:
        days, rate, legs = expiry["days"], expiry["rate"], expiry["legs"]
        tau = days / 365
        forward = expiry["forward"] + expiry["fixed"]
        value = sum(q * black(forward, k, tau, v, put, rate) for q, k, put, v in legs)
        mark_value += value
        values = []
        for at, (spot, mode, weight) in enumerate(SCENARIOS):
            moved = expiry["forward"] * spot + expiry["fixed"]
            shocked = sum(
                q * black(moved, k, tau, shocked_vol(v, mode, days, k, forward), put, rate)
                for q, k, put, v in legs
            )
            values.append(shocked)
            if shocked >= 0:
                discount = 0.98 * math.exp(-0.10 * tau)
            else:
                discount = min(math.exp(rate * tau), 1.02 * math.exp(0.10 * tau))
            result = (shocked * discount - value) * weight
            results[at] += -abs(result) if mode in ("linear", "absolute") else result
        up = values[SCENARIOS.index((1.045, "none", 1.0))] - value
        down = values[SCENARIOS.index((0.955, "none", 1.0))] - value
        basis += min(up, down, 0) * (0.5 + 2 * tau)
        strikes = {}
        for q, k, _, _ in legs:
            strikes[k] = strikes.get(k, 0) + q
        naked += sum(max(0, -q) for q in strikes.values())
        net_short += max(0, -sum(q for q, _, _, _ in legs))
    worst = min(*results, basis)
    notional = abs(perpetual[0]) * perpetual[1]
    maintenance_addons = 0.03 * notional + 0.003 * index * naked
    initial_addons = 0.01 * notional + 0.002 * index * naked
    if confidence < 0.55:
        initial_addons += (1 - confidence) * (notional + net_short * index)
    equity = mark_value + cash
    factor = 1.0 + 4 * max(0, 0.99 - stablecoin)
    initial = worst * factor - initial_addons - maintenance_addons + equity
    return results, basis, initial, worst * 0.8 - maintenance_addons + equity
