"""What an owner does on chain with a wallet: open, fund, deposit, grant keys and void.

For the demo, the demo market's agents and tests: each call is one transaction, sent and waited for.
"""

from exchange.commands import SubaccountSeen
from exchange.model import KeyScope
from exchange.settlement.chain import Chain, Receipt
from exchange.settlement.errors import ChainError
from exchange.settlement.sightings import words_of
from exchange.signing import address_of


class OwnerWallet:
    """One private key on one chain. Amounts in the token's own units, such as micro-USDC."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        self.chain = chain
        self.address = address_of(key)
        self._key = key

    def open_subaccount(self, *, standard: bool = False) -> int:
        """Open the next subaccount, `standard` if each position shall be margined by itself."""
        receipt = self._clearing("openStandardSubaccount" if standard else "openSubaccount")
        for _, seen in self.chain.observations(receipt.block, receipt.block):
            if isinstance(seen, SubaccountSeen) and seen.owner == self.address:
                return seen.subaccount_id
        raise ChainError("the chain opened a subaccount without saying so")

    def mint(self, amount: int, coin: str = "USDC") -> None:
        """Make test money; only where the token is a mock."""
        self._token(coin, "mint", self.address, amount)

    def deposit(self, subaccount_id: int, amount: int, coin: str = "USDC") -> None:
        """Approve and deposit tokens that the wallet holds."""
        custody = self.chain.deployment.custody
        self.approve(amount, coin)
        address = self._address(coin)
        data = self.chain.calldata(self.chain.custody, "deposit", subaccount_id, address, amount)
        self.chain.transact(self._key, custody, data)

    def approve(self, amount: int, coin: str = "USDC") -> None:
        """Let Custody take so much, as a deposit or with a bid."""
        self._token(coin, "approve", self.chain.deployment.custody, amount)

    def fund(self, subaccount_id: int, amount: int, coin: str = "USDC") -> None:
        """Make test money and deposit it."""
        self.mint(amount, coin)
        self.deposit(subaccount_id, amount, coin)

    def raise_nonce_floor(self, subaccount_id: int, floor: int) -> None:
        """Void every nonce below `floor`."""
        self._clearing("raiseNonceFloor", subaccount_id, floor)

    def cancel_nonce(self, subaccount_id: int, nonce: int) -> None:
        """Void one order, leaf of a sheet or withdrawal, for ever."""
        self._clearing("cancelNonce", subaccount_id, nonce)

    def raise_sheet_floor(self, subaccount_id: int, floor: int) -> None:
        """Void every quote sheet whose nonce is below `floor`."""
        self._clearing("raiseSheetFloor", subaccount_id, floor)

    def set_session_key(self, key: str, deadline: int) -> None:
        """Let a key trade until a UTC second; 0 revokes it for ever, with all that it signed."""
        self._clearing("setSessionKey", key, deadline)

    def grant_scoped_key(self, key: str, deadline: int, scope: KeyScope) -> None:
        """Let a new key trade within a scope that never changes."""
        self._clearing("grantScopedKey", key, deadline, words_of(scope))

    def _address(self, coin: str) -> str:
        deployment = self.chain.deployment
        return deployment.usdc if coin == "USDC" else deployment.tokens[coin]

    def _token(self, coin: str, function: str, *arguments: object) -> None:
        contract = self.chain.usdc if coin == "USDC" else self.chain.tokens[coin]
        data = self.chain.calldata(contract, function, *arguments)
        self.chain.transact(self._key, self._address(coin), data)

    def _clearing(self, function: str, *arguments: object) -> Receipt:
        data = self.chain.calldata(self.chain.clearing, function, *arguments)
        return self.chain.transact(self._key, self.chain.deployment.clearing, data)
