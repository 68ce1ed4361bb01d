"""Who is who on a local chain: Anvil's well-known accounts. Never for a chain with real money."""

from functools import cache
from typing import Final

import msgspec
from eth_account import Account

from exchange.signing import address_of

MNEMONIC: Final = "test test test test test test test test test test test junk"
ORACLE_SIGNERS: Final = 3
PEOPLE_FUNDED: Final = 3  # people whom `exchange dev` gives cash
ORACLE_THRESHOLD: Final = 2
_FIRST_ORACLE: Final = 2
_FIRST_MAKER: Final = 6
_FIRST_TAKER: Final = 10
_FIRST_PERSON: Final = 14


class Party(msgspec.Struct, frozen=True):
    """A key and its address."""

    key: bytes
    address: str


@cache
def party(index: int) -> Party:
    """Account `index` of the mnemonic."""
    Account.enable_unaudited_hdwallet_features()
    key = bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)
    return Party(key, address_of(key))


def deployer() -> Party:
    """Deploys, mints test USDC, grants roles."""
    return party(0)


def relayer() -> Party:
    """Sends batches."""
    return party(1)


def sequencer() -> Party:
    """Signs receipts; owns nothing."""
    return party(20)


def oracle_signers() -> list[Party]:
    """Sign delivery prices; the contract wants their addresses ascending."""
    signers = [party(_FIRST_ORACLE + n) for n in range(ORACLE_SIGNERS)]
    return sorted(signers, key=lambda signer: int(signer.address, 16))


def treasury() -> Party:
    """Owns the fee subaccount."""
    return party(5)


def maker(number: int) -> Party:
    """A market maker of the simulated market, 0 to 3."""
    return party(_FIRST_MAKER + number)


def taker(number: int) -> Party:
    """A taker of the simulated market, 0 to 3."""
    return party(_FIRST_TAKER + number)


def person(number: int) -> Party:
    """Left for whoever tries the exchange, 0 to 5: all have ether, the first three cash too."""
    return party(_FIRST_PERSON + number)
