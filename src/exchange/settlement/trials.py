"""Parts of a batch, to ask the chain how far it would settle. Pure; none of them ever does."""

from collections.abc import Container

import msgspec

from exchange.settlement.batch import Batch


def acts_at_end(batch: Batch) -> list[int]:
    """Numbers of the acts that come after every command, in the order of the contract."""
    found = [takeover.act_id for takeover in batch.takeovers]
    return list(dict.fromkeys(found + [due.act_id for due in batch.dues]))


def through(batch: Batch, seq_offset: int, acts: Container[int] = ()) -> Batch:
    """The batch without what comes after this command; for trying, it never settles.

    Takeovers and dues come after every command: only these acts are left.
    """
    fills = [fill for fill in batch.fills if fill.seq_offset <= seq_offset]
    used = sorted({index for fill in fills for index in (fill.maker, fill.taker)})
    place = {index: new for new, index in enumerate(used)}
    return msgspec.structs.replace(
        batch,
        orders=tuple(batch.orders[index] for index in used),
        fills=tuple(
            msgspec.structs.replace(fill, maker=place[fill.maker], taker=place[fill.taker])
            for fill in fills
        ),
        payoffs=tuple(item for item in batch.payoffs if item.seq_offset <= seq_offset),
        withdrawals=tuple(item for item in batch.withdrawals if item.seq_offset <= seq_offset),
        interests=tuple(item for item in batch.interests if item.seq_offset <= seq_offset),
        takeovers=tuple(item for item in batch.takeovers if item.act_id in acts),
        dues=tuple(item for item in batch.dues if item.act_id in acts),
        trades=batch.trades[: len(fills)],
    )
