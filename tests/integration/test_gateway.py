"""Tokens of a second chain as collateral on the hub, between two real Anvils, by two of three."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.settlement_world import DEPLOYER_KEY, RELAYER_KEY, deploy_options

from exchange.commands import DepositSeen
from exchange.settlement.anvil import Anvil
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain, Node
from exchange.settlement.deploy import REPOSITORY, create, deploy, project_artifacts
from exchange.settlement.errors import NodeRefused, Reverted, WrongChain
from exchange.settlement.gateway import PASSAGE_TYPE, Attester, Passage, Site
from exchange.settlement.gateway_deploy import GatewayOptions, deploy_gateway, list_token
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

pytestmark = pytest.mark.integration
SECOND_CHAIN = 4_242
ATTESTER_KEYS = tuple(bytes([number]) * 32 for number in (0x71, 0x72, 0x73))
OWNER_KEY = b"\x74" * 32
OWNER = address_of(OWNER_KEY)
ETHER = 10**18


class Bridge:
    """A venue on one Anvil, a second Anvil with a token, and the gateway between them."""

    def __init__(self, folder: Path) -> None:
        binary = REPOSITORY / ".venv" / "bin" / "anvil"
        quiet = ("--accounts", "1")
        self.anvils = [
            Anvil(binary, port=free_port(), options=quiet),
            Anvil(binary, port=free_port(), options=(*quiet, "--chain-id", str(SECOND_CHAIN))),
        ]
        self.hub, self.second = (Node(anvil.url) for anvil in self.anvils)
        for node in (self.hub, self.second):
            for key in (DEPLOYER_KEY, RELAYER_KEY, OWNER_KEY, *ATTESTER_KEYS):
                node.rpc("anvil_setBalance", address_of(key), hex(100 * ETHER))
        artifacts = project_artifacts()
        options = deploy_options()
        deployment = deploy(self.anvils[0].url, options, artifacts)
        token = artifacts["MockToken"]
        self.token = create(self.second, DEPLOYER_KEY, token, "Wrapped Ether", "WETH", 18)
        attesters = tuple(map(address_of, ATTESTER_KEYS))
        self.ends = deploy_gateway(
            self.hub,
            self.second,
            GatewayOptions(deployer_key=DEPLOYER_KEY, attesters=attesters, threshold=2),
            artifacts,
        )
        terms = (self.token, "Ether of the second chain", "WETH.2", 18)
        self.wrapped = list_token(self.hub, self.second, DEPLOYER_KEY, self.ends, terms)
        deployment.tokens["WETH.2"] = self.wrapped
        self.chain = Chain(self.anvils[0].url, deployment, artifacts)
        rules = (True, 2**80 - 1, 2**80 - 1, 2**80 - 1)
        types = ("address", "(bool,uint80,uint80,uint80)")
        data = encode_call("setRules", types, (self.wrapped, rules))
        self.hub.transact(DEPLOYER_KEY, deployment.custody, data)

    def attester(self, number: int, **options: int) -> Attester:
        sites = (Site(self.hub, self.ends.hub), Site(self.second, self.ends.second))
        return Attester(ATTESTER_KEYS[number], *sites, **({"confirmations": 1} | options))

    def lock(self, amount: int) -> None:
        for contract, function, types, given in (
            (self.token, "mint", ("address", "uint256"), (OWNER, amount)),
            (self.token, "approve", ("address", "uint256"), (self.ends.second.contract, amount)),
            (
                self.ends.second.contract,
                "lock",
                ("address", "uint128", "address"),
                (self.token, amount, OWNER),
            ),
        ):
            self.second.transact(OWNER_KEY, contract, encode_call(function, types, given))

    def burn(self, amount: int) -> None:
        types, given = ("address", "uint128", "address"), (self.token, amount, OWNER)
        data = encode_call("burn", types, given)
        self.hub.transact(OWNER_KEY, self.ends.hub.contract, data)

    def balance(self, node: Node, token: str) -> int:
        data = encode_call("balanceOf", ("address",), (OWNER,))
        return int(
            str(node.rpc("eth_call", {"to": token, "data": "0x" + data.hex()}, "latest")), 16
        )

    def close(self) -> None:
        for anvil in self.anvils:
            anvil.stop()


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path)
    yield bridge
    bridge.close()


def test_tokens_of_a_second_chain_become_collateral_and_go_home(bridge: Bridge) -> None:
    """Lock, two votes, credit, deposit; later burn, two votes, release."""
    first, second, third = (bridge.attester(number) for number in range(3))
    bridge.lock(5 * ETHER)
    assert first.step() == 1
    assert first.step() == 0, "nobody votes twice"
    assert bridge.balance(bridge.hub, bridge.wrapped) == 0, "one vote moves nothing"
    assert second.step() == 1
    assert bridge.balance(bridge.hub, bridge.wrapped) == 5 * ETHER
    assert third.step() == 0, "what arrived needs no more votes"

    owner = OwnerWallet(bridge.chain, OWNER_KEY)
    subaccount_id = owner.open_subaccount()
    before = bridge.chain.head()
    owner.deposit(subaccount_id, 3 * ETHER, "WETH.2")
    seen = [item for _, item in bridge.chain.observations(before, bridge.chain.head())]
    assert DepositSeen(subaccount_id=subaccount_id, amount=3 * 10**8, token=bridge.wrapped) in seen
    assert bridge.chain.collateral(subaccount_id, "WETH.2") == 3 * 10**8

    bridge.burn(2 * ETHER)
    restarted = bridge.attester(0)  # from the first block again: what arrived is left alone
    assert (restarted.step(), third.step()) == (1, 1)
    assert bridge.balance(bridge.second, bridge.token) == 2 * ETHER
    assert bridge.balance(bridge.hub, bridge.wrapped) == 0
    assert [one.step() for one in (first, second, third, restarted)] == [0, 0, 0, 0]


def test_votes_wait_for_finality_and_forgeries_stay_alone(bridge: Bridge) -> None:
    """A lock that a reorganisation takes back was never voted for; one attester cannot lie."""
    careful = bridge.attester(0, confirmations=4)
    bridge.lock(ETHER)
    assert careful.step() == 0
    bridge.second.rpc("anvil_mine", "0x4")
    assert careful.step() == 1
    forged = Passage(nonce=9, token=bridge.token, amount=ETHER, recipient=OWNER)
    site = Site(bridge.hub, bridge.ends.hub)
    site.transact(ATTESTER_KEYS[2], "attest", (PASSAGE_TYPE,), forged.words)
    with pytest.raises((Reverted, NodeRefused)):
        site.transact(ATTESTER_KEYS[2], "complete", (PASSAGE_TYPE,), forged.words)
    with pytest.raises((Reverted, NodeRefused)):
        site.transact(OWNER_KEY, "attest", (PASSAGE_TYPE,), forged.words)


def test_an_attester_refuses_ends_that_do_not_belong_together(bridge: Bridge) -> None:
    """A node of another chain, or a contract with another peer."""
    with pytest.raises(WrongChain, match="does not serve"):
        Attester(
            ATTESTER_KEYS[0],
            Site(bridge.second, bridge.ends.hub),
            Site(bridge.second, bridge.ends.second),
            confirmations=1,
        )
    with pytest.raises((WrongChain, NodeRefused, Reverted)):
        Attester(
            ATTESTER_KEYS[0],
            Site(bridge.second, bridge.ends.second),
            Site(bridge.second, bridge.ends.second),
            confirmations=1,
        )
