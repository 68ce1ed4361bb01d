"""How the threads of a process take turns at the interpreter."""

import sys
from typing import Final

TURN_S: Final = 0.0005  # Python's own is ten times as long


def take_short_turns() -> None:
    """Let a thread that waits for the interpreter wait half a millisecond at most.

    The loop is one thread; the journal's commit and every recovered signature ask for the
    interpreter several times in others, and under load wait for the loop's whole turn each time.
    """
    sys.setswitchinterval(TURN_S)
