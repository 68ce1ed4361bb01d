"""A node for keepers in memory: answers calls from a table, mines what it is told to."""

from typing import Any

from eth_abi.abi import encode

from exchange.keepers.ethereum import CallRefused, Ethereum, GasLimits, calldata

KEY = b"\x51" * 32
GWEI = 10**9


class FakeNode(Ethereum):
    def __init__(self, key: bytes = KEY, **limits: Any) -> None:
        defaults = {"stuck_after_s": 0.0, "give_up_s": 5.0}
        super().__init__("http://127.0.0.1:9", key, GasLimits(**(defaults | limits)))
        self.answers: dict[bytes, bytes | CallRefused] = {}
        self.sent: list[str] = []
        self.mines_at = 1  # the how many-th transaction gets in
        self.succeeds = True
        self.base_fee = GWEI
        self.refusals: list[CallRefused] = []  # of the next transactions sent
        self.now = 1_800_000_000

    def answer(self, signature: str, returns: list[str], *values: object, to: Any = ()) -> None:
        """A view's result; `to` are its arguments."""
        self.answers[calldata(signature, *to)] = encode(returns, values)

    async def rpc(self, method: str, *params: Any) -> Any:  # noqa: C901  a line a method
        match method:
            case "eth_call":
                found = self.answers[bytes.fromhex(params[0]["data"][2:])]
                if isinstance(found, CallRefused):
                    raise found
                return "0x" + found.hex()
            case "eth_getBlockByNumber":
                return {"timestamp": hex(self.now), "baseFeePerGas": hex(self.base_fee)}
            case "eth_maxPriorityFeePerGas":
                return hex(GWEI)
            case "eth_estimateGas":
                return hex(100_000)
            case "eth_getTransactionCount":
                return hex(7)
            case "eth_chainId":
                return hex(31_337)
            case "eth_sendRawTransaction":
                self.sent.append(params[0])
                if self.refusals:
                    raise self.refusals.pop(0)
                return "0x"
            case "eth_getTransactionReceipt":
                if len(self.sent) < self.mines_at:
                    return None
                price = hex(2 * GWEI)
                status = hex(self.succeeds)
                return {"gasUsed": hex(90_000), "effectiveGasPrice": price, "status": status}
        raise AssertionError(method)
