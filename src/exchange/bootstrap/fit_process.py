"""A process that fits smiles, so that no fit ever takes the engine's time.

It ends with its parent, however that ends, and leaves signals to it.
"""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait


def fit_executor() -> ProcessPoolExecutor:
    """One worker, started when the first fit comes."""
    return ProcessPoolExecutor(
        max_workers=1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_live_and_die_with_parent,
    )


def _live_and_die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
