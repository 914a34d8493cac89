"""What the routes need of the service that runs the jobs: on one machine service.py, on several cluster/."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import IO, Any, Protocol

from .ended_job import EndedJob
from .errors import ApiError
from .events import EventLog
from .files import FileFacts, JobFile
from .health import Metrics
from .upload import Form


class AnyJob(Protocol):
    """A job as clients see it, live or ended."""

    @property
    def id(self) -> str:
        """The job's id."""

    @property
    def user(self) -> str:
        """The job's owner."""

    @property
    def is_over(self) -> bool:
        """Whether its end has been published."""

    @property
    def text(self) -> str:
        """The status body as JSON."""

    @property
    def files(self) -> list[JobFile]:
        """The files written so far."""

    @property
    def pictures(self) -> list[JobFile]:
        """The pictures of its stages, which are there while it runs."""

    @property
    def facts(self) -> dict[JobFile, FileFacts]:
        """What is known of the files."""

    def describe(self) -> dict[str, Any]:
        """The status body."""

    def describe_acceptance(self) -> dict[str, Any]:
        """Body of the 202 answer."""


class Jobs(Protocol):
    """The jobs by id."""

    async def find(self, job_id: str) -> Any:
        """The job with exactly this id; raises ApiError JOB_NOT_FOUND, 404 or 410."""

    async def find_log(self, job: Any) -> EventLog:
        """The events of a job, and those to come."""

    async def list_jobs(
        self, user: str, states: Collection[str], before: str | None, limit: int
    ) -> tuple[list[Any], str | None]:
        """A page of a user's jobs in some states, newest first, and the `before` of the next page."""


class Service(Protocol):
    """Accepts, finds, stops and deletes jobs. What it refuses is an ApiError."""

    @property
    def jobs(self) -> Jobs:
        """The jobs that are known."""

    @property
    def metrics(self) -> Metrics:
        """What has happened since the server started."""

    @property
    def notices(self) -> Sequence[str]:
        """Sentences about what went wrong at the start and is over."""

    async def why_not_ready(self) -> list[ApiError]:
        """The errors that any user's next job would get now."""

    async def count_jobs(self) -> Mapping[str, int]:
        """How many jobs wait and run, by their state."""

    async def find_last_end(self) -> Mapping[str, Any] | None:
        """How the job ended that ended last, as health.describe_end; None without one."""

    async def list_models(self) -> tuple[list[str], list[str]]:
        """The names that model_name takes, and those that mesh_model takes besides `auto`, best first."""

    async def describe_limit(self, user: str) -> Mapping[str, str]:
        """The headers that say how many requests the user has left."""

    async def admit(self, user: str, is_replay: bool = False) -> None:
        """Count a request against the user's limits; raises ApiError. is_replay: it starts no job."""

    def release(self, user: str) -> None:
        """A request that was admitted began no job."""

    async def find_request(self, user: str, key: str) -> tuple[str, str] | None:
        """(digest of the form, job id) of the user's accepted request with this idempotency key."""

    async def create_job(self, form: Form, user: str, key: str | None = None) -> AnyJob:
        """Start the job of a form."""

    async def create_mesh_job(self, form: Form, user: str, key: str | None = None) -> AnyJob:
        """Start a job that rigs the form's mesh, and puts its motion onto it."""

    async def create_edit(self, old: EndedJob, form: Form, user: str, key: str | None = None) -> AnyJob:
        """Start a job that is an earlier one with painted views."""

    async def cancel_job(self, job: Any) -> None:
        """Stop a live job; it may take a moment."""

    async def delete_job(self, job: EndedJob) -> None:
        """Delete an ended job's files and record."""

    async def open_file(self, job: Any, file: JobFile) -> tuple[IO[bytes], FileFacts] | None:
        """A job's file, open, and its facts; None where it cannot be opened."""

    async def sign_file(self, job: Any, file: JobFile) -> tuple[str, FileFacts] | None:
        """A URL of another host that serves the file, and its facts; None where this server does."""

    async def open_picture(self, job: Any, picture: JobFile) -> tuple[IO[bytes], FileFacts] | None:
        """A picture of a stage, open, and its facts; None where it is not there."""
