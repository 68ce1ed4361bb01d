"""`exchange deploy`: the contracts on a chain that somebody else started, as Docker's one does.

Uses the keys of a local chain (`dev_keys`); does nothing where deployment.json names contracts
that are there.
"""

import structlog

from exchange.bootstrap import dev_keys
from exchange.config import Settings
from exchange.settlement.deploy import DeployOptions, open_or_deploy, project_artifacts

log = structlog.get_logger(__name__)


def run_deploy(settings: Settings) -> None:
    """Deploy to `rpc_url` unless that is done, and write deployment.json."""
    settings.state.mkdir(parents=True, exist_ok=True)
    chain, fresh = open_or_deploy(
        settings.rpc_url, settings.deployment_file, local_options(), project_artifacts()
    )
    log.info("deployed" if fresh else "already deployed", clearing=chain.deployment.clearing)


def local_options() -> DeployOptions:
    """Who gets which role on a local chain."""
    return DeployOptions(
        deployer_key=dev_keys.deployer().key,
        relayer=dev_keys.relayer().address,
        treasury=dev_keys.treasury().address,
        oracle_signers=tuple(signer.address for signer in dev_keys.oracle_signers()),
        oracle_threshold=dev_keys.ORACLE_THRESHOLD,
    )
