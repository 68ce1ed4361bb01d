"""The operator's command line: every command reaches its route, with the reason."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from exchange.bootstrap import logs
from exchange.bootstrap.admin_app import admin
from exchange.bootstrap.processes import StartFailed

HELD = {"subaccount_id": 7, "detail": "odd"}
WHERE = {"underlying_id": 1, "instrument_id": 0, "reason": "odd"}
REPORT = {"accounts": 2, "liquidated": [], "restricted": []}
CHANGE = {"fees": {"maker_rate": 1}}
COMMANDS = {
    "status": ("GET", "status", None),
    "liquidations": ("GET", "liquidations", None),
    "account 7": ("GET", "accounts/7", None),
    "fees": ("GET", "fees", None),
    "limits": ("GET", "limits", None),
    "replays": ("GET", "replays", None),
    "hold 7 --why odd": ("POST", "hold_withdrawals", HELD | {"held": True}),
    "release 7 --why odd": ("POST", "hold_withdrawals", HELD | {"held": False}),
    "suspend 7 --why odd": ("POST", "suspend_trading", HELD | {"suspended": True}),
    "reinstate 7 --why odd": ("POST", "suspend_trading", HELD | {"suspended": False}),
    "halt --underlying 1 --why odd": ("POST", "halt", WHERE),
    "resume --underlying 1 --why odd": ("POST", "resume", WHERE),
    "replay --until 5 --why odd": ("POST", "replays", {"until_seq": 5}),
    "fees FILE --why odd": ("POST", "fees", {"change": CHANGE, "confirm": 0}),
    "limits FILE --confirm 2 --why odd": ("POST", "limits", {"change": CHANGE, "confirm": 2}),
    "parameters preview FILE": ("POST", "parameters/preview", CHANGE),
    "parameters apply FILE --why odd": (
        "POST",
        "parameters/apply",
        {"change": CHANGE, "confirm": 0},
    ),
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command against a listener that notes what it was asked."""
    asked: list[Any] = []
    status = 200

    def request(verb, url, *, json, headers, timeout):
        if "nowhere" in url:
            raise httpx.ConnectError("refused")
        if "standby" in url:
            return httpx.Response(404, text="Not Found")  # as Starlette has it
        asked.append((verb, url, json, headers))
        refusal = {"error": {"message": "forbidden", "data": {"reason": "not for this role"}}}
        return httpx.Response(status, json=REPORT if status == 200 else refusal)

    def invoke(text, *, answer=200):
        nonlocal status
        status = answer
        file = tmp_path / "change.json"
        file.write_text(json.dumps(CHANGE))
        words = [str(file) if word == "FILE" else word for word in text.split()]
        return CliRunner().invoke(admin, words), asked

    monkeypatch.setattr(logs, "configure_logs", lambda _: None)  # the process's, not this test's
    monkeypatch.setattr(httpx, "request", request)
    monkeypatch.setenv("EXCHANGE_ADMIN_URL", "http://operator")
    monkeypatch.setenv("EXCHANGE_ADMIN_TOKEN", "t" * 16)
    return invoke


@pytest.mark.parametrize("text", COMMANDS)
def test_every_command_reaches_its_route(run, text):
    found, asked = run(text)
    assert found.exit_code == 0, found.output
    verb, path, body = COMMANDS[text]
    ((given_verb, url, given_body, headers),) = asked
    assert (given_verb, url, given_body) == (verb, f"http://operator/admin/{path}", body)
    assert headers["Authorization"] == "Bearer " + "t" * 16
    wanted = {"GET": "", "POST": "a preview" if "preview" in text else "odd"}
    assert headers["X-Reason"] == wanted[verb]
    assert "2" in found.output  # accounts, of what was answered


@pytest.mark.parametrize("text", ["hold 7", "halt", "fees FILE", "replay", "parameters apply FILE"])
def test_an_action_without_a_reason_is_not_sent(run, text):
    found, asked = run(text)
    assert (found.exit_code, asked) == (2, [])


def test_a_refusal_is_told_in_words(run):
    found, _ = run("status", answer=403)
    assert isinstance(found.exception, StartFailed)
    assert str(found.exception) == "forbidden: not for this role"


def test_the_listener_that_leads_is_asked(run, monkeypatch):
    """One is down, one stands by; where nobody leads that is said."""
    monkeypatch.setenv("EXCHANGE_ADMIN_URL", "http://nowhere,http://standby,http://operator")
    found, asked = run("halt --why odd")
    assert (found.exit_code, len(asked)) == (0, 1)
    monkeypatch.setenv("EXCHANGE_ADMIN_URL", "http://nowhere,http://standby")
    found, asked = run("status")
    assert "does not lead" in str(found.exception)
