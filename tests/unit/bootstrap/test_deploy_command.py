"""Roles are handed over to addresses that somebody typed with care, by who holds the key."""

from typing import Any

import pytest

from exchange.bootstrap import deploy_command
from exchange.bootstrap.deploy_command import DEPLOYER_VARIABLE, run_hand_over
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.settlement.governance import Officers
from exchange.signing import address_of

KEYS = (b"\x61" * 32, b"\x62" * 32, b"\x63" * 32)
ADMIN, GUARDIAN, RISK = map(address_of, KEYS)


class FakeChain:
    deployment = "deployment"


def test_roles_go_to_whom_they_were_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address with its checksum; nothing is sent before all of them are right."""
    sent: list[Any] = []
    monkeypatch.setattr(deploy_command, "open_chain", lambda *_: FakeChain)
    monkeypatch.setattr(deploy_command, "project_artifacts", lambda: None)
    monkeypatch.setattr(deploy_command, "hand_over", lambda *words: sent.append(words))
    officers = Officers(admin=ADMIN, guardian=GUARDIAN, risk=RISK, delay_s=9)
    for wrong in ("", "me", ADMIN[:-1], "0x" + "g" * 40, ADMIN.lower()):
        with pytest.raises(StartFailed, match="--guardian"):
            run_hand_over(Settings(), Officers(admin=ADMIN, guardian=wrong, risk=RISK))
    with pytest.raises(StartFailed, match=DEPLOYER_VARIABLE):
        run_hand_over(Settings(), officers)
    monkeypatch.setenv(DEPLOYER_VARIABLE, "0x" + KEYS[0].hex())
    run_hand_over(Settings(), officers)
    assert sent == [(FakeChain, KEYS[0], "deployment", officers)]
