"""Keys and signatures: coincurve, and plain Python where it is missing, give the same bytes."""

import importlib.util
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import curve


@pytest.fixture(scope="module")
def plain():
    """The module as it is where coincurve is not installed."""
    spec = importlib.util.spec_from_file_location("plain_curve", curve.__file__)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "coincurve", None)
        spec.loader.exec_module(module)
    return module


PRIVATE = st.integers(1, curve._ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


def test_the_lock_brings_the_fast_one(plain):
    assert curve.FAST
    assert not plain.FAST


@settings(max_examples=20, deadline=None)
@given(PRIVATE, DIGESTS)
def test_both_give_the_same_bytes(plain, private_key, digest):
    signature = curve.sign(digest, private_key)
    key = curve.public_key(private_key)
    assert (len(key), len(signature)) == (64, 65)
    assert plain.sign(digest, private_key) == signature
    assert plain.public_key(private_key) == key
    assert plain.recover(digest, signature) == curve.recover(digest, signature) == key


@settings(max_examples=20, deadline=None)
@given(DIGESTS, st.binary(min_size=64, max_size=64), st.integers(0, 1))
def test_both_refuse_the_same_points(plain, digest, point, parity):
    """Half of all random numbers are no point's x."""
    signature = point + bytes([parity])
    assert plain.recover(digest, signature) == curve.recover(digest, signature)


def test_what_is_no_point_recovers_nothing(plain):
    for module in (curve, plain):
        assert module.recover(bytes(32), bytes(65)) is None
        assert module.recover(bytes(32), b"\xff" * 64 + b"\x00") is None
        assert module.recover(bytes(32), b"short") is None


@pytest.mark.parametrize(
    "private_key", [b"", bytes(31), bytes(32), bytes(33), curve._ORDER.to_bytes(32, "big")]
)
def test_what_is_no_private_key_is_refused(plain, private_key):
    for module in (curve, plain):
        with pytest.raises(ValueError, match="private key"):
            module.public_key(private_key)
        with pytest.raises(ValueError, match="private key"):
            module.sign(bytes(32), private_key)
