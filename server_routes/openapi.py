"""The schemas of the OpenAPI document; what forms take comes from parameters.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..pipeline.conventions import STAGES
from .errors import (
    FILE_TOO_LARGE,
    INVALID_PARAMETERS,
    JOB_NOT_FOUND,
    PROCESSING_ERROR,
    SERVER_BUSY,
    UNSUPPORTED_FORMAT,
)
from .events import ERROR, JOB_COMPLETED, PREVIEW_READY, PROGRESS_UPDATE, STAGE_COMPLETED
from .parameters import FIELDS
from .status import RESULT_KEYS

Schema = dict[str, Any]

_CODES: Mapping[str, str] = {
    INVALID_PARAMETERS: "The request is not acceptable; details name what was found and what would be.",
    FILE_TOO_LARGE: "The picture has more than 10 MB or 40 megapixels, or the whole body more than 11 MB.",
    UNSUPPORTED_FORMAT: "The bytes are no PNG or JPEG, or the body is no multipart form.",
    JOB_NOT_FOUND: "There is no such job, or not any more (410).",
    PROCESSING_ERROR: "A stage failed, as its status tells; as an answer, a defect of the service.",
    SERVER_BUSY: "A limit of the user (429) or of the server (503); Retry-After says when to come again.",
}
ERRORS: Mapping[int, str] = {
    400: "A parameter is not acceptable; details name it and what would be.",
    401: "An API key is needed.",
    403: "A web page of another origin asked.",
    404: "There is no such job, or the job has no such file.",
    408: "The body did not arrive in time.",
    409: "A request with this Idempotency-Key is in progress.",
    410: "The job was deleted, or has expired.",
    412: "The file is not the one that If-Match names.",
    413: "The picture or the body is too large.",
    415: "The body is no multipart form, or the picture no PNG or JPEG.",
    416: "The file has no such bytes.",
    422: "The Idempotency-Key was used with another form.",
    426: "The path speaks WebSocket only.",
    429: "A limit of one user is reached; Retry-After says when to come again.",
    500: "A defect of the service; the log has the request id.",
    503: "The server cannot take a job now; Retry-After says when to come again.",
}
"""What each status of an Error means."""


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _text(description: str = "", **rest: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **rest}


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def reference(name: str) -> Schema:
    """A schema of the document by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


_SECONDS = _text(pattern=r"^\d+ seconds$")
_MOMENT = _text(format="date-time")
_PATH = _text("Path below the server's output folder.", pattern="^/output/")
_PROGRESS = {"type": "integer", "minimum": 0, "maximum": 100}
_NULL = {"type": "null"}
_BOOLEAN = {"type": "boolean"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, _NULL]}


def _results() -> Schema:
    paths = {key: _or_null(_PATH) for key in RESULT_KEYS if key != "preview_images"}
    return _object({**paths, "preview_images": _array(_PATH)})


