"""The escape step by step, on contracts in memory that say what they are asked."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from eth_abi.abi import encode
from eth_hash.backends.pysha3 import keccak256 as keccak
from tests.margin_world import collaterals, option, perpetual, preset
from tests.unit.settlement.test_escape import KEY, STATE
from tests.unit.settlement.test_packed import SIGNATURE, terms

from exchange.margin.merkle import marks_leaves, marks_root
from exchange.margin.scenarios import margin_parameters
from exchange.model import Leg, index_id
from exchange.settlement import escape as module
from exchange.settlement.batch import Batch, Header, settle_calldata
from exchange.settlement.chain import Settled
from exchange.settlement.errors import ChainError, Reverted
from exchange.settlement.escape import OpenRequest, Waiting, WayOut, marks_words
from exchange.settlement.margin_proof import NO_PROOF, PARAMETERS_TYPE, parameters_words
from exchange.settlement.packed import SignedOrder
from exchange.signing import address_of

OWNER, CLEARING = address_of(KEY), "0xclearing"
DAY_S = 86_400
STARTED_S = STATE.started_at
LIVE, DELIVERED, UNKNOWN = (
    option(90_000, "C", STARTED_S + DAY_S),
    option(90_000, "P", STARTED_S),
    option(95_000, "P", STARTED_S),
)
PERPETUAL = perpetual()
COMBO_LEG = option(99_000, "C", STARTED_S + DAY_S)
WINDOW_S = 3 * DAY_S
PARAMETERS = encode(
    [PARAMETERS_TYPE], [parameters_words(margin_parameters(preset()), collaterals())]
)
HEADER = Header(
    number=1,
    first_seq=1,
    last_seq=9,
    risk_epoch=1,
    previous_hash=bytes(32),
    journal_hash=bytes(32),
    state_root=bytes(32),
)


def packed(*numbers: int) -> bytes:
    """Marks of these, each at its place's price."""
    return b"".join(
        number.to_bytes(8, "big") + at.to_bytes(8, "big")
        for at, number in enumerate(sorted(numbers))
    )


MARKS = packed(index_id(1), index_id(2), LIVE, PERPETUAL, COMBO_LEG)


