"""Which shard a process belongs to: one clearing domain of those that share a store (ADR 0052).

A shard is an engine, a Clearing and a set of underlyings. What must never happen is that two
journals settle in one Clearing, or that a shard lists what its journal does not know.
"""

import msgspec

from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.engine import Engine
from exchange.oracle.dev_market import DevMarket, load_dev_market
from exchange.settlement.deployment import Deployment, load_deployment


def deployment_of(settings: Settings) -> Deployment:
    """The shard's own contracts; refuses those of another shard."""
    deployment = load_deployment(settings.deployment_file)
    if deployment.shard != settings.shard:
        raise StartFailed(
            f"{settings.deployment_file} is of shard {deployment.shard}, EXCHANGE_SHARD is "
            f"{settings.shard}: each shard has contracts and a state directory of its own"
        )
    return deployment


def shard_market(settings: Settings) -> DevMarket:
    """The simulated market without underlyings of other shards."""
    market = load_dev_market()
    if not settings.underlyings:
        return market
    names = settings.underlyings.split(",")
    for name in names:
        if name not in market.underlyings or names.count(name) > 1:
            raise StartFailed(
                f"EXCHANGE_UNDERLYINGS={settings.underlyings}: {name!r} is not one of "
                f"{', '.join(market.underlyings)}, or is named twice"
            )
    chosen = {name: item for name, item in market.underlyings.items() if name in names}
    return msgspec.structs.replace(market, underlyings=chosen)


def require_underlyings(engine: Engine, settings: Settings) -> None:
    """Refuse to list what the journal does not know: every command about it would be refused."""
    if engine.parameters is None:
        return
    known = {item.name for item in engine.parameters.underlyings}
    if foreign := shard_market(settings).underlyings.keys() - known:
        raise StartFailed(
            f"the journal of shard {settings.shard} knows nothing of {', '.join(sorted(foreign))}: "
            f"set EXCHANGE_UNDERLYINGS to some of {','.join(sorted(known))}"
        )
