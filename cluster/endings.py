"""Jobs that end without a result: stopped before a worker had them, or given up."""

from __future__ import annotations

import json

from ..server_routes.database import Row
from ..server_routes.events import ERROR, Event, now_milliseconds
from ..server_routes.graph import build_graph, load_template
from ..server_routes.job_record import job_to_row, read_parameters, row_to_job
from ..server_routes.jobs import Failure
from ..server_routes.listener import CANCELLED
from ..server_routes.status import describe_job
from ..server_routes.upload import MESH
from ..server_routes.webhooks import make_delivery
from .ledger import Ledger

OF_PICTURES = "mesh_generation"
"""The stage that a job of a mesh does not have."""


def takes_pictures(row: Row) -> bool:
    """Whether a job is made of pictures, and not of a mesh, by the stages that it began with."""
    stages = json.loads(row.status or "{}").get("stages", ())
    return not stages or any(stage["name"] == OF_PICTURES for stage in stages)


def fail_job(ledger: Ledger, row: Row, attempt: int, failure: Failure | None) -> Row:
    """End a job as failed, with its event and webhook; without a failure, as cancelled. Returns its last row.

    attempt: the fencing token; raises FencedError where another attempt has begun. Blocks.
    """
    parameters = read_parameters(row.body)
    pictures = {"image": row.id} if takes_pictures(row) else {MESH: row.id}
    job = row_to_job(row, build_graph(load_template(), row.id, pictures, parameters.values))
    job.cancel_requested = failure is None
    job.fail(failure or Failure(CANCELLED, "Cancelled by the client", None, cancelled=True), job.facts)
    body = describe_job(job)
    event = Event(ERROR, job.id, 0, now_milliseconds(), body)
    url = parameters.values["webhook_url"]
    delivery = make_delivery(job.id, url, "character.failed", body) if url else None
    ended = job_to_row(job, json.dumps(body))
    ledger.record(ended, attempt, event, delivery)
    return ended
