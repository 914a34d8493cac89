"""The JSON bodies that describe a job. Members that the wire contract does not name are additions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import PROCESSING_ERROR, format_moment

if TYPE_CHECKING:
    from .jobs import Job

LIST_RESULTS = frozenset({"preview_images"})
RESULT_KEYS = ("raw_mesh", "textured_mesh", "rigged_character", "preview_images")
ENOUGH_PROGRESS = 5
RETENTION_SECONDS = 7 * 24 * 3600.0
"""How long an ended job is remembered; its files stay until they are deleted."""


def _seconds(value: float) -> str:
    return f"{round(value)} seconds"


def _seconds_range(low: int, high: int) -> str:
    return f"{low}-{high} seconds"


def describe_acceptance(job: Job) -> dict[str, Any]:
    """Body of the 202 answer."""
    low, high = (seconds * (job.jobs_ahead + 1) for seconds in job.expected.seconds)
    return {
        "status": "accepted",
        "job_id": job.id,
        "message": "Character generation started",
        "estimated_time": _seconds_range(low, high),
        "estimated_time_seconds": [low, high],
        "status_url": f"/job/{job.id}/status",
        "parameters": dict(job.parameters.values),
        "warnings": describe_warnings(job),
    }


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
        if file.key in LIST_RESULTS:
            results[file.key].append(file.public_path)
        elif results[file.key] is None:
            results[file.key] = file.public_path
    return results


def describe_downloads(job: Job) -> list[dict[str, Any]]:
    """Every file of the job with its URL; size and hash are known once the job has ended."""
    return [
        {
            "name": file.name,
            "result": file.key,
            "url": file.url(job.id),
            "media_type": file.media_type,
            "size": facts.size if facts else None,
            "sha256": facts.sha256 if facts else None,
        }
        for file, facts in ((file, job.facts.get(file)) for file in job.files)
    ]


def _ignored_fields(job: Job) -> list[str]:
    """Sent fields that no stage which takes them could honour."""
    ignored = []
    for name in sorted(job.parameters.sent & job.graph.field_stages.keys()):
        stages = job.graph.field_stages[name]
        reports = [job.reports[stage] for stage in sorted(stages & job.reports.keys())]
        if len(reports) == len(stages) and all(name in report.ignored_inputs for report in reports):
            methods = ", ".join(report.method for report in reports)
            ignored.append(f"{name}: not used by the method {methods}")
    return ignored


def describe_warnings(job: Job) -> list[str]:
    """Sentences for the client: ignored fields, and what the stages had to say."""
    stage_warnings = [
        f"{stage}: {warning}"
        for stage in job.graph.stages
        if stage in job.reports
        for warning in job.reports[stage].warnings
    ]
    return [*job.parameters.warnings, *_ignored_fields(job), *stage_warnings]


def _remaining_seconds(job: Job) -> int:
    if job.progress < ENOUGH_PROGRESS:
        runs = (job.queue_position or 0) + 1
        return max(1, round(runs * sum(job.expected.seconds) / 2 - job.seconds))
    return max(1, round(job.seconds * (100 - job.progress) / job.progress))


def _describe_processing(job: Job) -> dict[str, Any]:
    remaining = _remaining_seconds(job)
    body: dict[str, Any] = {
        "current_stage": job.current_stage,
        "estimated_remaining": _seconds(remaining),
        "estimated_remaining_seconds": remaining,
    }
    if job.queue_position is not None:
        body["queue_position"] = job.queue_position
    return body


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
        "parameters": dict(job.parameters.values),
        "warnings": describe_warnings(job),
        "downloads": describe_downloads(job),
    }
