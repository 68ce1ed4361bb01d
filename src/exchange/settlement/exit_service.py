"""Forced exits that anybody may serve: those that no batch can pay any more, and that are open.

Knows the chain's logs, and the journal for the proof of those who hold positions. Whoever calls
pays the gas.
"""

from collections.abc import Iterator

import msgspec

from exchange.journal import JournalReader
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain
from exchange.settlement.escape import payable
from exchange.settlement.margin_proof import PROOF_TYPE
from exchange.settlement.proving import proof_where_needed


class DueExit(msgspec.Struct, frozen=True, kw_only=True):
    """A request, what serving it pays in ledger units, and the call."""

    subaccount_id: int
    paid: int
    data: bytes


def due_exits(chain: Chain, reader: JournalReader) -> Iterator[DueExit]:
    """Those that can be served now, the oldest request first."""
    asked = [log["subaccountId"] for log in chain.clearing_logs("ExitRequested")]
    windows = ("PAY_WINDOW", "MAX_BATCH_AGE")
    wait_s = sum(int(chain.call(chain.clearing, name)) for name in windows)
    now_s = chain.block_time()
    for subaccount_id in dict.fromkeys(asked):
        _, requested_at, *_ = chain.call(chain.clearing, "exitOf", subaccount_id)
        if requested_at and requested_at + wait_s < now_s:
            proof = proof_where_needed(reader, chain, subaccount_id)
            paid = payable(chain, subaccount_id, proof)
            words = (subaccount_id, paid, proof)
            data = encode_call("serveExit", ("uint64", "uint256", PROOF_TYPE), words)
            yield DueExit(subaccount_id=subaccount_id, paid=paid, data=data)
