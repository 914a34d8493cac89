"""Whole jobs on a warm server: seconds from POST to completed, per stage, and peak memory above idle.

    python benchmarks/job.py [PICTURE ...]

Sets up ComfyUI like quickstart.py, starts it on a free port, runs one job to warm it up and then
one job for each picture (default: all of examples/) with default parameters. Memory is the resident
set of the server's process, sampled every 20 ms; Linux only.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from client import Client  # noqa: E402
from launcher.environment import prepare_own_comfyui  # noqa: E402
from launcher.installation import link_pack  # noqa: E402
from launcher.server import Server, find_free_port, run_server  # noqa: E402

MIB = 2**20


def read_resident(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def watch_peak(pid: int) -> Callable[[], int]:
    """Sample a process until the returned function is called, which returns the peak in bytes."""
    peak, done = [read_resident(pid)], threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], read_resident(pid))

    thread = threading.Thread(target=sample)
    thread.start()

    def stop() -> int:
        done.set()
        thread.join()
        return peak[0]

    return stop


def run_job(server: Server, picture: Path) -> dict[str, Any]:
    """Send the picture, wait for the end and return the status answer with `wall` and `peak` added."""
    idle, stop = read_resident(server.process.pid), watch_peak(server.process.pid)
    started, client = time.monotonic(), Client(server.address)
    status = client.wait(client.generate(picture)["job_id"])
    return {**status, "wall": time.monotonic() - started, "peak": stop() - idle}


def print_row(picture: Path, status: dict[str, Any]) -> None:
    """One line of the table."""
    stages = " ".join(f"{stage.get('seconds') or 0:6.1f}" for stage in status["stages"])
    print(
        f"{picture.name:20} {status['status']:10} {status['wall']:6.1f} {stages} {status['peak'] / MIB:7.0f}"
    )


def main(pictures: list[Path]) -> None:
    """Run the jobs and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        installation = dataclasses.replace(prepare_own_comfyui(), base=Path(folder))
        link_pack(installation.base / "custom_nodes")
        with run_server(installation, find_free_port()) as server:
            run_job(server, pictures[0])
            print(f"{'picture':20} {'status':10} {'wall':>6}   pre   mesh  views   bake    rig  peak MiB")
            for picture in pictures:
                print_row(picture, run_job(server, picture))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted((REPOSITORY / "examples").glob("*.png")))