class Event:
    """Logs of one name by block, as web3 looks for them."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.asked: list[int] = []
        self.logs: list[tuple[int, dict[str, Any]]] = []

    def __call__(self) -> "Event":
        return self

    def get_logs(
        self, *, argument_filters: dict[str, Any], from_block: int, to_block: int
    ) -> list[dict[str, Any]]:
        assert to_block - from_block == 1_999
        self.asked.append(from_block)
        return [
            {"args": words}
            for at, words in self.logs
            if from_block <= at <= to_block and argument_filters.items() <= words.items()
        ]


class Contract:
    def __init__(self, name: str, *events: str) -> None:
        self.address = f"0x{name}"
        self.events = {event: Event(f"0x{name}{event}") for event in events}


class Escaped:
    """A chain on which the venue has ended: it carries out what is sent to Clearing."""

    def __init__(self) -> None:
        self.clearing = Contract("clearing", "SubaccountOpened")
        self.oracle = Contract("oracle", "MarksPosted")
        self.custody = Contract("custody", "TokenRulesSet")
        self.margin = Contract("margin", "ParametersSet")
        self.deployment = SimpleNamespace(clearing=CLEARING, usdc="0xusdc", block=10)
        self.web3 = SimpleNamespace(eth=self)
        self.state = msgspec.structs.replace(
            STATE,
            accounts=3,
            tokens_priced=False,
            marks_root=marks_root(MARKS),
            parameters_hash=keccak(PARAMETERS),
        )
        self.now_s = STARTED_S
        self.held: dict[int, list[int]] = {2: [LIVE, DELIVERED], 3: [PERPETUAL, COMBO_LEG]}
        self.prices: dict[int, int] = {}
        self.views: dict[tuple[Any, ...], Any] = {("PRICE_WINDOW",): WINDOW_S}
        self.sent: list[tuple[Any, ...]] = []
        self.inputs: dict[str, bytes] = {}
        self.payable, self.proof = 0, NO_PROOF
        self.spans: list[int] = []
        self.oracle.events["MarksPosted"].logs = [
            (10, {"marks": MARKS}),
            (3_000, {"marks": packed(LIVE)}),
        ]
        self.raw: list[tuple[int, bytes]] = []
        for at, words in ((11, PARAMETERS), (4_000, PARAMETERS[:-1] + b"\x01")):
            self.raw.append((at, keccak(words) + (64).to_bytes(32, "big") + words[32:]))

    # ---- Chain

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        yield

    def head(self) -> int:
        return 4_100

    def block_time(self) -> int:
        return self.now_s

    def call(self, contract: Contract, function: str, *arguments: Any) -> Any:
        assert contract is self.clearing
        match function:
            case "escape":
                return msgspec.structs.astuple(self.state)
            case "holdings":
                subaccount_id, no_instruments = arguments
                assert no_instruments == []
                return 0, len(self.held.get(subaccount_id, [])), []
            case "escapePrice":
                [number] = arguments
                return number in self.prices, self.prices.get(number, 0)
            case _:
                return self.views[function, *arguments]

    def calldata(self, contract: Contract, *words: Any) -> Any:
        assert contract is self.clearing
        return words

    def delivery_price(self, underlying_id: int, expiry: int) -> int | None:
        assert underlying_id == 1
        return 5 if expiry == STARTED_S and UNKNOWN not in self.held[3] else None

    def cash_and_positions(self, subaccount_id: int, ids: list[int]) -> tuple[int, dict[int, int]]:
        assert ids == sorted(ids)
        return 0, {number: 1 for number in self.held[subaccount_id] if number in ids}

    def all_settled(self) -> list[Settled]:
        return [
            Settled(
                number=1,
                batch_hash=b"",
                first_seq=1,
                last_seq=9,
                state_root=b"",
                block=10,
                tx_hash=tx_hash,
            )
            for tx_hash in self.inputs
        ]

    def transact(self, key: bytes, to: str, data: tuple[Any, ...]) -> None:
        assert (key, to) == (KEY, CLEARING)
        self.sent.append(data)
        match data:
            case "fixMarks", (chosen, _, _, _):
                for at in range(0, len(chosen), 16):
                    self.prices[int.from_bytes(chosen[at : at + 8], "big")] = 1
            case "fixMissing", numbers:
                self.prices |= dict.fromkeys(numbers, 0)
            case "priceTokens", _:
                self.state = msgspec.structs.replace(self.state, tokens_priced=True)
            case "value", first, lists:
                assert first == self.state.next
                self.state = msgspec.structs.replace(self.state, next=first + len(lists))
            case _:
                pass

    def refusal(self, sender: str, to: str, data: tuple[Any, ...]) -> Reverted | None:
        assert (sender, to) == ("0x" + "0" * 39 + "1", CLEARING)
        assert data[:2] == ("serveExit", 2)
        assert data[3] == self.proof
        error = "PaysTooMuch" if data[2] > self.payable else "PaysTooLittle"
        return None if data[2] == self.payable else Reverted(error)

    # ---- web3.eth

    def get_logs(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        assert request["address"] == "0xmargin"
        assert request["topics"] == ["0xmarginParametersSet"]
        first, last = request["fromBlock"], request["toBlock"]
        assert last - first == 1_999
        self.spans.append(first)
        return [{"data": data} for at, data in self.raw if first <= at <= last]

    def get_transaction(self, tx_hash: str) -> dict[str, bytes]:
        return {"input": self.inputs[tx_hash]}


@pytest.fixture
def chain() -> Escaped:
    chain = Escaped()
    orders = tuple(
        SignedOrder(terms=terms(2, at, instrument_id=number), signature=SIGNATURE)
        for at, number in enumerate((LIVE, DELIVERED, UNKNOWN))
    )
    first = Batch(header=HEADER, orders=orders)
    order = SignedOrder(terms=terms(2, 9, instrument_id=PERPETUAL), signature=SIGNATURE)
    second = Batch(header=HEADER, orders=(order,), combos=((Leg(COMBO_LEG, 1), Leg(LIVE, -1)),))
    chain.inputs = {"0x1": settle_calldata(first), "0x2": settle_calldata(second)}
    return chain


@pytest.fixture
def way(chain: Escaped) -> WayOut:
    return WayOut(chain, KEY)


def test_everything_is_priced_and_everybody_valued(
    way: WayOut, chain: Escaped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks that are needed, in parts; then the collateral; then all accounts."""
    monkeypatch.setattr(module, "_MARKS_AT_ONCE", 3)
    leaves = marks_leaves(MARKS)
    assert list(way.value_all()) == [
        "fixed 3 marks",
        "fixed 2 marks",
        "priced the collateral",
        "valued 1 to 3 of 3 accounts",
    ]
    assert chain.sent == [
        ("fixMarks", marks_words(MARKS, leaves, [0, 1, 2])),
        ("fixMarks", marks_words(MARKS, leaves, [3, 4])),
        ("priceTokens", PARAMETERS),
        ("value", 1, [[], sorted([LIVE, DELIVERED]), sorted([PERPETUAL, COMBO_LEG])]),
    ]
    back = [4_010, 2_010, 10]
    assert (chain.oracle.events["MarksPosted"].asked, chain.spans) == (back, back)
    chain.sent.clear()
    assert list(way.value_all()) == []
    assert chain.sent == []


