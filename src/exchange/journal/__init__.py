"""The journal: every command and its events, in order, for ever.

One of the two doors to SQL. It knows commands and events, never the engine: replay is the engine's
business, writing down and reading back is this folder's.
"""

from exchange.journal.arrivals import Arrival, Sender, StreamId
from exchange.journal.codec import GENESIS_HASH, Entry, EntryEncoder
from exchange.journal.lease import Lease
from exchange.journal.reader import JournalReader
from exchange.journal.schema import JournalCorrupt, JournalUnavailable, LeaseLost, create_tables
from exchange.journal.tail import Delivery, JournalTail
from exchange.journal.writer import Journal

__all__ = [
    "GENESIS_HASH",
    "Arrival",
    "Delivery",
    "Entry",
    "EntryEncoder",
    "Journal",
    "JournalCorrupt",
    "JournalReader",
    "JournalTail",
    "JournalUnavailable",
    "Lease",
    "LeaseLost",
    "Sender",
    "StreamId",
    "create_tables",
]
