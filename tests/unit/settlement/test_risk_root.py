"""Risk roots as the Oracle wants them."""

from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data

from exchange.journal.outbox import JobKind
from exchange.settlement.risk_root import RiskDesk, deadline_of
from exchange.signing import address_of, recover_signer

KEYS = (b"\x35" * 32, b"\x36" * 32)
ORACLE = "0x" + "55" * 20
ROOT = b"\xab" * 32


def test_the_digest_is_that_of_the_typed_data() -> None:
    """A general encoder hashes the struct alike."""
    fields = [("epoch", "uint64"), ("time", "uint64"), ("root", "bytes32"), ("deadline", "uint64")]
    message = encode_typed_data(
        {
            "name": "Hybrid Options Exchange",
            "version": "1",
            "chainId": 31_337,
            "verifyingContract": ORACLE,
        },
        {"RiskRoot": [{"name": name, "type": kind} for name, kind in fields]},
        {"epoch": 7, "time": 1_800_000_000, "root": ROOT, "deadline": 1_800_000_600},
    )
    digest = RiskDesk(31_337, ORACLE, KEYS).digest(7, 1_800_000_000, ROOT)
    signed = Account.from_key(KEYS[0]).sign_message(message)
    assert signed.message_hash == digest


def test_signatures_ascend_by_signer() -> None:
    """Whatever the order of the keys."""
    for keys in (KEYS, KEYS[::-1]):
        desk = RiskDesk(31_337, ORACLE, keys)
        data = desk.calldata(7, 1_800_000_000, ROOT)
        types = ["(uint64,uint64,bytes32,uint64)", "bytes[]"]
        words, signatures = decode(types, data[4:])
        assert words == (7, 1_800_000_000, ROOT, 1_800_000_600)
        digest = desk.digest(7, 1_800_000_000, ROOT)
        signers = [recover_signer(digest, signature) for signature in signatures]
        assert signers == sorted(map(address_of, KEYS), key=str.lower)


def test_a_job_carries_the_post() -> None:
    """Addressed to the Oracle, and worth nothing after its deadline."""
    desk = RiskDesk(31_337, ORACLE, KEYS)
    job = desk.job(7, 1_800_000_000, ROOT)
    assert (job.key, job.kind, job.number, job.to) == ("root:7", JobKind.ROOT, 7, ORACLE)
    assert job.data == desk.calldata(7, 1_800_000_000, ROOT)
    assert deadline_of(job) == 1_800_000_600
