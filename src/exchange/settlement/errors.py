"""What can go wrong between the exchange and the chain, each told in one line."""

from typing import Any

from eth_hash.auto import keccak


class ChainError(Exception):
    """Base: a person must look at the chain, unless a subclass says otherwise."""


class ChainUnavailable(ChainError):
    """The node did not answer, or not in time: try again later."""


class NodeRefused(ChainError):
    """The node answered with an error; `code` and `message` as it gave them."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the node refused the request: {message} ({code})")
        self.code = code
        self.message = message


class Reverted(ChainError):
    """A contract refused a call; `error` is the name of its custom error."""

    def __init__(self, error: str, arguments: tuple[object, ...] = ()) -> None:
        inside = ", ".join(str(argument) for argument in arguments)
        super().__init__(f"the contract refused: {error}({inside})")
        self.error = error
        self.arguments = arguments


class WrongChain(ChainError):
    """The node serves another chain than the deployment or the journal was made on."""


class ReorgDetected(ChainError):
    """A block that the journal already observed is no longer part of the chain."""


class BatchRefused(ChainError):
    """The chain refuses a batch that the journal cut, or holds another one under its number."""


class ToolMissing(ChainError):
    """A tool or source that building or starting the local chain needs is not there."""


def error_selectors(abi: list[dict[str, Any]]) -> dict[bytes, tuple[str, list[str]]]:
    """Name and argument types of a contract's custom errors, by their first four bytes."""
    selectors = {}
    for item in abi:
        if item["type"] == "error":
            types = [argument["type"] for argument in item["inputs"]]
            signature = f"{item['name']}({','.join(types)})"
            selectors[keccak(signature.encode())[:4]] = (item["name"], types)
    return selectors
