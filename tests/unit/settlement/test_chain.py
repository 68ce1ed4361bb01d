"""What a node answers, turned into our own words; the node is a table of canned answers."""

from typing import Any

import pytest
import requests
from eth_abi.abi import encode
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from hexbytes import HexBytes
from web3.exceptions import Web3RPCError

from exchange.commands import DepositSeen, ForceSeen
from exchange.settlement import chain as module
from exchange.settlement.batch import Tip
from exchange.settlement.chain import Call, Chain, Fees, Node
from exchange.settlement.compiler import Artifact
from exchange.settlement.deployment import Deployment
from exchange.settlement.errors import ChainUnavailable, NodeRefused, Reverted, WrongChain
from exchange.settlement.holdings import Held
from exchange.signing import address_of, checksum_address

KEY = b"\x71" * 32
CLEARING = "0x" + "44" * 20
WETH = checksum_address(b"\xee" * 20)
LIQUIDATIONS = "0x" + "99" * 20
HASH = "0x" + "ab" * 32
WORD = "0x" + "00" * 32


POSITION = {
    "type": "tuple[]",
    "name": "",
    "components": [{"type": kind, "name": kind} for kind in ("int64", "int64", "int128")],
}


def item(
    kind: str, name: str, inputs: list[tuple[str, str, bool]], outputs: str = ""
) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "stateMutability": "view",
        "anonymous": False,
        "inputs": [{"type": t, "name": n, "indexed": i} for t, n, i in inputs],
        "outputs": [
            POSITION if t == "position[]" else {"type": t, "name": ""} for t in outputs.split()
        ],
    }


CLEARING_ABI = [
    item("function", "lastBatch", [], "uint64 bytes32 uint64"),
    item("function", "collateralOf", [("uint64", "s", False), ("address", "t", False)], "uint256"),
    item(
        "function",
        "cashAndPositions",
        [("uint64", "id", False), ("uint64[]", "ids", False)],
        "int96 position[]",
    ),
    item("error", "WrongNumber", [("uint64", "expected", False)]),
    item(
        "event",
        "BatchSettled",
        [
            ("uint64", "number", True),
            ("bytes32", "batchHash", False),
            ("uint64", "firstSeq", False),
            ("uint64", "lastSeq", False),
            ("bytes32", "stateRoot", False),
        ],
    ),
    item(
        "event",
        "SubaccountOpened",
        [("uint64", "subaccountId", True), ("address", "owner", True), ("bool", "standard", False)],
    ),
    item(
        "event",
        "Deposited",
        [
            ("uint64", "subaccountId", True),
            ("address", "token", False),
            ("uint256", "amount", False),
        ],
    ),
    item(
        "event",
        "SessionKeySet",
        [("address", "owner", True), ("address", "key", True), ("uint64", "deadline", False)],
    ),
    item(
        "event",
        "NonceCanceled",
        [("uint64", "subaccountId", True), ("uint64", "nonce", False), ("uint64", "at", False)],
    ),
    item(
        "event",
        "NonceFloorRaised",
        [("uint64", "subaccountId", True), ("uint64", "floor", False), ("uint64", "at", False)],
    ),
    item(
        "event",
        "ExitRequested",
        [
            ("uint64", "subaccountId", True),
            ("uint64", "ordinal", False),
            ("address", "token", False),
            ("uint256", "amount", False),
            ("address", "recipient", False),
            ("uint64", "requestedAt", False),
        ],
    ),
    item(
        "event",
        "ExitServed",
        [
            ("uint64", "subaccountId", True),
            ("uint64", "ordinal", False),
            ("address", "token", False),
            ("uint256", "amount", False),
        ],
    ),
    item("event", "EscapeStarted", [("uint64", "subaccountId", True)]),
]
ORACLE_ABI = [
    item("function", "deliveryPrice", [("uint32", "u", False), ("uint64", "e", False)], "uint64"),
    item("error", "NotFixed", [("uint32", "u", False), ("uint64", "e", False)]),
    item("function", "fundingIndex", [("uint64", "i", False), ("uint64", "o", False)], "int64"),
    item("error", "FundingNotPosted", [("uint64", "i", False), ("uint64", "o", False)]),
]
LIQUIDATIONS_ABI = [
    item("function", "forceOf", [("uint64", "id", False)], "uint64 uint256 uint256"),
    item(
        "event",
        "ForceGranted",
        [
            ("uint64", "subaccountId", True),
            ("uint64", "until", False),
            ("uint256", "contracts", False),
            ("uint256", "budget", False),
        ],
    ),
]
TOKEN_ABI = [item("function", "balanceOf", [("address", "who", False)], "uint256")]
ARTIFACTS = {
    "Clearing": Artifact(abi=CLEARING_ABI, bytecode="0x"),
    "Oracle": Artifact(abi=ORACLE_ABI, bytecode="0x"),
    "Custody": Artifact(abi=[], bytecode="0x"),
    "Margin": Artifact(abi=[], bytecode="0x"),
    "AccessManager": Artifact(abi=[], bytecode="0x"),
    "AccessPass": Artifact(abi=[], bytecode="0x"),
    "Liquidations": Artifact(abi=LIQUIDATIONS_ABI, bytecode="0x"),
    "MockUSDC": Artifact(abi=[], bytecode="0x"),
    "MockToken": Artifact(abi=TOKEN_ABI, bytecode="0x"),
}
DEPLOYMENT = Deployment(
    chain_id=31_337,
    clearing=CLEARING,
    oracle="0x" + "55" * 20,
    usdc="0x" + "66" * 20,
    access_manager="0x" + "77" * 20,
    genesis_hash=HASH,
    block=1,
    tokens={"WETH": WETH},
    liquidations=LIQUIDATIONS,
)


