"""What the processes of a cluster count, for Prometheus: each its own, a front door also what the cluster is.

The names go on from those of one machine (server_routes/health.py); the cluster's are the sums of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..server_routes.database import Row
from ..server_routes.database_engine import DatabaseError
from ..server_routes.health import CANCELLED, Metrics
from ..server_routes.jobs import COMPLETED, FAILED, PROCESSING, QUEUED
from .ledger import Ledger
from .messages import Broker, BrokerError

ENDS = (COMPLETED, FAILED, CANCELLED)
WAITS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Upper bounds of the seconds that jobs wait, and that stages take, for quantiles."""
JOBS_ENDED, JOBS_ENDED_HELP = "character3d_jobs_ended", "Jobs ended, by how."


class WorkerMetrics:
    """What one worker has done since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        wait = "Seconds from accepting a job to its first begin."
        self._wait = Histogram("character3d_queue_wait_seconds", wait, buckets=WAITS, registry=self.registry)
        stage = "Seconds spent in a stage."
        self._stages = Histogram(
            "character3d_stage_seconds", stage, ("stage", "method"), buckets=WAITS, registry=self.registry
        )
        again = "Jobs begun again, since their worker had died or given them back."
        self._redelivered = Counter("character3d_redeliveries", again, registry=self.registry)
        fenced = "Attempts that ended because another worker had the job."
        self.fenced = Counter("character3d_attempts_fenced", fenced, registry=self.registry)
        self._ended = Counter(JOBS_ENDED, JOBS_ENDED_HELP, ("state",), registry=self.registry)
        self.busy = Gauge("character3d_worker_busy", "Whether the worker has a job.", registry=self.registry)
        for state in ENDS:
            self._ended.labels(state)

    def count_begin(self, row: Row, attempt: int) -> None:
        """Count a job that this worker has claimed."""
        if attempt > 1:
            self._redelivered.inc()
        else:
            self._wait.observe(max(0.0, time.time() - row.created))

    def count_end(self, row: Row) -> None:
        """Count a job whose end this worker has stored, and its stages."""
        failure = row.body.get("failure")
        self._ended.labels(CANCELLED if failure and failure.get("cancelled") else row.state).inc()
        for report in row.body.get("reports", ()):
            self._stages.labels(report["stage"], report["method"]).observe(report["seconds"])


class FrontDoorCollector(Collector):
    """What a front door has done, and the state of the cluster as its database and broker tell it now."""

    def __init__(self, metrics: Metrics, ledger: Ledger, broker: Broker) -> None:
        self._metrics, self._ledger, self._broker = metrics, ledger, broker
        self._queues: list[str] = []

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of a scrape. A part that does not answer has none, and is 0 in parts_reachable."""
        yield from self._describe_own()
        database = _try_to(self._describe_database, DatabaseError)
        broker = _try_to(self._describe_broker, BrokerError)
        yield from (*database, *broker)
        reachable = {"database": bool(database), "broker": bool(broker)}
        yield _make_gauge("parts_reachable", "Whether a part of the cluster answers.", "part", reachable)

    def _describe_own(self) -> Iterator[Metric]:
        metrics = self._metrics
        yield CounterMetricFamily("character3d_jobs_accepted", "Jobs accepted.", metrics.accepted)
        refused = CounterMetricFamily(
            "character3d_requests_refused", "Refused, by reason.", labels=["reason"]
        )
        for reason, count in metrics.refused.items():
            refused.add_metric([reason], count)
        yield refused
        ended = CounterMetricFamily(JOBS_ENDED, JOBS_ENDED_HELP, labels=["state"])
        for state in ENDS:
            ended.add_metric([state], metrics.ended[state])
        yield ended

    def _describe_database(self) -> Iterator[Metric]:
        states = {QUEUED: 0, PROCESSING: 0, **self._ledger.count_jobs()}
        yield _make_gauge("jobs_live", "Jobs that wait or run.", "state", states)
        self._queues = [queue.name for queue in self._ledger.list_queues()]
        waiting, oldest = self._ledger.measure_backlog()
        workers = self._ledger.count_workers()
        yield GaugeMetricFamily("character3d_workers_alive", "Workers heard of lately.", workers)
        yield GaugeMetricFamily("character3d_outbox_messages", "Messages not yet with the broker.", waiting)
        yield GaugeMetricFamily("character3d_oldest_wait_seconds", "How long the first has waited.", oldest)

    def _describe_broker(self) -> Iterator[Metric]:
        counts = self._broker.count_messages(self._queues)
        yield _make_gauge("queue_messages", "Messages that wait for a worker.", "queue", counts)


def _try_to(describe: Callable[[], Iterator[Metric]], error: type[Exception]) -> list[Metric]:
    """What is described; nothing where the error is raised."""
    try:
        return list(describe())
    except error:
        return []


def _make_gauge(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"character3d_{name}", help_text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
