"""Jobs in ComfyUI's queue: submitted, followed, stopped and ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import folder_paths

from .background import Background
from .estimates import History
from .files import FileFacts, JobFile, measure_files
from .graph import JobGraph
from .health import Metrics
from .input_pictures import InputPictures
from .job_record import job_to_row
from .jobs import COMPLETED, Failure, Job
from .kept_uploads import KeptUploads
from .limits import JobSlots
from .listener import JobListener, attach, detach, stage_failure
from .live_job import LiveJob
from .redact import redact_paths
from .store import JobStore
from .submission import IN_HISTORY, MISSING, PromptSubmitter, ValidPrompt
from .webhooks import Webhooks

log = logging.getLogger("character3d")

WATCH_SECONDS = 1.0
INTERRUPT_SECONDS = 0.05


def output_folder() -> Path:
    """ComfyUI's output folder."""
    return Path(folder_paths.get_output_directory())


def temporary_folder() -> Path:
    """ComfyUI's folder for files of the current session."""
    return Path(folder_paths.get_temp_directory())


def client_id(job_id: str) -> str:
    """The client id of a job's prompt."""
    return f"character3d-{job_id}"


class JobRunner:
    """Runs stored jobs on one PromptServer."""

    def __init__(
        self,
        server: Any,
        submitter: PromptSubmitter,
        jobs: JobStore,
        pictures: InputPictures,
        kept: KeptUploads,
        webhooks: Webhooks,
    ) -> None:
        self._server = server
        self._submitter = submitter
        self._jobs = jobs
        self._pictures = pictures
        self._kept = kept
        self._webhooks = webhooks
        self._held = set[str]()
        self._listeners: dict[str, JobListener] = {}
        self.background = Background()
        self.history = History()
        self.metrics = Metrics()
        self.slots = JobSlots()

    async def validate(self, job: Job) -> ValidPrompt:
        """Let ComfyUI check the job's prompt; raises ApiError."""
        return await self._submitter.validate(job.id, client_id(job.id), job.graph.prompt)

    def submit(self, live: LiveJob, valid: ValidPrompt) -> None:
        """Queue a job's prompt and follow it to its end."""
        job, outputs = live.job, _order_outputs(live.job.graph, valid.outputs)
        job.use_outputs([node for node in outputs if node in job.graph.node_stages])
        listener = JobListener(job, lambda: self._spawn_end(live), _redact)
        listener.use_outputs(outputs)
        self._listeners[job.id] = listener
        attach(self._server, client_id(job.id), listener)
        self._submitter.put(job.id, ValidPrompt(valid.prompt, outputs, valid.extra_data))
        job.jobs_ahead = self._submitter.count() - 1
        job.set_queue_position(self._submitter.locate(job.id).position)
        self.background.spawn(self._watch(live), f"watch {job.id}")
        if job.cancel_requested:  # while it was being accepted
            self.background.spawn(self._interrupt_or_remove(live), f"cancel {job.id}")

    async def cancel(self, live: LiveJob) -> None:
        """Stop a job. Asking again, or too late, does nothing."""
        if live.job.is_terminal or live.job.cancel_requested:
            return
        live.job.request_cancel()
        await live.stored()
        if self._submitter.remove(live.id):
            await self._end(live)
        else:
            self.background.spawn(self._interrupt(live), f"interrupt {live.id}")

    async def fail(self, live: LiveJob, failure: Failure) -> None:
        """End a job that is not in ComfyUI's queue."""
        live.job.fail(failure, await asyncio.to_thread(measure_files, output_folder(), live.job.files))
        await self._publish_end(live)

    @asynccontextmanager
    async def hold(self, *job_ids: str) -> AsyncIterator[None]:
        """Keep the input files of these jobs while the block starts the last of them."""
        self._held = set(job_ids)
        try:
            yield
        except BaseException:
            self._held = set()
            await self._remove_inputs(*job_ids)
            await asyncio.to_thread(self._kept.remove, job_ids[-1])
            raise
        finally:
            self._held = set()

    async def _remove_inputs(self, *job_ids: str, ended: str = "") -> None:
        """Delete these jobs' files in the input folder, but for those that another live job takes."""
        used = {live.job.origin for live in self._jobs.live if live.id != ended}
        for job_id in set(job_ids) - used - self._held:
            await self._pictures.remove(job_id)

    def _spawn_end(self, live: LiveJob) -> None:
        self.background.spawn(self._end(live), f"end {live.id}")

    async def _watch(self, live: LiveJob) -> None:
        """Compare a job with ComfyUI's queue, in case an event is lost or others change the queue."""
        missed = 0
        while not live.job.is_terminal:
            place = self._submitter.locate(live.id)
            missed = missed + 1 if place.where == MISSING else 0
            live.job.set_queue_position(place.position)
            if place.where == IN_HISTORY or missed > 1:
                await self._end(live)
            elif listener := self._listeners.get(live.id):
                attach(self._server, client_id(live.id), listener)
            await asyncio.sleep(WATCH_SECONDS)

    async def _interrupt_or_remove(self, live: LiveJob) -> None:
        if self._submitter.remove(live.id):
            await self._end(live)
        else:
            await self._interrupt(live)

    async def _interrupt(self, live: LiveJob) -> None:
        while not live.job.is_terminal and self._submitter.interrupt(live.id):
            await asyncio.sleep(INTERRUPT_SECONDS)

    async def _end(self, live: LiveJob) -> None:
        """End a job whose prompt has left ComfyUI's queue; once only."""
        listener = self._listeners.pop(live.id, None)
        if listener is None:
            return
        detach(self._server, client_id(live.id), listener)
        job = live.job
        try:
            await self._decide_end(job, listener)
        except Exception:  # the boundary: a job ends, whatever its results look like
            log.exception("job %s: its results could not be read", job.id)
            job.fail(stage_failure(job.graph.stages[-1], "Internal server error"), {})
        await self._publish_end(live)
        log.info("job %s: %s after %.1f s", job.id, job.state, job.seconds)

    async def _decide_end(self, job: Job, listener: JobListener) -> None:
        listener.absorb_history(self._submitter.read_history(job.id))
        facts = await asyncio.to_thread(measure_files, output_folder(), job.files)
        failure = _find_failure(listener) or _find_missing_result(job, facts)
        if failure:
            job.fail(failure, facts)
        else:
            job.complete(facts)
            self.history.add(job_to_row(job))

    async def _publish_end(self, live: LiveJob) -> None:
        """Release an ended job's resources after its end is stored and before any client learns of it."""
        is_stored = await live.stored()
        await self._remove_inputs(live.id, live.job.origin, ended=live.id)
        if live.job.state != COMPLETED:
            await asyncio.to_thread(self._kept.remove, live.id)
        self.slots.release(live.user)
        self.metrics.count_end(live.job)
        self._jobs.finish(live, is_stored)
        self._webhooks.wake()


def _redact(message: str) -> str:
    folders = (
        folder_paths.base_path,
        folder_paths.get_output_directory(),
        folder_paths.get_input_directory(),
        folder_paths.get_temp_directory(),
    )
    return redact_paths(message, (*folders, str(Path.home())))


def _order_outputs(graph: JobGraph, outputs: list[str]) -> list[str]:
    """The output nodes in the order of the stages; nodes that another pack has added come last."""
    known = [node for node in outputs if node in graph.node_stages]
    return graph.order_nodes(known) + [node for node in outputs if node not in graph.node_stages]


def _find_failure(listener: JobListener) -> Failure | None:
    if listener.outcome is None:
        return listener.cancelled()
    return listener.outcome if isinstance(listener.outcome, Failure) else None


def _find_missing_result(job: Job, facts: dict[JobFile, FileFacts]) -> Failure | None:
    keys = {file.key for file in facts}
    for node_id in job.graph.order_nodes(list(job.graph.result_nodes)):
        key = job.graph.result_nodes[node_id]
        if key not in keys:
            return stage_failure(job.graph.node_stages[node_id], f"No file was written for {key}")
    return None
