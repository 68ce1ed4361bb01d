"""The order and the arguments of a deployment; the node only writes them down."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from tests.settlement_world import DEPLOYER_KEY, ORACLE_KEYS, RELAYER_KEY
from tests.unit.engine.test_published import RULES
from tests.venue import COLLATERALS, configuration

from exchange.settlement import deploy as module
from exchange.settlement.chain import Receipt
from exchange.settlement.compiler import Artifact
from exchange.settlement.deploy import (
    CLEARING_MODULES,
    REPOSITORY,
    DeployOptions,
    deploy,
    furnish_bands,
    furnish_margin,
    open_or_deploy,
)
from exchange.settlement.deployment import load_deployment
from exchange.settlement.errors import ChainError, WrongChain
from exchange.settlement.margin_proof import set_parameters_calldata
from exchange.signing import address_of

CREATED = ["0x" + f"{n:02x}" * 20 for n in range(1, 30)]
TERMS = "(address,address,uint64,uint64,address)"
NOBODY = "0x" + "0" * 40
SET_LIQUIDATIONS = keccak(b"setLiquidations(address,uint64)")[:4]
ARGUMENTS = {
    "MockUSDC": [],
    "Oracle": ["address", "address[]", "uint256"],
    "AccessManager": ["address"],
    "AccessPass": ["address", "uint64"],
    "InsuranceVault": ["address", "uint64"],
    **{name: [TERMS] for name in CLEARING_MODULES},
    "Clearing": ["address", "address", TERMS, f"({','.join(['address'] * len(CLEARING_MODULES))})"],
    "Margin": ["address", "address", "address", "uint64"],
    "Liquidations": ["address", "address"],
    "MockToken": ["string", "string", "uint8"],
}


def abi_input(kind: str) -> dict[str, Any]:
    if not kind.startswith("("):
        return {"type": kind}
    return {"type": "tuple", "components": [{"type": part} for part in kind[1:-1].split(",")]}


ARTIFACTS = {
    name: Artifact(
        abi=[{"type": "constructor", "inputs": [abi_input(kind) for kind in kinds]}]
        if kinds
        else [],
        bytecode="0x" + name.encode().hex(),
    )
    for name, kinds in ARGUMENTS.items()
}
OPTIONS = DeployOptions(
    deployer_key=DEPLOYER_KEY,
    relayer=address_of(RELAYER_KEY),
    treasury="0x" + "99" * 20,
    oracle_signers=tuple(map(address_of, ORACLE_KEYS)),
    oracle_threshold=2,
    batch_age_max_s=7,
    cancel_delay_s=8,
)


class FakeNode:
    sent: list[tuple[str | None, bytes]]
    creates = True

    def __init__(self, _url: str) -> None:
        FakeNode.sent = []

    def head(self) -> int:
        return 41

    def chain_id(self) -> int:
        return 31_337

    def block_hash(self, number: int) -> str:
        return f"0x{number:064x}"

    def rpc(self, method: str, request: dict[str, str], block: str) -> str:
        """The fund's contract says which subaccount it opened."""
        assert (method, block) == ("eth_call", "latest")
        assert request["to"] == created("InsuranceVault")[0][0]
        assert request["data"] == "0x" + keccak(b"SUBACCOUNT()")[:4].hex()
        return f"0x{7:064x}"

    def transact(self, key: bytes, to: str | None, data: bytes) -> Receipt:
        assert key == DEPLOYER_KEY
        created = sum(receiver is None for receiver, _ in self.sent)
        contract = CREATED[created] if to is None and self.creates else None
        self.sent.append((to, data))
        return Receipt(tx_hash="", succeeded=True, block=42, gas_used=1, contract=contract)


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNode.creates = True
    monkeypatch.setattr(module, "Node", FakeNode)


def constructor(name: str, data: bytes) -> tuple[Any, ...]:
    assert data.startswith(name.encode())
    return decode(ARGUMENTS[name], data[len(name) :])


