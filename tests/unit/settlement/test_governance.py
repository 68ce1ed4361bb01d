"""Which role each function gets, and who is left with which when the deployer is done."""

from typing import Any

from eth_abi.abi import decode
from eth_hash.auto import keccak
from tests.settlement_world import DEPLOYER_KEY, RELAYER_KEY

from exchange.settlement.batch import SETTLE_SELECTOR
from exchange.settlement.chain import Receipt
from exchange.settlement.deployment import Deployment
from exchange.settlement.governance import (
    Officers,
    Role,
    assign_roles,
    execute,
    hand_over,
    schedule,
)
from exchange.settlement.margin_proof import PARAMETERS_TYPE
from exchange.settlement.solvency import SETTLE_PROVEN_SELECTOR
from exchange.signing import address_of

DEPLOYER = address_of(DEPLOYER_KEY).lower()
RELAYER = address_of(RELAYER_KEY).lower()
ADMIN, GUARDIAN, RISK = ("0x" + digit * 40 for digit in "abc")
DEPLOYMENT = Deployment(
    chain_id=31_337,
    clearing="0x" + "44" * 20,
    oracle="0x" + "55" * 20,
    usdc="0x" + "66" * 20,
    access_manager="0x" + "77" * 20,
    genesis_hash="0x" + "ab" * 32,
    block=1,
    margin="0x" + "88" * 20,
    access_pass="0x" + "99" * 20,
)
CALLS = {
    "setTargetFunctionRole": ["address", "bytes4[]", "uint64"],
    "grantRole": ["uint64", "address", "uint32"],
    "revokeRole": ["uint64", "address"],
    "renounceRole": ["uint64", "address"],
    "setRoleGuardian": ["uint64", "uint64"],
}


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


class Manager:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def transact(self, key: bytes, to: str, data: bytes) -> Receipt:
        assert (key, to) == (DEPLOYER_KEY, DEPLOYMENT.access_manager)
        for name, types in CALLS.items():
            if data[:4] == keccak(f"{name}({','.join(types)})".encode())[:4]:
                self.calls.append((name, *decode(types, data[4:])))
        return Receipt(tx_hash="", succeeded=True, block=1, gas_used=1, contract=None)

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def test_every_restricted_function_has_a_role() -> None:
    """Only the relayer's role is not the deployer's at first."""
    manager = Manager()
    assign_roles(manager, DEPLOYER_KEY, DEPLOYMENT, RELAYER)
    found = {
        (target, selector, role)
        for target, selectors, role in manager.named("setTargetFunctionRole")
        for selector in selectors
    }
    clearing, four = DEPLOYMENT.clearing, "(uint64,uint64,uint64,uint64)"
    assert found == {
        (clearing, SETTLE_SELECTOR, Role.RELAYER),
        (clearing, SETTLE_PROVEN_SELECTOR, Role.RELAYER),
        (clearing, selector("pause()"), Role.GUARDIAN),
        (clearing, selector("setPriceBands((uint64,uint64,uint64))"), Role.RISK),
        (clearing, selector("setBatchMargin(uint8)"), Role.RISK),
        (clearing, selector(f"setAuctionRules({four})"), Role.RISK),
        (DEPLOYMENT.margin, selector(f"setParameters({PARAMETERS_TYPE})"), Role.RISK),
        (
            DEPLOYMENT.custody.lower(),
            selector("setRules(address,(bool,uint80,uint80,uint80))"),
            Role.RISK,
        ),
        (DEPLOYMENT.access_pass, selector("issue(address,uint64)"), Role.ISSUER),
        (DEPLOYMENT.access_pass, selector("shorten(address,uint64)"), Role.ISSUER),
    }
    assert manager.named("grantRole") == [
        (Role.RELAYER, RELAYER, 0),
        (Role.GUARDIAN, DEPLOYER, 0),
        (Role.RISK, DEPLOYER, 0),
        (Role.ISSUER, DEPLOYER, 0),
    ]


def test_the_deployer_keeps_nothing() -> None:
    """Admin and risk act after their delay, and the guardian may cancel what risk announced."""
    manager = Manager()
    officers = Officers(admin=ADMIN, guardian=GUARDIAN, risk=RISK, delay_s=9)
    hand_over(manager, DEPLOYER_KEY, DEPLOYMENT, officers)
    assert manager.named("setRoleGuardian") == [(Role.RISK, Role.GUARDIAN)]
    assert manager.named("grantRole") == [
        (Role.GUARDIAN, GUARDIAN, 0),
        (Role.RISK, RISK, 9),
        (Role.ISSUER, ADMIN, 0),
        (Role.ADMIN, ADMIN, 9),
    ]
    gone = [(role, DEPLOYER) for role in (Role.GUARDIAN, Role.RISK, Role.ISSUER)]
    assert manager.named("revokeRole") == gone
    assert manager.calls[-1] == ("renounceRole", Role.ADMIN, DEPLOYER)


def test_a_deployer_that_governs_keeps_its_roles() -> None:
    """What it was given it does not take from itself."""
    manager = Manager()
    officers = Officers(admin=DEPLOYER_CHECKED, guardian=GUARDIAN, risk=DEPLOYER_CHECKED)
    hand_over(manager, DEPLOYER_KEY, DEPLOYMENT, officers)
    assert manager.named("revokeRole") == [(Role.GUARDIAN, DEPLOYER)]
    assert not manager.named("renounceRole")


DEPLOYER_CHECKED = address_of(DEPLOYER_KEY)


def test_delayed_operations_are_announced_and_carried_out() -> None:
    """The same target and data, twice."""
    target, data = "0x" + "12" * 20, b"\x01\x02"
    assert schedule(target, data)[:4] == selector("schedule(address,bytes,uint48)")
    assert execute(target, data)[:4] == selector("execute(address,bytes)")
    announced = decode(["address", "bytes", "uint48"], schedule(target, data)[4:])
    assert announced == (target, data, 0)
    assert decode(["address", "bytes"], execute(target, data)[4:]) == (target, data)
