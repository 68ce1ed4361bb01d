"""Which keepers start without the venue, and what they do while a proof cannot be made."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

from exchange.bootstrap.keeper_command import (
    KeeperSettings,
    Leaving,
    _patient,
    run_force_exit,
    run_keeper,
)
from exchange.bootstrap.processes import StartFailed
from exchange.keepers.ethereum import NodeUnavailable
from exchange.keepers.runner import Limits
from exchange.settlement.deployment import Deployment, save_deployment
from exchange.settlement.errors import ChainError

NOBODY = f"http://127.0.0.1:{free_port()}"


class Waiting:
    name = "waiting"

    async def look(self) -> list[Any]:
        return []


async def build(*_: object) -> Waiting:
    return Waiting()


def settings(folder: Path) -> KeeperSettings:
    limits = Limits(rounds=2, interval_s=0.0, dry_run=True)
    return KeeperSettings(
        url=NOBODY, rpc_url=NOBODY, limits=limits, json_file=folder / "books.json"
    )


def rounds(folder: Path) -> int:
    return int(json.loads((folder / "books.json").read_text())["rounds"])


def test_who_works_alone_starts_without_the_venue(tmp_path: Path) -> None:
    """The others say that nobody answers."""
    assert run_keeper(settings(tmp_path), build, signs_in=False, alone=True) == 0
    assert rounds(tmp_path) == 2
    with pytest.raises(StartFailed, match="public/get_time"):
        run_keeper(settings(tmp_path), build, signs_in=False)


def test_an_exit_asks_the_venue_for_its_contracts_unless_it_is_told(tmp_path: Path) -> None:
    """With `deployment.json` a node is enough, and one that is away is waited for."""
    with pytest.raises(StartFailed):
        run_force_exit(settings(tmp_path), Leaving("USDC", 5), None)
    address = "0x" + "11" * 20
    fields: dict[str, Any] = dict.fromkeys(Deployment.__struct_fields__, address)
    fields |= {"chain_id": 1, "block": 1, "shard": 0, "fund_subaccount_id": 1, "tokens": {}}
    file = tmp_path / "deployment.json"
    save_deployment(file, Deployment(**fields))
    assert run_force_exit(settings(tmp_path), Leaving("USDC", 5, address), file) == 0
    assert rounds(tmp_path) == 2
    with pytest.raises(StartFailed, match="no token WETH"):
        run_force_exit(settings(tmp_path), Leaving("WETH", 5, address), file)


def test_what_cannot_be_proven_yet_is_asked_again() -> None:
    """As where a node is away: the next round looks once more."""

    def due() -> list[int]:
        raise ChainError("the journal does not hold epoch 7")

    with pytest.raises(NodeUnavailable, match="epoch 7"):
        _patient(due)()
    assert _patient(lambda: [1])() == [1]
