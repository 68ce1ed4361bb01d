"""How a process that lives for months collects its garbage."""

import gc
from typing import Final

OBJECTS: Final = (50_000, 20, 100)  # made since the last look; Python's own are 700, 10, 10


def look_seldom() -> None:
    """Look for cycles seldom. To be called before a replay, which takes a twentieth less then.

    The venue's objects live as long as the process and make no cycles, yet every look walks them.
    """
    gc.set_threshold(*OBJECTS)


def rest_collector() -> None:
    """Never look again among what is there now.

    To be called once everything was replayed, and again when all else is there: looks took a
    seventh of the time that an order takes. Orders and trades are records that they do not see:
    fifty thousand of them held everybody up for 30 ms.
    """
    gc.collect()
    gc.freeze()
