"""Signatures: the digests of eth_account, and nothing that the contract would refuse."""

import json
from pathlib import Path

import msgspec
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from exchange import signing
from exchange.model import (
    NO_TRIGGER,
    BidTerms,
    Leg,
    OrderTerms,
    PriceSource,
    Quote,
    SheetTerms,
    Side,
    TransferTerms,
    Trigger,
    TriggerKind,
    WithdrawalTerms,
    sheet_orders,
)
from exchange.signing import Domain

KEY = keccak(b"a key of a test")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD_PRIME = 2**256 - 2**32 - 977
DIGEST = keccak(b"something to sign")
VECTORS = json.loads(Path(__file__).parents[1].joinpath("vectors/eip712.json").read_text())


def word(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


ADDRESSES = st.binary(min_size=20, max_size=20).map(signing.checksum_address)
KEYS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DOMAINS = st.builds(Domain, word(256), ADDRESSES)
ORDERS = st.builds(
    OrderTerms,
    subaccount_id=word(64),
    instrument_id=word(64),
    side=st.sampled_from(Side),
    quantity=word(64),
    limit_price=st.integers(-(2**63), 2**63 - 1),
    max_fee=word(64),
    reduce_only=st.booleans(),
    trigger_hash=st.binary(min_size=32, max_size=32),
    nonce=word(64),
    version=word(32),
    deadline=word(64),
    signer=ADDRESSES,
)
WITHDRAWALS = st.builds(
    WithdrawalTerms,
    subaccount_id=word(64),
    token=ADDRESSES,
    amount=word(256),
    recipient=ADDRESSES,
    nonce=word(64),
    deadline=word(64),
    signer=ADDRESSES,
)
TRANSFERS = st.builds(
    TransferTerms,
    subaccount_id=word(64),
    to_subaccount_id=word(64),
    token=ADDRESSES,
    amount=word(256),
    nonce=word(64),
    deadline=word(64),
    signer=ADDRESSES,
)
HOME = Domain(31_337, signing.checksum_address(b"\x11" * 20))
TERMS = OrderTerms(
    subaccount_id=2,
    instrument_id=3,
    side=Side.SELL,
    quantity=4,
    limit_price=5,
    max_fee=6,
    nonce=7,
    deadline=8,
    signer=signing.address_of(KEY),
)


def typed_fields(type_text: str) -> list[dict[str, str]]:
    inside = type_text[type_text.index("(") + 1 : -1]
    pairs = (field.split() for field in inside.split(","))
    return [{"type": kind, "name": name} for kind, name in pairs]


def reference_digest(domain: Domain, type_text: str, message: dict[str, object]) -> bytes:
    """EIP-712 by eth_account's generic encoder, which shares no code with ours."""
    name = type_text[: type_text.index("(")]
    signable = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": typed_fields(signing.DOMAIN_TYPE),
                name: typed_fields(type_text),
            },
            "primaryType": name,
            "domain": {
                "name": signing.DOMAIN_NAME,
                "version": signing.DOMAIN_VERSION,
                "chainId": domain.chain_id,
                "verifyingContract": domain.clearing,
            },
            "message": message,
        }
    )
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def order_message(terms: OrderTerms) -> dict[str, object]:
    return {
        "subaccountId": terms.subaccount_id,
        "instrument": terms.instrument_id,
        "side": int(terms.side),
        "quantity": terms.quantity,
        "limitPrice": terms.limit_price,
        "maxFee": terms.max_fee,
        "reduceOnly": terms.reduce_only,
        "triggerHash": terms.trigger_hash,
        "nonce": terms.nonce,
        "version": terms.version,
        "deadline": terms.deadline,
        "signer": terms.signer,
    }


@given(DOMAINS, ORDERS)
def test_order_digests_are_eth_accounts(domain, terms):
    """Any order on any chain hashes as an independent EIP-712 encoder says."""
    expected = reference_digest(domain, signing.ORDER_TYPE, order_message(terms))
    assert signing.order_digest(domain, terms) == expected


@given(DOMAINS, WITHDRAWALS)
def test_withdrawal_digests_are_eth_accounts(domain, terms):
    """Any withdrawal hashes as an independent EIP-712 encoder says."""
    message = {
        "subaccountId": terms.subaccount_id,
        "token": terms.token,
        "amount": terms.amount,
        "recipient": terms.recipient,
        "nonce": terms.nonce,
        "deadline": terms.deadline,
        "signer": terms.signer,
    }
    expected = reference_digest(domain, signing.WITHDRAWAL_TYPE, message)
    assert signing.withdrawal_digest(domain, terms) == expected


