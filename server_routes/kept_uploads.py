"""What clients sent for jobs, kept while the jobs are known: their views can be painted over."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

log = logging.getLogger("character3d")


class KeptUploads:
    """Files by the id of a job and their names in its forms, below one folder. All methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, job_id: str, files: Mapping[str, IO[bytes]]) -> None:
        """Copy the files of a new job; they are at their starts before and after. Raises OSError."""
        folder = self._folder / job_id
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in files.items():
            file.seek(0)
            with (folder / name).open("wb") as copy:
                shutil.copyfileobj(file, copy)
            file.seek(0)

    @contextmanager
    def open(self, job_id: str) -> Iterator[dict[str, IO[bytes]]]:
        """The files of a job, open while the block runs; none if they are not kept."""
        folder = self._folder / job_id
        with ExitStack() as stack:
            paths = sorted(folder.iterdir()) if folder.is_dir() else []
            yield {path.name: stack.enter_context(path.open("rb")) for path in paths}

    def remove(self, job_id: str) -> None:
        """Delete the files of a job, if there are any."""
        try:
            shutil.rmtree(self._folder / job_id)
        except FileNotFoundError:
            pass
        except OSError as error:  # Windows, while a reader has one open; the next start tries again
            log.warning("job %s: what was sent for it could not be deleted: %s", job_id, error)

    def list_jobs(self) -> list[str]:
        """The ids of the jobs whose files are kept."""
        return [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
