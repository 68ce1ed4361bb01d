"""The auditor: replays a journal and compares it with itself and with the chain.

Uses nothing but the journal and, where given, a node. It names the first difference by seq and
repairs nothing.
"""

from exchange.audit.batches import BatchAudit
from exchange.audit.differences import Difference
from exchange.audit.replay import Replay, ReplayFigures

__all__ = ["BatchAudit", "Difference", "Replay", "ReplayFigures"]
