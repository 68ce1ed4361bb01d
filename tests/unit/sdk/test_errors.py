"""Errors carry what the venue said."""

from exchange.sdk.errors import ApiError, BadArgument, ConnectionLost, SdkError


def test_an_api_error_has_code_reason_and_parameter():
    error = ApiError(10043, "price_wrong_tick", reason="off", param="price", reject_reason="x")
    assert (error.code, error.param, error.reject_reason) == (10043, "price", "x")
    assert str(error) == "10043 price_wrong_tick: off"


def test_everything_is_an_sdk_error():
    for kind in (ApiError, BadArgument, ConnectionLost):
        assert issubclass(kind, SdkError)
