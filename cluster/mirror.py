"""A job of the ComfyUI beside a worker as a job of the cluster: the same bodies, under the cluster's id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import unquote

from ..server_routes.database import Row
from ..server_routes.events import ERROR, JOB_COMPLETED, PREVIEW_READY, TERMINAL, Event, now_milliseconds
from ..server_routes.files import FileFacts, JobFile
from ..server_routes.job_record import describe_files
from ..server_routes.jobs import COMPLETED, FAILED, PROCESSING, Failure

_OWN = ("created_at", "parameters")
"""Members of a status that are the cluster's, whatever the ComfyUI beside the worker says."""


class Mirror:
    """The cluster's row of a job, brought up to date by each event of the job beside the worker."""

    def __init__(self, row: Row, attempt: int, local_id: str) -> None:
        self.row = replace(row, body={**row.body, "attempts": attempt, "files": []})
        self.local_id = local_id
        self._attempt = attempt
        self._first = json.loads(row.status or "{}")
        self._progress = int(row.body.get("progress", 0))
        self._files: dict[JobFile, FileFacts] = {}

    def find_new(self, event: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(result key, name) of each file that an event names and that has not been added."""
        data = event["data"]
        named = [(entry["result"], entry["name"]) for entry in data.get("downloads", ())]
        if event["type"] == PREVIEW_READY:
            named = [("preview_images", unquote(data["url"].rpartition("/")[2]))]
        known = {file.name for file in self._files}
        return [(key, name) for key, name in named if name not in known]

    def add_file(self, file: JobFile, facts: FileFacts) -> None:
        """Add a file that has been stored."""
        self._files[file] = facts
        self.row = replace(self.row, body={**self.row.body, "files": self._list_files()})

    def _list_files(self) -> list[dict[str, Any]]:
        return describe_files(self._files, self._files)

    def translate(self, event: Mapping[str, Any]) -> Event:
        """The cluster's event; its number is given when it is stored. Updates the row."""
        kind, data = str(event["type"]), self._rename(event["data"])
        if "stages" in data:
            data = self._complete(data)
            self._update_row(kind, data)
        elif "progress" in data:
            data = {**data, "progress": max(self._progress, data["progress"])}
        return Event(kind, self.row.id, 0, now_milliseconds(), data)

    def _rename(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data with the cluster's id: ids are UUIDs, so nothing else can be meant by the text."""
        return dict(json.loads(json.dumps(data).replace(self.local_id, self.row.id)))

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self._progress = max(self._progress, body["progress"])
        warnings = dict.fromkeys([*self._first.get("warnings", ()), *body["warnings"]])
        own = {name: self._first[name] for name in _OWN if name in self._first}
        return {
            **body,
            **own,
            "attempts": self._attempt,
            "pictures": [],  # they stay with the ComfyUI that runs the job
            "progress": self._progress,
            "warnings": list(warnings),
        }

    def _update_row(self, kind: str, body: Mapping[str, Any]) -> None:
        is_over = kind in TERMINAL
        record = {
            **self.row.body,
            "attempts": self._attempt,
            "progress": self._progress,
            "completed_stages": [stage["name"] for stage in body["stages"] if stage["status"] == COMPLETED],
            "reports": [_describe_report(stage) for stage in body["stages"] if "method" in stage],
            "cached_nodes": ["some"] if any(stage.get("cached") for stage in body["stages"]) else [],
            "files": self._list_files(),
            "seconds": body.get("processing_time_seconds", 0.0),
            "failure": asdict(_read_failure(body)) if kind == ERROR else None,
        }
        state = {JOB_COMPLETED: COMPLETED, ERROR: FAILED}.get(kind, PROCESSING)
        ended = now_milliseconds() / 1000 if is_over else None
        self.row = replace(self.row, body=record, status=json.dumps(body), state=state, ended=ended)


def _describe_report(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": stage["name"],
        "method": stage["method"],
        "seconds": stage["seconds"],
        "warnings": [],
        "ignored_inputs": [],
        "metrics": {},
    }


def _read_failure(body: Mapping[str, Any]) -> Failure:
    return Failure(
        body["error"], body["error_details"], body["failed_stage"], cancelled=bool(body.get("cancelled"))
    )
