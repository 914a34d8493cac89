"""A job: its stages, its progress that never falls, its files, and how it ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..pipeline.types import StageReport
from . import status
from .estimates import Estimate
from .events import (
    ERROR,
    JOB_COMPLETED,
    PREVIEW_READY,
    PROGRESS_UPDATE,
    STAGE_COMPLETED,
    EventLog,
)
from .files import FileFacts, JobFile
from .graph import JobGraph
from .parameters import Parameters

STAGE_NODE_WEIGHT = 10.0
OTHER_NODE_WEIGHT = 1.0
PROGRESS_INTERVAL = 0.25

QUEUED = "queued"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"
PENDING = "pending"


@dataclass(frozen=True)
class Failure:
    """Why a job did not complete. stage: where, or None when it had not started."""

    message: str
    details: str
    stage: str | None
    cancelled: bool = False


class Job:
    """State of one job. Every change goes through a method, which also publishes its events."""

    def __init__(
        self,
        job_id: str,
        user: str,
        parameters: Parameters,
        graph: JobGraph,
        expected: Estimate,
        *,
        created: float | None = None,
    ) -> None:
        """created: seconds since 1970, by default now, in whole microseconds: the list counts in these."""
        self.id = job_id
        self.created = round(time.time(), 6) if created is None else created
        self.user = user
        self.parameters = parameters
        self.graph = graph
        self.expected = expected
        self.log = EventLog(self.id)
        self.keep: Callable[[], None] | None = None
        """Stores a change that no event tells of, before anybody can ask."""
        self.state = QUEUED
        self.progress = 0
        self.jobs_ahead = 0
        self.queue_position: int | None = None
        self.completed_stages: tuple[str, ...] = ()
        self.reports: dict[str, StageReport] = {}
        self.cached_nodes: frozenset[str] = frozenset()
        self.files: list[JobFile] = []
        self.facts: dict[JobFile, FileFacts] = {}
        self.failure: Failure | None = None
        self.cancel_requested = False
        self.attempts = 0
        self.started: float | None = None
        self.ended: float | None = None
        self.ran_seconds = 0.0
        self._fractions: dict[str, float] = {}
        self._weights = _weigh_nodes(graph, graph.prompt.keys(), expected.stages)
        self._published = 0.0

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state in (COMPLETED, FAILED)

    @property
    def seconds(self) -> float:
        """How long the job has been, or was, running in its last attempt."""
        if self.started is None or self.is_terminal:
            return self.ran_seconds
        return time.monotonic() - self.started

    @property
    def current_stage(self) -> str:
        """The first stage that is not completed; `queued` before the start."""
        if self.state == QUEUED:
            return QUEUED
        waiting = [stage for stage in self.graph.stages if stage not in self.completed_stages]
        return waiting[0] if waiting else self.graph.stages[-1]

    def stage_status(self, stage: str) -> str:
        """One of pending, processing, completed, failed."""
        if self.failure and self.failure.stage == stage:
            return FAILED
        if stage in self.completed_stages:
            return COMPLETED
        return PROCESSING if self.state == PROCESSING and stage == self.current_stage else PENDING

    def use_outputs(self, outputs: list[str]) -> None:
        """Count only the nodes that ComfyUI runs for these outputs."""
        needed = self.graph.needed_nodes(outputs)
        self._weights = _weigh_nodes(self.graph, needed, self.expected.stages)

    def set_queue_position(self, position: int | None) -> None:
        """Place in ComfyUI's queue, 1 is next."""
        if self.state == QUEUED and position != self.queue_position:
            self.queue_position = position
            self._publish_progress(now=True)

    def start(self) -> None:
        """ComfyUI began to execute the prompt."""
        if self.state == QUEUED:
            self.state, self.started, self.queue_position = PROCESSING, time.monotonic(), None
            self.attempts += 1
            self._publish_progress(now=True)

    def advance(self, fractions: Mapping[str, float]) -> None:
        """Take the finished fraction, 0..1, of some nodes."""
        if self.is_terminal:
            return
        self.start()
        for node_id in fractions.keys() & self._weights.keys():
            self._fractions[node_id] = max(fractions[node_id], self._fractions.get(node_id, 0.0))
        total = sum(self._weights.values())
        done = sum(self._weights[node] * fraction for node, fraction in self._fractions.items())
        before, self.progress = self.progress, max(self.progress, int(99 * done / total + 1e-9))
        if not self._complete_stages() and self.progress > before:
            self._publish_progress()

    def add_report(self, report: StageReport) -> None:
        """Take a stage's own account of how it ran."""
        self.reports[report.stage] = report

    def add_file(self, file: JobFile) -> None:
        """Take a file that a node has written."""
        if file in self.files or self.is_terminal:
            return
        self.files.append(file)
        if file.key == "preview_images":
            data = {"stage": file.stage, "preview": file.public_path, "url": file.url(self.id)}
            self.log.publish(PREVIEW_READY, data)
        else:
            self._publish_progress(now=True)

    def complete(self, facts: Mapping[JobFile, FileFacts]) -> None:
        """All files are final."""
        self.advance(dict.fromkeys(self._weights, 1.0))
        self.facts = dict(facts)
        self._end(COMPLETED)
        self.progress = 100
        self.log.publish(JOB_COMPLETED, status.describe_job(self))

    def fail(self, failure: Failure, facts: Mapping[JobFile, FileFacts]) -> None:
        """The job ended without all its files; those that exist stay."""
        self.failure, self.facts = failure, dict(facts)
        self.files = [file for file in self.files if file in facts]
        self._end(FAILED)
        self.log.publish(ERROR, status.describe_job(self))

    def requeue(self) -> None:
        """Begin again after the server was killed; progress stays where it was, since it never falls."""
        self.state, self.completed_stages, self.reports = QUEUED, (), {}
        self.files, self.facts, self._fractions = [], {}, {}

    def _end(self, state: str) -> None:
        self.ran_seconds, self.ended = self.seconds, time.time()
        self.state, self.queue_position = state, None

    def _is_stage_done(self, stage: str) -> bool:
        nodes = [node for node in self._weights if self.graph.node_stages[node] == stage]
        return all(self._fractions.get(node, 0.0) >= 1.0 for node in nodes)

    def _complete_stages(self) -> bool:
        """Mark stages completed, in order; whether there was one."""
        before = len(self.completed_stages)
        for stage in self.graph.stages[before:]:
            if not self._is_stage_done(stage):
                break
            self.completed_stages += (stage,)
            data = {**status.describe_stage(self, stage), "stage": stage, "progress": self.progress}
            self.log.publish(STAGE_COMPLETED, data)
        changed = len(self.completed_stages) > before
        if changed:
            self._publish_progress(now=True)
        return changed

    def _publish_progress(self, now: bool = False) -> None:
        if now or time.monotonic() - self._published >= PROGRESS_INTERVAL:
            self._published = time.monotonic()
            self.log.publish(PROGRESS_UPDATE, status.describe_job(self))
        elif self.keep:
            self.keep()


def _weigh_nodes(
    graph: JobGraph, node_ids: Iterable[str], stage_weights: Mapping[str, float]
) -> dict[str, float]:
    raw = {node: STAGE_NODE_WEIGHT if graph.is_stage_node(node) else OTHER_NODE_WEIGHT for node in node_ids}
    totals = dict.fromkeys(stage_weights, 0.0)
    for node, weight in raw.items():
        totals[graph.node_stages[node]] += weight
    return {
        node: stage_weights[stage] * weight / totals[stage]
        for node, weight in raw.items()
        for stage in (graph.node_stages[node],)
    }


def new_job_id() -> str:
    """A canonical UUID; ComfyUI's prompt has the same id."""
    return str(uuid.uuid4())
