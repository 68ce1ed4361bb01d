"""Records of signatures in, records of signers out, however they are cut."""

import hashlib
import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from exchange.api.recovering import (
    ADDRESS_BYTES,
    NOBODY,
    READ_MAX,
    REQUEST_BYTES,
    answer,
    serve,
)
from exchange.signing import checksum_address, recover_signer, sign_digest

ANSWER_S = 20.0


def signed(number):
    digest = hashlib.sha256(b"%d" % number).digest()
    return digest, sign_digest(digest, (number + 1).to_bytes(32, "big"))


BYTES_32 = st.binary(min_size=32, max_size=32)
# Random ones are nobody's but for their last byte, which makes about half of them somebody's.
SIGNATURES = st.one_of(
    st.binary(min_size=65, max_size=65),
    st.builds(
        lambda rs, v: rs + bytes([v]),
        st.binary(min_size=64, max_size=64),
        st.sampled_from([27, 28]),
    ),
)


@given(st.lists(st.tuples(BYTES_32, SIGNATURES), max_size=5))
def test_records_mean_what_the_slow_way_says(asked):
    found = answer(b"".join(one + other for one, other in asked))
    parts = [found[at : at + ADDRESS_BYTES] for at in range(0, len(found), ADDRESS_BYTES)]
    texts = [None if part == NOBODY else checksum_address(part) for part in parts]
    assert texts == [recover_signer(*one) for one in asked]


def test_records_may_come_in_pieces():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serving = threading.Thread(target=serve, args=(theirs,))
        serving.start()
        count = READ_MAX // REQUEST_BYTES + 9
        requests = b"".join(one + other for one, other in map(signed, range(count)))
        for start in range(0, len(requests), 61):
            ours.sendall(requests[start : start + 61])
        ours.shutdown(socket.SHUT_WR)
        found = b""
        while part := ours.recv(1 << 16):
            found += part
            if len(found) == count * ADDRESS_BYTES:
                break
        serving.join(ANSWER_S)
        assert not serving.is_alive()
    assert found == answer(requests)
