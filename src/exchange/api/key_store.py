"""API keys at rest: one file, sealed with AES-256-GCM, replaced whole and atomically.

Knows bytes alone. Whoever has the file without the sealing key learns nothing and can change
nothing unseen; whoever has both can sign as every session key in it, until its owner revokes it.
Gateways that share its folder share the keys: each sees by the file's number that another saved.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TRIES: Final = 20
_TRY_S: Final = 0.01  # a change takes two milliseconds
_CONTEXT: Final = b"exchange api keys 1"  # binds the seal to this use and layout


class StoreBroken(Exception):
    """The file does not open with this key: another key sealed it, or somebody changed it."""


class StoreBusy(Exception):
    """Another process has held it for longer than anybody may stand still here."""


class KeyStore(Protocol):
    """Where the registry keeps its text."""

    def load(self) -> bytes:
        """What was saved last; empty at first."""

    def save(self, text: bytes) -> None:
        """Replace it durably."""

    def changed(self) -> bool:
        """Whether somebody else saved since the last load or save here."""

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else saves inside the block."""


class SealedFile:
    """The real store."""

    def __init__(self, path: Path, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self._path = path
        self._seen: tuple[int, int] | None = None  # the file that was loaded or saved last
        self._cipher = AESGCM(key)

    def load(self) -> bytes:
        """What was saved last; empty at first; `StoreBroken` if it does not open."""
        file = self._file()  # before it is read: what replaces it meanwhile is read again
        text = self._open(self._path.read_bytes()) if file is not None else b""
        self._seen = file
        return text

    def _open(self, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _CONTEXT)
        except (InvalidTag, ValueError):
            raise StoreBroken(f"{self._path} does not open with this key") from None

    def save(self, text: bytes) -> None:
        """Replace it durably: written beside, synced, renamed, and the folder synced."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        beside = self._path.with_suffix(".new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(nonce + self._cipher.encrypt(nonce, text, _CONTEXT))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._seen = self._file()

    def changed(self) -> bool:
        """Whether another process saved since the last load or save here."""
        return self._file() != self._seen

    def _file(self) -> tuple[int, int] | None:
        """Which file lies there now: each save makes another one."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process saves inside the block; `StoreBusy` where one does for too long."""
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock)
            yield
        finally:
            os.close(lock)


def _lock(file: int) -> None:
    """Wait a moment, not more: this thread is the venue's, and the other process may be frozen."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_S)
        else:
            return
    raise StoreBusy("another process is changing API keys")


def sealing_key(hexed: str) -> bytes:
    """The sealing key of a setting: 64 hex digits."""
    key = bytes.fromhex(hexed.removeprefix("0x"))
    if len(key) != KEY_BYTES:
        raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
    return key
