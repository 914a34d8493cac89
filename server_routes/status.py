"""The JSON bodies that describe a job. Members that the wire contract does not name are additions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import PROCESSING_ERROR, format_moment
from .estimates import Estimate
from .events import PREVIEW_READY, STAGE_COMPLETED
from .files import FileFacts, JobFile
from .jobs import FAILED, Change, Job
from .parameters import FIELDS, Parameters
from .redact import strip_query

LIST_RESULTS = frozenset({"preview_images"})
RESULT_KEYS = ("raw_mesh", "textured_mesh", "rigged_character", "preview_images")
DOWNLOAD_KEYS = (*RESULT_KEYS, "figure", "views", "report")
"""The wire contract names the results; what was read in the picture, the views and how good the result is are
downloads beside them."""
ENOUGH_PROGRESS = 5
LATEST_MOMENT = 2.0e11
"""Seconds since 1970 that format_moment can still show, with some room."""

RETENTION_SECONDS = 7 * 24 * 3600.0
"""How long the record of an ended job is kept; its files stay until they are deleted."""

UNKNOWN_PARAMETERS = Parameters(
    {name: item.default for name, item in FIELDS.items()},
    frozenset(),
    False,
    ("parameters: unknown, the defaults are shown",),
)
"""Stand in for those of a job whose record is damaged."""


def _seconds(value: float) -> str:
    return f"{round(value)} seconds"


def _seconds_range(low: int, high: int) -> str:
    return f"{low}-{high} seconds"


def describe_acceptance(
    job_id: str, parameters: Parameters, expected: Estimate, jobs_ahead: int = 0
) -> dict[str, Any]:
    """Body of the 202 answer."""
    low, high = (seconds * (jobs_ahead + 1) for seconds in expected.seconds)
    return {
        "status": "accepted",
        "job_id": job_id,
        "message": "Character generation started",
        "estimated_time": _seconds_range(low, high),
        "estimated_time_seconds": [low, high],
        "status_url": f"/job/{job_id}/status",
        "parameters": _describe_parameters(parameters),
        "warnings": list(parameters.warnings),
    }


def _describe_parameters(parameters: Parameters) -> dict[str, Any]:
    values = dict(parameters.values)
    return {**values, "webhook_url": strip_query(values["webhook_url"])}


def hide_webhook(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without the webhook URL, for clients that are not the job's owner."""
    if "parameters" not in body:
        return dict(body)
    return {**body, "parameters": {**body["parameters"], "webhook_url": ""}}


def describe_stage(job: Job, stage: str) -> dict[str, Any]:
    """One entry of `stages`; method and seconds once the stage has reported."""
    entry: dict[str, Any] = {"name": stage, "status": job.stage_status(stage)}
    report = job.reports.get(stage)
    if report:
        entry["method"] = report.method
        entry["seconds"] = report.seconds
        entry["cached"] = any(job.graph.node_stages.get(node) == stage for node in job.cached_nodes)
    return entry


def describe_results(job: Job) -> dict[str, Any]:
    """Public paths by result key; null, or an empty list, for what does not exist."""
    results: dict[str, Any] = {key: [] if key in LIST_RESULTS else None for key in RESULT_KEYS}
    for file in sorted(job.files, key=lambda file: job.graph.stages.index(file.stage)):
        if file.key not in results:
            continue  # a download beside the results of the wire contract
        if file.key in LIST_RESULTS:
            results[file.key].append(file.public_path)
        elif results[file.key] is None:
            results[file.key] = file.public_path
    return results


def describe_downloads(
    job_id: str, files: Iterable[JobFile], known: Mapping[JobFile, FileFacts]
) -> list[dict[str, Any]]:
    """Every file of a job with its URL, results first; size and hash are known once the job has ended."""
    ordered = sorted(files, key=lambda file: file.key not in RESULT_KEYS)
    return [
        {
            "name": file.name,
            "result": file.key,
            "url": file.url(job_id),
            "media_type": file.media_type,
            "size": facts.size if facts else None,
            "sha256": facts.sha256 if facts else None,
        }
        for file, facts in ((file, known.get(file)) for file in ordered)
    ]


def describe_pictures(job: Job) -> list[dict[str, Any]]:
    """The pictures that the stages have shown so far."""
    return [
        {"stage": picture.stage, "shows": picture.key, "url": picture.picture_url(job.id)}
        for picture in job.pictures
    ]


def _ignored_fields(job: Job) -> list[str]:
    """Fields that were sent, but that every stage which takes them ignored."""
    ignored = []
    for name in sorted(job.parameters.sent & job.graph.field_stages.keys()):
        stages = job.graph.field_stages[name]
        reports = [job.reports[stage] for stage in sorted(stages & job.reports.keys())]
        if len(reports) == len(stages) and all(name in report.ignored_inputs for report in reports):
            methods = ", ".join(report.method for report in reports)
            ignored.append(f"{name}: not used by the method {methods}")
    return ignored


