"""Withdrawals that a batch debited and that wait on chain: which they are and how they leave.

Knows the chain's logs, and the journal for the proof of those who hold positions. Whoever calls
pays the gas: the owner, or anybody.
"""

from collections.abc import Iterator
from typing import Any, cast

import msgspec

from exchange.journal import JournalReader
from exchange.settlement.batch import encode_call
from exchange.settlement.chain import Chain, Receipt
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.margin_proof import PROOF_TYPE
from exchange.settlement.proving import proof_where_needed

_QUEUED_TYPE = "(uint64,address,uint256,address,uint64,bool)"


class QueuedWithdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A debited withdrawal; `amount` in ledger units, `matures_at` a UTC second."""

    subaccount_id: int
    token: str
    amount: int
    recipient: str
    nonce: int
    requested: bool
    matures_at: int

    @property
    def words(self) -> tuple[object, ...]:
        """`Queued` of the contract."""
        return (
            self.subaccount_id,
            self.token,
            self.amount,
            self.recipient,
            self.nonce,
            self.requested,
        )


def queued_withdrawals(chain: Chain, subaccount_id: int = 0) -> list[QueuedWithdrawal]:
    """What waits, of one subaccount or (0) of all, in the order of their batches."""
    known = [_queued(log) for log in chain.clearing_logs("WithdrawalQueued")]
    return [
        one
        for one in known
        if subaccount_id in (0, one.subaccount_id)
        and chain.call(chain.clearing, "maturesAt", one.words)
    ]


def release(
    chain: Chain, key: bytes, withdrawal: QueuedWithdrawal, reader: JournalReader
) -> Receipt:
    """Pay a mature withdrawal; `Reverted` says what holds it up.

    Whoever holds positions, or owes, needs a proof: made from the journal under the latest root.
    """
    proof = proof_where_needed(reader, chain, withdrawal.subaccount_id)
    data = encode_call("release", (_QUEUED_TYPE, PROOF_TYPE), (withdrawal.words, proof))
    return chain.transact(key, chain.deployment.clearing, data)


def release_mature(
    chain: Chain, key: bytes, reader: JournalReader
) -> Iterator[tuple[QueuedWithdrawal, str]]:
    """Release all that is mature; each with what held it up, or nothing."""
    now_s = chain.block_time()
    for withdrawal in queued_withdrawals(chain):
        if withdrawal.matures_at > now_s:
            continue
        try:
            release(chain, key, withdrawal, reader)
        except (Reverted, ChainError) as error:  # one that is held up holds up no other
            yield withdrawal, str(error)
        else:
            yield withdrawal, ""


def take_back(chain: Chain, key: bytes, withdrawal: QueuedWithdrawal) -> Receipt:
    """Put a withdrawal back into its subaccount; only with the owner's key."""
    data = encode_call("takeBack", (_QUEUED_TYPE,), (withdrawal.words,))
    return chain.transact(key, chain.deployment.clearing, data)


def _queued(log: dict[str, Any]) -> QueuedWithdrawal:
    return QueuedWithdrawal(
        subaccount_id=log["subaccountId"],
        token=cast(str, log["token"]),
        amount=log["amount"],
        recipient=cast(str, log["recipient"]),
        nonce=log["nonce"],
        requested=log["requested"],
        matures_at=log["maturesAt"],
    )
