"""From the start of the process to the first answer, with and without old jobs on disk.

    python benchmarks/restart.py [--records 10000] [--live 60] [--times 5]

One real job that has ended and one that waits are copied into the file of jobs under new ids. Then ComfyUI
is started again and again, in turn without the pack, with it and no jobs, with the ended ones, and with those
that live as well, and asked for an old job's status as soon as it listens. "import" is ComfyUI's own figure
for the pack, "resume" the time that the service takes before requests come.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import http.client
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.stub_server import enter_test_environment
from launcher.installation import Installation, link_pack
from launcher.server import HOST, find_free_port, make_server_command

JOBS = Path("user", "character3d", "jobs.sqlite3")
IMPORT = re.compile(r"([\d.]+) seconds: .*ComfyUI-Character3D")
RESUME = re.compile(r"jobs resumed in ([\d.]+) s")


async def make_jobs(comfyui: Path, base: Path) -> tuple[str, str]:
    """One job that has ended and one that is waiting when the server is killed; their ids."""
    from tests.server.conftest import lay_base_folder, open_client, run_stub_server

    lay_base_folder(base)
    with run_stub_server(comfyui, base) as server:
        async with open_client(server.url) as client, open_client(server.url) as other:
            ended = await client.finish((await client.start_job())["job_id"])
            (base / "control.json").write_text(json.dumps({"every": 60}))
            await client.start_job()
            waiting = await other.start_job()
            server.process.kill()
    return ended["job_id"], waiting["job_id"]


def copy_jobs(base: Path, job_id: str, count: int, spread: float) -> Iterator[str]:
    """Copies of a job with its events under new ids, `spread` seconds between them; yields the ids."""
    from character3d.server_routes.database import JobDatabase
    from character3d.server_routes.sqlite_engine import SqliteEngine

    database = JobDatabase(SqliteEngine((base / JOBS).parent))
    row, events = database.find(job_id), database.events(job_id)
    assert row
    for number in range(count):
        new_id, created = str(uuid.uuid4()), row.created - spread * number
        status = row.status and row.status.replace(job_id, new_id)
        copy = dataclasses.replace(
            row, id=new_id, created=created, user=f"peer:10.0.0.{number}", status=status
        )
        database.insert(copy, (str(number), new_id))
        for event in events:
            data = json.loads(json.dumps(event.data).replace(job_id, new_id))
            database.update(copy, dataclasses.replace(event, job_id=new_id, data=data))
        yield new_id
    database.close()


def forget(base: Path, job_id: str) -> None:
    from character3d.server_routes.database import JobDatabase
    from character3d.server_routes.sqlite_engine import SqliteEngine

    database = JobDatabase(SqliteEngine((base / JOBS).parent))
    for row in database.live_jobs():
        if row.id != job_id:
            database.mark_deleted(row.id)
    database.close()


def lay_cases(stub: Path, base: Path, ids: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """The file of jobs for each case, and an id that each knows."""
    ended, waiting = ids
    forget(stub, waiting)
    pictures = base / "input" / "character3d"
    shutil.copytree(stub / "input" / "character3d", pictures)
    for _ in copy_jobs(stub, ended, options.records, 30.0):
        pass
    full = shutil.copy(stub / JOBS, base / "full.sqlite3")
    for new_id in copy_jobs(stub, waiting, options.live, 0.01):
        shutil.copy(pictures / f"{waiting}.tif", pictures / f"{new_id}.tif")
    busy = shutil.copy(stub / JOBS, base / "busy.sqlite3")
    return {
        "without the pack": None,
        "no jobs": None,
        f"{options.records} ended": full,
        f"{options.records} ended, {options.live} live": busy,
    }


def lay_case(base: Path, name: str, jobs: Path | None) -> None:
    """Make the base folder as it is before a start of this case."""
    for folder in ("custom_nodes", "user/character3d"):
        shutil.rmtree(base / folder, ignore_errors=True)
        (base / folder).mkdir(parents=True)
    if name != "without the pack":
        link_pack(base / "custom_nodes")
    if jobs:
        shutil.copy(jobs, base / JOBS)


def wait_for_answer(port: int, job_id: str) -> int:
    """The status code of a job's status, as soon as there is any."""
    while True:
        try:
            with socket.create_connection((HOST, port), timeout=0.5):
                break
        except OSError:
            time.sleep(0.01)
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", f"/job/{job_id}/status")
    return connection.getresponse().status


def start(installation: Installation, job_id: str) -> dict[str, float]:
    """Start ComfyUI, ask for a job, and kill it; seconds by what they are of."""
    command = make_server_command(installation, port := find_free_port())
    with installation.log.open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=installation.comfyui)
        status = wait_for_answer(port, job_id)
        seconds = {"start": time.monotonic() - began, "status": status}
        process.kill()
        process.wait()
    text = installation.log.read_text(errors="replace")
    for name, pattern in (("import", IMPORT), ("resume", RESUME)):
        if found := pattern.search(text):
            seconds[name] = float(found[1])
    return seconds


def print_case(name: str, runs: list[dict[str, float]]) -> None:
    columns = []
    for key in ("start", "import", "resume"):
        values = [run[key] for run in runs if key in run]
        columns.append(f"{statistics.median(values):9.2f} {max(values):7.2f}" if values else " " * 17)
    answers = sorted({int(run["status"]) for run in runs})
    print(f"{name:28}" + "".join(columns), "", *answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--live", type=int, default=60)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    comfyui = enter_test_environment()
    with tempfile.TemporaryDirectory() as folder:
        stub, base = Path(folder, "stub"), Path(folder, "base")
        stub.mkdir()
        (base / "user").mkdir(parents=True)
        ids = asyncio.run(make_jobs(comfyui, stub))
        cases = lay_cases(stub, base, ids, options)
        installation = Installation(Path(sys.executable), comfyui, base, is_own=True)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
        for _ in range(options.times):
            for name, jobs in cases.items():
                lay_case(base, name, jobs)
                runs[name].append(start(installation, ids[0]))
    print(f"{'seconds, median and most':28}{'start':>17}{'import':>17}{'resume':>17}  answers")
    for name in cases:
        print_case(name, runs[name])


if __name__ == "__main__":
    main()
