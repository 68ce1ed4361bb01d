"""Who may do what to the contracts: roles of the AccessManager, and their delays.

The deployer holds every role at first, without delay, so that it can furnish a venue. `hand_over`
gives them away and leaves the deployer nothing. What each role can do at worst is in
docs/security.md.
"""

from enum import IntEnum
from typing import Final

import msgspec
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.model import SECONDS_PER_DAY
from exchange.settlement.batch import SETTLE_SELECTOR, encode_call
from exchange.settlement.chain import Node
from exchange.settlement.deployment import Deployment
from exchange.settlement.margin_proof import PARAMETERS_TYPE
from exchange.settlement.solvency import SETTLE_PROVEN_SELECTOR
from exchange.signing import address_of


class Role(IntEnum):
    """Numbers of the roles in the AccessManager."""

    ADMIN = 0  # everything that no role is named for, and the roles themselves
    RELAYER = 1  # settle
    GUARDIAN = 2  # stop new risk, and cancel what risk has scheduled
    RISK = 3  # parameters of Margin, price bands, rules of tokens
    ISSUER = 4  # access passes


class Officers(msgspec.Struct, frozen=True, kw_only=True):
    """Who governs a deployment; addresses. Admin and risk act after `delay_s`, in the open."""

    admin: str
    guardian: str
    risk: str
    issuer: str = ""  # of access passes; empty: the admin
    delay_s: int = 2 * SECONDS_PER_DAY


_AUCTION: Final = "(uint64,uint64,uint64,uint64)"
_RULES: Final = "(bool,uint80,uint80,uint80)"


def assign_roles(node: Node, key: bytes, deployment: Deployment, relayer: str) -> None:
    """Name the role of each restricted function; the deployer holds all, the relayer its own."""
    manager, deployer = deployment.access_manager, address_of(key)
    for target, selectors, role in _functions(deployment):
        arguments = (target, selectors, role)
        types = ("address", "bytes4[]", "uint64")
        node.transact(key, manager, encode_call("setTargetFunctionRole", types, arguments))
    holders = [(Role.RELAYER, relayer)]
    holders += [(role, deployer) for role in (Role.GUARDIAN, Role.RISK, Role.ISSUER)]
    for role, holder in holders:
        node.transact(key, manager, _grant(role, holder, 0))


def hand_over(node: Node, key: bytes, deployment: Deployment, officers: Officers) -> None:
    """Give every role to its officer, with delays, and take all from the deployer."""
    manager, deployer = deployment.access_manager, address_of(key)
    issuer = officers.issuer or officers.admin
    steps = [
        encode_call("setRoleGuardian", ("uint64", "uint64"), (Role.RISK, Role.GUARDIAN)),
        _grant(Role.GUARDIAN, officers.guardian, 0),
        _grant(Role.RISK, officers.risk, officers.delay_s),
        _grant(Role.ISSUER, issuer, 0),
    ]
    steps += [
        encode_call("revokeRole", ("uint64", "address"), (role, deployer))
        for role, officer in (
            (Role.GUARDIAN, officers.guardian),
            (Role.RISK, officers.risk),
            (Role.ISSUER, issuer),
        )
        if officer != deployer
    ]
    steps.append(_grant(Role.ADMIN, officers.admin, officers.delay_s))
    if officers.admin != deployer:  # last: nothing could follow
        steps.append(encode_call("renounceRole", ("uint64", "address"), (Role.ADMIN, deployer)))
    for data in steps:
        node.transact(key, manager, data)


def schedule(target: str, data: bytes) -> bytes:
    """Calldata that announces an operation of a delayed role, as early as its delay allows."""
    return encode_call("schedule", ("address", "bytes", "uint48"), (target, data, 0))


def execute(target: str, data: bytes) -> bytes:
    """Calldata that carries out what was announced."""
    return encode_call("execute", ("address", "bytes"), (target, data))


def _functions(deployment: Deployment) -> list[tuple[str, list[bytes], Role]]:
    selectors = [
        (deployment.clearing, [SETTLE_SELECTOR, SETTLE_PROVEN_SELECTOR], Role.RELAYER),
        (deployment.clearing, [_selector("pause()")], Role.GUARDIAN),
        (deployment.clearing, [_selector("setPriceBands((uint64,uint64,uint64))")], Role.RISK),
        (deployment.clearing, [_selector("setBatchMargin(uint8)")], Role.RISK),
        (deployment.clearing, [_selector(f"setAuctionRules({_AUCTION})")], Role.RISK),
        (deployment.margin, [_selector(f"setParameters({PARAMETERS_TYPE})")], Role.RISK),
        (deployment.custody, [_selector(f"setRules(address,{_RULES})")], Role.RISK),
    ]
    if deployment.access_pass:
        names = ("issue(address,uint64)", "shorten(address,uint64)")
        selectors.append((deployment.access_pass, [*map(_selector, names)], Role.ISSUER))
    return selectors


def _selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def _grant(role: Role, holder: str, delay_s: int) -> bytes:
    return encode_call("grantRole", ("uint64", "address", "uint32"), (role, holder, delay_s))
