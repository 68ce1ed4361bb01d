"""Frames of signatures in, signers out, however they are cut."""

import hashlib
import socket
import threading

from hypothesis import given
from hypothesis import strategies as st

from exchange.api.recovering import ANSWER, FRAME, READ_MAX, RECOVER, Answering, serve
from exchange.signing import checksum_address, recover_signer, sign_digest

ANSWER_S = 20.0


def signed(number):
    digest = hashlib.sha256(b"%d" % number).digest()
    return digest, sign_digest(digest, (number + 1).to_bytes(32, "big"))


def frame(digest, signature):
    body = digest + signature
    return FRAME.pack(len(body), RECOVER) + body


def answers(found):
    """Bodies, of which nothing may be left over."""
    at = 0
    while at < len(found):
        (size,) = ANSWER.unpack_from(found, at)
        at += ANSWER.size + size
        yield found[at - size : at]
    assert at == len(found)


BYTES_32 = st.binary(min_size=32, max_size=32)
# Random ones are nobody's but for their last byte, which makes about half of them somebody's.
SIGNATURES = st.one_of(
    st.binary(max_size=70),
    st.builds(
        lambda rs, v: rs + bytes([v]),
        st.binary(min_size=64, max_size=64),
        st.sampled_from([27, 28]),
    ),
)


@given(st.lists(st.tuples(BYTES_32, SIGNATURES), max_size=5), st.integers(0, 500))
def test_frames_mean_what_the_slow_way_says(asked, cut):
    frames = b"".join(frame(*one) for one in asked)
    answering = Answering()
    found = answering.answer(frames[:cut]) + answering.answer(frames[cut:])
    texts = [checksum_address(part) if part else None for part in answers(found)]
    assert texts == [recover_signer(*one) for one in asked]


def test_frames_may_come_in_pieces():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        serving = threading.Thread(target=serve, args=(theirs,))
        serving.start()
        count = READ_MAX // len(frame(*signed(0))) + 9
        frames = b"".join(frame(*signed(number)) for number in range(count))
        for start in range(0, len(frames), 61):
            ours.sendall(frames[start : start + 61])
        ours.shutdown(socket.SHUT_WR)
        found = b""
        while part := ours.recv(1 << 16):
            found += part
            if len(found) == count * (ANSWER.size + 20):
                break
        serving.join(ANSWER_S)
        assert not serving.is_alive()
    assert found == Answering().answer(frames)
