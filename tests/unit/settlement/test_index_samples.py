"""Index samples as the Oracle wants them."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import decode
from tests.settlement_world import ORACLE_KEYS

from exchange.journal.outbox import JobKind
from exchange.settlement.index_samples import (
    SAMPLE_TYPES,
    IndexDesk,
    IndexSample,
    sample_deadline,
    sample_digest,
    sample_of,
)
from exchange.signing import Domain, address_of, recover_signer

ORACLE = "0x" + "55" * 20
SAMPLE = IndexSample(underlying_id=2, time_s=1_800_000_000, price=3_000_000_001)
VECTORS = json.loads(Path(__file__).parents[2].joinpath("vectors/eip712.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["IndexSample"]["vectors"])
def test_the_digest_is_that_of_the_typed_data(vector: dict) -> None:
    """The vectors that Solidity reads too, made by a general encoder."""
    domain = VECTORS["IndexSample"]["domain"]
    words = decode(["uint32", "uint64", "uint64", "uint64"], _raw(vector["words"]))
    digest = sample_digest(Domain(domain["chainId"], domain["verifyingContract"]), *words)
    assert digest == _raw(vector["digest"])


def test_signatures_ascend_by_signer() -> None:
    """Whatever the order of the keys."""
    for keys in (ORACLE_KEYS, ORACLE_KEYS[::-1]):
        job = IndexDesk(chain_id=31_337, oracle=ORACLE, keys=keys).job(SAMPLE)
        words, signatures = decode(SAMPLE_TYPES, job.data[4:])
        assert words == (2, SAMPLE.time_s, SAMPLE.price, SAMPLE.time_s + 3_600)
        digest = sample_digest(Domain(31_337, ORACLE), *words)
        signers = [recover_signer(digest, signature) for signature in signatures]
        assert signers == sorted(map(address_of, ORACLE_KEYS), key=str.lower)


def test_the_job_says_what_it_posts() -> None:
    """One job a second and underlying, and the sample can be read back from it."""
    job = IndexDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS[:1]).job(SAMPLE)
    assert (job.key, job.kind, job.to) == ("index:2:1800000000", JobKind.INDEX, ORACLE)
    assert sample_of(job) == SAMPLE
    assert sample_deadline(job) == SAMPLE.time_s + 3_600


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
