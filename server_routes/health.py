"""Whether the service can accept a job, and why not; and metrics for Prometheus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import ApiError, format_moment
from .jobs import PROCESSING, QUEUED, Job

CANCELLED = "cancelled"
"""An end beside the final states: the client stopped the job."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What has happened since the server started."""

    def __init__(self) -> None:
        self.accepted = 0
        self.last_job: dict[str, Any] | None = None
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.stage_seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.stage_runs: Counter[tuple[str, str]] = Counter()

    def count_end(self, job: Job) -> None:
        """Count a job that has ended, and the stages that it ran."""
        stage = job.failure.stage if job.failure else None
        self.last_job = describe_end(job.state, stage, job.ended or job.created)
        self.ended[CANCELLED if job.failure and job.failure.cancelled else job.state] += 1
        for stage, report in job.reports.items():
            self.stage_seconds[stage, report.method] += report.seconds
            self.stage_runs[stage, report.method] += 1


def describe_end(state: str, stage: str | None, moment: float) -> dict[str, Any]:
    """The member `last_job`. stage: where the job failed. moment: of its end, Unix time."""
    return {"status": state, "failed_stage": stage, "ended_at": format_moment(moment)}


def describe_metrics(metrics: Metrics, live: Mapping[str, int]) -> str:
    """The metrics in Prometheus's text format. live: how many jobs wait and run, by state."""
    states = {QUEUED: 0, PROCESSING: 0, **live}
    families = (
        ("jobs_accepted_total", "counter", "Jobs accepted.", {(): metrics.accepted}),
        ("jobs_ended_total", "counter", "Jobs ended, by how.", _label(metrics.ended, "state")),
        ("requests_refused_total", "counter", "Jobs refused, by reason.", _label(metrics.refused, "reason")),
        ("jobs_live", "gauge", "Jobs that wait or run.", _label(states, "state")),
        ("stage_seconds_sum", "counter", "Seconds spent in a stage.", _label_stages(metrics.stage_seconds)),
        ("stage_seconds_count", "counter", "Times a stage ran.", _label_stages(metrics.stage_runs)),
    )
    return "".join(line for family in families for line in _describe_family(*family))


def _label(counts: Mapping[str, float], name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {((name, value),): count for value, count in counts.items()}


def _label_stages(counts: Mapping[tuple[str, str], float]) -> dict[tuple[tuple[str, str], ...], float]:
    return {(("stage", stage), ("method", method)): value for (stage, method), value in counts.items()}


def _describe_family(
    name: str, kind: str, help_text: str, samples: Mapping[tuple[tuple[str, str], ...], float]
) -> Iterator[str]:
    yield f"# HELP character3d_{name} {help_text}\n# TYPE character3d_{name} {kind}\n"
    for labels, value in samples.items():
        inner = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        yield f"character3d_{name}{{{inner}}} {value:g}\n" if inner else f"character3d_{name} {value:g}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def describe_health(
    reasons: list[ApiError],
    live: Mapping[str, int],
    last_job: Mapping[str, Any] | None,
    notices: Sequence[str],
) -> dict[str, Any]:
    """Body of GET /generate_character/health. live: how many jobs wait and run, by state.

    last_job: from describe_end; None where none has ended. notices: what went wrong at the start and is over.
    """
    return {
        "status": "not_ready" if reasons else "ready",
        "reasons": [{"message": reason.message, **reason.details} for reason in reasons],
        "notices": list(notices),
        "jobs": {state: live.get(state, 0) for state in (QUEUED, PROCESSING)},
        "last_job": last_job,
    }
