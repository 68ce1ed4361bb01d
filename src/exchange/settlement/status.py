"""Where settlement stands, for operators: figures from the outbox and the node, and their alarms.

Reads only; a failure to read is the caller's to wait out. Prometheus reads the last picture, and
the exchange's admin view shows the same one.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exchange.fixed import div_up
from exchange.journal.outbox import JobState, Outbox
from exchange.model import SECONDS_PER_DAY
from exchange.settlement.chain import Chain

BALANCE_MIN: Final = 5 * 10**16  # wei; some hundred batches at usual fees
INDEX_AGE_MAX_S: Final = 600  # older ones the Oracle does not tell to readers
PUBLISHED_AGE_MAX_S: Final = 900  # nor does Margin prove by older marks
PENDING_MAX_S: Final = 300  # a batch that waits longer needs a person
_STATES: Final = tuple(JobState)


class RelayerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One picture. Ages and lags in seconds, balances in wei, gas in units."""

    address: str
    endpoint: str
    head: int  # block number
    balance: int
    jobs: dict[str, int]  # by state
    pending_batches: int  # built and not final
    oldest_pending_s: int  # since this process saw it wait
    last_batch: int  # final
    settled_fills: int
    gas_used: int  # of all that is on chain
    gas_per_fill: int  # the average, rounded up; 0 before the first fill
    confirmation_lag_s: int  # of the last final batch: from cut to final
    failures: int  # transactions that were mined and reverted
    replacements: int  # transactions signed again for the same job
    refused: int = 0  # 1: settlement waits for a person
    novated: int = 0  # sides of fills that the venue took, since this process began
    differences: int = 0  # figures on which journal and chain disagree
    parameters_differ: int = 0  # 1: Margin on chain does not hold the engine's parameters
    reorganisations: int = 0  # times that final blocks were lost, since this process began
    governance: int = 0  # changes that governance made to the contracts, ever
    roles_changed_s: int = 0  # UTC second of the last change of roles on a chain that settles
    published_age_s: int = 0  # of the latest marks on chain; 0 before the first
    index_age_s: int = 0  # of the index on chain that is oldest
    shard: int = 0  # which one it settles
    alarms: tuple[str, ...] = ()


class StatusReader:
    """Takes pictures."""

    def __init__(
        self,
        chain: Chain,
        outbox: Outbox,
        address: str,
        *,
        balance_min: int = BALANCE_MIN,
        underlyings: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        self._chain = chain
        self._outbox = outbox
        self._address = address
        self._balance_min = balance_min
        self._underlyings = underlyings  # whose indices are posted
        self._oldest = 0  # number of the batch that waits first, and since when
        self._oldest_since = 0.0

    def read(self, **found: int) -> RelayerStatus:
        """The picture now, with the figures of it that other parts of the process found."""
        totals = self._outbox.totals()
        status = RelayerStatus(
            shard=self._chain.deployment.shard,
            address=self._address,
            endpoint=self._chain.url,
            head=self._chain.head(),
            balance=self._chain.balance(self._address),
            jobs={state.value: totals.by_state.get(state.value, 0) for state in _STATES},
            pending_batches=totals.pending_batches,
            oldest_pending_s=self._waited_s(totals.oldest_pending),
            last_batch=totals.last_final,
            settled_fills=totals.fills,
            gas_used=totals.gas_used,
            gas_per_fill=div_up(totals.batch_gas, totals.fills) if totals.fills else 0,
            confirmation_lag_s=totals.last_lag_s,
            failures=totals.failures,
            replacements=totals.attempts - totals.attempted_jobs,
            published_age_s=self._age_s(self._chain.marks_time(self._chain.risk_epoch()) or 0),
            index_age_s=max(
                (self._age_s(self._chain.index_time(one)) for one in self._underlyings()),
                default=0,
            ),
        )
        status = msgspec.structs.replace(status, **found)
        return msgspec.structs.replace(status, alarms=self._alarms(status))

    def _waited_s(self, number: int) -> int:
        """How long this process has seen the same batch wait first."""
        if number != self._oldest:
            self._oldest, self._oldest_since = number, time.monotonic()
        return int(time.monotonic() - self._oldest_since) if number else 0

    def _age_s(self, time_s: int) -> int:
        return max(0, self._chain.block_time() - time_s) if time_s else 0

    def _alarms(self, status: RelayerStatus) -> tuple[str, ...]:
        found = {
            "balance_low": status.balance < self._balance_min,
            "batch_refused": status.refused > 0 or status.jobs[JobState.REVERTED.value] > 0,
            "settlement_late": status.oldest_pending_s > PENDING_MAX_S,
            "fill_novated": status.novated > 0,
            "chain_differs": status.differences > 0,
            "parameters_differ": status.parameters_differ > 0,
            "chain_reorganised": status.reorganisations > 0,
            "roles_changed": status.roles_changed_s > 0
            and self._age_s(status.roles_changed_s) < SECONDS_PER_DAY,
            "oracle_stale": status.published_age_s > PUBLISHED_AGE_MAX_S
            or status.index_age_s > INDEX_AGE_MAX_S,
        }
        return tuple(name for name, holds in found.items() if holds)


_GAUGES: Final = {
    "shard": "Which one it settles",
    "head": "Newest block of the node",
    "balance": "Wei of the relayer's account",
    "pending_batches": "Batches that are built and not final",
    "oldest_pending_s": "Seconds since the first of them waits",
    "last_batch": "Number of the last final batch",
    "gas_per_fill": "Gas of settled batches by fill, on average",
    "confirmation_lag_s": "Seconds from cut to final of the last final batch",
    "refused": "Whether settlement waits for a person, for the chain refuses a job",
    "novated": "Sides of fills that the venue took, since the relayer began",
    "differences": "Figures on which journal and chain disagree",
    "parameters_differ": "Whether Margin on chain holds other parameters than the venue",
    "governance": "Changes that governance made to the contracts, ever",
    "roles_changed_s": "When roles on chain changed last, UTC second; 0: never since it settles",
    "published_age_s": "Seconds since the epoch of the latest marks on chain",
    "index_age_s": "Seconds since the index on chain that is oldest",
    "reorganisations": "Times that the chain lost final blocks, since the relayer began",
}
_COUNTERS: Final = {
    "settled_fills": "Fills in batches that are on chain",
    "gas_used": "Gas of everything that is on chain",
    "failures": "Transactions that were mined and reverted",
    "replacements": "Transactions signed again for the same job",
}


class RelayerMetrics(Collector):
    """The last picture as Prometheus metrics; nothing before the first."""

    def __init__(self) -> None:
        self.status: RelayerStatus | None = None

    def collect(self) -> list[Metric]:
        """One family a figure, and one each for jobs and alarms."""
        status = self.status
        if status is None:
            return []
        families: list[Metric] = [
            GaugeMetricFamily(f"exchange_relayer_{name}", text, value=getattr(status, name))
            for name, text in _GAUGES.items()
        ]
        families += [
            CounterMetricFamily(f"exchange_relayer_{name}", text, value=getattr(status, name))
            for name, text in _COUNTERS.items()
        ]
        jobs = GaugeMetricFamily("exchange_relayer_jobs", "Jobs by state", labels=["state"])
        for state, count in status.jobs.items():
            jobs.add_metric([state], count)
        alarms = GaugeMetricFamily("exchange_relayer_alarm", "What needs a person", labels=["name"])
        for name in status.alarms:
            alarms.add_metric([name], 1)
        return [*families, jobs, alarms]