def _job(status: str, members: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    common = {
        "status": {"const": status},
        "job_id": _text(format="uuid"),
        "progress": _PROGRESS,
        "created_at": _MOMENT,
        "attempts": {"type": "integer", "minimum": 0},
        **members,
        "stages": _array(reference("Stage")),
        "methods": {"type": "object", "additionalProperties": _text()},
        "parameters": reference("Parameters"),
        "warnings": _array(_text()),
        "downloads": _array(reference("Download")),
    }
    return _object(common, optional)


def _text_of(schema: Mapping[str, Any]) -> Schema:
    """What a form may send for a value: forms know no booleans."""
    return {"enum": [True, False, 1, 0, "yes", "no", "on", "off"]} if schema == _BOOLEAN else dict(schema)


def form_schema() -> Schema:
    """The form of POST /generate_character."""
    image = _text("The picture, PNG or JPEG, at most 10 MB.", format="binary")
    fields = {name: {**_text_of(item.schema), "default": item.default} for name, item in FIELDS.items()}
    return {
        **_object({"image": image}, fields),
        "additionalProperties": _text("Unknown fields are ignored, with a warning."),
    }


def list_schemas() -> dict[str, Schema]:
    """The document's schemas by name."""
    ended = {
        "results": reference("Results"),
        "processing_time": _SECONDS,
        "processing_time_seconds": {"type": "number"},
        "ended_at": _MOMENT,
        "expires_at": _MOMENT,
    }
    waiting = {
        "current_stage": _text(enum=["queued", *STAGES]),
        "estimated_remaining": _SECONDS,
        "estimated_remaining_seconds": {"type": "integer"},
    }
    failed = {
        "error": _text(),
        "error_details": _text(),
        "failed_stage": _or_null(_text(enum=list(STAGES))),
        "error_code": {"const": PROCESSING_ERROR},
        **ended,
    }
    error: dict[str, Schema] = {
        "status": {"const": "error"},
        "error_code": {"oneOf": [{"const": code, "description": text} for code, text in _CODES.items()]},
        "message": _text(),
        "details": {"type": "object"},
    }
    problem = {
        **error,
        "status": {"type": "integer"},
        **{name: _text() for name in ("type", "title", "detail", "instance")},
    }
    return {
        "Error": _object(error),
        "Problem": {**_object(problem), "description": "RFC 9457, for who asks with Accept."},
        "Parameters": _object({name: dict(item.schema) for name, item in FIELDS.items()}),
        "Acceptance": _object(
            {
                "status": {"const": "accepted"},
                "job_id": _text(format="uuid"),
                "message": _text(),
                "estimated_time": _text(pattern=r"^\d+-\d+ seconds$"),
                "estimated_time_seconds": {**_array({"type": "integer"}), "minItems": 2, "maxItems": 2},
                "status_url": _text(),
                "parameters": reference("Parameters"),
                "warnings": _array(_text()),
            }
        ),
        "Stage": _object(
            {
                "name": _text(enum=list(STAGES)),
                "status": _text(enum=["pending", "processing", "completed", "failed"]),
            },
            {"method": _text(), "seconds": {"type": "number"}, "cached": _BOOLEAN},
        ),
        "Download": _object(
            {
                "name": _text(),
                "result": _text(enum=list(RESULT_KEYS)),
                "url": _text(),
                "media_type": _text(),
                "size": _or_null({"type": "integer"}),
                "sha256": _or_null(_text(pattern="^[0-9a-f]{64}$")),
            }
        ),
        "Results": _results(),
        "ProcessingJob": _job("processing", waiting, {"queue_position": {"type": "integer", "minimum": 1}}),
        "CompletedJob": _job("completed", ended, {}),
        "FailedJob": _job("failed", failed, {"cancelled": {"const": True}}),
        "Job": {"oneOf": [reference(name) for name in ("ProcessingJob", "CompletedJob", "FailedJob")]},
        "JobList": _object({"jobs": _array(reference("Job")), "next": _or_null(_text())}),
        "Models": _object({"diffusion_models": _array(_text()), "3d_models": _array(_text())}),
        "Health": _object(
            {
                "status": _text(enum=["ready", "not_ready"]),
                "reasons": _array(_object({"message": _text(), "reason": _text()})),
                "notices": _array(_text("What went wrong at the start and is over.")),
                "jobs": _object({"queued": {"type": "integer"}, "processing": {"type": "integer"}}),
                "last_job": _or_null(
                    _object(
                        {
                            "status": _text(enum=["completed", "failed"]),
                            "failed_stage": _or_null(_text(enum=list(STAGES))),
                            "ended_at": _MOMENT,
                        }
                    )
                ),
            }
        ),
        "Event": _object(
            {
                "type": _text(enum=[PROGRESS_UPDATE, PREVIEW_READY, STAGE_COMPLETED, JOB_COMPLETED, ERROR]),
                "job_id": _text(),
                "seq": {"type": "integer", "minimum": 0},
                "timestamp": {"type": "integer"},
                "data": {"type": "object"},
            },
            {"snapshot": {"const": True}},
        ),
    }
