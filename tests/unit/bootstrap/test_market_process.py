"""Demonstration agents wait for a venue that does not answer yet."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.fake_chain import FakeChain

from exchange.bootstrap import dev_keys, market_process
from exchange.sdk.errors import ConnectionLost
from exchange.settlement.errors import ChainUnavailable


def test_money_comes_as_soon_as_venue_and_chain_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure is told, and the whole is tried again."""
    failures = [ConnectionLost("http://venue does not answer"), ChainUnavailable("no node")]
    asked = []

    async def fund_once(url: str, _chain: object, party: dev_keys.Party, cash: int) -> None:
        asked.append((url, party.address, cash))
        if failures:
            raise failures.pop(0)

    monkeypatch.setattr(market_process, "_fund_once", fund_once)
    monkeypatch.setattr(market_process, "_PATIENCE_S", 0.0)
    person = dev_keys.person(0)
    chain: object = FakeChain()
    with capture_logs() as lines:
        asyncio.run(market_process._fund("http://venue", chain, person, 7))
    assert asked == [("http://venue", person.address, 7)] * 3
    reasons = [line["reason"] for line in lines if line["event"] == "waits_to_fund"]
    assert reasons == ["http://venue does not answer", "no node"]


def test_what_does_not_mend_itself_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a chain that is not the venue's."""

    async def fund_once(*_: object) -> None:
        raise ValueError("nobody expected this")

    monkeypatch.setattr(market_process, "_fund_once", fund_once)
    with pytest.raises(ValueError, match="nobody expected"):
        asyncio.run(market_process._fund("", object(), dev_keys.person(0), 1))
