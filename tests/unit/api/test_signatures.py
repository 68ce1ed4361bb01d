"""Signers are recovered in batches, each for its own asker."""

import asyncio
import hashlib

import pytest

from exchange.api import signatures
from exchange.api.errors import Busy
from exchange.api.signatures import SignatureRecovery
from exchange.signing import address_of, sign_digest


def digest(number):
    return hashlib.sha256(b"%d" % number).digest()


def key(number):
    return (number + 1).to_bytes(32, "big")


@pytest.mark.parametrize("workers", [1, 3])
def test_each_asker_gets_its_signer(workers):
    async def scenario():
        recovery = SignatureRecovery(workers)
        count = 3 * signatures.JOB_MAX
        asked = [recovery.recover(digest(n), sign_digest(digest(n), key(n))) for n in range(count)]
        found = await asyncio.gather(*asked)
        recovery.close()
        return found

    assert asyncio.run(scenario()) == [address_of(key(n)) for n in range(3 * signatures.JOB_MAX)]


def test_an_impossible_signature_is_nobodys():
    async def scenario():
        recovery = SignatureRecovery(1)
        found = await asyncio.gather(
            recovery.recover(digest(1), bytes(65)), recovery.recover(digest(1), b"")
        )
        recovery.close()
        return found

    assert asyncio.run(scenario()) == [None, None]


def test_a_failure_reaches_the_asker_and_the_next_is_served(monkeypatch):
    async def scenario():
        recovery = SignatureRecovery(1)

        def broken(_):
            raise ValueError("broken")

        with monkeypatch.context() as patch:
            patch.setattr(signatures, "_recover_all", broken)
            with pytest.raises(ValueError, match="broken"):
                await recovery.recover(digest(1), bytes(65))
        found = await recovery.recover(digest(2), sign_digest(digest(2), key(2)))
        recovery.close()
        return found

    assert asyncio.run(scenario()) == address_of(key(2))


def test_the_queue_is_bounded(monkeypatch):
    monkeypatch.setattr(signatures, "WAITING_MAX", 2)

    async def scenario():
        recovery = SignatureRecovery(1)
        asked = [asyncio.create_task(recovery.recover(digest(n), bytes(65))) for n in range(4)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        recovery.close()
        return [type(one) for one in found]

    assert asyncio.run(scenario()) == [type(None), type(None), type(None), Busy]
