"""`exchange deploy`: the contracts on a chain that somebody else started, as Docker's one does.

Uses the keys of a local chain (`dev_keys`); does nothing where deployment.json names contracts
that are there.
"""

import structlog

from exchange.bootstrap import dev_keys
from exchange.bootstrap.market_feed import simulated_underlyings
from exchange.bootstrap.parameters import first_parameters
from exchange.config import Settings
from exchange.settlement.chain import Chain
from exchange.settlement.deploy import (
    DeployOptions,
    furnish_bands,
    furnish_margin,
    open_or_deploy,
    project_artifacts,
)

log = structlog.get_logger(__name__)


def run_deploy(settings: Settings) -> None:
    """Deploy to `rpc_url` unless that is done, and write deployment.json."""
    settings.state.mkdir(parents=True, exist_ok=True)
    chain, fresh = open_local(settings)
    log.info("deployed" if fresh else "already deployed", clearing=chain.deployment.clearing)


def open_local(settings: Settings) -> tuple[Chain, bool]:
    """The local venue's chain, with contracts and Margin's parameters; whether made now."""
    options = local_options()
    chain, fresh = open_or_deploy(
        settings.rpc_url, settings.deployment_file, options, project_artifacts()
    )
    venue = first_parameters(chain.deployment, simulated_underlyings())
    furnish_margin(chain, options.deployer_key, venue)
    furnish_bands(chain, options.deployer_key, venue)
    return chain, fresh


def local_options() -> DeployOptions:
    """Who gets which role on a local chain."""
    return DeployOptions(
        deployer_key=dev_keys.deployer().key,
        relayer=dev_keys.relayer().address,
        treasury=dev_keys.treasury().address,
        oracle_signers=tuple(signer.address for signer in dev_keys.oracle_signers()),
        oracle_threshold=dev_keys.ORACLE_THRESHOLD,
    )
