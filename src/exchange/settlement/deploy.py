"""Deploying the contracts and giving Margin its parameters; `governance` has the roles."""

from pathlib import Path
from typing import Any, Final

import msgspec
from eth_abi.abi import encode

from exchange.commands import Configure
from exchange.model import FEE_SUBACCOUNT_ID, SECONDS_PER_DAY
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain, Node
from exchange.settlement.compiler import Artifact, Artifacts, compile_contracts
from exchange.settlement.deployment import Deployment, load_deployment, save_deployment
from exchange.settlement.errors import ChainError, WrongChain
from exchange.settlement.governance import assign_roles
from exchange.settlement.insurance import fund_subaccount, watch_tokens
from exchange.settlement.margin_proof import set_parameters_calldata
from exchange.signing import address_of

# In the order of `Modules` in IClearing.sol.
CLEARING_MODULES: Final = (
    "Settler",
    "Payments",
    "Takeovers",
    "Exits",
    "Escapes",
    "Releases",
    "Solvency",
    "Auctions",
)
# Collateral of local chains by short name: name and decimals.
_MOCK_TOKENS: Final = {"WETH": ("Wrapped Ether", 18), "WBTC": ("Wrapped BTC", 8)}
_ROOT_AGE_MAX_S: Final = 15 * 60
_BAND_AGE_MAX_S: Final = 15 * 60  # three heartbeats
_NO_CAP: Final = 2**80 - 1
_NOBODY: Final = "0x" + "0" * 40
REPOSITORY: Final = Path(__file__).parents[3]


class DeployOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what. The deployer administers the AccessManager; ages in seconds."""

    deployer_key: bytes
    relayer: str
    treasury: str
    oracle_signers: tuple[str, ...]
    oracle_threshold: int
    batch_age_max_s: int = SECONDS_PER_DAY
    cancel_delay_s: int = 2 * SECONDS_PER_DAY  # outlasts the oldest batch and confirmations
    withdrawal_delay_s: int = 0  # 0: governance sets it later; until then withdrawals do not wait
    access_pass: bool = False  # whether owners need one for deposits and new risk
    shard: int = 0  # whose contracts these are
    tokens: tuple[str, ...] = ("WETH", "WBTC")  # collateral besides USDC
    beside: Deployment | None = None  # another shard: its tokens are taken, not made
    insurance_notice_s: int = 0  # before who left the insurance fund is paid; 0: it takes nobody in


def project_artifacts() -> Artifacts:
    """The contracts of this checkout, compiled if they changed."""
    return compile_contracts(REPOSITORY / "contracts", REPOSITORY / ".venv" / "bin" / "solc")


def deploy(url: str, options: DeployOptions, artifacts: Artifacts) -> Deployment:
    """Deploy everything on the chain behind `url`, with mock tokens: for local chains.

    Beside another shard its tokens are taken, so that money can move between both.
    """
    node = Node(url)
    key = options.deployer_key
    first_block = node.head() + 1
    signers = sorted(options.oracle_signers, key=str.lower)
    genesis_hash = _genesis_hash(node, options)
    usdc = options.beside.usdc if options.beside else create(node, key, artifacts["MockUSDC"])
    manager = create(node, key, artifacts["AccessManager"], address_of(key))
    threshold = options.oracle_threshold
    oracle = create(node, key, artifacts["Oracle"], manager, signers, threshold)
    delay_s = options.cancel_delay_s
    access_pass = (
        create(node, key, artifacts["AccessPass"], manager, delay_s) if options.access_pass else ""
    )
    terms = (usdc, oracle, options.batch_age_max_s, delay_s, access_pass or _NOBODY)
    modules = tuple(create(node, key, artifacts[name], terms) for name in CLEARING_MODULES)
    clearing = create(node, key, artifacts["Clearing"], manager, options.treasury, terms, modules)
    margin = create(node, key, artifacts["Margin"], manager, clearing, oracle, _ROOT_AGE_MAX_S)
    liquidations = create(node, key, artifacts["Liquidations"], margin, clearing)
    insurance, fund = _open_fund(node, options, clearing, artifacts)
    named = encode_call("setLiquidations", ("address", "uint64"), (liquidations, fund))
    node.transact(key, clearing, named)
    deployment = Deployment(
        chain_id=node.chain_id(),
        clearing=clearing,
        oracle=oracle,
        usdc=usdc,
        access_manager=manager,
        genesis_hash=genesis_hash,
        block=first_block,
        shard=options.shard,
        margin=margin,
        liquidations=liquidations,
        access_pass=access_pass,
        insurance=insurance,
        fund_subaccount_id=fund,
        tokens={coin: _token(node, options, coin, artifacts) for coin in options.tokens},
    )
    node.transact(key, clearing, encode_call("setMargin", ("address",), (margin,)))
    if options.withdrawal_delay_s:
        delay = encode_call("setWithdrawalDelay", ("uint64",), (options.withdrawal_delay_s,))
        node.transact(key, clearing, delay)
    assign_roles(node, key, deployment, options.relayer)
    for token in deployment.tokens.values():
        _list_token(node, key, deployment.custody, token)
    return deployment


def _genesis_hash(node: Node, options: DeployOptions) -> str:
    """Of the chain, which must be that of the shard beside: it lends its tokens."""
    found = node.block_hash(0)
    assert found is not None
    if options.beside is not None and options.beside.genesis_hash != found:
        raise WrongChain(f"shard {options.beside.shard} is on another chain: no tokens in common")
    return found


def _token(node: Node, options: DeployOptions, coin: str, artifacts: Artifacts) -> str:
    """Another shard's, so that it moves between both; a new one where there is none."""
    if options.beside is not None and coin in options.beside.tokens:
        return options.beside.tokens[coin]
    name, decimals = _MOCK_TOKENS[coin]
    return create(node, options.deployer_key, artifacts["MockToken"], name, coin, decimals)


