"""`exchange escape`: money out of the venue with a wallet and a node alone.

The key comes from EXCHANGE_WALLET_KEY, the contracts from deployment.json in the state directory;
nothing of the venue has to run.
"""

import sys

from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.fixed import ASSET_SCALE, CASH_SCALE, format_decimal, parse_decimal
from exchange.settlement.deploy import open_chain, project_artifacts
from exchange.settlement.deployment import Deployment
from exchange.settlement.escape import WayOut


def open_way(settings: Settings) -> WayOut:
    """The way out of the deployment's chain for the wallet of the settings."""
    key = key_from_hex(settings.wallet_key, "EXCHANGE_WALLET_KEY")
    chain = open_chain(settings.rpc_url, settings.deployment_file, project_artifacts())
    return WayOut(chain, key)


def show_status(way: WayOut) -> None:
    """What this wallet has asked for, and where an escape stands."""
    state = way.state()
    _say(f"wallet {way.address}")
    for subaccount_id in way.subaccounts():
        asked = way.open_request(subaccount_id)
        text = "no open request"
        if asked is not None:
            coin, scale = _coin(way.chain.deployment, asked.token)
            text = (
                f"{format_decimal(asked.amount, scale)} {coin} asked for, unanswered it ends the "
                f"venue from {asked.escapes_at} on (UTC seconds)"
            )
        _say(f"subaccount {subaccount_id}: {text}")
    if not state.started_at:
        _say("the venue has not ended")
    elif state.valued:
        _say("the venue has ended, all accounts are valued: claim")
    else:
        _say(f"the venue has ended, {state.next - 1} of {state.accounts} accounts are valued")


def request(way: WayOut, subaccount_id: int, amount: str, coin: str, recipient: str) -> None:
    """Ask for an amount of USDC or of a token."""
    token, scale = _token(way.chain.deployment, coin)
    units = parse_decimal(amount, scale)
    if units is None or units <= 0:
        raise StartFailed(f"{amount!r} is no amount of {coin}")
    way.request(subaccount_id, token, units, recipient or None)
    _say(f"asked for {amount} {coin} of subaccount {subaccount_id}")


def value_all(way: WayOut) -> None:
    """Fix prices and value accounts until owners can claim."""
    for line in way.value_all():
        _say(line)
    _say("all accounts are valued: claim")


def claim(way: WayOut, subaccount_id: int, recipient: str) -> None:
    """Claim every token."""
    paid = way.claim(subaccount_id, recipient or None)
    for token, amount in paid.items():
        coin, scale = _coin(way.chain.deployment, token)
        _say(f"claimed {format_decimal(amount, scale)} {coin}")
    if not paid:
        _say("nothing to claim")


def _token(deployment: Deployment, coin: str) -> tuple[str, int]:
    if coin == "USDC":
        return deployment.usdc, CASH_SCALE
    if coin not in deployment.tokens:
        raise StartFailed(
            f"{coin} is not a token of this venue: USDC, {', '.join(deployment.tokens)}"
        )
    return deployment.tokens[coin], ASSET_SCALE


def _coin(deployment: Deployment, token: str) -> tuple[str, int]:
    if token == deployment.usdc:
        return "USDC", CASH_SCALE
    names = {address: coin for coin, address in deployment.tokens.items()}
    return names.get(token, token), ASSET_SCALE


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
