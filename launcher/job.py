"""One job: send the picture, follow its events, show where the files are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .terminal import format_seconds, terminal

if TYPE_CHECKING:  # quickstart.py, which is next to both packages, passes the client in
    from ..client import Client, Job


class Service(Protocol):
    """A ComfyUI, or a cluster, that this program has started."""

    @property
    def address(self) -> str:
        """Its URL."""

    @property
    def log(self) -> Path:
        """Where it says why it refuses a job."""

    def check(self) -> None:
        """Raise QuickstartError where a process of it has ended."""

    def wait(self) -> None:
        """Wait until a process of it ends; since none should, raise QuickstartError."""

    def find_result(self, job_id: str, attempt: int, path: str) -> Path:
        """Where a result file lies. path: as the service names it."""


class StageList:
    """Shows the five stages as they finish, with their methods and durations."""

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def show(self, status: Mapping[str, Any]) -> None:
        """Show what is new in a status response."""
        for stage in status.get("stages", ()):
            if stage["status"] in ("completed", "failed") and stage["name"] not in self.shown:
                self.shown.add(stage["name"])
                mark = terminal.done_mark if stage["status"] == "completed" else terminal.fail_mark
                seconds = format_seconds(stage["seconds"]) if stage.get("seconds") is not None else ""
                method = stage.get("method") or ""
                terminal.say(f"  {mark} {stage['name']:<30} {method:<24} {seconds:>8}".rstrip())
        progress, name = status.get("progress", 0), status.get("current_stage", "")
        if status["status"] == "processing":
            terminal.live(f"    {name:<30} {terminal.bar(progress / 100)} {progress:3d} %")


def follow_job(server: Service, client: Client, job_id: str) -> Job:
    """Show the job's progress until it ends and return its final status response."""
    stages, since = StageList(), 0
    while True:
        with contextlib.suppress(OSError):
            for event in client.events(job_id, since):
                since = event["seq"]
                if "stages" in event["data"]:
                    stages.show(event["data"])
            status = client.status(job_id)
            stages.show(status)
            return status
        server.check()  # it is still running: only the connection broke
        time.sleep(1)


def list_results(status: Mapping[str, Any]) -> list[str]:
    """Return the paths of all result files, as the server names them."""
    results = status.get("results") or {}
    meshes = [results.get(name) for name in ("raw_mesh", "textured_mesh", "rigged_character")]
    return [path for path in (*meshes, *results.get("preview_images", ())) if path]


def show_end(status: Mapping[str, Any]) -> None:
    """Show how the job ended, and its warnings."""
    for warning in status.get("warnings", ()):
        terminal.say(f"    note: {warning}")
    if status["status"] == "completed":
        terminal.say(f"\nDone in {status['processing_time']}. The files:")
    else:
        terminal.say(f"\nThe job failed in {status['failed_stage']}: {status['error']}")
        terminal.say(f"    {status['error_details']}")


def run_job(
    server: Service,
    client: Client,
    picture: Path,
    out: Path | None,
    sides: Mapping[str, Path] | None = None,
) -> bool:
    """Send the pictures, show the job and where its files are; True if it completed.

    sides: further pictures by `left`, `right`, `back` and `top`.
    """
    further: Mapping[str, Any] = sides or {}
    terminal.say("\n" + ", ".join(map(str, (picture, *further.values()))))
    job_id = client.generate(picture, **further)["job_id"]
    status = follow_job(server, client, job_id)
    show_end(status)
    for path in list_results(status):
        if out is None:
            file = server.find_result(job_id, status["attempts"], path)
        else:
            file = client.download(job_id, path.rsplit("/", 1)[-1], out)
        terminal.say(f"    {file}  ({file.stat().st_size / 1e6:.1f} MB)")
    return status["status"] == "completed"
