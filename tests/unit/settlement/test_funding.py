"""Funding indices, signed for the Oracle contract."""

from eth_abi.abi import decode
from tests.settlement_world import ORACLE_KEYS

from exchange.journal.outbox import JobKind, JobState
from exchange.settlement.batch import Funding
from exchange.settlement.funding import FundingDesk, funding_digest, funding_of
from exchange.signing import Domain, address_of, recover_signer

ORACLE = "0x" + "44" * 20
FUNDING = Funding(instrument_id=2 << 60 | 1 << 51, ordinal=7, time=1_800_000_060, index=-20_000)


def test_signatures_ascend_by_signer_and_are_good() -> None:
    """The contract refuses another order, whatever order the keys are given in."""
    for keys in (ORACLE_KEYS, ORACLE_KEYS[::-1]):
        job = FundingDesk(chain_id=31_337, oracle=ORACLE, keys=keys).job(FUNDING)
        struct, signatures = decode(["(uint64,uint64,uint64,int64)", "bytes[]"], job.data[4:])
        digest = funding_digest(Domain(31_337, ORACLE), FUNDING)
        signers = [recover_signer(digest, signature) for signature in signatures]
        assert signers == sorted(map(address_of, ORACLE_KEYS), key=str.lower)
        assert struct == (FUNDING.instrument_id, 7, 1_800_000_060, -20_000)


def test_the_job_says_what_it_posts() -> None:
    """One job an ordinal, and the index can be read back from it."""
    job = FundingDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS[:1]).job(FUNDING)
    assert (job.kind, job.state, job.to) == (JobKind.FUNDING, JobState.BUILT, ORACLE)
    assert job.key == f"funding:{FUNDING.instrument_id}:7"
    assert funding_of(job) == FUNDING
