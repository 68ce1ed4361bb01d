"""600 random structs hash alike in Solidity, Python and a browser wallet's JavaScript."""

import json
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.settlement_world import World

from exchange.model import BidTerms, OrderTerms, SheetTerms, Side, TransferTerms, WithdrawalTerms
from exchange.settlement import delivery, funding, index_samples, risk_root
from exchange.settlement.batch import Delivery, Funding
from exchange.settlement.deploy import REPOSITORY
from exchange.signing import (
    BID_TYPE,
    DOMAIN_NAME,
    DOMAIN_VERSION,
    ORDER_TYPE,
    SHEET_TYPE,
    TRANSFER_TYPE,
    WITHDRAWAL_TYPE,
    Domain,
    bid_digest,
    checksum_address,
    order_digest,
    sheet_digest,
    transfer_digest,
    withdrawal_digest,
)

pytestmark = pytest.mark.integration
FOLDER: Final = Path(__file__).parents[1] / "javascript"
BIN: Final = REPOSITORY / ".venv" / "bin"
SEED: Final = 500
EACH: Final = 100
EACH_FEED: Final = 25
TYPES: Final = (ORDER_TYPE, SHEET_TYPE, WITHDRAWAL_TYPE, TRANSFER_TYPE, BID_TYPE)
FEEDS: Final = (delivery._TYPE, funding._TYPE, index_samples._TYPE, risk_root._TYPE)
BITS: Final = {"quantity": 48, "version": 16, "side": 1}  # what the contract packs more narrowly
Digest = Callable[[Domain, dict[str, Any]], bytes]


def fields_of(text: str) -> tuple[str, list[dict[str, str]]]:
    """A type string as its name and fields: what a wallet is given."""
    name, inside = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
    pairs = [field.split(" ") for field in inside.split(",")]
    return name, [{"name": word, "type": kind} for kind, word in pairs]


def drawn(luck: random.Random, field: dict[str, str]) -> Any:
    """A value of a field's type; each integer has a random length, so small ones are common."""
    kind = field["type"]
    if kind == "bool":
        return luck.random() < 0.5
    if kind == "address":
        return checksum_address(luck.randbytes(20))
    if kind == "bytes32":
        return "0x" + luck.randbytes(32).hex()
    bits = BITS.get(field["name"], int(re.sub(r"\D", "", kind)))
    if kind.startswith("int"):
        return luck.choice((-1, 1)) * luck.getrandbits(luck.randint(0, bits - 1))
    return luck.getrandbits(luck.randint(0, bits))


def order(domain: Domain, m: dict[str, Any]) -> bytes:
    # A hash of legs fills the whole word, so it stands for every instrument.
    terms = OrderTerms(
        subaccount_id=m["subaccountId"],
        instrument_id=1,
        legs_hash=m["instrument"].to_bytes(32),
        side=Side(m["side"]),
        quantity=m["quantity"],
        limit_price=m["limitPrice"],
        max_fee=m["maxFee"],
        reduce_only=m["reduceOnly"],
        trigger_hash=bytes.fromhex(m["triggerHash"][2:]),
        nonce=m["nonce"],
        version=m["version"],
        deadline=m["deadline"],
        signer=m["signer"],
    )
    return order_digest(domain, terms)


def sheet(domain: Domain, m: dict[str, Any]) -> bytes:
    terms = SheetTerms(
        subaccount_id=m["subaccountId"],
        sheet_nonce=m["sheetNonce"],
        first_nonce=0,
        max_fee=0,
        deadline=m["deadline"],
        signer=m["signer"],
    )
    return sheet_digest(domain, terms, bytes.fromhex(m["root"][2:]))


def withdrawal(domain: Domain, m: dict[str, Any]) -> bytes:
    return withdrawal_digest(domain, WithdrawalTerms(**snake(m)))


def transfer(domain: Domain, m: dict[str, Any]) -> bytes:
    return transfer_digest(domain, TransferTerms(**snake(m)))


def bid(domain: Domain, m: dict[str, Any]) -> bytes:
    return bid_digest(domain, BidTerms(**snake(m)))


def delivery_price(domain: Domain, m: dict[str, Any]) -> bytes:
    found = Delivery(underlying_id=m["underlying"], expiry=m["expiry"], price=m["price"])
    return delivery.delivery_digest(domain, found)


