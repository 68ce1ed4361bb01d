"""What is asked of a node: which contract, which function, at which block."""

from typing import Any

import msgspec
import pytest
from eth_abi.abi import decode, encode
from eth_hash.auto import keccak
from tests.unit.settlement.test_chain import (
    ARTIFACTS,
    CLEARING,
    CLEARING_ABI,
    DEPLOYMENT,
    HASH,
    KEY,
    LIQUIDATIONS,
    ORACLE_ABI,
    TOKEN_ABI,
    WETH,
    block,
    item,
    log,
)

from exchange.commands import BatchSeen
from exchange.settlement import chain as module
from exchange.settlement.batch import Tip
from exchange.settlement.chain import Call, Chain, Fees
from exchange.settlement.compiler import Artifact
from exchange.settlement.errors import ChainUnavailable, Reverted
from exchange.settlement.holdings import Held
from exchange.signing import address_of

MARGIN = "0x" + "88" * 20
ORACLE, USDC = DEPLOYMENT.oracle, DEPLOYMENT.usdc
NUMBER = ("uint64", "n", False)
MORE = [
    item("function", "latestRiskRoot", [], "uint64 uint64 bytes32"),
    item("function", "marksOf", [NUMBER], "uint64 bytes32"),
    item("error", "MarksNotPosted", [NUMBER]),
    item("function", "latestIndex", [("uint32", "u", False)], "uint64 uint64"),
]
BANDS = item("function", "priceBands", [], "uint64 uint64 uint64")
VIEWS = ARTIFACTS | {
    "Oracle": Artifact(abi=[*ORACLE_ABI, *MORE], bytecode="0x"),
    "Clearing": Artifact(abi=[*CLEARING_ABI, BANDS], bytecode="0x"),
    "Margin": Artifact(abi=[item("function", "parametersHash", [], "bytes32")], bytecode="0x"),
    "MockUSDC": Artifact(abi=TOKEN_ABI, bytecode="0x"),
}
ROOT = b"\x09" * 32


