"""What the journal decides about the chain: which epochs it is shown, and where batches end.

Parts of `commands` and `events`, which pass them on.
"""

import msgspec

from exchange.reasons import Event


class PublicationParameters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which epochs of marks go on chain, and how far from the last one anything may trade.

    The contract has bands too, by governance: these must lie within them, or it refuses fills.
    Rates in 1e-18 of the published index.
    """

    heartbeat_ns: int  # an epoch is published once the last one is so old ...
    move_rate: int  # ... or an index or a mark moved so far from it, or an instrument is new
    age_max_ns: int  # on an older one nothing trades
    band_rate: int  # around the published mark of an option
    linear_band_rate: int  # of a perpetual or a future


class BatchCut(Event, frozen=True, kw_only=True):
    """Commands `first_seq..last_seq` form settlement batch `number`."""

    number: int
    first_seq: int
    last_seq: int
    risk_epoch: int  # the published one that its fills keep to
    state_hash: bytes
    marks_seq: int = 0  # of the command that brought that epoch; 0: none is published


class BatchConfirmed(Event, frozen=True, kw_only=True):
    """A settlement batch is final on chain."""

    number: int
    block: int
    transaction: str
