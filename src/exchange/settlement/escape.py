"""Out with a wallet and a node alone: no journal, no exchange, no other service.

Everything is read from the contracts' views and logs, and from the calldata of settled batches.
Each step only adds to what is on chain, so it can be stopped, repeated, or left to somebody else.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from eth_abi.abi import decode
from eth_hash.backends.pysha3 import keccak256 as keccak

from exchange.margin.merkle import MARK_SIZE, marks_leaves, marks_root
from exchange.merkle import merkle_multiproof
from exchange.model import Kind, index_id, unpack_instrument_id
from exchange.settlement.batch import BATCH_TYPE
from exchange.settlement.chain import Chain, Receipt
from exchange.settlement.errors import ChainError
from exchange.settlement.margin_proof import NO_PROOF, PARAMETERS_TYPE
from exchange.settlement.packed import traded_instruments
from exchange.signing import address_of

_LOG_SPAN: Final = 2_000  # blocks that every node answers for in one query
_MARKS_AT_ONCE: Final = 200
_ACCOUNTS_AT_ONCE: Final = 200
_POSITIONS_AT_ONCE: Final = 400  # some 9k gas each
_COLLATERALS: Final = 15  # place in MarginParameters
_WORD: Final = 32
_ANYBODY: Final = "0x" + "0" * 39 + "1"


class EscapeState(msgspec.Struct, frozen=True, kw_only=True):
    """`Escape` of IExits.sol."""

    started_at: int
    accounts: int
    next: int
    tokens_priced: bool
    marks_root: bytes
    parameters_hash: bytes
    brought: int
    cash: int
    seized: int
    senior: int
    junior: int

    @property
    def valued(self) -> bool:
        """Whether owners can claim."""
        return self.started_at > 0 and self.next > self.accounts


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner asked for and has not got, in ledger units."""

    ordinal: int
    token: str
    amount: int
    recipient: str
    escapes_at: int  # UTC second from which on it ends the venue


class Waiting(ChainError):
    """Nothing can be done now; says what for."""