def _open_fund(
    node: Node, options: DeployOptions, clearing: str, artifacts: Artifacts
) -> tuple[str, int]:
    """The fund's contract and subaccount; the venue's own as in the engine where none is wanted."""
    if not options.insurance_notice_s:
        return "", FEE_SUBACCOUNT_ID
    words = (clearing, options.insurance_notice_s)
    contract = create(node, options.deployer_key, artifacts["InsuranceVault"], *words)
    return contract, fund_subaccount(node, contract)


def open_or_deploy(
    url: str, path: Path, options: DeployOptions, artifacts: Artifacts
) -> tuple[Chain, bool]:
    """The chain of the deployment at `path`, made now if there is none; whether it was made now."""
    fresh = not path.exists()
    if fresh:
        save_deployment(path, deploy(url, options, artifacts))
    return open_chain(url, path, artifacts), fresh


def furnish_margin(chain: Chain, key: bytes, venue: Configure) -> bool:
    """Put the venue's parameters in force where Margin has none; whether it had none.

    Others are left alone: to change them is governance's, and a difference is shown by
    reconciliation and by whoever proves a margin.
    """
    margin = chain.deployment.margin
    if not margin or any(chain.parameters_hash()):
        return False
    chain.transact(key, margin, set_parameters_calldata(venue.margin, venue.collaterals))
    for asset in venue.collaterals:
        pair = (asset.token, asset.underlying_id)
        data = encode_call("setTokenUnderlying", ("address", "uint32"), pair)
        chain.transact(key, chain.deployment.clearing, data)
    if chain.deployment.insurance:
        watch_tokens(chain, key, venue)
    return True


def furnish_bands(chain: Chain, key: bytes, venue: Configure) -> bool:
    """Put the venue's price bands in force where Clearing has none; whether it had none.

    Later ones are governance's. A venue that publishes no marks has none to prove.
    """
    rules = venue.publication
    if rules is None or any(chain.price_bands()):
        return False
    bands = (rules.band_rate, rules.linear_band_rate, _BAND_AGE_MAX_S)
    data = encode_call("setPriceBands", ("(uint64,uint64,uint64)",), (bands,))
    chain.transact(key, chain.deployment.clearing, data)
    return True


def open_chain(url: str, path: Path, artifacts: Artifacts) -> Chain:
    """The chain of the deployment at `path`; `WrongChain` where the node serves another."""
    chain = Chain(url, load_deployment(path), artifacts)
    chain.verify()
    return chain


def create(node: Node, key: bytes, artifact: Artifact, *arguments: object) -> str:
    """Deploy one contract; its address."""
    data = bytes.fromhex(artifact.bytecode[2:]) + _constructor_words(artifact, arguments)
    contract = node.transact(key, None, data).contract
    if contract is None:
        raise ChainError("the node mined a deployment without an address")
    return contract


def _constructor_words(artifact: Artifact, arguments: tuple[object, ...]) -> bytes:
    inputs: list[dict[str, Any]] = next(
        (item["inputs"] for item in artifact.abi if item["type"] == "constructor"), []
    )
    return encode([_type_of(item) for item in inputs], arguments)


def _type_of(item: dict[str, Any]) -> str:
    """A struct's type is written as its fields in brackets."""
    if item["type"] != "tuple":
        return str(item["type"])
    return f"({','.join(map(_type_of, item['components']))})"


def _list_token(node: Node, key: bytes, custody: str, token: str) -> None:
    rules = (True, _NO_CAP, _NO_CAP, _NO_CAP)
    types = ("address", "(bool,uint80,uint80,uint80)")
    node.transact(key, custody, encode_call("setRules", types, (token, rules)))
