"""What ended the engine's process, in one line."""

import pytest

from exchange.bootstrap.engine_process import journal_failure
from exchange.journal import JournalCorrupt, JournalUnavailable

FULL = JournalUnavailable("the disk is full")
CORRUPT = JournalCorrupt("seq 9 cannot be read")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([FULL], FULL),
        ([ValueError("x"), FULL], FULL),
        ([ExceptionGroup("inner", [ValueError("x"), CORRUPT])], CORRUPT),
        ([ValueError("x")], None),
        ([KeyboardInterrupt()], None),
    ],
)
def test_a_failed_journal_is_named_wherever_it_is(parts, told):
    """Among what ended the other parts, and in groups of groups; a bug stays a traceback."""
    assert journal_failure(BaseExceptionGroup("parts", parts)) is told