class WayOut:
    """What one wallet can do to get its money, and everybody's valued."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        self.chain = chain
        self.address = address_of(key)
        self._key = key
        self._instruments: list[int] | None = None
        self._parameters: bytes | None = None

    # ---- forced exit

    def subaccounts(self) -> list[int]:
        """Those that this wallet owns."""
        logs = self._logs(self.chain.clearing, "SubaccountOpened", {"owner": self.address})
        return [log["args"]["subaccountId"] for log in logs]

    def request(
        self, subaccount_id: int, token: str, amount: int, recipient: str | None = None
    ) -> None:
        """Ask for money, in ledger units of a token, USDC included."""
        self._send("requestExit", subaccount_id, token, amount, recipient or self.address)

    def open_request(self, subaccount_id: int) -> OpenRequest | None:
        """The request of a subaccount that is not closed."""
        token, requested_at, recipient, ordinal, amount = self._call("exitOf", subaccount_id)
        if not requested_at:
            return None
        return OpenRequest(
            ordinal=ordinal,
            token=token,
            amount=amount,
            recipient=recipient,
            escapes_at=requested_at + self._call("EXIT_DEADLINE") + 1,
        )

    def serve(self, subaccount_id: int, proof: tuple[object, ...] = NO_PROOF) -> int:
        """Pay of an open request what margin allows, and close it; what was paid.

        Without positions and debts no proof is needed, and the node is enough.
        """
        if self.open_request(subaccount_id) is None:
            raise ChainError(f"subaccount {subaccount_id} has no open request")
        paid = payable(self.chain, subaccount_id, proof)
        self._send("serveExit", subaccount_id, paid, proof)
        return paid

    def start(self, subaccount_id: int) -> None:
        """End the venue: the subaccount's request was not answered in time."""
        self._send("startEscape", subaccount_id)

    # ---- escape

    def state(self) -> EscapeState:
        """Where the escape stands."""
        words = zip(EscapeState.__struct_fields__, self._call("escape"), strict=True)
        return EscapeState(**dict(words))

    def value_all(self) -> Iterator[str]:
        """Take every step until owners can claim, each told in a line; raises `Waiting`."""
        if not self.state().started_at:
            raise ChainError("the venue has not ended")
        yield from self._fix_prices()
        if not self.state().tokens_priced:
            self._send("priceTokens", self._collateral_parameters())
            yield "priced the collateral"
        while not (now := self.state()).valued:
            lists = self._next_lists(now)
            self._send("value", now.next, lists)
            yield f"valued {now.next} to {self.state().next - 1} of {now.accounts} accounts"

    def claim(self, subaccount_id: int, recipient: str | None = None) -> dict[str, int]:
        """Claim everything of every token; ledger units by address."""
        if not self.state().valued:
            raise Waiting("not all accounts are valued yet")
        paid = {}
        for token in self._tokens():
            amount = self._call("claimable", subaccount_id, token)
            if amount:
                self._send("claim", subaccount_id, token, recipient or self.address)
                paid[token] = amount
        return paid

    # ---- prices

    def _fix_prices(self) -> Iterator[str]:
        state = self.state()
        missing = self._unpriced(state)
        if not missing:
            return
        marks = self._posted_marks(state.marks_root)
        leaves = marks_leaves(marks)
        places = [at for at in range(len(leaves)) if _id_at(marks, at) in missing]
        for first in range(0, len(places), _MARKS_AT_ONCE):
            chosen = places[first : first + _MARKS_AT_ONCE]
            self._send("fixMarks", marks_words(marks, leaves, chosen))
            yield f"fixed {len(chosen)} marks"
        missing = self._unpriced(state)
        if not missing:
            return
        until = state.started_at + self._call("PRICE_WINDOW")
        if self.chain.block_time() <= until:
            raise Waiting(
                f"{len(missing)} prices are missing, such as of {min(missing)}: waited for "
                f"until {until} (UTC seconds)"
            )
        self._send("fixMissing", sorted(missing))
        yield f"replaced {len(missing)} missing prices"

    def _unpriced(self, state: EscapeState) -> set[int]:
        """Ids of marks and indices that are needed and not known."""
        needed = {
            number
            for subaccount_id in range(state.next, state.accounts + 1)
            for number in self._positions(subaccount_id)
        }
        if not state.tokens_priced:
            needed |= self._collateral_indices()
        return {number for number in needed if not self._is_priced(number, state)}

    def _is_priced(self, number: int, state: EscapeState) -> bool:
        known, _ = self._call("escapePrice", number)
        if known or number >> 60 == 0:
            return bool(known)
        terms = unpack_instrument_id(number)
        if terms.kind is Kind.PERPETUAL or terms.expiry > state.started_at:
            return False
        return self.chain.delivery_price(terms.underlying_id, terms.expiry) is not None

    def _posted_marks(self, root: bytes) -> bytes:
        """The packed marks under a root, from the log of its post; none if none was posted."""
        if not any(root):
            return b""
        for log in self._logs(self.chain.oracle, "MarksPosted", {}, backwards=True):
            marks = bytes(log["args"]["marks"])
            if marks_root(marks) == root:
                return marks
        raise ChainError("the node has no log of the marks that the escape keeps")

    def _collateral_indices(self) -> set[int]:
        [words] = decode([PARAMETERS_TYPE], self._collateral_parameters())
        return {index_id(underlying_id) for _, underlying_id, *_ in words[_COLLATERALS]}

    def _collateral_parameters(self) -> bytes:
        """The bytes of Margin's parameters, from its log."""
        if self._parameters is None:
            wanted = self.state().parameters_hash
            margin = self.chain.margin
            self._parameters = next(
                parameters
                for data in self._raw_logs(margin, "ParametersSet")
                if keccak(parameters := parameters_in(data)) == wanted
            )
        return self._parameters

    # ---- accounts

    def _next_lists(self, state: EscapeState) -> list[list[int]]:
        lists: list[list[int]] = []
        room = _POSITIONS_AT_ONCE
        for subaccount_id in range(state.next, state.accounts + 1):
            held = self._positions(subaccount_id)
            if len(lists) == _ACCOUNTS_AT_ONCE or (lists and len(held) > room):
                break
            lists.append(held[:room])
            room -= len(held)
            if room <= 0:
                break
        return lists

    def _positions(self, subaccount_id: int) -> list[int]:
        """What the subaccount holds that is not valued yet."""
        _, count, _ = self._call("holdings", subaccount_id, [])
        if not count:
            return []
        _, held = self.chain.cash_and_positions(subaccount_id, self._traded())
        if len(held) != count:
            raise ChainError(f"subaccount {subaccount_id} holds what no batch of the log traded")
        return sorted(held)

    def _traded(self) -> list[int]:
        """Every instrument that a batch ever traded."""
        if self._instruments is None:
            found: set[int] = set()
            for log in self.chain.all_settled():
                [batch] = decode([BATCH_TYPE], self._input(log.tx_hash)[4:])
                found |= traded_instruments(batch[1])
                found |= {instrument_id for legs in batch[5] for instrument_id, _ in legs}
            self._instruments = sorted(found)
        return self._instruments

    def _tokens(self) -> list[str]:
        """Every token that Custody lists."""
        logs = self._logs(self.chain.custody, "TokenRulesSet", {})
        return list(dict.fromkeys(str(log["args"]["token"]) for log in logs))

    # ---- the chain

    def _call(self, function: str, *arguments: object) -> Any:
        return self.chain.call(self.chain.clearing, function, *arguments)

    def _send(self, function: str, *arguments: object) -> Receipt:
        data = self.chain.calldata(self.chain.clearing, function, *arguments)
        return self.chain.transact(self._key, self.chain.deployment.clearing, data)

    def _input(self, tx_hash: str) -> bytes:
        with self.chain.translated():
            return bytes(self.chain.web3.eth.get_transaction(tx_hash)["input"])  # type: ignore[arg-type]  # a str

    def _logs(
        self, contract: Any, event: str, filters: dict[str, Any], *, backwards: bool = False
    ) -> Iterator[Any]:
        for first in self._spans(backwards=backwards):
            with self.chain.translated():
                found = contract.events[event].get_logs(
                    argument_filters=filters, from_block=first, to_block=first + _LOG_SPAN - 1
                )
            yield from reversed(found) if backwards else found

    def _raw_logs(self, contract: Any, event: str) -> Iterator[bytes]:
        topic = contract.events[event]().topic
        for first in self._spans(backwards=True):
            request: Any = {
                "address": contract.address,
                "topics": [topic],
                "fromBlock": first,
                "toBlock": first + _LOG_SPAN - 1,
            }
            with self.chain.translated():
                logs = self.chain.web3.eth.get_logs(request)
            yield from (bytes(log["data"]) for log in reversed(logs))

    def _spans(self, *, backwards: bool) -> Iterable[int]:
        spans = range(self.chain.deployment.block, self.chain.head() + 1, _LOG_SPAN)
        return reversed(spans) if backwards else spans