class Node:
    """Answers requests by their method, and keeps what was asked."""

    def __init__(self, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_method: dict[str, Any] = {"eth_chainId": "0x7a69"}
        self.asked: dict[str, list[Any]] = {}
        monkeypatch.setattr(chain.web3.provider, "make_request", self._answer)

    def _answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.asked.setdefault(method, []).append(list(params))
        answer = self.by_method[method]
        if callable(answer):
            answer = answer(*params)
        key = "error" if isinstance(answer, dict) and "code" in answer else "result"
        return {"jsonrpc": "2.0", "id": 1, key: answer}

    def views(self, *types: str, answer: tuple[Any, ...]) -> None:
        """What every view answers."""
        self.by_method["eth_call"] = "0x" + encode(types, answer).hex()


@pytest.fixture
def chain() -> Chain:
    deployment = msgspec.structs.replace(DEPLOYMENT, margin=MARGIN)
    return Chain("http://127.0.0.1:1", deployment, VIEWS)


@pytest.fixture
def node(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(chain, monkeypatch)


WORD = ("uint256",)
RISK = ("uint64", "uint64", "bytes32")
TIP = ("uint64", "bytes32", "uint64")
BOOK = ("int96", "(int64,int64,int128)[]")
FORCE = ("uint64", "uint256", "uint256")


@pytest.mark.parametrize(
    ("view", "given", "contract", "function", "types", "answer", "found"),
    [
        (
            "last_batch",
            (),
            CLEARING,
            "lastBatch()",
            TIP,
            (3, ROOT, 30),
            Tip(number=3, batch_hash=ROOT, last_seq=30),
        ),
        (
            "cash_and_positions",
            (2, [11]),
            CLEARING,
            "cashAndPositions(uint64,uint64[])",
            BOOK,
            (-5, [(7, -3, 9)]),
            (-5, {11: Held(7, 9, -3)}),
        ),
        ("price_bands", (), CLEARING, "priceBands()", ("uint64",) * 3, (1, 2, 3), (1, 2, 3)),
        ("token_held", (2, WETH), CLEARING, "collateralOf(uint64,address)", WORD, (5,), 5),
        ("collateral", (2, "WETH"), CLEARING, "collateralOf(uint64,address)", WORD, (5,), 5),
        ("usdc_balance", (WETH,), USDC, "balanceOf(address)", WORD, (5,), 5),
        ("token_balance", ("WETH", WETH), WETH, "balanceOf(address)", WORD, (5,), 5),
        ("delivery_price", (1, 60), ORACLE, "deliveryPrice(uint32,uint64)", ("uint64",), (9,), 9),
        ("funding_index", (1, 7), ORACLE, "fundingIndex(uint64,uint64)", ("int64",), (-9,), -9),
        ("risk_epoch", (), ORACLE, "latestRiskRoot()", RISK, (7, 9, ROOT), 7),
        ("marks_time", (4,), ORACLE, "marksOf(uint64)", ("uint64", "bytes32"), (9, ROOT), 9),
        ("index_time", (2,), ORACLE, "latestIndex(uint32)", ("uint64",) * 2, (5, 9), 9),
        ("parameters_hash", (), MARGIN, "parametersHash()", ("bytes32",), (ROOT,), ROOT),
        ("force_until", (2,), LIQUIDATIONS, "forceOf(uint64)", FORCE, (9, 1, 2), 9),
    ],
)
def test_a_view_asks_its_contract_at_the_newest_block(
    chain: Chain,
    node: Node,
    view: str,
    given: tuple[Any, ...],
    contract: str,
    function: str,
    types: tuple[str, ...],
    answer: tuple[Any, ...],
    found: Any,
) -> None:
    """By its function's selector and what was given, a token by its address."""
    node.views(*types, answer=answer)
    assert getattr(chain, view)(*given) == found
    [[request, where]] = node.asked["eth_call"]
    assert (request["to"].lower(), where) == (contract.lower(), "latest")
    data = bytes.fromhex(request["data"][2:])
    assert data[:4] == keccak(function.encode())[:4]
    kinds = function[function.index("(") + 1 : -1]
    words = [WETH.lower() if one == "WETH" else one for one in given]
    if view == "token_balance":
        words = words[1:]
    wanted = [one.lower() if isinstance(one, str) else one for one in words]
    told = decode(kinds.split(",") if kinds else [], data[4:])
    assert [list(one) if isinstance(one, tuple) else one for one in told] == wanted


@pytest.mark.parametrize(
    ("view", "given", "types", "answer"),
    [
        ("last_batch", (), TIP, (3, ROOT, 30)),
        ("cash_and_positions", (2, []), BOOK, (0, [])),
        ("risk_epoch", (), RISK, (7, 9, ROOT)),
        ("parameters_hash", (), ("bytes32",), (ROOT,)),
        ("collateral", (2, "WETH"), WORD, (5,)),
        ("token_held", (2, WETH), WORD, (5,)),
    ],
)
def test_what_is_compared_is_read_at_a_block(
    chain: Chain,
    node: Node,
    view: str,
    given: tuple[Any, ...],
    types: tuple[str, ...],
    answer: tuple[Any, ...],
) -> None:
    """The one that the journal observed."""
    node.views(*types, answer=answer)
    getattr(chain, view)(*given, block=5)
    assert [where for _, where in node.asked["eth_call"]] == ["0x5"]


def test_an_epoch_that_was_not_posted_has_no_time(chain: Chain, node: Node) -> None:
    """Another refusal is told."""
    data = keccak(b"MarksNotPosted(uint64)")[:4] + encode(["uint64"], [4])
    refused = {"code": 3, "message": "execution reverted", "data": "0x" + data.hex()}
    node.by_method["eth_call"] = refused
    assert chain.marks_time(4) is None
    node.by_method["eth_call"] = {"code": 3, "message": "execution reverted: other"}
    with pytest.raises(Reverted, match="other"):
        chain.marks_time(4)


def test_margin_is_asked_for_excess_with_gas_for_a_proof(chain: Chain, node: Node) -> None:
    """Whatever the calldata; both may be negative."""
    node.views("int256", "int256", answer=(-5, 9))
    assert chain.excess(b"\x01\x02") == (-5, 9)
    assert chain.excess(b"\x01\x02", block=5) == (-5, 9)
    first, second = node.asked["eth_call"]
    assert (first[0]["to"], first[0]["data"], first[1]) == (MARGIN, "0x0102", "latest")
    assert int(first[0]["gas"], 16) == 2**24
    assert second[1] == "0x5"


def test_calldata_is_the_contracts_own(chain: Chain) -> None:
    """Selector and words."""
    words = encode(["uint64", "address"], [2, WETH])
    selector = keccak(b"collateralOf(uint64,address)")[:4]
    assert Chain.calldata(chain.clearing, "collateralOf", 2, WETH) == selector + words


def test_an_account_is_read_at_the_newest_block(chain: Chain, node: Node) -> None:
    """Its wei, and the transactions that are mined: no pending ones."""
    node.by_method |= {"eth_getBalance": "0x9", "eth_getTransactionCount": "0x4"}
    assert (chain.balance(WETH), chain.tx_count(WETH)) == (9, 4)
    assert node.asked["eth_getBalance"] == [[WETH, "latest"]]
    assert node.asked["eth_getTransactionCount"] == [[WETH, "latest"]]


def test_a_call_is_tried_before_it_is_sent(chain: Chain, node: Node) -> None:
    """By who would send it, to whom; nothing but a revert is a refusal."""
    sender = address_of(KEY)
    node.by_method["eth_call"] = "0x"
    assert chain.refusal(sender, CLEARING, b"\x01") is None
    [[request, _]] = node.asked["eth_call"]
    assert (request["from"], request["to"], request["data"]) == (sender, CLEARING, "0x01")
    node.by_method["eth_call"] = {"code": 3, "message": "execution reverted: paused"}
    found = chain.refusal(sender, CLEARING, b"\x01")
    assert found is not None
    assert "paused" in found.error
    node.by_method["eth_estimateGas"] = "0x5"
    assert chain.estimate_gas(sender, CLEARING, b"\x01", pending=True) == 5
    [[request, where]] = node.asked["eth_estimateGas"]
    assert (request["from"], request["to"], request["data"]) == (sender, CLEARING, "0x01")
    assert where == "pending"


def receipt(status: str) -> dict[str, Any]:
    return {
        "status": status,
        "blockNumber": "0x5",
        "blockHash": HASH,
        "gasUsed": "0x5208",
        "contractAddress": WETH,
    }


def test_a_tools_transaction_is_sent_and_waited_for(
    chain: Chain, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter more gas than estimated, the next nonce; one that reverts is told."""
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    node.by_method |= {
        "eth_estimateGas": "0x64",
        "eth_getTransactionCount": "0x4",
        "eth_maxPriorityFeePerGas": "0x3",
        "eth_getBlockByNumber": block(),
        "eth_sendRawTransaction": HASH,
    }
    receipts = iter([None, receipt("0x1")])
    node.by_method["eth_getTransactionReceipt"] = lambda _: next(receipts)
    found = chain.transact(KEY, CLEARING, b"\x01")
    call, fees = Call(to=CLEARING, data=b"\x01", gas=125), Fees(max_fee=17, priority_fee=3)
    signed = chain.sign(KEY, call, chain_id=31_337, tx_nonce=4, fees=fees)
    assert node.asked["eth_sendRawTransaction"] == [["0x" + signed.raw.hex()]]
    assert node.asked["eth_getTransactionReceipt"] == [[signed.tx_hash]] * 2
    assert node.asked["eth_getTransactionCount"] == [[address_of(KEY), "latest"]]
    [[request, *_]] = node.asked["eth_estimateGas"]
    assert (request["from"], request["to"], request["data"]) == (address_of(KEY), CLEARING, "0x01")
    assert (found.tx_hash, found.contract, found.block) == (signed.tx_hash, WETH, 5)
    node.by_method["eth_getTransactionReceipt"] = receipt("0x0")
    with pytest.raises(Reverted, match=f"transaction.{signed.tx_hash}"):
        chain.transact(KEY, CLEARING, b"\x01")


def test_no_transaction_is_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node may have lost it."""
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    monkeypatch.setattr(module, "_RECEIPT_TIMEOUT_S", 0.01)
    with pytest.raises(ChainUnavailable, match="was not mined in 0 s"):
        module._wait(lambda: None)


class Spans:
    """A node with 5,000 blocks and one log in the second span."""

    def __init__(self, found: dict[str, Any], node: Node) -> None:
        self.spans: list[tuple[int, int]] = []
        self.topics: list[list[Any]] = []
        self._found = found
        node.by_method |= {
            "eth_blockNumber": hex(DEPLOYMENT.block + 5_000),
            "eth_getLogs": self._logs,
        }

    def _logs(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = (int(request[key], 16) - DEPLOYMENT.block for key in ("fromBlock", "toBlock"))
        assert request["address"] == [CLEARING]
        self.spans.append((first, last))
        self.topics.append(request["topics"])
        return [self._found] if first == 2_000 else []


SETTLED = b"BatchSettled(uint64,bytes32,uint64,uint64,bytes32)"
WORDS = encode(["bytes32", "uint64", "uint64", "bytes32"], [ROOT, 1, 30, b"\x08" * 32])


def test_all_batches_are_read_in_order_and_in_spans(chain: Chain, node: Node) -> None:
    """From the contracts' first block to the head; each with its place."""
    spans = Spans(log(SETTLED, WORDS, encode(["uint64"], [3])), node)
    [found] = chain.all_settled()
    assert (found.number, found.batch_hash, found.first_seq, found.last_seq) == (3, ROOT, 1, 30)
    assert (found.state_root, found.block, found.tx_hash) == (b"\x08" * 32, 9, HASH)
    assert spans.spans == [(0, 1_999), (2_000, 3_999), (4_000, 5_999)]
    assert spans.topics == [["0x" + keccak(SETTLED).hex()]] * 3


def test_logs_of_a_name_are_their_arguments(chain: Chain, node: Node) -> None:
    """Of Clearing, in order."""
    words = encode(["address", "uint256"], [WETH, 700])
    spans = Spans(log(b"Deposited(uint64,address,uint256)", words, encode(["uint64"], [2])), node)
    wanted = {"subaccountId": 2, "token": WETH, "amount": 700}
    assert chain.clearing_logs("Deposited") == [wanted]
    assert spans.spans == [(0, 1_999), (2_000, 3_999), (4_000, 5_999)]


def test_a_nodes_logs_are_those_of_a_topic(chain: Chain, node: Node) -> None:
    """Of one contract, in these blocks."""
    node.by_method["eth_getLogs"] = [log(b"Departed()", b"")]
    [found] = chain.logs(WETH, HASH, 3, 7)
    assert found["blockNumber"] == 9
    assert node.asked["eth_getLogs"] == [
        [{"address": [WETH], "topics": [HASH], "fromBlock": "0x3", "toBlock": "0x7"}]
    ]


def test_a_settled_batch_is_observed_with_its_place(chain: Chain, node: Node) -> None:
    """The journal keeps block and transaction."""
    node.by_method["eth_getLogs"] = [log(SETTLED, WORDS, encode(["uint64"], [3]))]
    seen = BatchSeen(number=3, batch_hash=ROOT, block=9, transaction=HASH)
    assert chain.observations(2, 9) == [(9, seen)]
    [[request]] = node.asked["eth_getLogs"]
    assert (request["fromBlock"], request["toBlock"]) == ("0x2", "0x9")
    assert {CLEARING, LIQUIDATIONS} <= set(request["address"])
    assert "0x" + keccak(SETTLED).hex() in request["topics"][0]
