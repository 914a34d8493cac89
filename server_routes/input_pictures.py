"""The jobs' pictures and motions in ComfyUI's input folder, noted in the database before they are written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from pathlib import Path

import folder_paths

from . import picture
from .database import JobDatabase
from .database_engine import DatabaseError
from .database_threads import DatabaseThreads
from .upload import MESH, SIDE_PICTURES

log = logging.getLogger("character3d")


def _input_folder() -> Path:
    return Path(folder_paths.get_input_directory())


class InputPictures:
    """Writes and deletes pictures, and finds those that a crash has left behind."""

    def __init__(self, threads: DatabaseThreads) -> None:
        self._threads = threads

    async def store(self, job_id: str, pixels: bytes, name: str) -> str:
        """Write a job's picture; returns the name that LoadImage takes. Raises OSError or DatabaseError.

        name: of its part of the form; the front, or the sheet, comes first.
        """
        if name not in SIDE_PICTURES:
            await self._threads.write(JobDatabase.add_picture, job_id)
        suffix = picture.PICTURE_SUFFIXES[name]
        return await asyncio.to_thread(picture.store_input, _input_folder(), job_id, pixels, suffix)

    async def store_motion(self, job_id: str, suffix: str, data: bytes) -> str:
        """Write a job's motion after its picture; returns the name that Load Motion takes. Raises OSError."""
        return await asyncio.to_thread(picture.store_input, _input_folder(), job_id, data, suffix)

    async def store_mesh(self, job_id: str, suffix: str, data: bytes) -> str:
        """Write the mesh of a job that takes one; returns the name that Load Mesh takes.

        Raises OSError or sqlite3.Error.
        """
        await self._threads.write(JobDatabase.add_picture, job_id)
        return await asyncio.to_thread(picture.store_input, _input_folder(), job_id, data, f"_{MESH}{suffix}")

    async def note(self, job_id: str) -> None:
        """Note that files of a job may be there. Raises DatabaseError."""
        await self._threads.write(JobDatabase.add_picture, job_id)

    async def store_edit(self, job_id: str, pixels: bytes, name: str) -> str:
        """Write a painted view or texture; returns the name that LoadImage takes. Raises OSError."""
        suffix = picture.EDIT_SUFFIXES[name]
        return await asyncio.to_thread(picture.store_input, _input_folder(), job_id, pixels, suffix)

    @staticmethod
    def find_edits(job_id: str) -> dict[str, str]:
        """The names that LoadImage takes for a job's painted views and texture, by theirs. Blocks."""
        return picture.find_edits(_input_folder(), job_id)

    @staticmethod
    def find(job_id: str) -> dict[str, str]:
        """The names that the graph takes for a job's pictures or mesh, by their names in the form. Blocks."""
        return picture.find_pictures(_input_folder(), job_id)

    @staticmethod
    def find_motion(job_id: str) -> str:
        """The name that Load Motion takes for a job's motion; empty without one. Blocks."""
        return picture.find_motion(_input_folder(), job_id)

    async def remove(self, job_id: str) -> None:
        """Delete a job's files, after the job's end is stored: until then a restart may need them."""
        if await asyncio.to_thread(picture.remove_input, _input_folder(), job_id):
            try:
                await self._threads.write(JobDatabase.drop_picture, job_id)
            except DatabaseError as error:  # a full disk; the next start tries again
                log.warning("job %s: the end of its picture could not be noted: %s", job_id, error)

    async def remove_orphans(self, used: Collection[str]) -> None:
        """Delete the pictures of all jobs but those in use."""
        for job_id in set(await self._threads.read(JobDatabase.pictures)) - set(used):
            await self.remove(job_id)
