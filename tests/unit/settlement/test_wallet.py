"""An owner's transactions, in order; the chain only writes them down."""

from typing import Any

import pytest
from tests.fake_chain import WETH, FakeChain

from exchange.commands import AnyObservation, SubaccountSeen
from exchange.fixed import RATIO_SCALE
from exchange.model import KeyLimit, KeyScope, Kind
from exchange.settlement.chain import Receipt
from exchange.settlement.errors import ChainError
from exchange.settlement.wallet import OwnerWallet
from exchange.signing import address_of

KEY = b"\x41" * 32
OWNER = address_of(KEY)


class Notebook(FakeChain):
    clearing, usdc, custody, tokens = "clearing", "usdc", "custody", {"WETH": "weth"}

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, ...]] = []
        self.opened: list[AnyObservation] = []

    @staticmethod
    def calldata(contract: str, function: str, *arguments: object) -> tuple[object, ...]:
        return (contract, function, *arguments)

    def transact(self, key: bytes, to: str, data: tuple[object, ...]) -> Receipt:
        assert key == KEY
        deployment = self.deployment
        assert (
            to
            == {
                "clearing": deployment.clearing,
                "usdc": deployment.usdc,
                "custody": deployment.custody,
                "weth": WETH,
            }[str(data[0])]
        )
        self.done.append(data)
        return Receipt(tx_hash="", succeeded=True, block=5, gas_used=1, contract=None)

    def observations(self, first: int, last: int) -> list[tuple[int, AnyObservation]]:
        assert (first, last) == (5, 5)
        return [(5, seen) for seen in self.opened]


@pytest.fixture
def chain() -> Notebook:
    return Notebook()


@pytest.fixture
def wallet(chain: Notebook) -> OwnerWallet:
    return OwnerWallet(chain, KEY)


def test_the_new_subaccount_is_the_owners(chain: Notebook, wallet: OwnerWallet) -> None:
    """Of several opened in one block, the one of this owner."""
    chain.opened = [
        SubaccountSeen(subaccount_id=7, owner="0x"),
        SubaccountSeen(subaccount_id=8, owner=OWNER),
    ]
    assert wallet.open_subaccount() == 8
    assert wallet.open_subaccount(standard=True) == 8
    assert [name for _, name, *_ in chain.done] == ["openSubaccount", "openStandardSubaccount"]
    chain.opened = []
    with pytest.raises(ChainError, match="without saying so"):
        wallet.open_subaccount()


def test_funding_mints_approves_and_deposits(chain: Notebook, wallet: OwnerWallet) -> None:
    """In that order, with one amount."""
    wallet.fund(8, 100)
    assert chain.done == [
        ("usdc", "mint", OWNER, 100),
        ("usdc", "approve", chain.deployment.custody, 100),
        ("custody", "deposit", 8, chain.deployment.usdc, 100),
    ]


def test_money_is_dollars_unless_a_token_is_named(chain: Notebook, wallet: OwnerWallet) -> None:
    """At each of the steps by itself."""
    wallet.mint(5)
    wallet.approve(6)
    wallet.deposit(8, 7)
    assert [words[0] for words in chain.done] == ["usdc", "usdc", "usdc", "custody"]
    assert chain.done[-1] == ("custody", "deposit", 8, chain.deployment.usdc, 7)


def test_tokens_are_funded_by_symbol(chain: Notebook, wallet: OwnerWallet) -> None:
    """The same three steps, with the token's contract."""
    wallet.fund(8, 10**18, "WETH")
    assert chain.done == [
        ("weth", "mint", OWNER, 10**18),
        ("weth", "approve", chain.deployment.custody, 10**18),
        ("custody", "deposit", 8, WETH, 10**18),
    ]


def test_a_nonce_floor_goes_to_clearing(chain: Notebook, wallet: OwnerWallet) -> None:
    """What voids nonces."""
    wallet.raise_nonce_floor(8, 5)
    assert chain.done == [("clearing", "raiseNonceFloor", 8, 5)]


def test_cancels_and_keys_go_to_clearing(chain: Notebook, wallet: OwnerWallet) -> None:
    """In the contract's own units."""
    scope = KeyScope(
        kinds=(Kind.OPTION,),
        limits=(KeyLimit(underlying_id=1, daily_quantity=9),),
        band_rate=RATIO_SCALE // 100,
    )
    wallet.cancel_nonce(8, 5)
    wallet.raise_sheet_floor(8, 6)
    wallet.set_session_key("0x01", 0)
    wallet.grant_scoped_key("0x01", 99, scope)
    assert chain.done == [
        ("clearing", "cancelNonce", 8, 5),
        ("clearing", "raiseSheetFloor", 8, 6),
        ("clearing", "setSessionKey", "0x01", 0),
        ("clearing", "grantScopedKey", "0x01", 99, (2, 10_000, [(1, 9)])),
    ]
