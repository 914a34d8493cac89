"""Resuming, at the start of the server, the jobs that were live when it ended."""

from __future__ import annotations

import asyncio
import logging

from .database import JobDatabase, Row
from .database_threads import DatabaseThreads
from .errors import ApiError
from .estimates import REMEMBERED
from .files import remove_files
from .graph import Prompt, build_graph
from .input_pictures import InputPictures
from .job_record import read_origin, read_parameters, row_to_job
from .job_runner import JobRunner, output_folder
from .jobs import COMPLETED, FAILED, Failure, Job
from .listener import CANCELLED
from .live_job import LiveJob
from .store import JobStore

log = logging.getLogger("character3d")

MAX_ATTEMPTS = 2
"""How often a job is begun at most: one that crashes the server must not do so forever."""

RESTARTED = "Server restarted"


async def resume_jobs(threads: DatabaseThreads, jobs: JobStore, runner: JobRunner, template: Prompt) -> None:
    """Queue the live jobs again, or end them; called once, before requests come. Raises DatabaseError."""
    runner.history.load(await threads.read(JobDatabase.newest, COMPLETED, REMEMBERED))
    for row in await threads.read(JobDatabase.live_jobs):
        events = await threads.read(JobDatabase.events, row.id)
        try:
            live = jobs.add(_read_job(row, template), events)
        except Exception:  # the boundary of a job: its record may hold anything
            log.exception("job %s: its record is damaged, the job has failed", row.id)
            await threads.write(JobDatabase.end_damaged, row.id, FAILED)
            continue
        runner.slots.take(live.user)
        await _resume_job(live, runner)


def _read_job(row: Row, template: Prompt) -> Job:
    origin, values = read_origin(row.id, row.body), read_parameters(row.body).values
    pictures, motion = InputPictures.find(origin), InputPictures.find_motion(origin)
    graph = build_graph(template, row.id, pictures, values, motion, InputPictures.find_edits(row.id))
    return row_to_job(row, graph)


async def _resume_job(live: LiveJob, runner: JobRunner) -> None:
    """Queue a job again, or end it where it cannot be."""
    job = live.job
    failure = _find_obstacle(job)
    try:
        if failure is None:
            valid = await runner.validate(job)
    except ApiError as error:
        failure = Failure(RESTARTED, error.message, None)
    except Exception:  # the boundary of a job: other packs look at its prompt too
        log.exception("job %s: its prompt could not be checked", job.id)
        failure = Failure(RESTARTED, "Internal server error", None)
    if failure:
        await runner.fail(live, failure)
        return
    cut_off = job.files
    job.requeue()
    await live.stored()
    await asyncio.to_thread(remove_files, output_folder(), cut_off)
    runner.submit(live, valid)
    log.info("job %s: queued again after a restart", job.id)


def _find_obstacle(job: Job) -> Failure | None:
    """Why a job is not begun again."""
    stage = job.current_stage if job.attempts else None
    if job.cancel_requested:
        return Failure(CANCELLED, "Cancelled by the client", stage, cancelled=True)
    if job.attempts >= MAX_ATTEMPTS:
        return Failure(
            RESTARTED, f"The server stopped while the job was running, {job.attempts} times", stage
        )
    return None
