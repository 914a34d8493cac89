"""A job's working state: its stages, its progress, which never falls, its files, and how it ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..pipeline.types import StageReport
from .estimates import Estimate
from .events import (
    ERROR,
    JOB_COMPLETED,
    PREVIEW_READY,
    PROGRESS_UPDATE,
    STAGE_COMPLETED,
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


@dataclass(frozen=True)
class Change:
    """What happened to a job. event: the type of the event that announces it, or None where none does.

    stage: of a completed stage. file: of a new preview.
    """

    event: str | None = None
    stage: str = ""
    file: JobFile | None = None


class Job:
    """State of one job. Every change goes through a method, which reports it to `on_change`."""

    def __init__(
        self,
        job_id: str,
        user: str,
        parameters: Parameters,
        graph: JobGraph,
        expected: Estimate,
        *,
        created: float | None = None,
        origin: str = "",
    ) -> None:
        """created: seconds since 1970, by default now. origin: the job whose pictures it takes."""
        self.id = job_id
        self.created = time.time() if created is None else created
        self.user = user
        self.origin = origin or job_id
        self.parameters = parameters
        self.graph = graph
        self.expected = expected
        self.on_change: Callable[[Change], None] = lambda change: None
        self.state = QUEUED
        self.progress = 0
        self.jobs_ahead = 0
        self.queue_position: int | None = None
        self.completed_stages: tuple[str, ...] = ()
        self.reports: dict[str, StageReport] = {}
        self.cached_nodes: frozenset[str] = frozenset()
        self.files: list[JobFile] = []
        self.facts: dict[JobFile, FileFacts] = {}
        self.pictures: list[JobFile] = []
        self.failure: Failure | None = None
        self.cancel_requested = False
        self.attempts = 0
        self.started: float | None = None
        self.ended: float | None = None
        self.ran_seconds = 0.0
        self._fractions: dict[str, float] = {}
        self._weights = _weigh_nodes(graph, graph.prompt.keys(), expected.stages)
        self._reported = 0.0

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
        """Set the place in ComfyUI's queue; 1 is next."""
        if self.state == QUEUED and position != self.queue_position:
            self.queue_position = position
            self._report_progress(now=True)

    def start(self) -> None:
        """ComfyUI began to execute the prompt."""
        if self.state == QUEUED:
            self.state, self.started, self.queue_position = PROCESSING, time.monotonic(), None
            self.attempts += 1
            self._report_progress(now=True)

    def advance(self, fractions: Mapping[str, float]) -> None:
        """Apply the finished fractions, 0..1, of some nodes."""
        if self.is_terminal:
            return
        self.start()
        for node_id in fractions.keys() & self._weights.keys():
            self._fractions[node_id] = max(fractions[node_id], self._fractions.get(node_id, 0.0))
        total = sum(self._weights.values())
        done = sum(self._weights[node] * fraction for node, fraction in self._fractions.items())
        before, self.progress = self.progress, max(self.progress, int(99 * done / total + 1e-9))
        if not self._complete_stages() and self.progress > before:
            self._report_progress()

    def add_report(self, report: StageReport) -> None:
        """Add a stage's own account of how it ran. Where several nodes do its work, the last one's counts.

        What the others warn of is kept.
        """
        before = self.reports.get(report.stage)
        if before:
            warnings = tuple(dict.fromkeys((*before.warnings, *report.warnings)))
            report = replace(report, warnings=warnings)
        self.reports[report.stage] = report

    def add_file(self, file: JobFile) -> None:
        """Add a file that a node has written."""
        if file in self.files or self.is_terminal:
            return
        self.files.append(file)
        if file.key == "preview_images":
            self.on_change(Change(PREVIEW_READY, file=file))
        else:
            self._report_progress(now=True)

    def add_pictures(self, pictures: Iterable[JobFile]) -> None:
        """Add pictures, below ComfyUI's temporary folder, that a node shows while the job runs."""
        found = [picture for picture in pictures if picture not in self.pictures]
        if found and not self.is_terminal:
            self.pictures += found
            self._report_progress(now=True)

    def complete(self, facts: Mapping[JobFile, FileFacts]) -> None:
        """All files are final."""
        self.advance(dict.fromkeys(self._weights, 1.0))
        self.facts = dict(facts)
        self._end(COMPLETED)
        self.progress = 100
        self.on_change(Change(JOB_COMPLETED))

    def fail(self, failure: Failure, facts: Mapping[JobFile, FileFacts]) -> None:
        """Mark the job failed; keep the results written so far."""
        self.failure, self.facts = failure, dict(facts)
        self.files = [file for file in self.files if file in facts]
        self._end(FAILED)
        self.on_change(Change(ERROR))

    def requeue(self) -> None:
        """Begin again after the server was killed; progress stays where it was, since it never falls."""
        self.state, self.completed_stages, self.reports = QUEUED, (), {}
        self.files, self.facts, self.pictures, self._fractions = [], {}, [], {}
        self.on_change(Change())

    def request_cancel(self) -> None:
        """Note that the client wants the job to stop."""
        self.cancel_requested = True
        self.on_change(Change())

    def _end(self, state: str) -> None:
        self.ran_seconds, self.ended = self.seconds, time.time()
        self.state, self.queue_position = state, None

    def _is_stage_done(self, stage: str) -> bool:
        nodes = [node for node in self._weights if self.graph.node_stages[node] == stage]
        return all(self._fractions.get(node, 0.0) >= 1.0 for node in nodes)

    def _complete_stages(self) -> bool:
        """Mark stages completed, in order; returns whether there was one."""
        before = len(self.completed_stages)
        for stage in self.graph.stages[before:]:
            if not self._is_stage_done(stage):
                break
            self.completed_stages += (stage,)
            self.on_change(Change(STAGE_COMPLETED, stage=stage))
        changed = len(self.completed_stages) > before
        if changed:
            self._report_progress(now=True)
        return changed

    def _report_progress(self, now: bool = False) -> None:
        if now or time.monotonic() - self._reported >= PROGRESS_INTERVAL:
            self._reported = time.monotonic()
            self.on_change(Change(PROGRESS_UPDATE))
        else:
            self.on_change(Change())


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
    """A canonical UUID, which is also the id of ComfyUI's prompt."""
    return str(uuid.uuid4())
