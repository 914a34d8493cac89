"""Translates ComfyUI's execution events of one prompt into changes of one job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..pipeline.types import StageReport
from .files import read_file_entry
from .jobs import Failure, Job

log = logging.getLogger("character3d")

REPORT = "character3d_report"
FILE = "character3d_file"

STAGE_LABELS: Mapping[str, str] = {
    "preprocessing": "Preprocessing",
    "mesh_generation": "Mesh generation",
    "generating_multiview_texture": "Multiview texture generation",
    "texture_baking": "Texture baking",
    "rigging": "Rigging",
}

CANCELLED = "Cancelled"


def attach(server: Any, client_id: str, listener: JobListener) -> None:
    """Have ComfyUI send the events of a client to `listener`, as if it were the client's WebSocket.

    Core gives the id to whoever connects with it, and drops it when they leave: attach again every so often.
    """
    server.sockets[client_id] = listener


def detach(server: Any, client_id: str, listener: JobListener) -> None:
    """End what `attach` began, unless another has the id by now."""
    if server.sockets.get(client_id) is listener:
        del server.sockets[client_id]


def stage_failure(stage: str, details: str) -> Failure:
    """The failure of a stage, as the wire contract words it."""
    return Failure(f"{STAGE_LABELS[stage]} failed", details, stage)


class JobListener:
    """Registered in PromptServer.sockets under the prompt's client id, and so sees its events in order.

    `outcome` is None until ComfyUI has said how the prompt ended: then True, or a Failure.
    on_end is called when the prompt has left the worker.
    """

    closed = False

    def __init__(self, job: Job, on_end: Callable[[], None], redact: Callable[[str], str]) -> None:
        self._job = job
        self._on_end = on_end
        self._redact = redact
        self._outputs: frozenset[str] = frozenset()
        self.outcome: Failure | bool | None = None
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "execution_start": self._on_start,
            "execution_cached": self._on_cached,
            "progress_state": self._on_progress,
            "executing": self._on_executing,
            "executed": self._on_executed,
            "execution_success": self._on_success,
            "execution_error": self._on_error,
            "execution_interrupted": self._on_interrupted,
        }

    def use_outputs(self, outputs: list[str]) -> None:
        """Set the nodes that are run as output nodes: they report even when they are cached."""
        self._outputs = frozenset(outputs)

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Called by ComfyUI for every event of this client, and for broadcasts."""
        try:
            self.handle(message["type"], message["data"])
        except Exception:  # the boundary: otherwise ComfyUI's loop that sends all events would end
            log.exception("job %s: an event was not understood", self._job.id)

    async def send_bytes(self, message: bytes) -> None:
        """Does nothing: binary previews are not used."""

    async def close(self, **options: Any) -> None:
        """There is nothing to close."""

    def handle(self, event: str, data: Any) -> None:
        """Apply one event; events of other prompts and unknown ones are ignored."""
        handler = self._handlers.get(event)
        if handler and isinstance(data, Mapping) and data.get("prompt_id") == self._job.id:
            handler(data)

    def absorb_history(self, entry: Mapping[str, Any]) -> None:
        """Apply what ComfyUI's history says; what has been seen already changes nothing."""
        for node_id, output in (entry.get("outputs") or {}).items():
            self._on_executed({"node": node_id, "output": output})
        for event, data in (entry.get("status") or {}).get("messages", ()):
            if event != "execution_cached":
                self.handle(event, data)
        if self.outcome is None and (entry.get("status") or {}).get("completed"):
            self.outcome = True

    def _on_start(self, data: Mapping[str, Any]) -> None:
        self._job.start()

    def _on_cached(self, data: Mapping[str, Any]) -> None:
        self._job.cached_nodes = frozenset(data["nodes"])
        self._job.advance(dict.fromkeys(self._job.cached_nodes - self._outputs, 1.0))

    def _on_progress(self, data: Mapping[str, Any]) -> None:
        fractions = {}
        for node_id, state in data["nodes"].items():
            finished = state["state"] == "finished"
            # A running node is not done before it has a result, whatever its progress bar says.
            fractions[node_id] = 1.0 if finished else min(state["value"] / (state["max"] or 1), 0.99)
        self._job.advance(fractions)

    def _on_executing(self, data: Mapping[str, Any]) -> None:
        if data.get("node") is None:
            self._on_end()

    def _on_executed(self, data: Mapping[str, Any]) -> None:
        node_id, output = data["node"], data.get("output") or {}
        stage = self._job.graph.node_stages.get(node_id)
        if stage is None:
            return
        for report in output.get(REPORT, ()):
            self._job.add_report(self._read_report(report))
        key = self._job.graph.result_nodes.get(node_id)
        for entry in output.get(FILE, ()) if key else ():
            file = read_file_entry(entry, str(key), stage)
            if file:
                self._job.add_file(file)
        if shown := self._job.graph.name_shown(node_id):
            entries = (read_file_entry(entry, shown, stage, "temp") for entry in output.get("images", ()))
            self._job.add_pictures([picture for picture in entries if picture])

    def _read_report(self, raw: Mapping[str, Any]) -> StageReport:
        return StageReport(
            stage=str(raw["stage"]),
            method=str(raw["method"]),
            seconds=float(raw["seconds"]),
            warnings=tuple(self._redact(str(warning)) for warning in raw["warnings"]),
            ignored_inputs=tuple(raw["ignored_inputs"]),
        )

    def _on_success(self, data: Mapping[str, Any]) -> None:
        if self.outcome is None:
            self.outcome = True

    def _on_error(self, data: Mapping[str, Any]) -> None:
        stage = self._job.graph.node_stages.get(data["node_id"], self._job.current_stage)
        self.outcome = stage_failure(stage, self._redact(str(data["exception_message"])))

    def _on_interrupted(self, data: Mapping[str, Any]) -> None:
        self.outcome = self.cancelled()

    def cancelled(self) -> Failure:
        """The failure of a job that was stopped, by its client or in ComfyUI."""
        by = "Cancelled by the client" if self._job.cancel_requested else "Cancelled in ComfyUI"
        stage = None if self._job.started is None else self._job.current_stage
        return Failure(CANCELLED, by, stage, cancelled=True)