class Answers:
    """Answers by method: a result, an error object, or an exception."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_method: dict[str, Any] = {"eth_chainId": "0x7a69"}
        self.asked: list[str] = []
        self.params: dict[str, list[Any]] = {}  # of the last question, by method
        monkeypatch.setattr(node.web3.provider, "make_request", self._answer)

    def _answer(self, method: str, params: Any) -> dict[str, Any]:
        self.asked.append(method)
        self.params[method] = list(params)
        answer = self.by_method[method]
        if isinstance(answer, Exception):
            raise answer
        envelope = {"jsonrpc": "2.0", "id": 1}
        if isinstance(answer, dict) and "code" in answer:
            return {**envelope, "error": answer}
        return {**envelope, "result": answer}


@pytest.fixture
def chain() -> Chain:
    return Chain("http://127.0.0.1:1", DEPLOYMENT, ARTIFACTS)


@pytest.fixture
def answers(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Answers:
    return Answers(chain, monkeypatch)


def block(**fields: str) -> dict[str, str]:
    return {"hash": HASH, "number": "0x5", "timestamp": "0x64", "baseFeePerGas": "0x7"} | fields


def test_silence_is_unavailable(chain: Chain, answers: Answers) -> None:
    """Refused connections and time-outs can be waited for."""
    for failure in (requests.ConnectionError("refused"), requests.Timeout("late")):
        answers.by_method["eth_blockNumber"] = failure
        with pytest.raises(ChainUnavailable, match=r"127\.0\.0\.1:1 does not answer"):
            chain.head()


def test_an_error_object_keeps_code_and_message(chain: Chain, answers: Answers) -> None:
    """What the node said, for the log."""
    answers.by_method["eth_blockNumber"] = {"code": -32_005, "message": "limit exceeded"}
    with pytest.raises(NodeRefused, match="limit exceeded") as caught:
        chain.head()
    assert caught.value.code == -32_005


def test_an_error_without_code_or_message_is_told_as_it_is(chain: Chain, answers: Answers) -> None:
    """Nodes differ; the log shows what there was."""
    for given, code, message in (
        ({"message": "limit exceeded"}, 0, "limit exceeded"),
        ({"code": -7}, -7, "-7"),
    ):
        answer: Any = {"error": given}
        refused = module._refused(Web3RPCError("-7", rpc_response=answer))
        assert refused.code == code
        assert message in refused.message
    refused = module._refused(Web3RPCError("went away"))
    assert refused.code == 0
    assert "went away" in refused.message
    odd: Any = {"error": "odd"}
    refused = module._refused(Web3RPCError("", rpc_response=odd))
    assert (refused.code, refused.message) == (0, "odd")


def test_a_custom_error_is_decoded(chain: Chain, answers: Answers) -> None:
    """By the selector of any of our contracts, arguments included."""
    data = keccak(b"WrongNumber(uint64)")[:4] + encode(["uint64"], [7])
    refusal = {"code": 3, "message": "execution reverted", "data": "0x" + data.hex()}
    answers.by_method["eth_estimateGas"] = refusal
    with pytest.raises(Reverted) as caught:
        chain.estimate_gas(address_of(KEY), CLEARING, b"\x01")
    assert (caught.value.error, caught.value.arguments) == ("WrongNumber", (7,))


def test_an_unknown_revert_keeps_its_text(chain: Chain, answers: Answers) -> None:
    """A reason string, or an error that none of our contracts has."""
    answers.by_method["eth_estimateGas"] = {"code": 3, "message": "execution reverted: paused"}
    with pytest.raises(Reverted, match="paused"):
        chain.estimate_gas(address_of(KEY), None, b"\x01")


def test_what_is_not_there_is_none(chain: Chain, answers: Answers) -> None:
    """Blocks, receipts and transactions that the node does not know."""
    for method in ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getTransactionByHash"):
        answers.by_method[method] = None
    assert chain.block_hash(9) is None
    assert chain.receipt(HASH) is None
    assert not chain.knows(HASH)


def test_other_refusals_of_a_lookup_are_not_hidden(chain: Chain, answers: Answers) -> None:
    """A node in trouble is not a missing receipt."""
    trouble = {"code": -32_000, "message": "header not found"}
    for method in ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getTransactionByHash"):
        answers.by_method[method] = trouble
    for look in (
        lambda: chain.block_hash(9),
        lambda: chain.receipt(HASH),
        lambda: chain.knows(HASH),
    ):
        with pytest.raises(NodeRefused):
            look()


def test_a_receipt_is_read(chain: Chain, answers: Answers) -> None:
    """Plain ints and hex; none where its block is not the chain's."""
    answers.by_method["eth_getTransactionReceipt"] = {
        "status": "0x0",
        "blockNumber": "0x5",
        "blockHash": HASH,
        "gasUsed": "0x5208",
        "contractAddress": None,
    }
    answers.by_method["eth_getBlockByNumber"] = block()
    receipt = chain.receipt(HASH)
    assert receipt is not None
    assert (receipt.succeeded, receipt.block, receipt.gas_used) == (False, 5, 21_000)
    answers.by_method["eth_getBlockByNumber"] = block(hash="0x" + "cd" * 32)
    assert chain.receipt(HASH) is None, "of a block that was reorganised away"