@given(DOMAINS, TRANSFERS)
def test_transfer_digests_are_eth_accounts(domain, terms):
    """Any transfer hashes as an independent EIP-712 encoder says."""
    message = {
        "subaccountId": terms.subaccount_id,
        "toSubaccountId": terms.to_subaccount_id,
        "token": terms.token,
        "amount": terms.amount,
        "nonce": terms.nonce,
        "deadline": terms.deadline,
        "signer": terms.signer,
    }
    expected = reference_digest(domain, signing.TRANSFER_TYPE, message)
    assert signing.transfer_digest(domain, terms) == expected


def vector_domain(kind: str) -> Domain:
    domain = VECTORS[kind]["domain"]
    assert (domain["name"], domain["version"]) == (signing.DOMAIN_NAME, signing.DOMAIN_VERSION)
    return Domain(domain["chainId"], domain["verifyingContract"])


def order_of(message: dict[str, object]) -> OrderTerms:
    """Plain ints instead of `Side`: the vectors try every uint8."""
    return OrderTerms(
        subaccount_id=int(message["subaccountId"]),
        instrument_id=int(message["instrument"]),
        side=int(message["side"]),
        quantity=int(message["quantity"]),
        limit_price=int(message["limitPrice"]),
        max_fee=int(message["maxFee"]),
        reduce_only=message["reduceOnly"],
        trigger_hash=bytes.fromhex(message["triggerHash"][2:]),
        nonce=int(message["nonce"]),
        version=int(message["version"]),
        deadline=int(message["deadline"]),
        signer=message["signer"],
    )


def withdrawal_of(message: dict[str, str]) -> WithdrawalTerms:
    return WithdrawalTerms(
        subaccount_id=int(message["subaccountId"]),
        token=message["token"],
        amount=int(message["amount"]),
        recipient=message["recipient"],
        nonce=int(message["nonce"]),
        deadline=int(message["deadline"]),
        signer=message["signer"],
    )


def transfer_of(message: dict[str, str]) -> TransferTerms:
    return TransferTerms(
        subaccount_id=int(message["subaccountId"]),
        to_subaccount_id=int(message["toSubaccountId"]),
        token=message["token"],
        amount=int(message["amount"]),
        nonce=int(message["nonce"]),
        deadline=int(message["deadline"]),
        signer=message["signer"],
    )


def sheet_digest_of(domain: Domain, message: dict[str, str]) -> bytes:
    terms = SheetTerms(
        subaccount_id=int(message["subaccountId"]),
        sheet_nonce=int(message["sheetNonce"]),
        first_nonce=0,
        max_fee=0,
        deadline=int(message["deadline"]),
        signer=message["signer"],
    )
    return signing.sheet_digest(domain, terms, bytes.fromhex(message["root"][2:]))


SIGNED = [
    ("QuoteSheet", signing.SHEET_TYPE, dict, sheet_digest_of),
    ("Order", signing.ORDER_TYPE, order_of, signing.order_digest),
    ("Withdrawal", signing.WITHDRAWAL_TYPE, withdrawal_of, signing.withdrawal_digest),
    ("Transfer", signing.TRANSFER_TYPE, transfer_of, signing.transfer_digest),
]


@pytest.mark.parametrize(("kind", "type_text", "terms_of", "digest_of"), SIGNED)
def test_vectors_shared_with_the_contracts(kind, type_text, terms_of, digest_of):
    """Type strings, digests and signatures that the Solidity tests read from the same file."""
    domain = vector_domain(kind)
    assert VECTORS[kind]["type"] == type_text
    assert len(VECTORS[kind]["vectors"]) == VECTORS[kind]["count"] > 0
    for vector in VECTORS[kind]["vectors"]:
        digest = digest_of(domain, terms_of(vector["message"]))
        assert "0x" + digest.hex() == vector["digest"]
        signature = bytes.fromhex(vector["signature"][2:])
        assert signing.recover_signer(digest, signature) == VECTORS["signer"]


@given(KEYS, st.binary(min_size=32, max_size=32))
def test_signatures_are_eth_accounts(key, digest):
    """Deterministic (RFC 6979), low s, v of 27 or 28; and the signer comes back."""
    account = Account.from_key(key)
    signature = signing.sign_digest(digest, key)
    assert signature == bytes(account.unsafe_sign_hash(digest).signature)
    assert len(signature) == signing.SIGNATURE_BYTES
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert signing.recover_signer(digest, signature) == account.address
    assert signing.address_of(key) == account.address


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), word(8))
def test_noise_is_an_address_or_none(digest, noise, v):
    """No 65 bytes raise; what is accepted keeps every bound of the contract."""
    found = signing.recover_signer(digest, noise + bytes([v]))
    if found is not None:
        r, s = int.from_bytes(noise[:32], "big"), int.from_bytes(noise[32:], "big")
        assert v in (27, 28)
        assert 0 < r < ORDER
        assert 0 < s <= ORDER // 2