def payable(chain: Chain, subaccount_id: int, proof: tuple[object, ...] = NO_PROOF) -> int:
    """What `serveExit` takes for an open request, asked of the contract; its refusal raises."""
    token, _, _, _, amount = chain.call(chain.clearing, "exitOf", subaccount_id)
    cash, _, _ = chain.call(chain.clearing, "holdings", subaccount_id, [])
    is_cash = token == chain.deployment.usdc
    held = cash if is_cash else chain.call(chain.clearing, "collateralOf", subaccount_id, token)
    low, high = 0, max(0, min(int(amount), int(held)))
    guess = high
    while True:
        data = chain.calldata(chain.clearing, "serveExit", subaccount_id, guess, proof)
        refusal = chain.refusal(_ANYBODY, chain.deployment.clearing, data)
        if refusal is None:
            return guess
        if refusal.error == "PaysTooMuch" and low < guess:
            high = guess - 1
        elif refusal.error == "PaysTooLittle" and guess < high:
            low = guess + 1
        else:
            raise refusal
        guess = (low + high) >> 1


def _id_at(marks: bytes, at: int) -> int:
    return int.from_bytes(marks[at * MARK_SIZE : at * MARK_SIZE + 8], "big")


def marks_words(
    marks: bytes, leaves: list[bytes], places: list[int]
) -> tuple[bytes, int, bytes, list[bytes]]:
    """`MarksProof` of MarksLib.sol, of the marks at these places."""
    chosen = b"".join(marks[at * MARK_SIZE : (at + 1) * MARK_SIZE] for at in places)
    packed = b"".join(at.to_bytes(2, "big") for at in places)
    return chosen, len(leaves), packed, merkle_multiproof(leaves, places)


def parameters_in(data: bytes) -> bytes:
    """The parameters alone, as `priceTokens` wants them: the log has their hash before them."""
    return _WORD.to_bytes(_WORD, "big") + data[2 * _WORD :]
