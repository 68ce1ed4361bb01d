"""Every desk signs for the same contract, with the same keys."""

from tests.fake_chain import ORACLE
from tests.margin_world import update
from tests.settlement_world import ORACLE_KEYS

from exchange.settlement.batch import Delivery, Funding
from exchange.settlement.index_samples import IndexSample
from exchange.settlement.oracle_desks import OracleDesks
from exchange.settlement.risk_root import Publication


def test_each_desk_posts_to_the_oracle() -> None:
    """Delivery prices, funding indices, epochs and index samples."""
    desks = OracleDesks(31_337, ORACLE, ORACLE_KEYS)
    jobs = [
        desks.delivery.job(Delivery(underlying_id=1, expiry=60, price=10_000)),
        *desks.funding.jobs([Funding(instrument_id=1, ordinal=1, time=1, index=0)]),
        desks.risk.job(Publication.of(update(), 5)),
        desks.index.job(IndexSample(underlying_id=1, time_s=5, price=7)),
    ]
    assert {job.to for job in jobs} == {ORACLE}
    assert [job.kind.value for job in jobs] == ["delivery", "funding", "root", "index"]
