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
        self.row = replace(row, body={**row.body, "attempts": attempt, "files": [], "pictures": []})
        self.local_id = local_id
        self._attempt = attempt
        self._first = json.loads(row.status or "{}")
        self._last_stage = self._first["stages"][-1]["name"]
        self._progress = int(row.body.get("progress", 0))
        self._files: dict[JobFile, FileFacts] = {}
        self._pictures: dict[JobFile, FileFacts] = {}

    def find_new(self, event: Mapping[str, Any]) -> list[JobFile]:
        """Each file that an event names and that has not been added."""
        data = event["data"]
        stage = data.get("stage") or data.get("current_stage") or self._last_stage
        named = [(entry["result"], entry["name"]) for entry in data.get("downloads", ())]
        if event["type"] == PREVIEW_READY:
            named = [("preview_images", _read_name(data["url"]))]
        known = {file.name for file in self._files}
        return [JobFile(key, stage, name) for key, name in named if name not in known]

    def find_new_pictures(self, event: Mapping[str, Any]) -> list[JobFile]:
        """Each picture of a stage that an event names and that has not been added."""
        named = [(entry, _read_name(entry["url"])) for entry in event["data"].get("pictures", ())]
        known = {picture.name for picture in self._pictures}
        return [
            JobFile(entry["shows"], entry["stage"], f"pictures/{name}")
            for entry, name in named
            if name not in known
        ]

    def add_file(self, file: JobFile, facts: FileFacts) -> None:
        """Add a file that has been stored."""
        self._files[file] = facts
        self._update_body()

    def add_picture(self, picture: JobFile, facts: FileFacts) -> None:
        """Add a picture of a stage that has been stored."""
        self._pictures[picture] = facts
        self._update_body()

    def _update_body(self) -> None:
        self.row = replace(self.row, body={**self.row.body, **self._list_files()})

    def _list_files(self) -> dict[str, Any]:
        return {
            "files": describe_files(self._files, self._files),
            "pictures": describe_files(self._pictures, self._pictures),
        }

    def translate(self, event: Mapping[str, Any]) -> Event:
        """The cluster's event; its number is given when it is stored. Updates the row."""
        kind, data = str(event["type"]), self._rename(event["data"])
        if "stages" in data:
            data = self._complete(data)
            self._update_row(kind, data)
        elif "progress" in data:
            self._progress = max(self._progress, data["progress"])
            data = {**data, "progress": self._progress}
            self._note_stage(data)
        return Event(kind, self.row.id, 0, now_milliseconds(), data)

    def _note_stage(self, data: Mapping[str, Any]) -> None:
        """Have the status say what an event says of a stage: whoever asks after it finds nothing older."""
        known = {name: value for name, value in data.items() if name not in ("stage", "progress")}
        body = json.loads(self.row.status or "{}")
        stages = [{**entry, **known} if entry["name"] == data["name"] else entry for entry in body["stages"]]
        status = json.dumps({**body, "progress": self._progress, "stages": stages})
        self.row = replace(self.row, body={**self.row.body, "progress": self._progress}, status=status)

    def _rename(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data with the cluster's id: ids are UUIDs, so nothing else can be meant by the text."""
        return dict(json.loads(json.dumps(data).replace(self.local_id, self.row.id)))

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        self._progress = max(self._progress, body["progress"])
        warnings = dict.fromkeys([*self._first.get("warnings", ()), *body["warnings"]])
        own = {name: self._first[name] for name in _OWN if name in self._first}
        stored = {picture.name for picture in self._pictures}
        return {
            **body,
            **own,
            "attempts": self._attempt,
            "pictures": [entry for entry in body["pictures"] if _read_name(entry["url"]) in stored],
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
            **self._list_files(),
            "seconds": body.get("processing_time_seconds", 0.0),
            "failure": asdict(_read_failure(body)) if kind == ERROR else None,
        }
        state = {JOB_COMPLETED: COMPLETED, ERROR: FAILED}.get(kind, PROCESSING)
        ended = now_milliseconds() / 1000 if is_over else None
        self.row = replace(self.row, body=record, status=json.dumps(body), state=state, ended=ended)


def _read_name(url: str) -> str:
    """The name of the file at a URL."""
    return unquote(url.rpartition("/")[2])


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
