"""The OpenAPI document: its paths; the schemas are in schemas.py."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .access import KEYS
from .check import CHECK_PATH, FORMATS
from .edits import EDIT_PATH
from .errors import PROBLEM
from .idempotency import HEADER, MAX_CHARACTERS
from .jobs_page import ID_PATTERN, MOST, USUAL
from .mesh_jobs import ANIMATE_PATH, RIG_PATH
from .models import MODELS_PATH, SETTING
from .rig_check import RIG_CHECK_PATH
from .schemas import (
    Schema,
    check_form_schema,
    edit_form_schema,
    form_schema,
    list_schemas,
    rig_check_form_schema,
    rig_form_schema,
)
from .upload import EDITS, SHEET, SIDE_PICTURES

OPENAPI_PATH = "/generate_character/openapi.json"
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

ERRORS: Mapping[int, str] = {
    400: "A parameter is not acceptable; details name it and say what would be accepted.",
    401: "An API key is required.",
    403: "A web page of another origin asked, or another machine asked although no keys are set.",
    404: "There is no such job, or the job has no such file.",
    408: "The body did not arrive in time.",
    409: "A request with this Idempotency-Key is in progress.",
    410: "The job was deleted, or has expired.",
    412: "The file is not the one that If-Match names.",
    413: "The picture, the mesh or the body is too large.",
    415: "The body is not a multipart form, the picture is not a PNG or JPEG, or the mesh cannot be read.",
    416: "The file does not have these bytes.",
    422: "The Idempotency-Key was used with a different form.",
    426: "This path speaks WebSocket only.",
    429: "A limit of one user is reached; Retry-After says when to try again.",
    500: "A defect of the service; the log has the request id.",
    503: "The server cannot accept a job, or reach the jobs, now; Retry-After says when to try again.",
}
"""HTTP status -> what an Error with it means."""

_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": r"^\d+$"}}}
_SEQ = r"^\d{1,9}$"
_COMMON_ERRORS = (401, 403, 500, 503)
_PICTURE = {"contentType": "image/png, image/jpeg"}
_PICTURES = dict.fromkeys(("image", *SIDE_PICTURES, SHEET, *EDITS), _PICTURE)
_ACCEPTED: Mapping[str, Schema] = {
    "Location": {"description": "URL of the job's status.", "schema": {"type": "string"}},
    "RateLimit": {"schema": {"type": "string"}},
    "RateLimit-Policy": {"schema": {"type": "string"}},
}


def read_version() -> str:
    """The version of the pack, from pyproject.toml."""
    found = re.search(r'^version = "(.+)"$', PROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise ValueError(f'{PROJECT.name} has no line of the form version = "…"')
    return found[1]


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(description: str, body: str, headers: Mapping[str, Schema] | None = None) -> Schema:
    """A JSON answer; body: the name of its schema."""
    content = {"application/json": {"schema": _reference(body)}}
    return {"description": description, "content": content, **({"headers": headers} if headers else {})}


def _error(status: int) -> Schema:
    answer = _answer(ERRORS[status], "Error", _RETRY if status in (429, 503) else None)
    answer["content"][PROBLEM] = {"schema": _reference("Problem")}
    return answer


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, Schema],
    errors: tuple[int, ...] = (),
    **rest: Any,
) -> Schema:
    responses = {**{status: _error(status) for status in (*errors, *_COMMON_ERRORS)}, **answers}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): responses[status] for status in sorted(responses)},
        **rest,
    }


def _optional(place: str, name: str, description: str, **schema: Any) -> Schema:
    """A parameter that may be left out: a string, unless `schema` says otherwise."""
    return {
        "name": name,
        "in": place,
        "required": False,
        "schema": {"type": "string", **schema},
        "description": description,
    }


_KEY = _optional(
    "header",
    HEADER,
    "Sending the same key and form again within 24 hours returns the same job.",
    maxLength=MAX_CHARACTERS,
    pattern="^[!-~]([ -~]*[!-~])?$",
)


def _links() -> Schema:
    """Operations on the job that was accepted."""
    names = ("getStatus", "cancelJob", "deleteJob", "streamEvents", "watchJob")
    job = {"job_id": "$response.body#/job_id"}
    return {name: {"operationId": name, "parameters": job} for name in names}


def _generate() -> Schema:
    form = {"schema": form_schema(), "encoding": _PICTURES}
    return _operation(
        "generateCharacter",
        "Start a job: turn a picture of a character into a textured, rigged 3D character.",
        {202: {**_answer("The job is queued.", "Acceptance", _ACCEPTED), "links": _links()}},
        (400, 408, 409, 413, 415, 422, 429, 503),
        parameters=[_KEY],
        requestBody={"required": True, "content": {"multipart/form-data": form}},
    )


def _edit_views() -> Schema:
    form = {"schema": edit_form_schema(), "encoding": dict.fromkeys(EDITS, _PICTURE)}
    return _operation(
        "editViews",
        "Start a job that is a completed one with painted views, or a painted texture, in its own's place.",
        {202: {**_answer("The job is queued.", "Acceptance", _ACCEPTED), "links": _links()}},
        (400, 404, 408, 409, 410, 413, 415, 422, 429, 503),
        parameters=[_KEY],
        requestBody={"required": True, "content": {"multipart/form-data": form}},
    )


def _check() -> Schema:
    answer = _answer("What was found.", "Check")
    answer["content"]["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "schema": check_form_schema(),
        "encoding": {name: _PICTURES[name] for name in ("image", SHEET)},
    }
    return _operation(
        "checkPicture",
        "What a job would read in a picture, without a job: kind, landmarks, warnings and a preview.",
        {200: answer},
        (400, 408, 413, 415, 429, 503),
        parameters=[_optional("query", "format", "png answers with the preview alone.", enum=list(FORMATS))],
        requestBody={"required": True, "content": {"multipart/form-data": form}},
    )


def _rig_check() -> Schema:
    return _operation(
        "checkRig",
        "What a rig would make of a mesh, without a job: what it is, how it stands, what it lacks.",
        {200: _answer("What was found.", "RigCheck")},
        (400, 408, 413, 415, 429, 503),
        requestBody={
            "required": True,
            "content": {"multipart/form-data": {"schema": rig_check_form_schema()}},
        },
    )


def _rig(name: str, summary: str, needs_motion: bool) -> Schema:
    form = {"schema": rig_form_schema(needs_motion)}
    return _operation(
        name,
        summary,
        {202: {**_answer("The job is queued.", "Acceptance", _ACCEPTED), "links": _links()}},
        (400, 408, 409, 413, 415, 422, 429, 503),
        parameters=[_KEY],
        requestBody={"required": True, "content": {"multipart/form-data": form}},
    )


def _download() -> Schema:
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    tag = {"ETag": {"description": "The SHA-256 of the file.", "schema": {"type": "string"}}}
    place = {"Location": {"description": "For a quarter of an hour.", "schema": {"type": "string"}}}
    files = {"report": _reference("QualityReport")}
    operation = _operation(
        "downloadFile",
        "Download a file of a job; files of finished stages are available while later stages run.",
        {
            200: {"description": "The file.", "content": binary, "headers": tag},
            206: {"description": "The requested range of the file.", "content": binary, "headers": tag},
            302: {"description": "The file is at the signed URL in Location.", "headers": {**tag, **place}},
            304: {"description": "The client already has this file.", "headers": tag},
        },
        (404, 410, 412, 416),
        parameters=[
            {"name": "filename", "in": "path", "required": True, "schema": {"type": "string"}},
            _optional("header", "Range", "A single range of bytes."),
            _optional("header", "If-Range", "An entity tag; if the file has another, all of it is sent."),
            _optional("header", "If-None-Match", "Entity tags of the files that the client already has."),
            _optional("header", "If-Match", "Entity tags, one of which the file must have."),
        ],
    )
    return {**operation, "x-file-schemas": files}  # what is in the JSON files, by their result key


def _stage_picture() -> Schema:
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return _operation(
        "getStagePicture",
        "A picture, PNG, that a stage showed; there until ComfyUI restarts.",
        {
            200: {"description": "The picture.", "content": binary},
            206: {"description": "The requested range of the picture.", "content": binary},
            304: {"description": "The client already has this picture."},
        },
        (404, 410, 412, 416),
        parameters=[{"name": "filename", "in": "path", "required": True, "schema": {"type": "string"}}],
    )


def _list() -> Schema:
    states = ["processing", "completed", "failed"]
    limits = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}
    return _operation(
        "listJobs",
        "The jobs of the current user, newest first.",
        {200: _answer("A page of jobs.", "JobList")},
        (400,),
        parameters=[
            _optional("query", "status", "Only jobs in this state.", enum=states),
            _optional("query", "limit", "Maximum number of jobs on the page.", **limits),
            _optional("query", "before", "The `next` of the previous page.", pattern=ID_PATTERN),
        ],
    )


def _events() -> Schema:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _reference("Event")}
    members = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    stream = {"text/event-stream": {"schema": {"type": "object", "properties": members}}}
    return _operation(
        "streamEvents",
        "The job's events as server-sent events; the stream ends with the job.",
        {200: {"description": "Events; the id of each is its seq.", "content": stream}},
        (400, 404, 410, 429),
        parameters=[
            _optional("header", "Last-Event-ID", "Start after this event.", pattern=_SEQ),
            _optional("query", "since", "The same, for clients that cannot set a header.", pattern=_SEQ),
        ],
    )


def _watch() -> Schema:
    return _operation(
        "watchJob",
        "Open a WebSocket: a snapshot, then the job's events; each frame is an Event.",
        {101: {"description": "The WebSocket is open."}},
        (400, 426, 429),
        parameters=[_optional("query", "since", "Replay after this event.", pattern=_SEQ)],
    )


def _paths() -> dict[str, Schema]:
    job, gone = _answer("The job.", "Job"), (404, 410)
    asked = {202: _answer("The job is being stopped.", "Job")}
    health = _answer("Ready.", "Health")
    models = {200: _answer("The models.", "Models")}
    names = "The names that model_name and mesh_model accept."
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/generate_character": {"post": _generate()},
        CHECK_PATH: {"post": _check()},
        RIG_CHECK_PATH: {"post": _rig_check()},
        RIG_PATH: {"post": _rig("rigMesh", "Start a job: rig a mesh.", False)},
        ANIMATE_PATH: {
            "post": _rig("animateMesh", "Start a job: rig a mesh and put a motion onto it.", True),
        },
        "/job/{job_id}/status": {"get": _operation("getStatus", "The status of a job.", {200: job}, gone)},
        "/job/{job_id}/download/{filename}": {"get": _download()},
        "/job/{job_id}/pictures/{filename}": {"get": _stage_picture()},
        "/job/{job_id}/cancel": {"post": _operation("cancelJob", "Stop a job.", {200: job, **asked}, gone)},
        "/job/{job_id}": {
            "delete": _operation(
                "deleteJob",
                "Stop a running job; delete the files and the record of one that has ended.",
                {200: job, **asked},
                gone,
            )
        },
        "/job/{job_id}/events": {"get": _events()},
        "/ws/{job_id}": {"get": _watch()},
        "/generate_character/jobs": {"get": _list()},
        EDIT_PATH: {"post": _edit_views()},
        "/generate_character/health": {
            "get": _operation(
                "getHealth",
                "Whether a job would be accepted now.",
                {200: health, 503: {**health, "description": "Not ready; `reasons` says why."}},
            )
        },
        "/generate_character/metrics": {
            "get": _operation(
                "getMetrics",
                "Metrics in the Prometheus text format.",
                {200: {"description": "The metrics.", "content": text}},
            )
        },
        "/models": {"get": _operation("listModels", names, models)},
        MODELS_PATH: {"get": _operation("listModelsAnyway", f"The same, even if {SETTING} is core.", models)},
    }


def _security(path: str) -> list[Schema]:
    """How a key may be sent; browsers cannot set headers on a WebSocket or an event stream."""
    is_stream = path in ("/ws/{job_id}", "/job/{job_id}/events")
    return [{scheme: []} for scheme in (("key", "keyInQuery") if is_stream else ("key",))]


@functools.cache
def describe_service(needs_key: bool = False) -> Schema:
    """The OpenAPI 3.1 document of a server with or without API keys."""
    paths = _paths()
    for path, operations in paths.items():
        for operation in operations.values():
            operation["security"] = _security(path) if needs_key else []
            if "{job_id}" in path:
                operation["parameters"] = [_JOB_ID, *operation.get("parameters", [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ComfyUI-Character3D",
            "version": read_version(),
            "description": "One picture of a character in; a textured, rigged 3D character out.",
        },
        "paths": paths,
        "components": {
            "schemas": list_schemas(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": f"One of the server's {KEYS}."},
                "keyInQuery": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
        },
    }
