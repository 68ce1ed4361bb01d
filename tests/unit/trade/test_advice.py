"""Refusals with what to do next."""

import pytest

from exchange.reasons import RejectReason
from exchange.sdk import ApiError, BadArgument, ConnectionLost
from exchange.trade import advice
from exchange.trade.advice import explain

URL = "http://venue"


def test_every_advice_is_for_a_reason_that_exists():
    assert advice._NEXT.keys() <= {reason.value for reason in RejectReason}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionLost("no route"), ["http://venue", "no route", "scripts/run"]),
        (
            ApiError(10009, "not_enough_funds", reason="insufficient_margin: too little",
                     reject_reason="insufficient_margin"),
            ["refused: insufficient_margin (too little); ", "trade risk"],
        ),
        (ApiError(10043, "price_wrong_tick", reason="price_off_tick: a tick is 5",
                  reject_reason="price_off_tick"), ["price_off_tick (a tick is 5)"]),
        (ApiError(10028, "too_many_requests"), ["too_many_requests; wait"]),
        (ApiError(10020, "invalid", reason="no instrument X-1"), ["trade chain"]),
        (BadArgument("0x1 has no subaccount: deposit first"), ["README"]),
        (BadArgument("amount: too fine"), ["amount: too fine"]),
    ],
)  # fmt: skip
def test_what_happened_and_what_to_do(error, words):
    said = explain(error, URL)
    assert [word for word in words if word not in said] == []


class Listed:
    """A client that knows two names."""

    def instruments(self):
        names = ["BTC_USDC-25DEC26-100000-C", "BTC_USDC-PERPETUAL"]
        return [type("Row", (), {"instrument_name": name}) for name in names]


def test_similar_names_are_offered():
    error = ApiError(10020, "x", reason="no instrument btc_usdc-25dec26-100001-c")
    assert "did you mean BTC_USDC-25DEC26-100000-C?" in explain(error, URL, Listed())
    error = ApiError(10020, "x", reason="no instrument zzz-zzz")
    assert "trade chain" in explain(error, URL, Listed())
