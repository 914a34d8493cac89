"""A ComfyUI with this pack, played: the service's own routes, event log and store, and stages that only wait.

    python benchmarks/stage_stub.py FOLDER PORT

A job takes as many seconds as its prompt says, in equal parts by node, and writes random files. What is
stored outlives the process, and a job that ran is begun again, once, as ComfyUI's is. Two processors carry
eight of these, and hardly three ComfyUIs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster.__main__ import load_pack

load_pack()

from character3d.cluster.front_door import make_app  # noqa: E402
from character3d.pipeline.types import StageReport  # noqa: E402
from character3d.server_routes import picture  # noqa: E402
from character3d.server_routes.background import Background  # noqa: E402
from character3d.server_routes.database import JobDatabase  # noqa: E402
from character3d.server_routes.database_threads import DatabaseThreads  # noqa: E402
from character3d.server_routes.estimates import History  # noqa: E402
from character3d.server_routes.files import JobFile, measure_files, open_with_facts, remove_files  # noqa: E402
from character3d.server_routes.graph import build_graph, load_template  # noqa: E402
from character3d.server_routes.health import Metrics  # noqa: E402
from character3d.server_routes.job_record import job_to_row, read_parameters, row_to_job  # noqa: E402
from character3d.server_routes.jobs import Failure, Job, new_job_id  # noqa: E402
from character3d.server_routes.parameters import parse_form  # noqa: E402
from character3d.server_routes.sqlite_engine import SqliteEngine  # noqa: E402
from character3d.server_routes.store import JobStore  # noqa: E402
from character3d.server_routes.upload import Form  # noqa: E402

MODELS = (["stub.safetensors"], ["auto"])
MOST_ATTEMPTS = 2
FILE_BYTES = 200_000
TICK = 0.05


class StageService:
    """The jobs of one stub. As server_routes/service_interface.py."""

    notices = ()

    def __init__(self, folder: Path) -> None:
        self._threads = DatabaseThreads(JobDatabase(SqliteEngine(folder)))
        self._output = folder / "output"
        self._output.mkdir(exist_ok=True)
        self._template = load_template()
        self._waiting: asyncio.Queue[Any] = asyncio.Queue()
        self._background = Background()
        self.jobs, self.metrics, self._history = JobStore(self._threads), Metrics(), History()

    async def run(self) -> AsyncIterator[None]:
        for row in await self._threads.read(JobDatabase.live_jobs):
            values = read_parameters(row.body).values
            job = row_to_job(row, build_graph(self._template, row.id, {"image": row.id}, values))
            live = self.jobs.add(job, await self._threads.read(JobDatabase.events, row.id))
            if job.attempts < MOST_ATTEMPTS:
                job.requeue()
            self._waiting.put_nowait(live)
        self._background.spawn_loop(self._run_jobs, "jobs")
        yield
        await self._background.stop()
        await self._threads.close()

    async def create_job(self, form: Form, user: str, key: str | None = None) -> Any:
        parameters, is_learned = parse_form(form.fields, MODELS, None)
        for name in form.pictures:
            await asyncio.to_thread(picture.decode_upload, form.files[name], name)
        job_id = new_job_id()
        graph = build_graph(self._template, job_id, dict.fromkeys(form.pictures, job_id), parameters.values)
        job = Job(job_id, user, parameters, graph, self._history.estimate(parameters.values, is_learned))
        live = self.jobs.add(job)
        await self._threads.write(JobDatabase.insert, job_to_row(job), (key, form.digest) if key else None)
        self._waiting.put_nowait(live)
        return live

    async def _run_jobs(self) -> None:
        while True:
            live = await self._waiting.get()
            if live.job.attempts >= MOST_ATTEMPTS:
                reason = f"The server stopped while the job was running, {MOST_ATTEMPTS} times"
                live.job.fail(Failure("Server restarted", reason, None), {})
            else:
                await self._run_job(live.job)
            self.jobs.finish(live, await live.stored())

    async def _run_job(self, job: Job) -> None:
        job.start()
        nodes = job.graph.order_nodes(list(job.graph.node_stages))
        due, each = time.monotonic(), float(job.parameters.values["prompt"]) / len(nodes)
        for node in nodes:
            due += each
            while (left := due - time.monotonic()) > 0 and not job.cancel_requested:
                await asyncio.sleep(min(left, TICK))
            if job.cancel_requested:
                facts = await asyncio.to_thread(measure_files, self._output, job.files)
                job.fail(Failure("Cancelled", "Cancelled by the client", None, cancelled=True), facts)
                return
            if key := job.graph.result_nodes.get(node):
                name = f"{key}_{node}_{secrets.token_hex(4)}.bin"
                await asyncio.to_thread((self._output / name).write_bytes, os.urandom(FILE_BYTES))
                job.add_file(JobFile(key, job.graph.node_stages[node], name))
            job.advance({node: 1.0})
        for stage in job.graph.stages:
            job.add_report(StageReport(stage, "stub", each))
        job.complete(await asyncio.to_thread(measure_files, self._output, job.files))

    async def cancel_job(self, live: Any) -> None:
        live.job.request_cancel()
        await live.stored()

    async def delete_job(self, job: Any) -> None:
        await self.jobs.delete(job)
        await asyncio.to_thread(remove_files, self._output, job.files)
        await self._threads.write(JobDatabase.finish_removal, job.id)

    async def open_file(self, job: Any, file: JobFile) -> tuple[IO[bytes], Any] | None:
        return await asyncio.to_thread(open_with_facts, self._output, file, job.facts.get(file))

    async def sign_file(self, job: Any, file: JobFile) -> None:
        return None

    async def open_picture(self, job: Any, picture: JobFile) -> None:
        return None

    async def find_request(self, user: str, key: str) -> tuple[str, str] | None:
        return await self._threads.read(JobDatabase.find_request, user, key, 0.0)

    async def list_models(self) -> tuple[list[str], list[str]]:
        return MODELS

    async def count_jobs(self) -> Mapping[str, int]:
        return {}

    async def why_not_ready(self) -> list[Any]:
        return []

    async def describe_limit(self, user: str) -> Mapping[str, str]:
        return {}

    async def admit(self, user: str, is_replay: bool = False) -> None:
        pass

    def release(self, user: str) -> None:
        pass


def read_picture(image: IO[bytes], name: str, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    return {"kind": "stub"}, b""


def read_mesh(file: IO[bytes], suffix: str) -> Mapping[str, Any]:
    return {"kind": "stub"}


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    web.run_app(
        make_app(StageService(folder), read_picture, read_mesh),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        print=None,
    )


if __name__ == "__main__":
    main()
