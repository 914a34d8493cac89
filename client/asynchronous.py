"""The client as coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from urllib.request import OpenerDirector

from .client import Client, Picture
from .types import Acceptance, Check, CompletedJob, Event, FailedJob, Health, Job, Models, RigCheck

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .types import Parameters

T = TypeVar("T")


async def _iterate(items: Iterator[T]) -> AsyncIterator[T]:
    """What a blocking iterator yields, and what it raises.

    Its thread is a daemon: where this is cancelled, nobody waits for the next item, nor for the end.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue["Future[T] | None"]()
    is_wanted = threading.Event()
    is_wanted.set()

    def put(found: Future[T] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(queue.put_nowait, found)

    def read() -> None:
        while is_wanted.is_set():
            found = Future[T]()
            try:
                found.set_result(next(items))
            except StopIteration:
                put(None)
                return
            except Exception as error:  # noqa: BLE001  the boundary of the thread: raised where it is awaited
                found.set_exception(error)
                is_wanted.clear()
            put(found)

    threading.Thread(target=read, daemon=True).start()
    try:
        while found := await queue.get():
            yield found.result()
    finally:
        is_wanted.clear()


class AsyncClient:
    """A Client whose methods are coroutines and asynchronous iterators; they take and raise the same.

    Each request runs in a thread, so that nothing is needed beside Python. A request that is cancelled may
    still reach the server.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        patience: float = 60.0,
        opener: OpenerDirector | None = None,
    ) -> None:
        self.client = Client(address, api_key=api_key, timeout=timeout, patience=patience, opener=opener)

    async def generate(
        self,
        picture: Picture,
        *,
        left: Picture | None = None,
        right: Picture | None = None,
        back: Picture | None = None,
        top: Picture | None = None,
        is_sheet: bool = False,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Acceptance:
        """As Client.generate."""
        options: dict[str, Any] = {"left": left, "right": right, "back": back, "top": top, **parameters}
        options |= {"is_sheet": is_sheet, "idempotency_key": idempotency_key}
        return await asyncio.to_thread(self.client.generate, picture, **options)

    async def submit(
        self, files: Mapping[str, Picture], fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Acceptance:
        """As Client.submit."""
        return await asyncio.to_thread(self.client.submit, files, fields, idempotency_key=idempotency_key)

    async def rig(
        self,
        mesh: Path,
        motion: Path | None = None,
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Acceptance:
        """As Client.rig."""
        options: dict[str, Any] = {"idempotency_key": idempotency_key, **parameters}
        return await asyncio.to_thread(self.client.rig, mesh, motion, **options)

    async def edit_views(
        self, job_id: str, pictures: Mapping[str, Picture], *, idempotency_key: str | None = None
    ) -> Acceptance:
        """As Client.edit_views."""
        edit = self.client.edit_views
        return await asyncio.to_thread(edit, job_id, pictures, idempotency_key=idempotency_key)

    async def check(self, picture: Picture, *, figure: int = -1) -> Check:
        """As Client.check."""
        return await asyncio.to_thread(self.client.check, picture, figure=figure)

    async def check_rig(self, mesh: Path) -> RigCheck:
        """As Client.check_rig."""
        return await asyncio.to_thread(self.client.check_rig, mesh)

    async def status(self, job_id: str) -> Job:
        """As Client.status."""
        return await asyncio.to_thread(self.client.status, job_id)

    def events(self, job_id: str, since: int = 0) -> AsyncIterator[Event]:
        """As Client.events."""
        return _iterate(self.client.events(job_id, since))

    def follow(self, job_id: str) -> AsyncIterator[Job]:
        """As Client.follow."""
        return _iterate(self.client.follow(job_id))

    async def wait(self, job_id: str) -> CompletedJob | FailedJob:
        """As Client.wait."""
        async for _ in self.events(job_id):
            pass
        return cast("CompletedJob | FailedJob", await self.status(job_id))

    async def download(self, job_id: str, name: str, folder: Path) -> Path:
        """As Client.download."""
        return await asyncio.to_thread(self.client.download, job_id, name, folder)

    async def download_picture(self, job_id: str, name: str, folder: Path) -> Path:
        """As Client.download_picture."""
        return await asyncio.to_thread(self.client.download_picture, job_id, name, folder)

    async def cancel(self, job_id: str) -> Job:
        """As Client.cancel."""
        return await asyncio.to_thread(self.client.cancel, job_id)

    async def delete(self, job_id: str) -> Job:
        """As Client.delete."""
        return await asyncio.to_thread(self.client.delete, job_id)

    def list_jobs(
        self, status: Literal["processing", "completed", "failed"] | None = None
    ) -> AsyncIterator[Job]:
        """As Client.list_jobs."""
        return _iterate(self.client.list_jobs(status))

    async def models(self) -> Models:
        """As Client.models."""
        return await asyncio.to_thread(self.client.models)

    async def health(self) -> Health:
        """As Client.health."""
        return await asyncio.to_thread(self.client.health)
