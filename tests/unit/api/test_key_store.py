"""The sealed file: opens with its key alone, and only whole."""

import threading

import pytest

from exchange.api.api_keys import ApiKeys
from exchange.api.errors import Unavailable
from exchange.api.key_store import SealedFile, StoreBroken, sealing_key

KEY = bytes(range(32))


def test_what_was_saved_last_is_loaded(tmp_path):
    store = SealedFile(tmp_path / "api_keys", KEY)
    assert store.load() == b""
    store.save(b"first")
    store.save(b"second")
    assert SealedFile(tmp_path / "api_keys", KEY).load() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["api_keys"]


def test_the_file_shows_nothing_and_is_its_owners_alone(tmp_path):
    path = tmp_path / "api_keys"
    SealedFile(path, KEY).save(b"a secret of ours")
    assert b"secret" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_key_does_not_open_it(tmp_path):
    path = tmp_path / "api_keys"
    SealedFile(path, KEY).save(b"text")
    with pytest.raises(StoreBroken):
        SealedFile(path, bytes(32)).load()


@pytest.mark.parametrize("at", [0, 5, 12, -1])
def test_a_changed_byte_is_seen(tmp_path, at):
    path = tmp_path / "api_keys"
    store = SealedFile(path, KEY)
    store.save(b"text")
    sealed = bytearray(path.read_bytes())
    sealed[at] ^= 1
    path.write_bytes(sealed)
    with pytest.raises(StoreBroken):
        store.load()


def test_a_torn_file_is_seen(tmp_path):
    path = tmp_path / "api_keys"
    store = SealedFile(path, KEY)
    store.save(b"text")
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(StoreBroken):
        store.load()


def test_a_crash_while_saving_keeps_the_old(tmp_path):
    """The file beside it may be anything: only a rename makes it count."""
    store = SealedFile(tmp_path / "api_keys", KEY)
    store.save(b"old")
    (tmp_path / "api_keys.new").write_bytes(b"torn")
    assert store.load() == b"old"


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33])
def test_a_sealing_key_has_32_bytes_of_hex(text):
    with pytest.raises(ValueError, match=r"."):
        sealing_key(text)
    assert sealing_key("0x" + "01" * 32) == b"\x01" * 32


def test_a_store_sees_that_another_saved(tmp_path):
    one, two = (SealedFile(tmp_path / "api_keys", KEY) for _ in range(2))
    assert (one.load(), two.load()) == (b"", b"")
    assert not one.changed()
    with one.alone():
        one.save(b"text")
    assert not one.changed()
    assert two.changed()
    assert two.load() == b"text"
    assert not two.changed()


def test_one_saves_at_a_time(tmp_path):
    one, two = (SealedFile(tmp_path / "api_keys", KEY) for _ in range(2))
    order = []

    def later():
        with two.alone():
            order.append("two")

    with one.alone():
        waiting = threading.Thread(target=later)
        waiting.start()
        waiting.join(0.02)
        order.append("one")
    waiting.join(30.0)
    assert order == ["one", "two"]


def test_who_holds_it_for_long_stops_nobody_else(tmp_path):
    """A process that is frozen inside: whoever wants to change a key hears so, and goes on."""
    frozen, other = (SealedFile(tmp_path / "api_keys", KEY) for _ in range(2))
    keys = ApiKeys(other)
    with frozen.alone(), pytest.raises(Unavailable, match="another process is changing API keys"):
        keys.create("0xab", "mine", "", 0)
    assert keys.of("0xab") == []


def test_a_store_that_could_not_be_read_is_read_again(tmp_path, monkeypatch):
    """A shared folder may be away for a moment: a key that was revoked then must not live on."""
    path = tmp_path / "api_keys"
    one, two = (SealedFile(path, KEY) for _ in range(2))
    one.load()
    two.save(b"text")
    with monkeypatch.context() as patch:
        patch.setattr(type(path), "read_bytes", lambda _: b"torn")
        with pytest.raises(StoreBroken):
            one.load()
    assert one.changed()
    assert one.load() == b"text"
