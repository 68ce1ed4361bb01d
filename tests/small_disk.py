"""A disk that is soon full: a small tmpfs where mounting is allowed, else a bound on file sizes.

Both tear the write that does not fit. Which one it was is told, since their errors differ.
"""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNT = "mount"
UMOUNT = "umount"


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[bool]:
    """Mount one on `folder`; whether that was allowed. It goes with the block, and all in it."""
    folder.mkdir(exist_ok=True)
    mounted = _call(
        MOUNT, "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0777", "tmpfs", str(folder)
    )
    try:
        yield mounted
    finally:
        if mounted:
            assert _call(UMOUNT, str(folder)) or _call(UMOUNT, "--lazy", str(folder))


def bound_files(pid: int, size: int) -> None:
    """No file of that process, nor of those that it starts, grows beyond so many bytes."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def _call(*command: str) -> bool:
    program = shutil.which(command[0])
    if program is None:
        return False
    done = subprocess.run([program, *command[1:]], capture_output=True, check=False)
    return done.returncode == 0
