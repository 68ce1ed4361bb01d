"""Reorganisations of an Anvil that mines whatever comes, without the gaps that it would leave."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from exchange.settlement.chain import Chain

POLLS_MAX: Final = 40
POLL_S: Final = 0.005


@contextmanager
def without_mining(chain: Chain) -> Iterator[None]:
    """Nothing is mined in here; what was being mined gets a moment first, the rest stays pooled.

    Anvil 1.7.1 reorganises beside its miner: the block of a transaction that came just before lands
    on the old height, and those below it are missing for ever.
    """
    chain.rpc("evm_setAutomine", False)
    try:
        for _ in range(POLLS_MAX):
            if not int(chain.rpc("txpool_status")["pending"], 16):
                break
            time.sleep(POLL_S)
        yield
    finally:
        chain.rpc("evm_setAutomine", True)


def reorganise(chain: Chain, depth: int) -> None:
    """Undo so many blocks and mine as many empty ones."""
    with without_mining(chain):
        chain.rpc("anvil_reorg", depth, [])


def reorganise_from(chain: Chain, kept: int) -> None:
    """Undo all blocks after this one."""
    with without_mining(chain):
        chain.rpc("anvil_reorg", chain.head() - kept, [])