def describe_warnings(job: Job) -> list[str]:
    """Sentences for the client: ignored fields, and the warnings of the stages."""
    stage_warnings = [
        f"{stage}: {warning}"
        for stage in job.graph.stages
        if stage in job.reports
        for warning in job.reports[stage].warnings
    ]
    return [*job.parameters.warnings, *_ignored_fields(job), *stage_warnings]


def _describe_remaining(job: Job, progress: int, queue_position: int | None) -> dict[str, Any]:
    if progress < ENOUGH_PROGRESS:
        runs = (queue_position or 0) + 1
        seconds = runs * sum(job.expected.seconds) / 2 - job.seconds
    else:
        seconds = job.seconds * (100 - progress) / progress
    remaining = max(1, round(seconds))
    return {"estimated_remaining": _seconds(remaining), "estimated_remaining_seconds": remaining}


def describe_place(expected: Estimate, position: int, workers: int) -> dict[str, Any]:
    """What a job that waits has beside its status, where several workers take from its queue."""
    runs = 1 + math.ceil(position / max(1, workers))
    remaining = max(1, round(runs * sum(expected.seconds) / 2))
    return {
        "estimated_remaining": _seconds(remaining),
        "estimated_remaining_seconds": remaining,
        "queue_position": position,
    }


def _describe_processing(job: Job) -> dict[str, Any]:
    body: dict[str, Any] = {
        "current_stage": job.current_stage,
        **_describe_remaining(job, job.progress, job.queue_position),
    }
    if job.queue_position is not None:
        body["queue_position"] = job.queue_position
    return body


def refresh_remaining(body: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """A status body from some time ago, with the remaining time as of now."""
    if body["status"] != "processing":
        return dict(body)
    return {**body, **_describe_remaining(job, body["progress"], body.get("queue_position"))}


def _describe_end(job: Job) -> dict[str, Any]:
    return {
        "results": describe_results(job),
        "processing_time": _seconds(job.seconds),
        "processing_time_seconds": round(job.seconds, 3),
        "ended_at": format_moment(job.ended or job.created),
        "expires_at": format_moment((job.ended or job.created) + RETENTION_SECONDS),
    }


def _describe_failed(job: Job) -> dict[str, Any]:
    failure = job.failure
    if failure is None:
        return {}
    body: dict[str, Any] = {
        "error": failure.message,
        "error_details": failure.details,
        "failed_stage": failure.stage,
        "error_code": PROCESSING_ERROR,
        **_describe_end(job),
    }
    if failure.cancelled:
        body["cancelled"] = True
    return body


_BODIES = {"completed": _describe_end, "failed": _describe_failed}


def describe_job(job: Job) -> dict[str, Any]:
    """Body of the status answer; also the data of progress_update, job_completed and error."""
    return {
        "status": job.state if job.is_terminal else "processing",
        "job_id": job.id,
        "progress": job.progress,
        "created_at": format_moment(job.created),
        "attempts": job.attempts,
        **_BODIES.get(job.state, _describe_processing)(job),
        "stages": [describe_stage(job, stage) for stage in job.graph.stages],
        "methods": {stage: report.method for stage, report in job.reports.items()},
        "parameters": _describe_parameters(job.parameters),
        "warnings": describe_warnings(job),
        "downloads": describe_downloads(job.id, job.files, job.facts),
        "pictures": describe_pictures(job),
    }


def describe_change(job: Job, change: Change) -> dict[str, Any]:
    """Data of the event that announces a change."""
    if change.event == STAGE_COMPLETED:
        return {**describe_stage(job, change.stage), "stage": change.stage, "progress": job.progress}
    if change.event == PREVIEW_READY and change.file:
        file = change.file
        return {"stage": file.stage, "preview": file.public_path, "url": file.url(job.id)}
    return describe_job(job)


def describe_damaged(job_id: str, created: Any, ended: Any) -> dict[str, Any]:
    """Body of the status of a job whose record cannot be read. created, ended: whatever the row holds."""
    end = read_moment(ended) or read_moment(created)
    return {
        "status": FAILED,
        "job_id": job_id,
        "progress": 0,
        "created_at": format_moment(read_moment(created)),
        "attempts": 0,
        "error": "Job record damaged",
        "error_details": "The server cannot read what it stored about this job",
        "failed_stage": None,
        "error_code": PROCESSING_ERROR,
        "results": {key: [] if key in LIST_RESULTS else None for key in RESULT_KEYS},
        "processing_time": _seconds(0.0),
        "processing_time_seconds": 0.0,
        "ended_at": format_moment(end),
        "expires_at": format_moment(end + RETENTION_SECONDS),
        "stages": [],
        "methods": {},
        "parameters": dict(UNKNOWN_PARAMETERS.values),
        "warnings": list(UNKNOWN_PARAMETERS.warnings),
        "downloads": [],
        "pictures": [],
    }


def read_moment(value: Any) -> float:
    """A moment of a row that may be damaged, in seconds since 1970; 0 in place of anything else."""
    is_moment = isinstance(value, float | int) and math.isfinite(value) and 0 <= value < LATEST_MOMENT
    return float(value) if is_moment else 0.0
