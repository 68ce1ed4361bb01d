"""The chain: blocks, transactions, the contracts' views and logs. The only user of web3.

Turns every failure of node and library into the exceptions of `errors`, and every value into plain
ints, bytes and checksummed addresses. Holds no state of its own: what must survive a crash is the
outbox's, what must be in order is the relayer's.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeVar, cast

import msgspec
import requests
from eth_abi.abi import decode as abi_decode
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractEvent
from web3.exceptions import (
    BadResponseFormat,
    BlockNotFound,
    ContractCustomError,
    ContractLogicError,
    RequestTimedOut,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.types import EventData, RPCEndpoint

from exchange.commands import (
    AnyObservation,
    BatchSeen,
    DepositSeen,
)
from exchange.settlement import sightings
from exchange.settlement.batch import Tip
from exchange.settlement.compiler import Artifacts
from exchange.settlement.deployment import Deployment
from exchange.settlement.endpoints import Failover, split_urls
from exchange.settlement.errors import (
    ChainError,
    ChainUnavailable,
    NodeRefused,
    Reverted,
    WrongChain,
    error_selectors,
)
from exchange.settlement.exit_items import EXIT_OBSERVERS
from exchange.settlement.holdings import Held

LOCAL_CHAIN_ID: Final = 31_337
_RPC_TIMEOUT_S: Final = 10.0
_RECEIPT_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02
_PROOF_GAS: Final = 2**24  # what one transaction may use
_LOG_SPAN: Final = 2_000  # blocks that every node answers for in one query
# What nodes say of a transaction that they hold already, or whose nonce is mined.
_ALREADY_KNOWN: Final = ("already known", "already imported", "nonce too low", "known transaction")
T = TypeVar("T")
BlockName = int | Literal["latest"]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a mined transaction."""

    tx_hash: str
    succeeded: bool
    block: int
    gas_used: int
    contract: str | None  # address, where it created one


class SignedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction ready to be sent any number of times. Fees in wei."""

    tx_hash: str
    raw: bytes
    tx_nonce: int
    max_fee: int
    priority_fee: int


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction does: `data` to `to` (None creates a contract) with a gas limit."""

    to: str | None
    data: bytes
    gas: int


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    """EIP-1559 fees in wei per gas."""

    max_fee: int
    priority_fee: int


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """One `BatchSettled` log."""

    number: int
    batch_hash: bytes
    first_seq: int
    last_seq: int
    state_root: bytes
    block: int
    tx_hash: str


