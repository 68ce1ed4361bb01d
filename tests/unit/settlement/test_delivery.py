"""Delivery prices, signed for the Oracle contract."""

from collections.abc import Mapping

from eth_abi.abi import decode
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from tests.settlement_world import ORACLE_KEYS

from exchange.journal.outbox import JobKind, JobState
from exchange.settlement.batch import Delivery
from exchange.settlement.delivery import DeliveryDesk, delivery_digest, delivery_of
from exchange.signing import (
    DOMAIN_NAME,
    DOMAIN_VERSION,
    Domain,
    address_of,
    recover_signer,
)

ORACLE = "0x" + "44" * 20
DELIVERY = Delivery(underlying_id=2, expiry=1_798_185_600, price=4_000_010_000)


def typed_digest(primary: str, fields: str, words: Mapping[str, int | bytes]) -> bytes:
    """What a wallet would sign, by the types of the message."""
    members = [dict(zip(("type", "name"), one.split(), strict=True)) for one in fields.split(",")]
    message = encode_typed_data(
        domain_data={
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": 31_337,
            "verifyingContract": ORACLE,
        },
        message_types={primary: members},
        message_data=dict(words),
    )
    return keccak(b"\x19\x01" + message.header + message.body)


def test_the_digest_is_that_of_the_typed_message() -> None:
    """As any wallet makes it; it may be posted for thirty days."""
    words = {"underlying": 2, "expiry": DELIVERY.expiry, "price": DELIVERY.price}
    words["deadline"] = DELIVERY.expiry + 30 * 86_400
    fields = "uint32 underlying,uint64 expiry,uint64 price,uint64 deadline"
    wanted = typed_digest("DeliveryPrice", fields, words)
    assert delivery_digest(Domain(31_337, ORACLE), DELIVERY) == wanted
    job = DeliveryDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS).job(DELIVERY)
    struct = "(uint32,uint64,uint64,uint64)"
    assert job.data[:4] == keccak(f"fixDeliveryPrice({struct},bytes[])".encode())[:4]
    assert decode([struct, "bytes[]"], job.data[4:])[0] == tuple(words.values())
    assert job.time_s == DELIVERY.expiry


def test_signatures_ascend_by_signer_and_are_good() -> None:
    """The contract refuses another order, whatever order the keys are given in."""
    for keys in (ORACLE_KEYS, ORACLE_KEYS[::-1]):
        job = DeliveryDesk(chain_id=31_337, oracle=ORACLE, keys=keys).job(DELIVERY)
        struct, signatures = decode(["(uint32,uint64,uint64,uint64)", "bytes[]"], job.data[4:])
        digest = delivery_digest(Domain(31_337, ORACLE), DELIVERY)
        signers = [recover_signer(digest, signature) for signature in signatures]
        assert signers == sorted(map(address_of, ORACLE_KEYS), key=str.lower)
        assert struct[:3] == (2, DELIVERY.expiry, DELIVERY.price)
        assert struct[3] > DELIVERY.expiry


def test_the_job_says_what_it_fixes() -> None:
    """One job an expiry, and the price can be read back from it."""
    job = DeliveryDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS[:1]).job(DELIVERY)
    assert (job.kind, job.state, job.to) == (JobKind.DELIVERY, JobState.BUILT, ORACLE)
    assert job.key == "delivery:2:1798185600"
    assert delivery_of(job) == DELIVERY


def test_the_digest_depends_on_every_field() -> None:
    """Another underlying, expiry, price, chain or contract is another message."""
    domain = Domain(31_337, ORACLE)
    digests = {
        delivery_digest(domain, DELIVERY),
        delivery_digest(domain, Delivery(underlying_id=1, expiry=DELIVERY.expiry, price=10**4)),
        delivery_digest(domain, Delivery(underlying_id=2, expiry=60, price=DELIVERY.price)),
        delivery_digest(Domain(1, ORACLE), DELIVERY),
        delivery_digest(Domain(31_337, "0x" + "45" * 20), DELIVERY),
    }
    assert len(digests) == 5