GOOD = signing.sign_digest(DIGEST, KEY)
R, S, V = GOOD[:32], int.from_bytes(GOOD[32:64], "big"), GOOD[64]


def packed(r: bytes | int, s: int, v: int) -> bytes:
    r = r if isinstance(r, bytes) else r.to_bytes(32, "big")
    return r + s.to_bytes(32, "big") + bytes([v])


def off_curve() -> int:
    """An x below the order for which x^3 + 7 is no square."""
    return next(x for x in range(1, 100) if pow(x**3 + 7, (FIELD_PRIME - 1) // 2, FIELD_PRIME) != 1)


MALFORMED = {
    "the high-s twin": packed(R, ORDER - S, 55 - V),
    "s just above half": packed(R, ORDER // 2 + 1, V),
    "v of 0": packed(R, S, V - 27),
    "v of 1": packed(R, S, 1),
    "v of 26": packed(R, S, 26),
    "v of 29": packed(R, S, 29),
    "r of zero": packed(0, S, V),
    "s of zero": packed(R, 0, V),
    "all zero": bytes(65),
    "r of the order": packed(ORDER, S, V),
    "r beyond the order": packed(2**256 - 1, S, V),
    "a point off the curve": packed(off_curve(), S, V),
    "64 bytes": GOOD[:64],
    "66 bytes": GOOD + b"\x00",
    "EIP-2098 compact": GOOD[:64],
    "nothing": b"",
}


@pytest.mark.parametrize("why", MALFORMED)
def test_what_the_contract_refuses_has_no_signer(why):
    """Malleable, malformed and impossible signatures give None, never an address."""
    assert signing.recover_signer(DIGEST, GOOD) == signing.address_of(KEY)
    assert signing.recover_signer(DIGEST, MALFORMED[why]) is None


def test_the_largest_s_is_still_good():
    """Half the order itself is allowed: the bound is inclusive, as in the contract."""
    assert signing.recover_signer(DIGEST, packed(R, ORDER // 2, V)) not in (
        None,
        signing.address_of(KEY),
    )


OTHERS = [
    {"subaccount_id": 9},
    {"instrument_id": 9},
    {"side": Side.BUY},
    {"quantity": 9},
    {"limit_price": -5},
    {"max_fee": 9},
    {"reduce_only": True},
    {"trigger_hash": b"\x01" * 32},
    {"nonce": 9},
    {"version": 1},
    {"deadline": 9},
    {"signer": HOME.clearing},
]


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: next(iter(change)))
def test_every_field_is_signed(change):
    """A signature over other terms belongs to somebody else."""
    signature = signing.sign_digest(signing.order_digest(HOME, TERMS), KEY)
    other = signing.order_digest(HOME, msgspec.structs.replace(TERMS, **change))
    assert signing.recover_signer(other, signature) != signing.address_of(KEY)


@pytest.mark.parametrize(
    "domain", [Domain(1, HOME.clearing), Domain(HOME.chain_id, TERMS.signer)], ids=["chain", "code"]
)
def test_a_signature_is_valid_on_one_chain_and_contract(domain):
    """The same order elsewhere is not signed."""
    signature = signing.sign_digest(signing.order_digest(HOME, TERMS), KEY)
    elsewhere = signing.order_digest(domain, TERMS)
    assert signing.recover_signer(elsewhere, signature) != signing.address_of(KEY)


def test_an_order_and_a_withdrawal_never_share_a_digest():
    """The type hash separates them, although both begin with a subaccount."""
    assert signing.keccak(signing.ORDER_TYPE.encode()) != signing.keccak(
        signing.WITHDRAWAL_TYPE.encode()
    )


@pytest.mark.parametrize(
    "change",
    [{"trigger_hash": bytes(31)}, {"trigger_hash": bytes(33)}, {"signer": "0x1234"}],
    ids=["short hash", "long hash", "short address"],
)
def test_fixed_widths_are_asserted(change):
    """Padding or cutting a field would let two orders share a digest."""
    with pytest.raises(AssertionError):
        signing.order_digest(HOME, msgspec.structs.replace(TERMS, **change))


def test_stages_lead_to_the_digest():
    """What people compare while debugging adds up to what is signed."""
    stages = signing.order_stages(HOME, TERMS)
    parts = [bytes.fromhex(stages[key][2:]) for key in ("domain_separator", "struct_hash")]
    assert keccak(b"\x19\x01" + b"".join(parts)).hex() == stages["digest"][2:]
    assert stages["digest"] == "0x" + signing.order_digest(HOME, TERMS).hex()
    assert keccak(stages["type"].encode()).hex() == stages["type_hash"][2:]


def test_addresses_are_checksummed():
    """Examples of EIP-55."""
    for text in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0x0000000000000000000000000000000000000000",
    ):
        assert signing.checksum_address(bytes.fromhex(text[2:])) == text


def test_a_trigger_packs_kind_source_price_and_offset():
    """As `abi.encodePacked` would; zero bytes stand for no trigger."""
    stop = Trigger(kind=TriggerKind.STOP, source=PriceSource.LAST, trigger_price=-2)
    packed = bytes([1, 3]) + b"\xff" * 7 + b"\xfe" + bytes(8)
    assert signing.trigger_hash(stop) == keccak(packed)
    trail = Trigger(kind=TriggerKind.TRAILING, source=PriceSource.INDEX, trail_offset=258)
    packed = bytes([3, 2]) + bytes(8) + bytes(6) + b"\x01\x02"
    assert signing.trigger_hash(trail) == keccak(packed)
    assert signing.trigger_hash(None) == NO_TRIGGER == bytes(32)


def test_leaves_are_the_struct_hashes_of_the_orders():
    """In the order of the lines, the bid first, without empty sides."""
    terms = SheetTerms(
        subaccount_id=2,
        sheet_nonce=1,
        first_nonce=7,
        max_fee=3,
        deadline=9,
        signer="0x" + "11" * 20,
    )
    quotes = [Quote(5, 10, 1, 12, 2), Quote(6, 0, 0, 20, 3)]
    orders = sheet_orders(terms, quotes)
    assert [(order.nonce, order.quantity) for order in orders] == [(7, 1), (8, 2), (9, 3)]
    assert signing.sheet_leaves(terms, quotes) == [*map(signing.order_struct_hash, orders)]


def test_a_combo_signs_the_hash_of_its_legs_as_its_instrument():
    """The words of `abi.encode(uint256, int256)` of each leg, in the one canonical order."""
    legs = (Leg(5, 1), Leg(7, -2))
    hashed = signing.legs_hash(legs)
    words = [5, 1, 7, 2**256 - 2]
    assert hashed == signing.keccak(b"".join(word.to_bytes(32, "big") for word in words))
    plain = msgspec.structs.replace(TERMS, instrument_id=int.from_bytes(hashed, "big"))
    combo = msgspec.structs.replace(TERMS, instrument_id=9, legs_hash=hashed)
    assert signing.order_struct_hash(combo) == signing.order_struct_hash(plain)
    with pytest.raises(AssertionError):
        signing.legs_hash(legs[::-1])
    with pytest.raises(AssertionError):
        signing.legs_hash((Leg(5, -1), Leg(7, 2)))
    with pytest.raises(AssertionError):
        signing.order_struct_hash(msgspec.structs.replace(TERMS, legs_hash=hashed[1:]))


@given(
    st.integers(0, 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 10**18),
)
def test_bids_are_hashed_as_any_wallet_hashes_them(word, price, fraction):
    """Against eth-account's own encoder of typed data."""
    terms = BidTerms(
        subaccount_id=word,
        liquidated_id=7,
        fraction=fraction,
        price_limit=price,
        expected_step=3,
        nonce=word,
        deadline=1,
        signer="0x" + "aB" * 20,
    )
    fields = signing.BID_TYPE.removeprefix("LiquidationBid(").removesuffix(")").split(",")
    types = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields]
    clearing = "0x" + "11" * 20
    message = encode_typed_data(
        domain_data={
            "name": signing.DOMAIN_NAME,
            "version": signing.DOMAIN_VERSION,
            "chainId": 31_337,
            "verifyingContract": clearing,
        },
        message_types={"LiquidationBid": types},
        message_data={
            "subaccountId": word,
            "liquidatedId": 7,
            "fraction": fraction,
            "priceLimit": price,
            "expectedStep": 3,
            "nonce": word,
            "deadline": 1,
            "signer": terms.signer,
        },
    )
    digest = keccak(b"\x19" + message.version + message.header + message.body)
    assert signing.bid_digest(signing.Domain(31_337, clearing), terms) == digest
