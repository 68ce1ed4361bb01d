"""What an owner does on chain with a wallet: open, fund, deposit and void.

For the demo, the demo market's agents and tests: each call is one transaction, sent and waited for.
"""

from exchange.commands import SubaccountSeen
from exchange.settlement.chain import Chain, Receipt
from exchange.settlement.errors import ChainError
from exchange.signing import address_of


class OwnerWallet:
    """One private key on one chain. Amounts in micro-USDC."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        self.chain = chain
        self.address = address_of(key)
        self._key = key

    def open_subaccount(self) -> int:
        """Open the next subaccount; its id."""
        receipt = self._clearing("openSubaccount")
        for _, seen in self.chain.observations(receipt.block, receipt.block):
            if isinstance(seen, SubaccountSeen) and seen.owner == self.address:
                return seen.subaccount_id
        raise ChainError("the chain opened a subaccount without saying so")

    def mint_usdc(self, amount: int) -> None:
        """Make test money; only where USDC is a mock."""
        data = self.chain.calldata(self.chain.usdc, "mint", self.address, amount)
        self.chain.transact(self._key, self.chain.deployment.usdc, data)

    def deposit(self, subaccount_id: int, amount: int) -> None:
        """Approve and deposit USDC that the wallet holds."""
        clearing = self.chain.deployment.clearing
        approval = self.chain.calldata(self.chain.usdc, "approve", clearing, amount)
        self.chain.transact(self._key, self.chain.deployment.usdc, approval)
        self._clearing("deposit", subaccount_id, amount)

    def fund(self, subaccount_id: int, amount: int) -> None:
        """Make test money and deposit it."""
        self.mint_usdc(amount)
        self.deposit(subaccount_id, amount)

    def raise_nonce_floor(self, subaccount_id: int, floor: int) -> None:
        """Void every nonce below `floor`."""
        self._clearing("raiseNonceFloor", subaccount_id, floor)

    def _clearing(self, function: str, *arguments: object) -> Receipt:
        data = self.chain.calldata(self.chain.clearing, function, *arguments)
        return self.chain.transact(self._key, self.chain.deployment.clearing, data)