def created(name: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Address and arguments of each contract of this name."""
    code = [data for to, data in FakeNode.sent if to is None]
    return [
        (address, constructor(name, data))
        for address, data in zip(CREATED, code, strict=False)
        if data.startswith(name.encode())
    ]


def calls(to: str, types: list[str]) -> list[tuple[Any, ...]]:
    """Arguments of each call to a contract."""
    return [decode(types, data[4:]) for receiver, data in FakeNode.sent if receiver == to]


def test_contracts_are_created_and_wired() -> None:
    """Each constructor gets the addresses before it, and signers ascend."""
    found = deploy("http://node", OPTIONS, ARTIFACTS)
    [(usdc, _)], [(oracle, signed_by)] = created("MockUSDC"), created("Oracle")
    [(manager, administered_by)] = created("AccessManager")
    assert (found.usdc, found.oracle, found.access_manager) == (usdc, oracle, manager)
    assert (found.chain_id, found.block, found.genesis_hash) == (31_337, 42, "0x" + "0" * 64)
    authority, signers, threshold = signed_by
    assert authority == manager
    assert list(signers) == sorted(address.lower() for address in OPTIONS.oracle_signers)
    assert threshold == 2
    assert administered_by == (address_of(DEPLOYER_KEY).lower(),)
    [(clearing, built_with)] = created("Clearing")
    terms = (usdc, oracle, 7, 8, NOBODY)
    modules = tuple(address for name in CLEARING_MODULES for address, _ in created(name))
    assert built_with == (manager, OPTIONS.treasury, terms, modules)
    assert all(created(name)[0][1] == (terms,) for name in CLEARING_MODULES)
    assert created("Margin") == [(found.margin, (manager, clearing, oracle, 900))]
    assert found.clearing == clearing
    assert created("Liquidations") == [(found.liquidations, (found.margin, clearing))]
    assert calls(clearing, ["address"]) == [(found.liquidations,), (found.margin,)]
    told = [data[:4] for to, data in FakeNode.sent if to == clearing]
    assert told == [SET_LIQUIDATIONS, keccak(b"setMargin(address)")[:4]]


def test_a_venue_with_passes_has_its_own_contract() -> None:
    """Clearing and its modules know it; a revocation waits as long as a cancel."""
    found = deploy("http://node", msgspec.structs.replace(OPTIONS, access_pass=True), ARTIFACTS)
    assert created("AccessPass") == [(found.access_pass, (found.access_manager, 8))]
    [(_, (terms,))] = created("Settler")
    assert terms[-1] == found.access_pass


def test_the_fund_is_the_venues_own_unless_depositors_are_wanted() -> None:
    """Then its contract owns its subaccount, which Clearing is told."""
    own = deploy("http://node", OPTIONS, ARTIFACTS)
    assert (own.insurance, own.fund_subaccount_id) == ("", 1)
    named = [data for _, data in FakeNode.sent if data[:4] == SET_LIQUIDATIONS]
    assert decode(["address", "uint64"], named[0][4:]) == (own.liquidations, 1)
    found = deploy("http://node", msgspec.structs.replace(OPTIONS, insurance_notice_s=9), ARTIFACTS)
    assert created("InsuranceVault") == [(found.insurance, (found.clearing, 9))]
    assert found.fund_subaccount_id == 7
    named = [data for _, data in FakeNode.sent if data[:4] == SET_LIQUIDATIONS]
    assert decode(["address", "uint64"], named[0][4:]) == (found.liquidations, 7)


def test_withdrawals_wait_where_that_is_wanted() -> None:
    """Else governance says so later."""
    selector = keccak(b"setWithdrawalDelay(uint64)")[:4]

    def delays() -> list[tuple[str | None, bytes]]:
        return [(to, data[4:]) for to, data in FakeNode.sent if data[:4] == selector]

    deploy("http://node", OPTIONS, ARTIFACTS)
    assert delays() == []
    options = msgspec.structs.replace(OPTIONS, withdrawal_delay_s=600)
    found = deploy("http://node", options, ARTIFACTS)
    assert delays() == [(found.clearing, encode(["uint64"], [600]))]


def test_roles_are_assigned_before_tokens_are_listed() -> None:
    """By the AccessManager; what each may do is in test_governance."""
    found = deploy("http://node", OPTIONS, ARTIFACTS)
    receivers = [to for to, _ in FakeNode.sent]
    assert receivers.index(found.access_manager) < receivers.index(found.custody)


def test_tokens_are_made_and_listed() -> None:
    """With their decimals, and without caps."""
    found = deploy("http://node", OPTIONS, ARTIFACTS)
    made = created("MockToken")
    assert [words for _, words in made] == [
        ("Wrapped Ether", "WETH", 18),
        ("Wrapped BTC", "WBTC", 8),
    ]
    assert found.tokens == {"WETH": made[0][0], "WBTC": made[1][0]}
    set_rules = keccak(b"setRules(address,(bool,uint80,uint80,uint80))")[:4]
    assert {data[:4] for to, data in FakeNode.sent if to == found.custody} == {set_rules}
    rules = (True, 2**80 - 1, 2**80 - 1, 2**80 - 1)
    assert calls(found.custody, ["address", "(bool,uint80,uint80,uint80)"]) == [
        (address, rules) for address, _ in made
    ]


def test_a_second_shard_takes_the_tokens_of_the_first() -> None:
    """All that it lists of them; what the first has not is made, and another chain is refused."""
    made = deploy("http://node", msgspec.structs.replace(OPTIONS, tokens=("WBTC",)), ARTIFACTS)
    assert (made.shard, list(made.tokens)) == (0, ["WBTC"])
    tokens = {"WBTC": "0x" + "bb" * 20}
    first = msgspec.structs.replace(made, usdc="0x" + "aa" * 20, tokens=tokens)
    both = ("WETH", "WBTC")
    options = msgspec.structs.replace(OPTIONS, shard=1, beside=first, tokens=both)
    second = deploy("http://node", options, ARTIFACTS)
    assert second.shard == 1
    assert (second.usdc, second.tokens["WBTC"]) == (first.usdc, first.tokens["WBTC"])
    assert created("MockUSDC") == []
    assert [words[1] for _, words in created("MockToken")] == ["WETH"]
    elsewhere = msgspec.structs.replace(first, genesis_hash="0x" + "99" * 32)
    with pytest.raises(WrongChain, match="shard 0 is on another chain"):
        deploy("http://node", msgspec.structs.replace(options, beside=elsewhere), ARTIFACTS)


class Furnished:
    """A chain with Margin; what is in force there, and what is sent."""

    def __init__(self, **changes: Any) -> None:
        made = deploy("http://node", OPTIONS, ARTIFACTS)
        self.deployment = msgspec.structs.replace(made, **changes)
        self.parameters, self.bands = bytes(32), (0, 0, 0)
        self.sent: list[tuple[str, bytes]] = []

    def parameters_hash(self) -> bytes:
        return self.parameters

    def price_bands(self) -> tuple[int, int, int]:
        return self.bands

    def transact(self, key: bytes, to: str, data: bytes) -> None:
        assert key == DEPLOYER_KEY
        self.sent.append((to, data))


def called(function: str, words: bytes) -> bytes:
    return keccak(function.encode())[:4] + words


@pytest.mark.parametrize("vault", ["", "0x" + "dd" * 20])
def test_margin_is_furnished_once(vault: str) -> None:
    """Parameters, each token's underlying, and the fund's contract if there is one."""
    chain: Any = Furnished(insurance=vault)
    venue = configuration(collaterals=COLLATERALS)
    assert furnish_margin(chain, DEPLOYER_KEY, venue)
    margin, clearing = chain.deployment.margin, chain.deployment.clearing
    parameters = set_parameters_calldata(venue.margin, venue.collaterals)
    watched = called("watch(bytes)", encode(["bytes"], [parameters[4:]]))
    types = ["address", "uint32"]
    assert chain.sent == [
        (margin, parameters),
        *(
            (
                clearing,
                called(
                    "setTokenUnderlying(address,uint32)",
                    encode(types, [one.token, one.underlying_id]),
                ),
            )
            for one in COLLATERALS
        ),
        *([(vault, watched)] if vault else []),
    ]
    chain.sent.clear()
    chain.parameters = bytes(31) + b"\x01"
    assert not furnish_margin(chain, DEPLOYER_KEY, venue), "governance's from now on"
    without: Any = Furnished(margin="")
    assert not furnish_margin(without, DEPLOYER_KEY, venue)
    assert chain.sent == without.sent == []


def test_price_bands_are_furnished_once() -> None:
    """Those of a venue that publishes; marks are good for a quarter of an hour."""
    chain: Any = Furnished()
    venue = configuration(publication=RULES)
    assert furnish_bands(chain, DEPLOYER_KEY, venue)
    rates = (RULES.band_rate, RULES.linear_band_rate, 900)
    words = encode(["(uint64,uint64,uint64)"], [rates])
    data = called("setPriceBands((uint64,uint64,uint64))", words)
    assert chain.sent == [(chain.deployment.clearing, data)]
    chain.bands = (0, 1, 0)
    assert not furnish_bands(chain, DEPLOYER_KEY, venue)
    chain.bands = (0, 0, 0)
    assert not furnish_bands(chain, DEPLOYER_KEY, configuration(publication=None))
    assert len(chain.sent) == 1


def test_a_deployment_is_made_once_and_then_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file says where; a node of another chain is refused by what opens it."""

    class Opened:
        def __init__(self, *words: object) -> None:
            self.words, self.verified = words, False

        def verify(self) -> None:
            self.verified = True

    monkeypatch.setattr(module, "Chain", Opened)
    path = tmp_path / "var" / "deployment.json"
    chain: Any
    for fresh in (True, False):
        chain, made = open_or_deploy("http://node", path, OPTIONS, ARTIFACTS)
        assert made is fresh
        assert chain.verified
        assert chain.words == ("http://node", load_deployment(path), ARTIFACTS)
    assert len(created("Clearing")) == 1


def test_a_deployment_without_an_address_is_an_error() -> None:
    """A node that answers nonsense is not believed."""
    FakeNode.creates = False
    with pytest.raises(ChainError, match="without an address"):
        deploy("http://node", OPTIONS, ARTIFACTS)


def test_the_repository_is_where_the_contracts_are() -> None:
    """Found from the module's own place."""
    assert (REPOSITORY / "contracts" / "foundry.toml").exists()