def test_what_is_priced_or_delivered_is_not_asked_for_again(way: WayOut, chain: Escaped) -> None:
    """Nor indices once the collateral is priced, nor positions that are valued."""
    assert way._unpriced(chain.state) == {
        index_id(1),
        index_id(2),
        LIVE,
        PERPETUAL,
        COMBO_LEG,
    }
    chain.prices = {LIVE: 1, index_id(1): 1}
    assert way._unpriced(chain.state) == {index_id(2), PERPETUAL, COMBO_LEG}
    priced = msgspec.structs.replace(chain.state, tokens_priced=True)
    assert way._unpriced(priced) == {PERPETUAL, COMBO_LEG}
    assert way._unpriced(msgspec.structs.replace(priced, next=4)) == set()
    assert way._unpriced(msgspec.structs.replace(priced, next=3)) == {PERPETUAL, COMBO_LEG}


def test_missing_prices_are_waited_for_and_then_replaced(way: WayOut, chain: Escaped) -> None:
    """To the last second of the window somebody may prove them."""
    chain.held[3] = [UNKNOWN, COMBO_LEG]
    chain.held[2] = []
    chain.now_s = until = STARTED_S + WINDOW_S
    steps = way.value_all()
    assert next(steps) == "fixed 3 marks"
    line = f"1 prices are missing, such as of {UNKNOWN}: waited for until {until} "
    with pytest.raises(Waiting, match=line):
        next(steps)
    chain.now_s += 1
    assert next(way.value_all()) == "replaced 1 missing prices"
    assert chain.sent[-1] == ("fixMissing", [UNKNOWN])
    assert list(way.value_all())[-1] == "valued 1 to 3 of 3 accounts"


def test_without_a_posted_root_everything_is_missing(way: WayOut, chain: Escaped) -> None:
    """A root whose marks are in no log is another matter: the node has lost them."""
    chain.now_s += WINDOW_S + 1
    chain.state = msgspec.structs.replace(chain.state, marks_root=b"\x01" * 32)
    with pytest.raises(ChainError, match="no log of the marks"):
        next(way.value_all())
    chain.state = msgspec.structs.replace(chain.state, marks_root=bytes(32))
    assert next(way.value_all()) == "replaced 5 missing prices"
    wanted = sorted([index_id(1), index_id(2), LIVE, PERPETUAL, COMBO_LEG])
    assert chain.sent == [("fixMissing", wanted)]


