"""A job as plain JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..pipeline.types import StageReport
from .database import Row
from .estimates import Estimate
from .events import Event
from .files import FileFacts, JobFile
from .graph import JobGraph
from .jobs import Failure, Job
from .parameters import FIELDS, Parameters


def job_to_row(job: Job) -> Row:
    """What the database keeps of a job."""
    body = {
        "values": dict(job.parameters.values),
        "sent": sorted(job.parameters.sent),
        "model_installed": job.parameters.model_installed,
        "warnings": list(job.parameters.warnings),
        "expected": asdict(job.expected),
        "attempts": job.attempts,
        "progress": job.progress,
        "completed_stages": list(job.completed_stages),
        "reports": [report.to_dict() for report in job.reports.values()],
        "cached_nodes": sorted(job.cached_nodes),
        "files": describe_files(job),
        "failure": asdict(job.failure) if job.failure else None,
        "cancel_requested": job.cancel_requested,
        "seconds": job.seconds,
    }
    return Row(job.id, job.user, job.created, job.ended, job.state, body)


def describe_files(job: Job) -> list[dict[str, Any]]:
    """A job's files with the facts of each that is known."""
    found = ((file, job.facts.get(file)) for file in job.files)
    return [{**asdict(file), **(asdict(facts) if facts else {})} for file, facts in found]


def read_files(body: Mapping[str, Any]) -> tuple[list[JobFile], dict[JobFile, FileFacts]]:
    """The files of a record, and the facts of those that are known."""
    files, known = [], {}
    for entry in body["files"]:
        file = JobFile(entry["key"], entry["stage"], entry["relative"])
        files.append(file)
        if "sha256" in entry:
            known[file] = FileFacts(entry["size"], entry["modified"], entry["sha256"])
    return files, known


def read_parameters(body: Mapping[str, Any]) -> Parameters:
    """The parameters of a record; fields that came with a later release have their defaults."""
    values = {**{name: item.default for name, item in FIELDS.items()}, **body["values"]}
    return Parameters(
        values, frozenset(body["sent"]), body["model_installed"], tuple(map(str, body["warnings"]))
    )


def row_to_job(row: Row, graph: JobGraph, events: Iterable[Event]) -> Job:
    """The job of a row, as it was when the row was written."""
    body = row.body
    low, high = body["expected"]["seconds"]
    expected = Estimate((low, high), body["expected"]["stages"])
    job = Job(row.id, row.user, read_parameters(body), graph, expected, created=row.created)
    job.state, job.attempts, job.progress = row.state, body["attempts"], body["progress"]
    job.completed_stages = tuple(body["completed_stages"])
    job.reports = {report["stage"]: _read_report(report) for report in body["reports"]}
    job.cached_nodes = frozenset(body["cached_nodes"])
    job.files, job.facts = read_files(body)
    job.failure = Failure(**body["failure"]) if body["failure"] else None
    job.cancel_requested = body["cancel_requested"]
    job.ended, job.ran_seconds = row.ended, body["seconds"]
    job.log.restore(events)
    return job


def _read_report(body: Mapping[str, Any]) -> StageReport:
    lists = {name: tuple(body[name]) for name in ("warnings", "ignored_inputs")}
    return StageReport(body["stage"], body["method"], body["seconds"], metrics=body["metrics"], **lists)
