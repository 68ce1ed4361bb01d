"""Refusals read as one line."""

import pytest

from exchange.settlement import errors
from exchange.settlement.errors import ChainError, NodeRefused, Reverted


def test_a_revert_names_the_custom_error() -> None:
    """Name and arguments, as in the contract."""
    refusal = Reverted("WrongNumber", (7,))
    assert str(refusal) == "the contract refused: WrongNumber(7)"
    assert (refusal.error, refusal.arguments) == ("WrongNumber", (7,))


def test_a_node_error_keeps_its_code() -> None:
    """Code and message as the node gave them."""
    refusal = NodeRefused(-32_003, "nonce too low")
    assert (refusal.code, refusal.message) == (-32_003, "nonce too low")
    assert "nonce too low (-32003)" in str(refusal)


@pytest.mark.parametrize(
    "name", ["ChainUnavailable", "WrongChain", "ReorgDetected", "BatchRefused", "ToolMissing"]
)
def test_one_handler_catches_all(name: str) -> None:
    """The command line prints any of them as one line."""
    assert issubclass(getattr(errors, name), ChainError)
