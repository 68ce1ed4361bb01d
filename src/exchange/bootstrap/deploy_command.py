"""`exchange deploy`: the contracts on a chain that somebody else started, as Docker's one does.

Uses the keys of a local chain (`dev_keys`); does nothing where deployment.json names contracts
that are there. `exchange admin hand-over` is the last step of a deployment that is not for play.
"""

import os
from pathlib import Path
from typing import Final

import structlog

from exchange.bootstrap import dev_keys
from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.market_feed import simulated_underlyings
from exchange.bootstrap.parameters import PRESET, first_parameters
from exchange.bootstrap.processes import StartFailed
from exchange.bootstrap.shards import deployment_of, shard_market
from exchange.config import Settings
from exchange.margin.scenarios import load_preset
from exchange.oracle.dev_market import DevMarket
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import (
    DeployOptions,
    furnish_bands,
    furnish_margin,
    open_chain,
    open_or_deploy,
    project_artifacts,
)
from exchange.settlement.deployment import Deployment, load_deployment
from exchange.settlement.governance import Officers, hand_over
from exchange.signing import address_of, checksum_address

DEPLOYER_VARIABLE: Final = "EXCHANGE_DEPLOYER_KEY"

log = structlog.get_logger(__name__)


def run_deploy(settings: Settings, beside: Path | None = None) -> None:
    """Deploy to `rpc_url` unless that is done, and write deployment.json.

    `beside` is that file of another shard: the tokens are the same ones.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    chain, fresh = open_local(settings, beside)
    log.info(
        "deployed" if fresh else "already deployed",
        shard=settings.shard,
        clearing=chain.deployment.clearing,
    )


def chain_of(settings: Settings) -> Chain:
    """The chain with the contracts of this shard, which are there."""
    deployment_of(settings)
    return open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())


def open_local(settings: Settings, beside: Path | None = None) -> tuple[Chain, bool]:
    """The local venue's chain, with contracts and Margin's parameters; whether made now."""
    market = shard_market(settings)
    options = local_options(settings, market, load_deployment(beside) if beside else None)
    chain, fresh = open_or_deploy(
        settings.rpc_url, settings.deployment_file, options, project_artifacts()
    )
    deployment_of(settings)
    venue = first_parameters(chain.deployment, simulated_underlyings(market))
    furnish_margin(chain, options.deployer_key, venue)
    furnish_bands(chain, options.deployer_key, venue)
    return chain, fresh


def local_options(
    settings: Settings, market: DevMarket, beside: Deployment | None = None
) -> DeployOptions:
    """Who gets which role on a local chain; each shard's relayer counts nonces of its own."""
    key = settings.relayer_key
    return DeployOptions(
        deployer_key=dev_keys.deployer().key,
        relayer=address_of(key_from_hex(key, "EXCHANGE_RELAYER_KEY"))
        if key
        else dev_keys.relayer().address,
        treasury=dev_keys.treasury().address,
        oracle_signers=tuple(signer.address for signer in dev_keys.oracle_signers()),
        oracle_threshold=dev_keys.ORACLE_THRESHOLD,
        insurance_notice_s=settings.insurance_notice_s,
        shard=settings.shard,
        tokens=tuple(
            terms.name
            for terms in load_preset(PRESET).collateral
            if terms.underlying in market.underlyings
        ),
        beside=beside,
    )


def run_hand_over(settings: Settings, officers: Officers) -> None:
    """Give every role on chain to its officer and leave the deployer none; cannot be undone."""
    for name in ("admin", "guardian", "risk", "issuer"):
        address = getattr(officers, name)
        if (address or name != "issuer") and not _is_address(address):
            raise StartFailed(f"--{name} {address}: not an address, or mistyped")
    key = key_from_hex(os.environ.get(DEPLOYER_VARIABLE, ""), DEPLOYER_VARIABLE)
    chain = open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())
    hand_over(chain, key, chain.deployment, officers)
    log.info("handed over", admin=officers.admin, guardian=officers.guardian, risk=officers.risk)


def _is_address(text: str) -> bool:
    """Whether it is one with its checksum: a role given to a mistyped one is lost for ever."""
    try:
        return len(text) == 42 and checksum_address(bytes.fromhex(text[2:])) == text
    except ValueError:
        return False
