"""Jobs that are earlier ones with painted views, or a painted texture: what such a request may be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from .ended_job import EndedJob
from .errors import invalid_parameter
from .job_record import read_parameters
from .jobs import COMPLETED
from .parameters import Parameters
from .service_interface import AnyJob
from .upload import EDITS, SHEET, TEXTURE, Form

EDIT_PATH = "/generate_character/jobs/{job_id}/views"
_NAMES = ", ".join((*(name for name in EDITS if name != TEXTURE), f"or {TEXTURE}"))


def require_ended(job: AnyJob) -> EndedJob:
    """The job, if it has results whose views can be painted over; raises ApiError 400."""
    status = job.describe()["status"]
    if not isinstance(job, EndedJob) or status != COMPLETED or job.is_damaged:
        message = f"The job has no results whose views could be replaced: it is {status}"
        raise invalid_parameter(message, "job_id", provided=job.id, job_status=status)
    return job


def require_edits(form: Form) -> None:
    """Raise ApiError 400 for a form without any painted picture."""
    if not form.files:
        message = f"Missing views. Send at least one PNG or JPEG file as {_NAMES}"
        raise invalid_parameter(message, "views", provided=None, allowed=list(EDITS))


def require_pictures(old: EndedJob, sent: Collection[str]) -> None:
    """Raise ApiError 400 where no picture is kept: the job took a mesh, or comes from an earlier release."""
    if "image" not in sent and SHEET not in sent:
        message = "The job had no pictures, or they are no longer kept. Start a new job with them"
        raise invalid_parameter(message, "job_id", provided=old.id)


def read_edited_parameters(old: EndedJob, form: Form) -> Parameters:
    """Those of the earlier job, without its webhook; fields of the form are ignored with a warning."""
    parameters = read_parameters(old.record)
    ignored = tuple(f"{name[:100]}: unknown field, ignored" for name in form.fields)
    values = {**parameters.values, "webhook_url": ""}
    return replace(parameters, values=values, warnings=(*parameters.warnings, *ignored))


def edit_digest(job_id: str, form: Form) -> str:
    """What tells a request from another under the same idempotency key."""
    return f"{job_id} {form.digest}"
