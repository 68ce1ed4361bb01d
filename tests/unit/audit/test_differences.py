"""What an audit raises."""

from exchange.audit.differences import Difference


def test_a_difference_names_its_seq() -> None:
    """For a program by field, for a person in words."""
    found = Difference(7, "another price")
    assert (found.seq, found.text, str(found)) == (7, "another price", "seq 7: another price")