@pytest.mark.parametrize("text", ["already known", "transaction already imported", "nonce too low"])
def test_sending_again_is_no_error(chain: Chain, answers: Answers, text: str) -> None:
    """A node that has the transaction, or mined its nonce, has nothing to complain about."""
    answers.by_method["eth_sendRawTransaction"] = {"code": -32_003, "message": text}
    chain.broadcast(b"\x02")
    answers.by_method["eth_sendRawTransaction"] = {"code": -32_003, "message": "underpriced"}
    with pytest.raises(NodeRefused, match="underpriced"):
        chain.broadcast(b"\x02")


def test_fees_leave_room_above_the_base_fee(chain: Chain, answers: Answers) -> None:
    """Twice the base fee and the tip."""
    answers.by_method |= {"eth_maxPriorityFeePerGas": "0x3", "eth_getBlockByNumber": block()}
    assert chain.suggested_fees() == Fees(max_fee=17, priority_fee=3)
    old = block()
    del old["baseFeePerGas"]
    answers.by_method["eth_getBlockByNumber"] = old
    assert chain.suggested_fees() == Fees(max_fee=3, priority_fee=3), "of before London"


def test_signing_is_deterministic_and_recoverable(chain: Chain) -> None:
    """The same bytes each time, of the key's own address."""
    call = Call(to=CLEARING, data=b"\x01", gas=50_000)
    fees = Fees(max_fee=9, priority_fee=2)
    signed = [chain.sign(KEY, call, chain_id=31_337, tx_nonce=4, fees=fees) for _ in range(2)]
    assert signed[0] == signed[1]
    assert Account.recover_transaction(signed[0].raw) == address_of(KEY)
    assert signed[0].tx_hash == "0x" + keccak(signed[0].raw).hex()
    assert (signed[0].tx_nonce, signed[0].max_fee, signed[0].priority_fee) == (4, 9, 2)
    fields = TypedTransaction.from_bytes(HexBytes(signed[0].raw)).as_dict()
    wanted = {
        "type": 2,
        "chainId": 31_337,
        "nonce": 4,
        "to": bytes.fromhex(CLEARING[2:]),
        "value": 0,
        "data": b"\x01",
        "gas": 50_000,
        "maxFeePerGas": 9,
        "maxPriorityFeePerGas": 2,
    }
    assert {name: fields[name] for name in wanted} == wanted


