"""Keepers as processes of their own, beside a venue of real processes on a real Anvil."""

from pathlib import Path
from typing import Any

import pytest
from tests.keeper_runs import run_keeper
from tests.live_venue import LiveVenue, eventually

from exchange.bootstrap import dev_keys
from exchange.settlement.deploy import project_artifacts
from exchange.settlement.governance import Role

pytestmark = pytest.mark.e2e

PERPETUAL = "BTC_USDC-PERPETUAL"


def keeper(venue: LiveVenue, folder: Path, key: bytes, *arguments: str) -> dict[str, Any]:
    """Run `exchange keeper ...` to its end; its books."""
    return run_keeper(venue, folder, key, *arguments).books


def appoint(venue: LiveVenue, address: str) -> None:
    """Governance gives the relayer's role to somebody else too."""
    chain = venue.chain
    abi: Any = project_artifacts()["AccessManager"].abi
    manager = chain.web3.eth.contract(address=chain.deployment.access_manager, abi=abi)
    data = chain.calldata(manager, "grantRole", Role.RELAYER, address, 0)
    chain.transact(dev_keys.deployer().key, chain.deployment.access_manager, data)


def test_keepers_settle_what_a_relayer_without_ether_cannot(
    venue: LiveVenue, tmp_path: Path
) -> None:
    """Funding indices by anybody, batches by whom governance named; then chain = engine."""
    ann, bob = venue.join(), venue.join()
    venue.settled()
    helper = dev_keys.person(5)
    appoint(venue, helper.address)
    venue.chain.rpc("anvil_setBalance", dev_keys.relayer().address, "0x0")
    for name in (PERPETUAL, venue.option()):
        venue.trade(ann, bob, name)
    call = ann.client.call
    eventually(lambda: call("public/get_pending_posts"), "a post that waits")
    seen = keeper(venue, tmp_path, helper.key, "settle", "--dry-run", "--rounds", "1")
    assert (seen["done"], seen["wei"]) == (0, 0)
    done = 0
    while venue.chain.last_batch().number < venue.admin("/admin/status")["batch_number"]:
        for name in ("funding", "settle"):
            options = ("--patience", "0", "--rounds", "3", "--interval", "0.5")
            books = keeper(venue, tmp_path, helper.key, name, *options)
            done += books["done"]
            assert books["done"] == 0 or (books["wei"] > 0 and float(books["profit"]) < 0)
    assert done > 0
    venue.require_agreement()


def test_a_strategy_flattens_by_a_session_key(venue: LiveVenue, tmp_path: Path) -> None:
    """It sells what the owner holds to who bids near the mark, and stops there."""
    ann, bob = venue.join(), venue.join()
    venue.trade(ann, bob, PERPETUAL, "0.2")
    phone = dev_keys.person(4)
    deadline = venue.chain.block_time() + 86_400
    chain = venue.chain
    data = chain.calldata(chain.clearing, "setSessionKey", phone.address, deadline)
    chain.transact(bob.party.key, chain.deployment.clearing, data)
    venue.observed()
    mark = ann.client.ticker(PERPETUAL).mark_price
    assert mark is not None
    bid = (mark / 10).to_integral_value() * 10
    ann.client.buy(PERPETUAL, "1", bid)
    file = tmp_path / "unwind.toml"
    file.write_text(f'subaccount_id = {bob.subaccount_id}\n[[flatten]]\nslippage = "0.02"\n')
    books = keeper(venue, tmp_path, phone.key, "strategy", str(file), "--rounds", "3")
    assert books["failed"] == 0
    assert bob.client.positions() == []
    venue.require_agreement()
