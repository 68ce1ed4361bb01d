"""Withdrawals that a contract signed: asked of a node only where it may matter, and bounded."""

import asyncio

import msgspec
import pytest
from tests.unit.api.test_methods_private import ask, reason, result
from tests.unit.api.world import STRANGER_KEY, TAKER_KEY, World, hexed
from tests.venue import USDC_TOKEN, usdc

from exchange.api.contract_owners import ASKED_MAX, ContractOwners
from exchange.api.errors import Busy, Unavailable
from exchange.commands import Withdraw
from exchange.model import WithdrawalTerms
from exchange.signing import (
    Domain,
    address_of,
    checksum_address,
    sign_digest,
    withdrawal_digest,
)

WALLET = checksum_address(b"\x5a" * 20)
APPROVED = b"by the board" * 20  # no 65 bytes


class FakeNode:
    """Confirms one signature, counts questions, and may fall silent."""

    def __init__(self):
        self.asked = []
        self.silent = False

    async def approves(self, contract, digest, signature):
        self.asked.append((contract, digest, signature))
        if self.silent:
            raise ConnectionError("away")
        return signature == APPROVED


@pytest.fixture
def node():
    return FakeNode()


@pytest.fixture
def world(node):
    made = World()
    made.wallet_id = made.do(lambda venue: venue.fund(WALLET))
    made.gateway.contracts = ContractOwners(node.approves)
    return made


def withdrawal(world, *, signature=APPROVED, **changes):
    world.nonce += 1
    return {
        "amount": "100",
        "address": WALLET,
        "subaccount_id": world.wallet_id,
        "nonce": world.nonce,
        "deadline": world.venue.now_s + 3600,
        "signer": WALLET,
        "signature": hexed(signature),
    } | changes


def test_a_contract_withdraws_what_it_confirms(world, node):
    """Asked over the digest that Clearing will ask over; the journal says that a node said so."""
    params = withdrawal(world)
    before = world.venue.cash(world.wallet_id)
    answer = result(world, "withdraw", params, None)
    assert answer["state"] == "unconfirmed"
    assert world.venue.cash(world.wallet_id) == before - usdc(100)
    command = world.venue.entries[-1][2]
    assert isinstance(command, Withdraw)
    assert command.by_contract
    terms = WithdrawalTerms(
        subaccount_id=world.wallet_id,
        token=USDC_TOKEN,
        amount=usdc(100),
        recipient=WALLET,
        nonce=params["nonce"],
        deadline=params["deadline"],
        signer=WALLET,
    )
    assert command.terms == terms
    configured = world.gateway.configured()
    domain = Domain(configured.chain_id, configured.clearing)
    assert node.asked == [(WALLET, withdrawal_digest(domain, terms), APPROVED)]


def test_what_it_does_not_confirm_is_a_bad_signature(world, node):
    """Nothing is journaled."""
    entries = len(world.venue.entries)
    error = ask(world, "withdraw", withdrawal(world, signature=b"forged"), None)["error"]
    assert error["message"] == "invalid_credentials"
    assert "not a canonical 65-byte signature" in error["data"]["reason"]
    assert len(node.asked) == 1
    assert len(world.venue.entries) == entries


def test_only_a_subaccounts_owner_is_asked(world, node):
    """Not another contract, nor of a subaccount that is not there; and no key's owner at all."""
    for changes in ({"signer": checksum_address(b"\x5b" * 20)}, {"subaccount_id": 999}):
        error = ask(world, "withdraw", withdrawal(world, **changes), None)["error"]
        assert error["message"] == "invalid_credentials"
    assert not node.asked


def test_keys_are_recovered_and_not_asked(world, node):
    """An owner with a key needs no node; a stranger's key over his terms is asked for in vain."""
    owner = address_of(TAKER_KEY)
    params = withdrawal(world, subaccount_id=3, signer=owner, address=owner)
    terms = WithdrawalTerms(
        subaccount_id=3,
        token=USDC_TOKEN,
        amount=usdc(100),
        recipient=owner,
        nonce=params["nonce"],
        deadline=params["deadline"],
        signer=owner,
    )
    digest = withdrawal_digest(world.gateway.domain(), terms)
    forged = params | {"signature": hexed(sign_digest(digest, STRANGER_KEY))}
    assert reason(world, "withdraw", forged, None) == "bad_signature"
    node.asked.clear()
    result(world, "withdraw", params | {"signature": hexed(sign_digest(digest, TAKER_KEY))}, None)
    assert not node.asked
    assert not world.venue.entries[-1][2].by_contract


def test_a_silent_node_is_no_answer(world, node):
    """The venue is unavailable for it, and takes it later."""
    node.silent = True
    params = withdrawal(world)
    error = ask(world, "withdraw", params, None)["error"]
    assert error["message"] == "temporarily_unavailable"
    node.silent = False
    result(world, "withdraw", params, None)


def test_signatures_are_bounded(world, node):
    """1,024 bytes; longer ones never reach the node."""
    params = withdrawal(world, signature=b"x" * 1_025)
    assert ask(world, "withdraw", params, None)["error"]["message"] == "Invalid params"
    assert not node.asked


def test_a_gateway_without_a_node_asks_nobody():
    """So nothing is confirmed."""
    assert not asyncio.run(ContractOwners(None).approves(WALLET, bytes(32), b""))


def test_questions_are_bounded_in_number_and_time():
    """One more than may be asked at once is refused; one that hangs gives its place back."""

    async def hang(_contract, _digest, _signature):
        await asyncio.Event().wait()
        raise AssertionError

    async def many():
        owners = ContractOwners(hang, timeout_s=0.01)
        found = await asyncio.gather(
            *(owners.approves(WALLET, bytes(32), b"") for _ in range(ASKED_MAX + 1)),
            return_exceptions=True,
        )
        again = await asyncio.gather(
            owners.approves(WALLET, bytes(32), b""), return_exceptions=True
        )
        return found, again

    found, again = asyncio.run(many())
    assert [type(one) for one in found] == [Unavailable] * ASKED_MAX + [Busy]
    assert [type(one) for one in again] == [Unavailable]


def test_journals_from_before_say_that_no_contract_signed():
    """The field has a default."""
    terms = WithdrawalTerms(
        subaccount_id=2,
        token=USDC_TOKEN,
        amount=1,
        recipient=WALLET,
        nonce=1,
        deadline=1,
        signer=WALLET,
    )
    old = msgspec.to_builtins(Withdraw(terms=terms, signature=b""))
    del old["by_contract"]
    assert msgspec.convert(old, Withdraw).by_contract is False
