"""Every refusal has one place, one code and one sentence."""

from pathlib import Path

import pytest

from exchange.api import errors
from exchange.events import RejectReason

DOCS = Path(__file__).resolve().parents[3] / "docs" / "api.md"


def tree(error):
    return [error] + [leaf for child in error.__subclasses__() for leaf in tree(child)]


def test_reject_reasons_are_mapped_in_the_order_of_the_checks():
    assert list(errors.REJECTIONS) == list(RejectReason)


@pytest.mark.parametrize("reason", RejectReason)
def test_a_rejection_names_its_reason_and_parameter(reason):
    code, message, param = errors.REJECTIONS[reason]
    payload = errors.Rejected(reason, "detail").payload()
    assert payload["code"] == code
    assert payload["message"] == message
    assert payload["data"]["reject_reason"] == reason.value
    assert payload["data"]["reason"] == f"{reason.value}: detail"
    assert payload["data"].get("param", "") == param


@pytest.mark.parametrize("error", tree(errors.ExchangeError)[1:])
def test_each_error_is_documented(error):
    if error is not errors.Rejected:
        row = f"| {error.code} | `{error.message}` | {error.http_status} |"
        assert row in DOCS.read_text()


def test_long_reasons_are_cut():
    payload = errors.InvalidParams("x" * 10_000, "amount").payload()
    assert len(payload["data"]["reason"]) == errors.REASON_LENGTH_MAX


def test_an_error_without_words_has_empty_data():
    assert errors.MethodNotFound().payload()["data"] == {}
