"""Funding indices, signed for the Oracle contract."""

from eth_abi.abi import decode
from eth_hash.auto import keccak
from tests.settlement_world import ORACLE_KEYS
from tests.unit.settlement.test_delivery import typed_digest

from exchange.journal.outbox import JobKind, JobState
from exchange.settlement.batch import Funding
from exchange.settlement.funding import AT_ONCE, FundingDesk, funding_digest, fundings_of
from exchange.signing import Domain, address_of, recover_signer

ORACLE = "0x" + "44" * 20
PERPETUAL = 2 << 60 | 1 << 51


def indices(count: int) -> list[Funding]:
    return [
        Funding(instrument_id=PERPETUAL, ordinal=n, time=1_800_000_000 + n, index=-20_000 * n)
        for n in range(1, count + 1)
    ]


def test_signatures_ascend_by_signer_and_are_good() -> None:
    """The contract refuses another order, whatever order the keys are given in."""
    for keys in (ORACLE_KEYS, ORACLE_KEYS[::-1]):
        [job] = FundingDesk(chain_id=31_337, oracle=ORACLE, keys=keys).jobs(indices(2))
        words, signatures = decode(["(uint64,uint64,uint64,int64)[]", "bytes[][]"], job.data[4:])
        for funding, signed in zip(indices(2), signatures, strict=True):
            digest = funding_digest(Domain(31_337, ORACLE), funding)
            signers = [recover_signer(digest, signature) for signature in signed]
            assert signers == sorted(map(address_of, ORACLE_KEYS), key=str.lower)
        assert words[1] == (PERPETUAL, 2, 1_800_000_002, -40_000)


def test_the_digest_is_that_of_the_typed_message() -> None:
    """As any wallet makes it; an index may be negative."""
    [funding] = indices(1)
    fields = "uint64 instrument,uint64 ordinal,uint64 time,int64 index"
    words = {"instrument": PERPETUAL, "ordinal": 1, "time": funding.time, "index": -20_000}
    wanted = typed_digest("FundingIndex", fields, words)
    assert funding_digest(Domain(31_337, ORACLE), funding) == wanted
    [job] = FundingDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS).jobs([funding])
    struct = "(uint64,uint64,uint64,int64)[]"
    assert job.data[:4] == keccak(f"postFundings({struct},bytes[][])".encode())[:4]


def test_many_go_in_one_transaction() -> None:
    """Named by the last of them, from which all can be read back; a long row goes in parts."""
    desk = FundingDesk(chain_id=31_337, oracle=ORACLE, keys=ORACLE_KEYS[:1])
    assert desk.jobs([]) == []
    first, second = desk.jobs(indices(AT_ONCE + 2))
    assert (first.kind, first.state, first.to) == (JobKind.FUNDING, JobState.BUILT, ORACLE)
    assert first.key == f"funding:{PERPETUAL}:{AT_ONCE}"
    assert (second.number, second.time_s) == (-20_000 * (AT_ONCE + 2), 1_800_000_000 + AT_ONCE + 2)
    assert fundings_of(first) + fundings_of(second) == indices(AT_ONCE + 2)