def test_the_right_chain_is_verified(chain: Chain, answers: Answers) -> None:
    """Id, first block, and code at the contract's address."""
    answers.by_method |= {"eth_getBlockByNumber": block(), "eth_getCode": "0x60"}
    chain.verify()
    for method, wrong, line in (
        ("eth_getCode", "0x", "no contract"),
        ("eth_getBlockByNumber", block(hash="0x" + "cd" * 32), "first block differs"),
        ("eth_chainId", "0x1", "serves chain 1, not 31337"),
    ):
        answers.by_method[method] = wrong
        with pytest.raises(WrongChain, match=line):
            chain.verify()


def test_views_are_plain_values(chain: Chain, answers: Answers) -> None:
    """Ints and bytes, zero positions left out."""
    words = encode(["uint64", "bytes32", "uint64"], [3, b"\x09" * 32, 30])
    answers.by_method["eth_call"] = "0x" + words.hex()
    assert chain.last_batch() == Tip(number=3, batch_hash=b"\x09" * 32, last_seq=30)
    words = encode(["int96", "(int64,int64,int128)[]"], [-5, [(0, 0, 0), (7, -3, 9)]])
    answers.by_method["eth_call"] = "0x" + words.hex()
    assert chain.cash_and_positions(2, [11, 12]) == (-5, {12: Held(7, cost=9, funding_index=-3)})


def test_an_index_that_is_not_posted_is_none(chain: Chain, answers: Answers) -> None:
    """As of a delivery price; an index may be negative."""
    selector = keccak(b"FundingNotPosted(uint64,uint64)")[:4]
    data = "0x" + (selector + encode(["uint64", "uint64"], [1, 7])).hex()
    answers.by_method["eth_call"] = {"code": 3, "message": "execution reverted", "data": data}
    assert chain.funding_index(1, 7) is None
    answers.by_method["eth_call"] = {"code": 3, "message": "execution reverted: other"}
    with pytest.raises(Reverted):
        chain.funding_index(1, 7)
    answers.by_method["eth_call"] = "0x" + encode(["int64"], [-20_000]).hex()
    assert chain.funding_index(1, 7) == -20_000


def test_a_price_that_is_not_fixed_is_none(chain: Chain, answers: Answers) -> None:
    """The contract's refusal is an answer; any other is not."""
    selector = keccak(b"NotFixed(uint32,uint64)")[:4]
    data = "0x" + (selector + encode(["uint32", "uint64"], [1, 60])).hex()
    answers.by_method["eth_call"] = {"code": 3, "message": "execution reverted", "data": data}
    assert chain.delivery_price(1, 60) is None
    answers.by_method["eth_call"] = {"code": 3, "message": "execution reverted: other"}
    with pytest.raises(Reverted, match="other"):
        chain.delivery_price(1, 60)
    answers.by_method["eth_call"] = "0x" + encode(["uint64"], [10_000]).hex()
    assert chain.delivery_price(1, 60) == 10_000


