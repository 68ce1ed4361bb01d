"""Every write, sync, truncation and deletion that SQLite makes, in order, as it made them.

SQLite's own file system ("unix") with four of its functions replaced through ctypes, made the
default one while a test records. The library is the one that Python's sqlite3 uses itself. Locks
and the shared index of a write-ahead log pass unrecorded: no restart relies on them.
"""

import _sqlite3
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_LIBRARY: Final = ctypes.CDLL(_sqlite3.__file__)
_POINTER, _INT, _LONG, _NAME = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
_WRITE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _LONG)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _LONG)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)
# Names as addresses: SQLite keeps the one that it opened a file with.
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, _POINTER)
_DELETE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT)


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", _INT),
        ("close", _POINTER),
        ("read", _POINTER),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("rest", _POINTER * 13),
    )


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", _INT),
        ("file_size", _INT),
        ("path_max", _INT),
        ("next", _POINTER),
        ("name", _NAME),
        ("data", _POINTER),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("rest", _POINTER * 14),
    )


_LIBRARY.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
_LIBRARY.sqlite3_vfs_find.argtypes = (_NAME,)
_LIBRARY.sqlite3_vfs_register.argtypes = (_POINTER, _INT)
_LIBRARY.sqlite3_vfs_unregister.argtypes = (_POINTER,)


def _base(address: int) -> str:
    return Path(ctypes.string_at(address).decode()).name


class Step(NamedTuple):
    """What was done to one file; `data` and `at` of a write, `at` the length of a truncation."""

    kind: str  # "write", "truncate", "sync", "delete"; of the test itself "told"
    name: str
    at: int = 0
    data: bytes = b""


class Recorder:
    """The steps since it began; tests may add their own between them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._names: dict[int, str] = {}  # of open files, by the address of SQLite's record
        self._unix = _LIBRARY.sqlite3_vfs_find(b"unix")
        self._methods: list[object] = []  # kept alive: SQLite holds their addresses
        self.vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self.vfs), self._unix, ctypes.sizeof(_Vfs))
        self.vfs.name = b"recording"
        self.vfs.next = None
        self.vfs.open = _OPEN(self._open)
        self.vfs.delete = _DELETE(self._delete)

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        found: int = self._unix.contents.open(self._unix, name, file, flags, out)
        opened = ctypes.cast(file, ctypes.POINTER(_File)).contents
        if found == 0 and name and opened.methods:
            self._names[file] = _base(name)
            own = _Methods()
            ctypes.memmove(ctypes.byref(own), opened.methods, ctypes.sizeof(_Methods))
            self._replace(own, opened.methods.contents)
            opened.methods = ctypes.pointer(own)
        return found

    def _replace(self, own: _Methods, real: _Methods) -> None:
        real_write, real_truncate, real_sync = real.write, real.truncate, real.sync

        def write(file: int, data: int, length: int, at: int) -> int:
            step = Step("write", self._names[file], at, ctypes.string_at(data, length))
            self.steps.append(step)
            return int(real_write(file, data, length, at))

        def truncate(file: int, length: int) -> int:
            self.steps.append(Step("truncate", self._names[file], length))
            return int(real_truncate(file, length))

        def sync(file: int, flags: int) -> int:
            self.steps.append(Step("sync", self._names[file]))
            return int(real_sync(file, flags))

        own.write, own.truncate, own.sync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
        self._methods += [own, real, own.write, own.truncate, own.sync]

    def _delete(self, _vfs: int, name: int, flags: int) -> int:
        self.steps.append(Step("delete", _base(name)))
        return int(self._unix.contents.delete(self._unix, name, flags))


@contextmanager
def recording() -> Iterator[Recorder]:
    """Record what every database opened inside does; close them all before leaving."""
    recorder = Recorder()
    assert _LIBRARY.sqlite3_vfs_register(ctypes.byref(recorder.vfs), 1) == 0
    try:
        yield recorder
    finally:
        _LIBRARY.sqlite3_vfs_unregister(ctypes.byref(recorder.vfs))
