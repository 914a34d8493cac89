"""The paths of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .access import KEYS
from .errors import PROBLEM
from .idempotency import HEADER, MAX_CHARACTERS
from .jobs_page import ID_PATTERN, MOST, USUAL
from .models import MODELS_PATH, SETTING
from .openapi import ERRORS, Schema, form_schema, list_schemas, reference

VERSION = "1.0.0"
OPENAPI_PATH = "/generate_character/openapi.json"

_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": r"^\d+$"}}}
_SEQ = {"type": "string", "pattern": r"^\d{1,9}$"}
_ALWAYS = (401, 403, 500)


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answer(description: str, schema: Schema, headers: Mapping[str, Schema] | None = None) -> Schema:
    return {"description": description, "content": _json(schema), **({"headers": headers} if headers else {})}


def _error(status: int) -> Schema:
    answer = _answer(ERRORS[status], reference("Error"), _RETRY if status in (429, 503) else None)
    answer["content"][PROBLEM] = {"schema": reference("Problem")}
    return answer


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, Schema],
    errors: tuple[int, ...] = (),
    **rest: Any,
) -> Schema:
    every = {**answers, **{status: _error(status) for status in (*errors, *_ALWAYS)}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): every[status] for status in sorted(every)},
        **rest,
    }


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _header(name: str, description: str, **schema: Any) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", **schema},
        "description": description,
    }


def _links() -> Schema:
    """What can be asked of a job that was accepted."""
    names = ("getStatus", "cancelJob", "deleteJob", "streamEvents", "watchJob")
    job = {"job_id": "$response.body#/job_id"}
    return {name: {"operationId": name, "parameters": job} for name in names}


def _generate() -> Schema:
    headers: dict[str, Schema] = {
        "Location": {"description": "Where the status is.", "schema": {"type": "string"}},
        "RateLimit": {"schema": {"type": "string"}},
        "RateLimit-Policy": {"schema": {"type": "string"}},
    }
    form = {"schema": form_schema(), "encoding": {"image": {"contentType": "image/png, image/jpeg"}}}
    return _operation(
        "generateCharacter",
        "Begin a job: a picture of a character becomes a textured, rigged 3D character.",
        {202: {**_answer("The job is queued.", reference("Acceptance"), headers), "links": _links()}},
        (400, 408, 409, 413, 415, 422, 429, 503),
        parameters=[
            _header(
                HEADER,
                "The same key and form are the same job, for 24 hours.",
                maxLength=MAX_CHARACTERS,
                pattern="^[!-~]([ -~]*[!-~])?$",
            )
        ],
        requestBody={"required": True, "content": {"multipart/form-data": form}},
    )


def _download() -> Schema:
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    tag = {"ETag": {"description": "The SHA-256 of the file.", "schema": {"type": "string"}}}
    return _operation(
        "downloadFile",
        "Download a file of a job; those of finished stages while later stages run, too.",
        {
            200: {"description": "The file.", "content": binary, "headers": tag},
            206: {"description": "The bytes of the range.", "content": binary, "headers": tag},
            304: {"description": "The client has the file.", "headers": tag},
        },
        (404, 410, 412, 416),
        parameters=[
            {"name": "filename", "in": "path", "required": True, "schema": {"type": "string"}},
            _header("Range", "One range of bytes."),
            _header("If-Range", "An entity tag: of another file the whole one is sent."),
            _header("If-None-Match", "Entity tags that the client has."),
            _header("If-Match", "Entity tags that alone will do."),
        ],
    )


def _list() -> Schema:
    states = {"type": "string", "enum": ["processing", "completed", "failed"]}
    limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}
    return _operation(
        "listJobs",
        "The jobs of the asking user, newest first.",
        {200: _answer("A page of jobs.", reference("JobList"))},
        (400,),
        parameters=[
            _query("status", states, "Only jobs in this state."),
            _query("limit", limit, "Most jobs of the page."),
            _query("before", {"type": "string", "pattern": ID_PATTERN}, "The `next` of the page before."),
        ],
    )


def _events() -> Schema:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": reference("Event")}
    members = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
    stream = {"text/event-stream": {"schema": {"type": "object", "properties": members}}}
    return _operation(
        "streamEvents",
        "The job's events as server-sent events; ends with the job.",
        {200: {"description": "Events, whose ids are their numbers.", "content": stream}},
        (400, 404, 410, 429),
        parameters=[
            _header("Last-Event-ID", "Begin after this event.", pattern=r"^\d{1,9}$"),
            _query(
                "since", {"type": "string", "pattern": r"^\d{1,9}$"}, "The same for who can set no header."
            ),
        ],
    )


def _watch() -> Schema:
    return _operation(
        "watchJob",
        "WebSocket: a snapshot, then the job's events; each frame is an Event.",
        {101: {"description": "The WebSocket is open."}},
        (400, 426, 429),
        parameters=[_query("since", _SEQ, "Replay after this event.")],
    )


def _paths() -> dict[str, Schema]:
    job, gone = _answer("The job.", reference("Job")), (404, 410)
    asked = {202: _answer("The job is being stopped.", reference("Job"))}
    health = _answer("Ready.", reference("Health"))
    models = {200: _answer("The models.", reference("Models"))}
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/generate_character": {"post": _generate()},
        "/job/{job_id}/status": {"get": _operation("getStatus", "How a job is.", {200: job}, gone)},
        "/job/{job_id}/download/{filename}": {"get": _download()},
        "/job/{job_id}/cancel": {"post": _operation("cancelJob", "Stop a job.", {200: job, **asked}, gone)},
        "/job/{job_id}": {
            "delete": _operation(
                "deleteJob",
                "Stop a job that lives; delete the files and record of one that has ended.",
                {200: job, **asked},
                gone,
            )
        },
        "/job/{job_id}/events": {"get": _events()},
        "/ws/{job_id}": {"get": _watch()},
        "/generate_character/jobs": {"get": _list()},
        "/generate_character/health": {
            "get": _operation(
                "getHealth",
                "Whether a job would be taken now.",
                {200: health, 503: {**health, "description": "Not ready; reasons say why."}},
            )
        },
        "/generate_character/metrics": {
            "get": _operation(
                "getMetrics",
                "Figures in Prometheus's text format.",
                {200: {"description": "The figures.", "content": text}},
            )
        },
        "/models": {"get": _operation("listModels", "What model_name and mesh_model may be.", models)},
        MODELS_PATH: {
            "get": _operation(
                "listModelsAnyway", f"The same, also where {SETTING} leaves /models to ComfyUI.", models
            )
        },
    }


def _security(needs_key: bool, method: str) -> list[Schema]:
    """Which keys do; browsers can set no header on a WebSocket or an event stream."""
    schemes = ("key", "keyInQuery") if method == "get" else ("key",)
    return [{scheme: []} for scheme in schemes] if needs_key else []


def describe_service(needs_key: bool = False) -> Schema:
    """The OpenAPI 3.1 document of a server with or without API keys."""
    paths = _paths()
    for path, operations in paths.items():
        for method, operation in operations.items():
            operation["security"] = [] if path == "/models" else _security(needs_key, method)
            if "{job_id}" in path:
                operation["parameters"] = [_JOB_ID, *operation.get("parameters", [])]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ComfyUI-Character3D",
            "version": VERSION,
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
