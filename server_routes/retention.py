"""Deleting jobs: those that clients delete, and those that are old."""

from __future__ import annotations

import asyncio
import logging
import time

from .database import DELETED, JobDatabase, Row
from .database_threads import DatabaseThreads, for_each
from .ended_job import EndedJob
from .files import measure_files, remove_files
from .job_record import read_files
from .job_runner import output_folder
from .kept_uploads import KeptUploads
from .status import RETENTION_SECONDS
from .store import JobStore

log = logging.getLogger("character3d")

ROUND_SECONDS = 3600.0
TOMBSTONE_SECONDS = 30 * 24 * 3600.0
"""How long the id of a deleted job is known as such."""


class Retention:
    """Deletes jobs and their files."""

    def __init__(self, threads: DatabaseThreads, jobs: JobStore, kept: KeptUploads) -> None:
        self._threads = threads
        self._jobs = jobs
        self._kept = kept

    async def delete_job(self, job: EndedJob) -> None:
        """Delete an ended job's files and record; its id answers 410 from then on.

        The record goes first: file names that have become free are used again, and would then belong to two
        jobs. What cannot be deleted now is deleted at the next start.
        """
        await self._jobs.delete(job)
        await asyncio.to_thread(self._kept.remove, job.id)
        if await asyncio.to_thread(remove_files, output_folder(), job.files):
            await self._threads.write(JobDatabase.finish_removal, job.id)

    async def expire_jobs(self) -> None:
        """Delete the records of old jobs, forever; raises DatabaseError."""
        while True:
            now = time.time()
            old = await self._threads.read(JobDatabase.ended_before, now - RETENTION_SECONDS)
            await for_each(old, self._expire)
            await self._threads.write(JobDatabase.purge_tombstones, now - TOMBSTONE_SECONDS)
            await asyncio.sleep(ROUND_SECONDS)

    async def _expire(self, job_id: str) -> None:
        await self._jobs.expire(job_id)
        await asyncio.to_thread(self._kept.remove, job_id)

    async def remove_unknown(self) -> None:
        """Delete what was sent for jobs that are not known, or no longer; raises DatabaseError."""
        for job_id in await asyncio.to_thread(self._kept.list_jobs):
            row = await self._threads.read(JobDatabase.find, job_id)
            if row is None or row.state == DELETED:
                await asyncio.to_thread(self._kept.remove, job_id)

    async def finish_removals(self) -> None:
        """Remove the files of jobs whose deletion was cut off; raises DatabaseError."""
        await for_each(await self._threads.read(JobDatabase.pending_removals), self._finish_removal)

    async def _finish_removal(self, row: Row) -> None:
        try:
            is_done = await asyncio.to_thread(_remove_own_files, row)
        except (LookupError, TypeError, AttributeError) as error:  # a damaged tombstone
            log.warning("job %s: its files are unknown: %r", row.id, error)
            is_done = True
        if is_done:
            await self._threads.write(JobDatabase.finish_removal, row.id)


def _remove_own_files(row: Row) -> bool:
    """Remove a deleted job's files, unless others have taken their names; returns whether none is left."""
    files, known = read_files(row.body)
    found = measure_files(output_folder(), files)
    return remove_files(output_folder(), [file for file in found if found[file] == known.get(file)])
