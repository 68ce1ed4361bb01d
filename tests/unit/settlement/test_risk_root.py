"""Risk roots and packed marks as the Oracle wants them."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import decode
from tests.margin_world import update

from exchange.journal.outbox import JobKind
from exchange.margin.merkle import marks_root, packed_marks
from exchange.settlement.risk_root import (
    ROOT_TYPES,
    Publication,
    RiskDesk,
    deadline_of,
    risk_digest,
)
from exchange.signing import Domain, address_of, recover_signer

KEYS = (b"\x35" * 32, b"\x36" * 32)
ORACLE = "0x" + "55" * 20
PUBLICATION = Publication.of(update(), 1_800_000_000)
VECTORS = json.loads(Path(__file__).parents[2].joinpath("vectors/eip712.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["RiskRoot"]["vectors"])
def test_the_digest_is_that_of_the_typed_data(vector: dict) -> None:
    """The vectors that Solidity reads too, made by a general encoder."""
    domain = VECTORS["RiskRoot"]["domain"]
    words = decode(["uint64", "uint64", "bytes32", "bytes32", "uint64"], _raw(vector["words"]))
    digest = risk_digest(Domain(domain["chainId"], domain["verifyingContract"]), *words)
    assert digest == _raw(vector["digest"])


def test_a_publication_is_of_an_epoch() -> None:
    """Its marks are those of the update."""
    assert PUBLICATION.marks == packed_marks(update())
    assert PUBLICATION.root == update().root


def test_signatures_ascend_by_signer() -> None:
    """Whatever the order of the keys."""
    for keys in (KEYS, KEYS[::-1]):
        desk = RiskDesk(31_337, ORACLE, keys)
        words, marks, signatures = decode(ROOT_TYPES, desk.calldata(PUBLICATION)[4:])
        root = marks_root(PUBLICATION.marks)
        assert words == (1, 1_800_000_000, PUBLICATION.root, root, 1_800_086_400)
        assert marks == PUBLICATION.marks
        digest = desk.digest(PUBLICATION)
        assert digest == risk_digest(Domain(31_337, ORACLE), *words)
        signers = [recover_signer(digest, signature) for signature in signatures]
        assert signers == sorted(map(address_of, KEYS), key=str.lower)


def test_a_job_carries_the_post() -> None:
    """Addressed to the Oracle, and worth nothing after its deadline."""
    desk = RiskDesk(31_337, ORACLE, KEYS)
    job = desk.job(PUBLICATION)
    assert (job.key, job.kind, job.number, job.to) == ("root:1", JobKind.ROOT, 1, ORACLE)
    assert job.data == desk.calldata(PUBLICATION)
    assert deadline_of(job) == 1_800_086_400


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