def log(signature: bytes, data: bytes, *topics: bytes) -> dict[str, Any]:
    return {
        "address": CLEARING,
        "topics": ["0x" + topic.hex() for topic in (keccak(signature), *topics)],
        "data": "0x" + data.hex(),
        "blockNumber": "0x9",
        "blockHash": HASH,
        "transactionHash": HASH,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


def test_a_batch_is_looked_for_in_spans_from_the_head_back(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No node answers for every block at once; and what is asked for is usually new."""
    words = encode(["bytes32", "uint64", "uint64", "bytes32"], [b"\x09" * 32, 1, 30, bytes(32)])
    settled = log(
        b"BatchSettled(uint64,bytes32,uint64,uint64,bytes32)", words, encode(["uint64"], [3])
    )
    spans = []

    def answer(method: str, params: list[dict[str, str]]) -> dict[str, Any]:
        if method == "eth_blockNumber":
            return {"jsonrpc": "2.0", "id": 1, "result": hex(DEPLOYMENT.block + 5_000)}
        first, last = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))
        spans.append((first - DEPLOYMENT.block, last - DEPLOYMENT.block))
        return {"jsonrpc": "2.0", "id": 1, "result": [settled] if len(spans) == 2 else []}

    monkeypatch.setattr(chain.web3.provider, "make_request", answer)
    found = chain.settled(3)
    assert found is not None
    assert (found.number, found.last_seq, found.block) == (3, 30, 9)
    assert spans == [(4_000, 5_999), (2_000, 3_999)]


def test_logs_become_observations(chain: Chain, answers: Answers) -> None:
    """Known logs are decoded, others ignored."""

    def deposited(token: str) -> dict[str, Any]:
        data = encode(["address", "uint256"], [token, 700])
        return log(b"Deposited(uint64,address,uint256)", data, encode(["uint64"], [2]))

    answers.by_method["eth_getLogs"] = [
        log(b"Unknown()", b""),
        deposited(DEPLOYMENT.usdc),
        deposited(WETH),
        log(
            b"ForceGranted(uint64,uint64,uint256,uint256)",
            encode(["uint64", "uint256", "uint256"], [77, 5, 6]),
            encode(["uint64"], [2]),
        )
        | {"address": LIQUIDATIONS},
    ]
    assert chain.observations(1, 9) == [
        (9, DepositSeen(subaccount_id=2, amount=700)),
        (
            9,
            DepositSeen(subaccount_id=2, amount=700, token=WETH),
        ),
        (9, ForceSeen(subaccount_id=2, until=77, contracts=5, budget=6)),
    ]


def test_how_long_a_subaccount_may_be_forced(chain: Chain, answers: Answers) -> None:
    """The first of the three figures."""
    answers.by_method["eth_call"] = "0x" + encode(["uint64", "uint256", "uint256"], [9, 1, 2]).hex()
    assert chain.force_until(2) == 9


def test_tokens_are_read_by_symbol(chain: Chain, answers: Answers) -> None:
    """The wallet's balance from the token, the subaccount's from the ledger."""
    answers.by_method["eth_call"] = "0x" + encode(["uint256"], [5]).hex()
    assert chain.token_balance("WETH", CLEARING) == 5
    assert chain.collateral(2, "WETH") == 5


def test_a_local_clock_only_moves_forward(chain: Chain, answers: Answers) -> None:
    """A time that has passed asks nothing of the node."""
    answers.by_method |= {"eth_getBlockByNumber": block(), "evm_setTime": 0, "evm_mine": "0x0"}
    chain.advance_time(99)
    assert "evm_setTime" not in answers.asked
    chain.advance_time(101)
    assert answers.asked[-2:] == ["evm_setTime", "evm_mine"]
    assert answers.params["evm_setTime"] == [101]