def test_a_venue_that_has_not_ended_is_left_alone(way: WayOut, chain: Escaped) -> None:
    """Nothing is sent, and nobody can claim."""
    chain.state = msgspec.structs.replace(chain.state, started_at=0)
    with pytest.raises(ChainError, match="has not ended"):
        next(way.value_all())
    with pytest.raises(Waiting, match="not all accounts are valued"):
        way.claim(2)
    assert chain.sent == []


def test_every_token_that_owes_something_is_claimed(way: WayOut, chain: Escaped) -> None:
    """Once each; to the owner, or to whom the owner says."""
    chain.state = msgspec.structs.replace(chain.state, next=4)
    chain.custody.events["TokenRulesSet"].logs = [
        (10, {"token": "0xa"}),
        (10, {"token": "0xb"}),
        (2_500, {"token": "0xa"}),
        (4_100, {"token": "0xc"}),
    ]
    amounts = {"0xa": 5, "0xb": 0, "0xc": 7}
    chain.views = {("claimable", 2, token): amount for token, amount in amounts.items()}
    assert way.claim(2) == {"0xa": 5, "0xc": 7}
    assert chain.sent == [("claim", 2, "0xa", OWNER), ("claim", 2, "0xc", OWNER)]
    chain.sent.clear()
    way.claim(2, "0xfriend")
    assert chain.sent == [("claim", 2, "0xa", "0xfriend"), ("claim", 2, "0xc", "0xfriend")]


def test_a_wallet_finds_its_subaccounts(way: WayOut, chain: Escaped) -> None:
    """In every span of blocks, up to the head."""
    chain.clearing.events["SubaccountOpened"].logs = [
        (9, {"owner": OWNER, "subaccountId": 1}),
        (10, {"owner": OWNER, "subaccountId": 2}),
        (2_009, {"owner": "0xother", "subaccountId": 3}),
        (4_010, {"owner": OWNER, "subaccountId": 4}),
    ]
    assert way.subaccounts() == [2, 4]


def test_an_exit_is_asked_for_and_its_deadline_told(way: WayOut, chain: Escaped) -> None:
    """To oneself unless somebody else is named; a closed request is none."""
    way.request(2, "0xa", 9)
    way.request(2, "0xa", 9, "0xfriend")
    way.start(2)
    assert chain.sent == [
        ("requestExit", 2, "0xa", 9, OWNER),
        ("requestExit", 2, "0xa", 9, "0xfriend"),
        ("startEscape", 2),
    ]
    chain.views = {("exitOf", 2): ("0xa", 50, "0xfriend", 3, 9), ("EXIT_DEADLINE",): 7}
    chain.views["exitOf", 3] = ("0xa", 0, "0xfriend", 3, 9)
    assert way.open_request(2) == OpenRequest(
        ordinal=3, token="0xa", amount=9, recipient="0xfriend", escapes_at=58
    )
    assert way.open_request(3) is None
    assert way.state() == chain.state


@pytest.mark.parametrize(("token", "held", "paid"), [("0xa", 9, 9), ("0xa", 5, 5), ("0xa", 5, 0)])
def test_a_token_is_served_as_far_as_it_is_there(
    way: WayOut, chain: Escaped, token: str, held: int, paid: int
) -> None:
    """By what the ledger holds of it, not by cash; with the proof that was given."""
    chain.views = {
        ("exitOf", 2): (token, 50, "0xfriend", 3, 9),
        ("EXIT_DEADLINE",): 7,
        ("collateralOf", 2, token): held,
    }
    chain.payable, chain.proof = paid, (b"terms",)
    assert way.serve(2, (b"terms",)) == paid
    assert chain.sent == [("serveExit", 2, paid, (b"terms",))]
    chain.views["collateralOf", 2, token] = -1
    chain.payable, chain.proof = 0, NO_PROOF
    assert way.serve(2) == 0, "a debt pays nothing"


def test_instruments_are_read_once_out_of_batches(way: WayOut, chain: Escaped) -> None:
    """Those of orders, and the legs of combos."""
    found = sorted([LIVE, DELIVERED, UNKNOWN, PERPETUAL, COMBO_LEG])
    assert way._traded() == found
    chain.inputs.clear()
    assert way._traded() == found
