"""The six error codes of the wire contract, and the one place where an error becomes a response."""

from __future__ import annotations

import functools
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from aiohttp import web

from .database_engine import DatabaseError

log = logging.getLogger("character3d")

INVALID_PARAMETERS = "INVALID_PARAMETERS"
FILE_TOO_LARGE = "FILE_TOO_LARGE"
UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
JOB_NOT_FOUND = "JOB_NOT_FOUND"
PROCESSING_ERROR = "PROCESSING_ERROR"
SERVER_BUSY = "SERVER_BUSY"

PROBLEM = "application/problem+json"


def format_moment(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC."""
    return (
        datetime.fromtimestamp(seconds, timezone.utc)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An error of the wire contract, as the answer to a request.

    retry_after: seconds, rounded up to a whole number. closes: the request body was not read to its end, so
    the connection cannot be reused.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self.closes = closes
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def body(self) -> dict[str, Any]:
        """The error body of the wire contract."""
        return {
            "status": "error",
            "error_code": self.code,
            "message": self.message,
            "details": self.details,
        }

    def problem(self, path: str) -> dict[str, Any]:
        """The same as problem details (RFC 9457), where `status` is the HTTP status."""
        return {
            **self.body(),
            "type": f"/generate_character/docs#{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "instance": path,
        }


def invalid_parameter(message: str, parameter: str, status: int = 400, **details: Any) -> ApiError:
    """An INVALID_PARAMETERS error about one field of the request."""
    return ApiError(status, INVALID_PARAMETERS, message, {"parameter": parameter, **details})


def file_too_large(message: str, **details: Any) -> ApiError:
    """A FILE_TOO_LARGE error, of the picture unless `parameter` is another; the rest is not read."""
    return ApiError(413, FILE_TOO_LARGE, message, {"parameter": "image", **details}, closes=True)


def unsupported_format(message: str, **details: Any) -> ApiError:
    """An UNSUPPORTED_FORMAT error about the picture, unless `parameter` is another."""
    return ApiError(415, UNSUPPORTED_FORMAT, message, {"parameter": "image", **details})


def job_not_found(job_id: str) -> ApiError:
    """A JOB_NOT_FOUND error."""
    return ApiError(404, JOB_NOT_FOUND, "Job not found", {"job_id": job_id[:64]})


def job_gone(job_id: str, moment: float) -> ApiError:
    """A JOB_NOT_FOUND error about a job that was deleted or has expired. moment: seconds since 1970."""
    details = {"job_id": job_id[:64], "expired_at": format_moment(moment)}
    return ApiError(410, JOB_NOT_FOUND, "Job is gone", details)


def server_busy(status: int, message: str, reason: str, retry_after: float, **details: Any) -> ApiError:
    """A SERVER_BUSY error. status: 429 for a limit of one user, 503 for one of the whole server."""
    return ApiError(status, SERVER_BUSY, message, {"reason": reason, **details}, retry_after=retry_after)


def jobs_away() -> ApiError:
    """A SERVER_BUSY error where the database does not answer."""
    return server_busy(503, "The jobs cannot be stored or read now", "database", 5)


def disk_full(message: str, **details: Any) -> ApiError:
    """A SERVER_BUSY error for lack of disk space; the request body may not have been read."""
    error = server_busy(503, message, "low_disk", 300, **details)
    error.closes = True
    return error


def error_response(request: web.Request, error: ApiError) -> web.Response:
    """The JSON answer of an error: the wire contract's, or problem details if requested by Accept."""
    if PROBLEM in request.headers.get("Accept", ""):
        body, content_type = error.problem(request.path), PROBLEM
    else:
        body, content_type = error.body(), "application/json"
    response = web.json_response(body, status=error.status, headers=error.headers, content_type=content_type)
    if error.closes:
        response.force_close()
    return response


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection of an answer that cannot be completed, so that its client sees it is truncated.

    aiohttp sends nothing of the new answer over a closed connection, where it would pass for the rest of
    the old one.
    """
    if request.transport:
        request.transport.close()
    return web.Response()


def answer_errors(handler: Handler) -> Handler:
    """Wrap a handler so that every error is answered with JSON of the wire contract."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error_response(request, error)
        except web.HTTPException:
            raise
        except ConnectionError:
            return _hang_up(request)
        except DatabaseError as error:
            log.error("%s %s: the jobs cannot be reached: %s", request.method, request.path, error)
            return error_response(request, jobs_away())
        except Exception:  # the boundary: a defect of the service is logged and answered
            request_id = str(uuid.uuid4())
            log.exception("request %s: %s %s failed", request_id, request.method, request.path)
            details = {"request_id": request_id}
            return error_response(request, ApiError(500, PROCESSING_ERROR, "Internal server error", details))

    return answer


def refuse_method(*allowed: str) -> Handler:
    """A handler for the methods that a path does not support."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise ApiError(
            405,
            INVALID_PARAMETERS,
            f"Method {request.method} is not allowed here",
            {"parameter": "method", "provided": request.method, "allowed": list(allowed)},
            headers={"Allow": ", ".join(allowed)},
            closes=True,
        )

    return answer_errors(refuse)


async def _refuse_path(request: web.Request) -> web.StreamResponse:
    found = {"parameter": "path", "provided": request.path[:200]}
    raise ApiError(404, INVALID_PARAMETERS, "There is nothing at this path", found, closes=True)


refuse_path = answer_errors(_refuse_path)
"""A handler for unknown paths under the service's prefixes."""
