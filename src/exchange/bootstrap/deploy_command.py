"""`exchange deploy`: the contracts on a chain that somebody else started, as Docker's one does.

Uses the keys of a local chain (`dev_keys`); does nothing where deployment.json names contracts
that are there. `exchange admin hand-over` is the last step of a deployment that is not for play.
"""

import os
from typing import Final

import structlog

from exchange.bootstrap import dev_keys
from exchange.bootstrap.market_feed import simulated_underlyings
from exchange.bootstrap.parameters import first_parameters
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import (
    DeployOptions,
    furnish_bands,
    furnish_margin,
    open_chain,
    open_or_deploy,
    project_artifacts,
)
from exchange.settlement.governance import Officers, hand_over
from exchange.signing import checksum_address

DEPLOYER_VARIABLE: Final = "EXCHANGE_DEPLOYER_KEY"

log = structlog.get_logger(__name__)


def run_deploy(settings: Settings) -> None:
    """Deploy to `rpc_url` unless that is done, and write deployment.json."""
    settings.state.mkdir(parents=True, exist_ok=True)
    chain, fresh = open_local(settings)
    log.info("deployed" if fresh else "already deployed", clearing=chain.deployment.clearing)


def open_local(settings: Settings) -> tuple[Chain, bool]:
    """The local venue's chain, with contracts and Margin's parameters; whether made now."""
    options = local_options(settings)
    chain, fresh = open_or_deploy(
        settings.rpc_url, settings.deployment_file, options, project_artifacts()
    )
    venue = first_parameters(chain.deployment, simulated_underlyings())
    furnish_margin(chain, options.deployer_key, venue)
    furnish_bands(chain, options.deployer_key, venue)
    return chain, fresh


def local_options(settings: Settings) -> DeployOptions:
    """Who gets which role on a local chain."""
    return DeployOptions(
        deployer_key=dev_keys.deployer().key,
        relayer=dev_keys.relayer().address,
        treasury=dev_keys.treasury().address,
        oracle_signers=tuple(signer.address for signer in dev_keys.oracle_signers()),
        oracle_threshold=dev_keys.ORACLE_THRESHOLD,
        insurance_notice_s=settings.insurance_notice_s,
    )


def run_hand_over(settings: Settings, officers: Officers) -> None:
    """Give every role on chain to its officer and leave the deployer none; cannot be undone."""
    for name in ("admin", "guardian", "risk", "issuer"):
        address = getattr(officers, name)
        if (address or name != "issuer") and not _is_address(address):
            raise StartFailed(f"--{name} {address}: not an address, or mistyped")
    try:
        key = bytes.fromhex(os.environ[DEPLOYER_VARIABLE].removeprefix("0x"))
    except (KeyError, ValueError):
        raise StartFailed(f"{DEPLOYER_VARIABLE} must hold the deployer's private key") from None
    chain = open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())
    hand_over(chain, key, chain.deployment, officers)
    log.info("handed over", admin=officers.admin, guardian=officers.guardian, risk=officers.risk)


def _is_address(text: str) -> bool:
    """Whether it is one with its checksum: a role given to a mistyped one is lost for ever."""
    try:
        return len(text) == 42 and checksum_address(bytes.fromhex(text[2:])) == text
    except ValueError:
        return False
