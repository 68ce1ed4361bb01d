"""Runs in an environment of its own (margin_peers.txt): prices per second of py_vollib_vectorized.

Reads the options as JSON from stdin, writes seconds of the best run and the prices to stdout.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402  no warnings from here on
from py_vollib_vectorized import vectorized_black  # noqa: E402  no warnings from here on

given = {name: np.array(values) for name, values in json.load(sys.stdin).items()}
flags = np.where(given["is_put"], "p", "c")
arguments = (flags, given["forward"], given["strike"], given["tau"], 0.0, given["volatility"])
prices = vectorized_black(*arguments, return_as="numpy")  # compiles
best = float("inf")
for _ in range(9):
    start = time.process_time()
    prices = vectorized_black(*arguments, return_as="numpy")
    best = min(best, time.process_time() - start)
json.dump({"seconds": best, "prices": prices.tolist()}, sys.stdout)
