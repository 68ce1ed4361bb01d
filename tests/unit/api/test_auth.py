"""Sign-in with Ethereum: one text, one domain, one chain, one nonce, once."""

import pytest
from tests.unit.api.world import (
    STRANGER_KEY,
    TAKER,
    TAKER_KEY,
    World,
    hexed,
    session_of,
    sign_in_text,
)

from exchange.api import auth
from exchange.api.auth import Sessions, parse_sign_in, personal_digest
from exchange.api.errors import InvalidCredentials, InvalidParams, Unauthorized
from exchange.api.settings import GatewaySettings
from exchange.signing import sign_digest

NOW = 1_795_262_400.0  # the world's start


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture(scope="module")
def world():
    world = World()
    yield world
    world.gateway.stop()


def sessions(**settings):
    clock = Clock()
    return Sessions(GatewaySettings(**settings), clock), clock


def sign(text, key=TAKER_KEY):
    return hexed(sign_digest(personal_digest(text), key))


def sign_in(world, found, text=None, key=TAKER_KEY, **changes):
    fields = {"address": TAKER, "nonce": found.issue_nonce()} | changes
    text = text or sign_in_text(world, **fields)
    return found.sign_in(text, sign(text, key), 31_337, NOW)


def test_a_good_text_opens_a_session(world):
    found, _ = sessions()
    grant = sign_in(world, found)
    assert grant.session.address == TAKER
    assert found.of_header(f"Bearer {grant.access_token}") is grant.session


@pytest.mark.parametrize(
    "tail",
    [
        "\nExpiration Time: 2026-12-01T00:00:00Z",
        "\nNot Before: 2026-11-01T00:00:00+01:00",
        "\nExpiration Time: 2026-12-01T00:00:00.5Z\nRequest ID: 7\nResources:\n- https://a\n- b",
    ],
)
def test_the_optional_lines_are_understood(world, tail):
    found, _ = sessions()
    assert sign_in(world, found, tail=tail).session.address == TAKER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"domain": "evil.example"}, "domain"),
        ({"domain": "127.0.0.1:9"}, "domain"),
        ({"chain_id": 1}, "Chain ID"),
        ({"nonce": "a" * 32}, "nonce"),
        ({"issued": "2026-11-20T12:00:00Z"}, "ago"),
        ({"issued": "2026-11-22T12:00:00Z"}, "future"),
        ({"issued": "yesterday"}, "RFC 3339"),
        ({"issued": "2026-11-21T12:00:00"}, "time zone"),
        ({"tail": "\nExpiration Time: 2026-11-21T11:59:59Z"}, "Expiration"),
        ({"tail": "\nNot Before: 2026-11-21T12:00:01Z"}, "Not Before"),
        ({"tail": "\nAnything: else"}, "EIP-4361"),
        ({"tail": "\n"}, "EIP-4361"),
        ({"address": "0x00"}, "EIP-4361"),
    ],
)
def test_a_spoilt_text_is_refused_by_name(world, changes, reason):
    found, _ = sessions()
    with pytest.raises(InvalidCredentials, match=reason):
        sign_in(world, found, **changes)


def test_the_address_must_be_checksummed(world):
    found, _ = sessions()
    with pytest.raises(InvalidParams, match="checksum"):
        sign_in(world, found, address=TAKER.replace("B", "b", 1))


def test_another_key_is_refused(world):
    found, _ = sessions()
    with pytest.raises(InvalidCredentials, match="not signed by"):
        sign_in(world, found, key=STRANGER_KEY)


@pytest.mark.parametrize("signature", ["0x", "0x" + "00" * 65, "0x" + "ff" * 65])
def test_a_broken_signature_is_refused(world, signature):
    found, _ = sessions()
    text = sign_in_text(world, TAKER, found.issue_nonce())
    with pytest.raises(InvalidCredentials):
        found.sign_in(text, signature, 31_337, NOW)


def test_a_nonce_serves_once(world):
    found, _ = sessions()
    text = sign_in_text(world, TAKER, found.issue_nonce())
    sign_in(world, found, text)
    with pytest.raises(InvalidCredentials, match="nonce"):
        sign_in(world, found, text)


def test_a_nonce_grows_old(world):
    found, clock = sessions(nonce_s=10)
    text = sign_in_text(world, TAKER, found.issue_nonce())
    clock.now_s = 11
    with pytest.raises(InvalidCredentials, match="nonce"):
        sign_in(world, found, text)


def test_nonces_are_bounded(world):
    found, _ = sessions()
    text = sign_in_text(world, TAKER, found.issue_nonce())
    for _ in range(auth.NONCES_MAX):
        found.issue_nonce()
    with pytest.raises(InvalidCredentials, match="nonce"):
        sign_in(world, found, text)


def test_a_loopback_listener_has_several_names_and_a_public_one_has_one(world):
    local, _ = sessions(public_url="http://localhost:8080")
    assert sign_in(world, local, domain="127.0.0.1:8080")
    public, _ = sessions(public_url="https://venue.example")
    assert sign_in(world, public, domain="venue.example")
    with pytest.raises(InvalidCredentials, match=r"venue\.example"):
        sign_in(world, public, domain="127.0.0.1:8080")


def test_a_session_ends(world):
    found, clock = sessions(session_s=5)
    grant = sign_in(world, found)
    clock.now_s = 6
    with pytest.raises(Unauthorized):
        found.of_header(f"Bearer {grant.access_token}")


def test_a_refresh_token_serves_once_and_ends_the_old_session(world):
    found, _ = sessions()
    first = sign_in(world, found)
    second = found.refresh(first.refresh_token)
    assert second.session.address == TAKER
    assert not found.is_live(first.session)
    with pytest.raises(InvalidCredentials):
        found.refresh(first.refresh_token)


def test_a_refresh_token_grows_old(world):
    found, clock = sessions(refresh_s=10)
    grant = sign_in(world, found)
    clock.now_s = 11
    with pytest.raises(InvalidCredentials):
        found.refresh(grant.refresh_token)


def test_logout_ends_the_tokens(world):
    found, _ = sessions()
    grant = sign_in(world, found)
    found.end(grant.session)
    with pytest.raises(Unauthorized):
        found.of_header(f"Bearer {grant.access_token}")
    with pytest.raises(InvalidCredentials):
        found.refresh(grant.refresh_token)


def test_sessions_are_bounded(world):
    found, _ = sessions(sessions_max=2)
    grants = [sign_in(world, found) for _ in range(3)]
    with pytest.raises(Unauthorized):
        found.of_header(f"Bearer {grants[0].access_token}")
    assert found.of_header(f"Bearer {grants[2].access_token}")


@pytest.mark.parametrize("header", [None, ""])
def test_no_header_is_no_session(header):
    assert sessions()[0].of_header(header) is None


@pytest.mark.parametrize("header", ["Basic x", "Bearer", "Bearer  ", "Bearer x", "x", "é é"])
def test_wrong_headers_are_refused(header):
    with pytest.raises(Unauthorized):
        sessions()[0].of_header(header)


def test_the_text_of_the_standard_is_read():
    text = parse_sign_in(
        "https://service.org wants you to sign in with your Ethereum account:\n"
        "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n\n\n"
        "URI: https://service.org/login\nVersion: 1\nChain ID: 1\nNonce: 32891756\n"
        "Issued At: 2021-09-30T16:25:24Z"
    )
    assert (text.domain, text.chain_id, text.nonce) == ("service.org", 1, "32891756")
    assert text.ends_s is None


def test_the_helper_signs_in(world):
    assert session_of(world).session.address == TAKER