def funding_index(domain: Domain, m: dict[str, Any]) -> bytes:
    found = Funding(
        instrument_id=m["instrument"], ordinal=m["ordinal"], time=m["time"], index=m["index"]
    )
    return funding.funding_digest(domain, found)


def index_sample(domain: Domain, m: dict[str, Any]) -> bytes:
    return index_samples.sample_digest(domain, *m.values())


def risk(domain: Domain, m: dict[str, Any]) -> bytes:
    roots = [bytes.fromhex(m[name][2:]) for name in ("root", "marksRoot")]
    return risk_root.risk_digest(domain, m["epoch"], m["time"], *roots, m["deadline"])


def snake(message: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in message.items()}


PYTHON: Final[dict[str, Digest]] = {
    "Order": order,
    "QuoteSheet": sheet,
    "Withdrawal": withdrawal,
    "Transfer": transfer,
    "LiquidationBid": bid,
    "DeliveryPrice": delivery_price,
    "FundingIndex": funding_index,
    "IndexSample": index_sample,
    "RiskRoot": risk,
}
SOLIDITY: Final = {name: f"hash{name}" for name in PYTHON} | {"LiquidationBid": "hashBid"}


@pytest.fixture(scope="module", autouse=True)
def viem() -> None:
    """viem by its lock file; its stamp says that an earlier run finished."""
    stamp = FOLDER / "node_modules" / ".package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime > (FOLDER / "package-lock.json").stat().st_mtime:
        return
    run(["npm", "ci", "--ignore-scripts", "--loglevel=error"], "")


def run(command: list[str | Path], text: str) -> str:
    path = f"{BIN}:{os.environ.get('PATH', '')}"
    found = subprocess.run(
        command,
        cwd=FOLDER,
        env={**os.environ, "PATH": path, "NODE_USE_SYSTEM_CA": "1"},
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return found.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("hashes"))
    yield world
    world.close()


def test_600_random_structs_hash_alike_in_three_languages(world: World) -> None:
    """All that owners sign and all that oracle keys sign, by every language and no other."""
    luck = random.Random(SEED)
    deployment = world.chain.deployment
    count = 0
    for address, types, each in (
        (deployment.clearing, TYPES, EACH),
        (deployment.oracle, FEEDS, EACH_FEED),
    ):
        domain = Domain(chain_id=deployment.chain_id, clearing=address)
        found = alike(domain, dict(map(fields_of, types)), each, luck)
        count += len(found)
        contract = world.chain.oracle if types is FEEDS else world.chain.clearing
        for name, message, digest in found:
            on_chain = world.chain.call(contract, SOLIDITY[name], *arguments(name, message))
            assert on_chain == digest, (name, message)
    assert count == 600
    assert {name for name, *_ in map(fields_of, (*TYPES, *FEEDS))} == PYTHON.keys()


def alike(
    domain: Domain, types: dict[str, list[dict[str, str]]], each: int, luck: random.Random
) -> list[tuple[str, dict[str, Any], bytes]]:
    """Random structs with what Python and JavaScript agree to be their digests."""
    structs = [
        (name, {field["name"]: drawn(luck, field) for field in fields})
        for name, fields in types.items()
        for _ in range(each)
    ]
    for name, message in structs:
        if name == "DeliveryPrice":  # counted from the expiry, so that all sign the same
            message["expiry"] &= 2**63 - 1
            message["deadline"] = message["expiry"] + 30 * 86_400
    asked = {
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.clearing,
        },
        "types": types,
        "structs": [
            {"type": name, "message": {k: text_of(v) for k, v in message.items()}}
            for name, message in structs
        ],
    }
    javascript = json.loads(run([BIN / "node", "hashes.mjs"], json.dumps(asked)))
    python = [PYTHON[name](domain, message) for name, message in structs]
    assert javascript == ["0x" + digest.hex() for digest in python]
    assert len(set(python)) == len(structs) == each * len(types)
    return [(*one, digest) for one, digest in zip(structs, python, strict=True)]


def arguments(name: str, message: dict[str, Any]) -> tuple[Any, ...]:
    """Of the contract's function: a transfer is a withdrawal and where it goes."""
    words = list(message.values())
    if name != "Transfer":
        return (tuple(words),)
    to = words.pop(1)
    words.insert(3, "0x" + "00" * 20)
    return tuple(words), to


def text_of(value: Any) -> Any:
    """JSON numbers of JavaScript are exact only below 2**53."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