class Node:
    """A JSON-RPC endpoint, or several of one chain; whatever contracts are on it."""

    def __init__(self, urls: str) -> None:
        """Comma-separated endpoints, the preferred one first."""
        endpoints = split_urls(urls)
        self._failover = Failover(endpoints)
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, self._failover)
        provider = HTTPProvider(
            endpoints[0],
            request_kwargs={"timeout": _RPC_TIMEOUT_S},
            session=session,
            exception_retry_configuration=None,
        )
        self.web3 = Web3(provider)
        self.web3.middleware_onion.remove("validation")  # asks for the chain id at each request
        self.errors: dict[bytes, tuple[str, list[str]]] = {}  # custom errors by selector

    @property
    def url(self) -> str:
        """The endpoint in use."""
        return self._failover.url

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Failures inside come out as `ChainError`s."""
        try:
            yield
        except (requests.RequestException, RequestTimedOut, BadResponseFormat, OSError) as error:
            raise ChainUnavailable(f"the node at {self.url} does not answer: {error}") from error
        except ContractLogicError as error:
            raise self._reverted(error) from error
        except Web3RPCError as error:
            raise _refused(error) from error
        except Web3Exception as error:
            raise ChainError(f"the node at {self.url} answered nonsense: {error}") from error

    def _reverted(self, error: ContractLogicError) -> Reverted:
        data = error.data if isinstance(error.data, str) else ""
        raw = bytes.fromhex(data[2:]) if data.startswith("0x") else b""
        name, types = self.errors.get(raw[:4], ("", []))
        if isinstance(error, ContractCustomError) and name:
            return Reverted(name, abi_decode(types, raw[4:]))
        return Reverted(name or str(error.message or "no reason given"))

    def rpc(self, method: str, *params: object) -> Any:
        """Result of a raw JSON-RPC call, for methods that only local chains have."""
        with self.translated():
            return self.web3.manager.request_blocking(RPCEndpoint(method), list(params))

    # ---- blocks

    def chain_id(self) -> int:
        """Id of the chain."""
        with self.translated():
            return self.web3.eth.chain_id

    def head(self) -> int:
        """Number of the newest block."""
        with self.translated():
            height = self.web3.eth.block_number
        self._failover.saw(height)
        return height

    def block_hash(self, number: int) -> str | None:
        """Hash of a block, None where the chain is not that long."""
        try:
            with self.translated():
                return self.web3.eth.get_block(number)["hash"].to_0x_hex()
        except ChainError as error:
            if isinstance(error.__cause__, BlockNotFound):
                return None
            raise

    def block_time(self) -> int:
        """UTC second of the newest block."""
        with self.translated():
            return int(self.web3.eth.get_block("latest")["timestamp"])

    def logs(self, address: str, topic: str, first_block: int, last_block: int) -> list[Any]:
        """Logs of a contract under one topic, in order."""
        blocks = {"fromBlock": first_block, "toBlock": last_block}
        request = cast(Any, {"address": address, "topics": [topic], **blocks})
        with self.translated():
            return list(self.web3.eth.get_logs(request))

    # ---- accounts and transactions

    def balance(self, address: str) -> int:
        """Wei of an account at the newest block."""
        with self.translated():
            return self.web3.eth.get_balance(cast(Any, address))

    def tx_count(self, address: str) -> int:
        """Mined transactions of an account: the next usable tx_nonce."""
        with self.translated():
            return self.web3.eth.get_transaction_count(cast(Any, address), "latest")

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Receipt of a transaction in a block of the chain as it is now.

        A node may still show one of a block that was reorganised away (Anvil does).
        """
        try:
            with self.translated():
                found = self.web3.eth.get_transaction_receipt(cast(Any, tx_hash))
        except NodeRefused as error:
            if isinstance(error.__cause__, TransactionNotFound):
                return None
            raise
        block = int(found["blockNumber"])
        if self.block_hash(block) != found["blockHash"].to_0x_hex():
            return None
        return Receipt(
            tx_hash=tx_hash,
            succeeded=found["status"] == 1,
            block=block,
            gas_used=int(found["gasUsed"]),
            contract=found.get("contractAddress"),
        )

    def knows(self, tx_hash: str) -> bool:
        """Whether the node holds a transaction, pending or mined."""
        try:
            with self.translated():
                self.web3.eth.get_transaction(cast(Any, tx_hash))
        except NodeRefused as error:
            if isinstance(error.__cause__, TransactionNotFound):
                return False
            raise
        return True

    def suggested_fees(self) -> Fees:
        """Twice the base fee, so that a few full blocks in a row do not price a transaction out."""
        with self.translated():
            priority = int(self.web3.eth.max_priority_fee)
            base = int(self.web3.eth.get_block("latest").get("baseFeePerGas", 0))
        return Fees(max_fee=2 * base + priority, priority_fee=priority)

    def estimate_gas(
        self, sender: str, to: str | None, data: bytes, *, pending: bool = False
    ) -> int:
        """Gas of a call now, or after what the node shows `pending`; `Reverted` if it fails."""
        request: dict[str, Any] = {"from": sender, "data": data}
        if to is not None:
            request["to"] = to
        with self.translated():
            block: Literal["pending"] | None = "pending" if pending else None  # or the node's own
            return self.web3.eth.estimate_gas(cast(Any, request), block)

    def refusal(self, sender: str, to: str, data: bytes) -> Reverted | None:
        """Why a call would fail now, None if it would not; costs the node one run of it."""
        request: dict[str, Any] = {"from": sender, "to": to, "data": data}
        try:
            with self.translated():
                self.web3.eth.call(cast(Any, request))
        except Reverted as refusal:
            return refusal
        return None

    def sign(
        self, key: bytes, call: Call, *, chain_id: int, tx_nonce: int, fees: Fees
    ) -> SignedTransaction:
        """An EIP-1559 transaction; deterministic, and nothing is sent."""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": chain_id,
            "nonce": tx_nonce,
            "to": call.to or "",
            "value": 0,
            "data": call.data,
            "gas": call.gas,
            "maxFeePerGas": fees.max_fee,
            "maxPriorityFeePerGas": fees.priority_fee,
        }
        signed = Account.from_key(key).sign_transaction(fields)
        return SignedTransaction(
            tx_hash=signed.hash.to_0x_hex(),
            raw=bytes(signed.raw_transaction),
            tx_nonce=tx_nonce,
            max_fee=fees.max_fee,
            priority_fee=fees.priority_fee,
        )

    def broadcast(self, raw: bytes) -> None:
        """Send a signed transaction; that the node holds it, or its nonce is used, is no error."""
        try:
            with self.translated():
                self.web3.eth.send_raw_transaction(raw)
        except NodeRefused as error:
            if not any(text in error.message.lower() for text in _ALREADY_KNOWN):
                raise

    def transact(self, key: bytes, to: str | None, data: bytes) -> Receipt:
        """Send and wait, for tools and tests; a crash in between is not remembered."""
        sender = Account.from_key(key).address
        gas = self.estimate_gas(sender, to, data)
        signed = self.sign(
            key,
            Call(to=to, data=data, gas=gas + gas // 4),
            chain_id=self.chain_id(),
            tx_nonce=self.tx_count(sender),
            fees=self.suggested_fees(),
        )
        self.broadcast(signed.raw)
        receipt = _wait(lambda: self.receipt(signed.tx_hash))
        if not receipt.succeeded:
            raise Reverted("transaction", (signed.tx_hash,))
        return receipt

    # ---- local chains only

    def advance_time(self, to_second: int) -> None:
        """Move a local chain's clock to a UTC second, unless it stands later; mines a block."""
        if self.block_time() < to_second:
            self.rpc("evm_setTime", to_second)
            self.rpc("evm_mine")


class Chain(Node):
    """A node with our contracts on it."""

    def __init__(self, url: str, deployment: Deployment, artifacts: Artifacts) -> None:
        super().__init__(url)
        self.deployment = deployment
        self.clearing = self._contract(deployment.clearing, artifacts, "Clearing")
        self.oracle = self._contract(deployment.oracle, artifacts, "Oracle")
        self.margin = self._contract(deployment.margin or deployment.oracle, artifacts, "Margin")
        forced = deployment.liquidations or deployment.clearing
        self.liquidations = self._contract(forced, artifacts, "Liquidations")
        self.custody = self._contract(deployment.custody, artifacts, "Custody")
        self.usdc = self._contract(deployment.usdc, artifacts, "MockUSDC")
        self.tokens = {  # collateral besides USDC, by its name
            coin: self._contract(address, artifacts, "MockToken")
            for coin, address in deployment.tokens.items()
        }
        manager = deployment.access_manager
        self.access_manager = self._contract(manager, artifacts, "AccessManager")
        passes = deployment.access_pass or deployment.clearing
        self.access_pass = self._contract(passes, artifacts, "AccessPass")
        self._watched = {
            getattr(deployment, name): _watched(getattr(self, name), observers)
            for name, observers in sightings.OF.items()
            if getattr(deployment, name)
        }
        for artifact in artifacts.values():
            self.errors.update(error_selectors(artifact.abi))

    def _contract(self, address: str, artifacts: Artifacts, name: str) -> Contract:
        abi = cast(Any, artifacts[name].abi)
        return cast(Contract, self.web3.eth.contract(address=cast(Any, address), abi=abi))

    def verify(self) -> None:
        """Refuse a node that serves another chain than the deployment's."""
        wanted = self.deployment
        self._failover.expect(wanted.chain_id)
        if self.chain_id() != wanted.chain_id:
            raise WrongChain(f"{self.url} serves chain {self.chain_id()}, not {wanted.chain_id}")
        if self.block_hash(0) != wanted.genesis_hash:
            raise WrongChain(
                f"{self.url} serves another chain than the one the contracts are on (its first "
                "block differs): the chain lost its state, or the state directory is from elsewhere"
            )
        with self.translated():
            code = self.web3.eth.get_code(cast(Any, wanted.clearing))
        if not code:
            raise WrongChain(f"there is no contract at {wanted.clearing} on {self.url}")

    def call(
        self,
        contract: Contract,
        function: str,
        *arguments: object,
        block: BlockName = "latest",
    ) -> Any:
        """Result of a view."""
        with self.translated():
            return contract.functions[function](*arguments).call(block_identifier=block)

    @staticmethod
    def calldata(contract: Contract, function: str, *arguments: object) -> bytes:
        """Calldata of a function."""
        return bytes.fromhex(contract.encode_abi(function, args=list(arguments))[2:])

    # ---- views

    def last_batch(self, block: BlockName = "latest") -> Tip:
        """The end of the settled chain of batches."""
        number, batch_hash, last_seq = self.call(self.clearing, "lastBatch", block=block)
        return Tip(number=number, batch_hash=batch_hash, last_seq=last_seq)

    def delivery_price(self, underlying_id: int, expiry: int) -> int | None:
        """The fixed delivery price of an expiry, if it is fixed."""
        try:
            return int(self.call(self.oracle, "deliveryPrice", underlying_id, expiry))
        except Reverted as refusal:
            if refusal.error == "NotFixed":
                return None
            raise

    def cash_and_positions(
        self, subaccount_id: int, instrument_ids: list[int], block: BlockName = "latest"
    ) -> tuple[int, dict[int, Held]]:
        """Cash, and the positions in these instruments that are not zero, at one block."""
        cash, positions = self.call(
            self.clearing, "cashAndPositions", subaccount_id, instrument_ids, block=block
        )
        pairs = zip(instrument_ids, positions, strict=True)
        return int(cash), {
            instrument_id: Held(quantity, cost, index)
            for instrument_id, (quantity, index, cost) in pairs
            if quantity
        }

    def funding_index(self, instrument_id: int, ordinal: int) -> int | None:
        """A posted funding index, if it is there."""
        try:
            return int(self.call(self.oracle, "fundingIndex", instrument_id, ordinal))
        except Reverted as refusal:
            if refusal.error == "FundingNotPosted":
                return None
            raise

    def risk_epoch(self, block: BlockName = "latest") -> int:
        """The epoch whose root was posted last; 0 before the first."""
        return int(self.call(self.oracle, "latestRiskRoot", block=block)[0])

    def marks_time(self, epoch: int) -> int | None:
        """The UTC second of a posted epoch of marks, if it is there."""
        try:
            return int(self.call(self.oracle, "marksOf", epoch)[0])
        except Reverted as refusal:
            if refusal.error == "MarksNotPosted":
                return None
            raise

    def index_time(self, underlying_id: int) -> int:
        """The UTC second of the last index sample on chain; 0 before the first."""
        return int(self.call(self.oracle, "latestIndex", underlying_id)[1])

    def price_bands(self) -> tuple[int, int, int]:
        """Rates of options and of the rest in 1e-18, seconds; zeros before governance set them."""
        option_rate, linear_rate, max_age = self.call(self.clearing, "priceBands")
        return int(option_rate), int(linear_rate), int(max_age)

    def parameters_hash(self, block: BlockName = "latest") -> bytes:
        """Of the margin parameters in force; zeros before the first."""
        return bytes(self.call(self.margin, "parametersHash", block=block))

    def excess(self, data: bytes, block: BlockName = "latest") -> tuple[int, int]:
        """(initial, maintenance) excess that `Margin` answers to this calldata."""
        request: Any = {"to": self.deployment.margin, "data": data, "gas": _PROOF_GAS}
        with self.translated():
            answer = self.web3.eth.call(request, block)
        initial, maintenance = abi_decode(["int256", "int256"], bytes(answer))
        return initial, maintenance

    def force_until(self, subaccount_id: int) -> int:
        """The last second in which forced fills of a subaccount settle; 0 before any proof."""
        return int(self.call(self.liquidations, "forceOf", subaccount_id)[0])

    def usdc_balance(self, address: str) -> int:
        """USDC of an address, in micro-USDC."""
        return int(self.call(self.usdc, "balanceOf", address))

    def token_balance(self, coin: str, address: str) -> int:
        """Tokens of an address, in the token's own units."""
        return int(self.call(self.tokens[coin], "balanceOf", address))

    def collateral(self, subaccount_id: int, coin: str, block: BlockName = "latest") -> int:
        """Tokens of a subaccount, in ledger units."""
        return self.token_held(subaccount_id, self.deployment.tokens[coin], block)

    def token_held(self, subaccount_id: int, token: str, block: BlockName = "latest") -> int:
        """The same by the token's address."""
        return int(self.call(self.clearing, "collateralOf", subaccount_id, token, block=block))

    # ---- logs

    def settled(self, number: int) -> Settled | None:
        """The log of a settled batch, by its number; searched from the head back."""
        for first in reversed(self._log_spans()):
            found = self._logs("BatchSettled", first, {"number": number})
            if found:
                return _settled(found[-1])
        return None

    def all_settled(self) -> list[Settled]:
        """Every `BatchSettled` log up to the head, in order."""
        spans = self._log_spans()
        return [_settled(log) for first in spans for log in self._logs("BatchSettled", first, {})]

    def clearing_logs(self, name: str) -> list[dict[str, Any]]:
        """The arguments of every log of Clearing of this name up to the head, in order."""
        spans = self._log_spans()
        return [dict(log["args"]) for first in spans for log in self._logs(name, first, {})]

    def _log_spans(self) -> range:
        return range(self.deployment.block, self.head() + 1, _LOG_SPAN)

    def _logs(self, name: str, first: int, filters: dict[str, Any]) -> list[EventData]:
        with self.translated():
            logs = self.clearing.events[name].get_logs(
                argument_filters=filters, from_block=first, to_block=first + _LOG_SPAN - 1
            )
        return list(logs)

    def observations(self, first_block: int, last_block: int) -> list[tuple[int, AnyObservation]]:
        """(block, observation) of every log that the engine must know, in order."""
        topics = {event.topic for watched in self._watched.values() for event, _ in watched}
        request = {
            "address": list(self._watched),
            "topics": [sorted(topics)],  # posts of marks are long
            "fromBlock": first_block,
            "toBlock": last_block,
        }
        with self.translated():
            logs = self.web3.eth.get_logs(cast(Any, request))
            return [
                (int(log["blockNumber"]), self._in_cash(seen))
                for log in logs
                for seen in self._observe(log)
            ]

    def _observe(self, log: Any) -> Iterator[AnyObservation]:
        for event, observe in self._watched[log["address"]]:
            if bytes(log["topics"][0]) == bytes.fromhex(event.topic[2:]):
                yield observe(event.process_log(log))

    def _in_cash(self, seen: AnyObservation) -> AnyObservation:
        """A deposit of USDC names no token."""
        if isinstance(seen, DepositSeen) and seen.token == self.deployment.usdc:
            return msgspec.structs.replace(seen, token="")
        return seen


def _refused(error: Web3RPCError) -> NodeRefused:
    detail: Any = dict(error.rpc_response or {}).get("error")
    if isinstance(detail, Mapping):
        return NodeRefused(int(detail.get("code", 0)), str(detail.get("message", error)))
    return NodeRefused(0, str(detail or error))


def _settled(data: EventData) -> Settled:
    return Settled(
        number=data["args"]["number"],
        batch_hash=data["args"]["batchHash"],
        first_seq=data["args"]["firstSeq"],
        last_seq=data["args"]["lastSeq"],
        state_root=data["args"]["stateRoot"],
        block=int(data["blockNumber"]),
        tx_hash=data["transactionHash"].to_0x_hex(),
    )


def _batch_seen(data: EventData) -> BatchSeen:
    log = _settled(data)
    return BatchSeen(
        number=log.number, batch_hash=log.batch_hash, block=log.block, transaction=log.tx_hash
    )


def _watched(
    contract: Contract, observers: Mapping[str, sightings.Observer]
) -> list[tuple[ContractEvent, Callable[[EventData], AnyObservation]]]:
    """A contract's events that somebody observes."""

    def told(observe: sightings.Observer) -> Callable[[EventData], AnyObservation]:
        return lambda data: observe(data["args"])

    known = {item["name"] for item in contract.abi if item["type"] == "event"}
    found: dict[str, Callable[[EventData], AnyObservation]] = {
        "BatchSettled": _batch_seen,  # needs its place on chain too
        **EXIT_OBSERVERS,
    }
    found |= {name: told(observe) for name, observe in observers.items()}
    return [(contract.events[name](), found[name]) for name in found if name in known]


def _wait(poll: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + _RECEIPT_TIMEOUT_S
    while time.monotonic() < deadline:
        value = poll()
        if value is not None:
            return value
        time.sleep(_POLL_S)
    raise ChainUnavailable(f"a transaction was not mined in {_RECEIPT_TIMEOUT_S:.0f} s")
