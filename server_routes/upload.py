"""Read a multipart form part by part, counting bytes; nothing is written to disk."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import BodyPartReader, ClientError, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from .errors import INVALID_PARAMETERS, UNSUPPORTED_FORMAT, ApiError, file_too_large, invalid_parameter

MEBIBYTE = 2**20
MAX_IMAGE_BYTES = 10 * MEBIBYTE
MAX_BODY_BYTES = MAX_IMAGE_BYTES + MEBIBYTE
MAX_TEXT_BYTES = 64 * 1024
MAX_PARTS = 64
READ_SECONDS = 120.0

_CHUNK = 64 * 1024
_FORM = "multipart/form-data"
_PARSER_ERRORS = (
    ValueError,
    AssertionError,
    RuntimeError,
    LookupError,
    HttpProcessingError,
    ClientError,
    ConnectionError,
)


@dataclass(frozen=True)
class Form:
    """A read form: the picture's bytes, and the text of every other part by its name."""

    image: bytes
    fields: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A hash of all that was sent, whatever the order of the fields."""
        fields = json.dumps(sorted(self.fields.items())).encode()
        return hashlib.sha256(hashlib.sha256(self.image).digest() + fields).hexdigest()


class _Budget:
    """Counts the bytes of one body against MAX_BODY_BYTES."""

    def __init__(self) -> None:
        self._left = MAX_BODY_BYTES

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise file_too_large("Request body is too large", maximum=MAX_BODY_BYTES)


def _check_head(request: web.Request) -> None:
    if request.content_type != _FORM:
        raise ApiError(
            415,
            UNSUPPORTED_FORMAT,
            f"Request body must be {_FORM}",
            {"parameter": "Content-Type", "provided": request.content_type, "allowed": [_FORM]},
            headers={"Accept": _FORM},
            closes=True,
        )
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise file_too_large(
            "Image file is too large. The limit is 10 MB",
            provided=request.content_length,
            maximum=MAX_IMAGE_BYTES,
        )


def _malformed(reason: str) -> ApiError:
    return ApiError(400, INVALID_PARAMETERS, f"Malformed form. {reason}", {"parameter": "body"}, closes=True)


@contextmanager
def _parser_errors() -> Iterator[None]:
    """Whatever aiohttp raises on bytes that are no form, or that stop coming, becomes a 400."""
    try:
        yield
    except _PARSER_ERRORS as error:
        raise _malformed("The body is not a complete multipart/form-data document") from error


async def _read_part(part: BodyPartReader, limit: int, too_large: ApiError, budget: _Budget) -> bytes:
    data = bytearray()
    while True:
        with _parser_errors():
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            return bytes(data)
        budget.spend(len(chunk))
        data += chunk
        if len(data) > limit:
            raise too_large


async def _read_image(part: BodyPartReader, budget: _Budget) -> bytes:
    too_large = file_too_large("Image file is too large. The limit is 10 MB", maximum=MAX_IMAGE_BYTES)
    return await _read_part(part, MAX_IMAGE_BYTES, too_large, budget)


async def _read_text(part: BodyPartReader, name: str, budget: _Budget) -> str:
    too_long = invalid_parameter(
        f"Invalid {name}. Must have at most {MAX_TEXT_BYTES} bytes", name, maximum=MAX_TEXT_BYTES
    )
    too_long.closes = True
    data = await _read_part(part, MAX_TEXT_BYTES, too_long, budget)
    try:
        return data.decode(part.get_charset(default="utf-8"))
    except (UnicodeError, LookupError, RuntimeError) as error:
        raise invalid_parameter(f"Invalid {name}. Must be UTF-8 text", name) from error


async def _next_part(reader: MultipartReader) -> BodyPartReader | None:
    with _parser_errors():
        part = await reader.next()
    if isinstance(part, MultipartReader):
        raise _malformed("A part must not be multipart itself")
    return part


async def _read_parts(request: web.Request) -> Form:
    with _parser_errors():
        reader = await request.multipart()
    budget, fields, image = _Budget(), dict[str, str](), None
    for _ in range(MAX_PARTS):
        part = await _next_part(reader)
        if part is None:
            break
        with _parser_errors():
            name = (part.name or "")[:100]
        if name in fields or (name == "image" and image is not None):
            raise invalid_parameter(f"Field {name} was sent more than once", name)
        if name == "image":
            image = await _read_image(part, budget)
        else:
            fields[name] = await _read_text(part, name, budget)
    else:
        raise _malformed(f"It has more than {MAX_PARTS} parts")
    if image is None:
        raise invalid_parameter("Missing image. Send a PNG or JPEG file", "image", provided=None)
    return Form(image, fields)


async def read_form(request: web.Request) -> Form:
    """Read the whole form of a request.

    File names and part types are ignored. Raises ApiError: 415 for another media type, 413 beyond
    MAX_IMAGE_BYTES or MAX_BODY_BYTES, 408 when the body does not arrive in READ_SECONDS, else 400.
    """
    _check_head(request)
    try:
        return await asyncio.wait_for(_read_parts(request), READ_SECONDS)
    except asyncio.TimeoutError as error:
        raise ApiError(
            408, INVALID_PARAMETERS, "The request body did not arrive in time", closes=True
        ) from error
