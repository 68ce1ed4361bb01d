"""Only the venue's own processes are believed, each for what it may say."""

import pytest
from tests.ingress_world import labeled

from exchange.commands import CutBatch, ObserveBlocks
from exchange.ingress.messages import CODE_BYTES, Committed, Expired, Forged, Seal, Told
from exchange.journal import Sender

SEAL = Seal("secret")
SENDER = Sender(gateway=2**62, number=7)


def test_a_request_arrives_as_it_was_sent():
    """Sender and command."""
    request = SEAL.open_request(SEAL.request(SENDER, 5, labeled(1)))
    assert (request.sender, request.sent_ms, request.command) == (SENDER, 5, labeled(1))


@pytest.mark.parametrize("news", [Committed(5), Expired((SENDER,)), Told("posts", b"[]")])
def test_news_arrive_as_they_were_said(news):
    """Each kind of them."""
    assert SEAL.open_news(SEAL.news(news)) == news


def test_a_changed_bit_is_found():
    """Wherever it lies."""
    sealed = SEAL.request(SENDER, 5, labeled(1))
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(Forged):
            SEAL.open_request(changed)


@pytest.mark.parametrize("sealed", [b"", b"x", bytes(CODE_BYTES), bytes(200)])
def test_what_nobody_sealed_is_refused(sealed):
    """Of any length, as a request and as news."""
    with pytest.raises(Forged):
        SEAL.open_request(sealed)
    with pytest.raises(Forged):
        SEAL.open_news(sealed)


def test_another_venue_is_not_believed():
    """Nor news as a request, nor a request as news."""
    with pytest.raises(Forged):
        SEAL.open_request(Seal("other").request(SENDER, 5, labeled(1)))
    with pytest.raises(Forged):
        SEAL.open_request(SEAL.news(Committed(5)))
    with pytest.raises(Forged):
        SEAL.open_news(SEAL.request(SENDER, 5, labeled(1)))


@pytest.mark.parametrize(
    "command",
    [CutBatch(), ObserveBlocks(first_block=1, last_block=1, last_hash="", observations=())],
)
def test_a_gateway_cannot_send_what_no_client_can_ask_for(command):
    """Such as deposits that no chain has seen."""
    with pytest.raises(Forged, match=type(command).__name__):
        SEAL.open_request(SEAL.request(SENDER, 5, command))
