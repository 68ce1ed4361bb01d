"""`exchange chain`: the local chain that `exchange dev` starts, in a process of its own.

Anvil takes this process's place, so that signals and its output need nobody in between.
"""

import os
from pathlib import Path
from typing import Final

from exchange.bootstrap import dev_keys
from exchange.config import Settings
from exchange.settlement.anvil import anvil_command
from exchange.settlement.deploy import REPOSITORY

ANVIL: Final = REPOSITORY / ".venv" / "bin" / "anvil"
ACCOUNTS: Final = ("--accounts", "20", "--mnemonic", dev_keys.MNEMONIC)  # everybody in dev_keys


def run_chain(settings: Settings) -> None:
    """Become Anvil, continuing what the state directory holds."""
    command = anvil_command(
        ANVIL,
        host=settings.host,
        port=settings.chain_port,
        state=chain_state(settings),
        options=ACCOUNTS,
    )
    os.execv(command[0], command)  # noqa: S606  the binary is the one that setup installed


def chain_state(settings: Settings) -> Path:
    """Where a local chain is kept."""
    return settings.state / "anvil.json"
