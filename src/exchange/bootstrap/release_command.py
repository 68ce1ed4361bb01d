"""`exchange release`: pays withdrawals that are mature on chain, with proofs from the journal.

Anybody may release; this is the operator's way, beside the venue. The gas is the key's own.
"""

import contextlib
import os
import time
from typing import Final

import structlog

from exchange.bootstrap.deploy_command import chain_of
from exchange.bootstrap.keys import key_from_hex
from exchange.bootstrap.processes import StartFailed
from exchange.config import Settings
from exchange.journal import JournalReader, JournalUnavailable
from exchange.settlement.releases import release_mature

KEY_VARIABLE: Final = "EXCHANGE_KEEPER_KEY"
_PAUSE_S: Final = 5.0

log = structlog.get_logger(__name__)


def run_release(settings: Settings, *, watch: bool) -> None:
    """Release what is mature, once or for ever."""
    key = key_from_hex(os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE)  # it pays the gas
    chain = chain_of(settings)
    try:
        with contextlib.closing(
            JournalReader(settings.journal_location, shard=settings.shard)
        ) as reader:
            while True:
                for withdrawal, fault in release_mature(chain, key, reader):
                    say = log.warning if fault else log.info
                    say(
                        "held up" if fault else "released",
                        subaccount=withdrawal.subaccount_id,
                        nonce=withdrawal.nonce,
                        **({"why": fault} if fault else {}),
                    )
                if not watch:
                    return
                time.sleep(_PAUSE_S)
    except JournalUnavailable as error:
        raise StartFailed(str(error)) from error
