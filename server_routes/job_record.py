"""A job as plain JSON, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..pipeline.types import StageReport
from .database import Row
from .estimates import Estimate
from .files import FileFacts, JobFile
from .graph import JobGraph
from .jobs import Failure, Job
from .parameters import FIELDS, Parameters


def job_to_row(job: Job, status: str | None = None) -> Row:
    """What the database stores of a job. status: the JSON text of its status body once it has ended."""
    body = {
        "values": dict(job.parameters.values),
        "sent": sorted(job.parameters.sent),
        "model_installed": job.parameters.model_installed,
        "warnings": list(job.parameters.warnings),
        "expected": asdict(job.expected),
        "jobs_ahead": job.jobs_ahead,
        "attempts": job.attempts,
        "progress": job.progress,
        "completed_stages": list(job.completed_stages),
        "reports": [report.to_dict() for report in job.reports.values()],
        "cached_nodes": sorted(job.cached_nodes),
        "files": describe_files(job.files, job.facts),
        "pictures": describe_files(job.pictures, {}),
        "failure": asdict(job.failure) if job.failure else None,
        "cancel_requested": job.cancel_requested,
        "seconds": job.seconds,
        "origin": job.origin,
    }
    return Row(job.id, job.user, job.created, job.ended, job.state, body, status)


def describe_files(files: Iterable[JobFile], facts: Mapping[JobFile, FileFacts]) -> list[dict[str, Any]]:
    """Files with the facts of each that is known."""
    found = ((file, facts.get(file)) for file in files)
    return [{**asdict(file), **(asdict(known) if known else {})} for file, known in found]


def read_files(body: Mapping[str, Any]) -> tuple[list[JobFile], dict[JobFile, FileFacts]]:
    """The files of a record, and the facts of those that are known."""
    files, known = [], {}
    for entry in body["files"]:
        file = JobFile(entry["key"], entry["stage"], entry["relative"])
        files.append(file)
        if "sha256" in entry:
            known[file] = FileFacts(entry["size"], entry["modified"], entry["sha256"])
    return files, known


def read_pictures(body: Mapping[str, Any]) -> list[JobFile]:
    """The pictures of a record; there are none in those of earlier releases."""
    return read_files({"files": body.get("pictures", [])})[0]


def read_picture_facts(body: Mapping[str, Any]) -> dict[JobFile, FileFacts]:
    """What is known of the pictures of a record: of those of one machine nothing, since they may go."""
    return read_files({"files": body.get("pictures", [])})[1]


def read_parameters(body: Mapping[str, Any]) -> Parameters:
    """The parameters of a record; fields that a later release added have their defaults."""
    values = {**{name: item.default for name, item in FIELDS.items()}, **body["values"]}
    return Parameters(
        values, frozenset(body["sent"]), body["model_installed"], tuple(map(str, body["warnings"]))
    )


def read_estimate(body: Mapping[str, Any]) -> Estimate:
    """What was expected of the job of a record."""
    low, high = body["expected"]["seconds"]
    return Estimate((low, high), body["expected"]["stages"])


def read_jobs_ahead(body: Mapping[str, Any]) -> int:
    """How many jobs were to be done before that of a record: earlier releases did not keep it."""
    return int(body.get("jobs_ahead", 0))


def read_origin(job_id: str, body: Mapping[str, Any]) -> str:
    """The id of the job whose pictures the job of a record takes: in earlier releases its own."""
    return str(body.get("origin", job_id))


def row_to_job(row: Row, graph: JobGraph) -> Job:
    """The job of a row, as it was when the row was written."""
    body = row.body
    parameters, expected = read_parameters(body), read_estimate(body)
    job = Job(
        row.id, row.user, parameters, graph, expected, created=row.created, origin=read_origin(row.id, body)
    )
    job.state, job.attempts, job.progress = row.state, body["attempts"], body["progress"]
    job.completed_stages = tuple(body["completed_stages"])
    job.reports = {report["stage"]: _read_report(report) for report in body["reports"]}
    job.cached_nodes = frozenset(body["cached_nodes"])
    job.files, job.facts = read_files(body)
    job.pictures = read_pictures(body)
    job.failure = Failure(**body["failure"]) if body["failure"] else None
    job.cancel_requested = body["cancel_requested"]
    job.ended, job.ran_seconds = row.ended, body["seconds"]
    return job


def _read_report(body: Mapping[str, Any]) -> StageReport:
    lists = {name: tuple(body[name]) for name in ("warnings", "ignored_inputs")}
    return StageReport(body["stage"], body["method"], body["seconds"], metrics=body["metrics"], **lists)
