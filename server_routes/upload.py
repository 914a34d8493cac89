"""Read a multipart form part by part, counting every byte.

Pictures and motions are written to unnamed temporary files: ten of ten megabytes take hardly any memory, and
nothing is left on the disk when a client, or the server, goes away.

`Request.post` of aiohttp would be shorter, but it bounds the form only as a whole: each text field, and a
picture without a file name, may be as large as that in memory, and is decoded by any codec that it names.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple, cast

from aiohttp import BodyPartReader, ClientError, MultipartReader, StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from .errors import (
    INVALID_PARAMETERS,
    UNSUPPORTED_FORMAT,
    ApiError,
    disk_full,
    file_too_large,
    invalid_parameter,
)
from .numbers import read_content_length
from .upload_slots import Upload, UploadSlots

MEBIBYTE = 2**20
MAX_IMAGE_BYTES = 10 * MEBIBYTE
MAX_MOTION_BYTES = 10 * MEBIBYTE
MAX_BODY_BYTES = MAX_IMAGE_BYTES + MAX_MOTION_BYTES + MEBIBYTE
MAX_TEXT_BYTES = 64 * 1024
MAX_PARTS = 64
IMAGE_BYTES_IN_MEMORY = 256 * 1024

_CHUNK = 64 * 1024
_FORM = "multipart/form-data"
_CODINGS = frozenset({"", "identity", "binary", "8bit", "7bit"})
_CHARSETS = frozenset(
    {"utf-8", "ascii", "iso8859-1", "cp1252", "gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"}
)
"""Python's names of the character sets of forms. Some of its other codecs take quadratic time, or produce
lone surrogates."""

_PARSER_ERRORS = (
    ValueError,
    AssertionError,
    RuntimeError,
    LookupError,
    HttpProcessingError,
    ClientError,
    ConnectionError,
)


class FilePart(NamedTuple):
    """A part that is a file. maximum: bytes. too_large: what is said of more. missing: of none, or ""."""

    maximum: int
    too_large: str
    missing: str = ""


FILES: Mapping[str, FilePart] = {
    "image": FilePart(
        MAX_IMAGE_BYTES,
        "Image file is too large. The limit is 10 MB",
        "Missing image. Send a PNG or JPEG file",
    ),
    "motion": FilePart(MAX_MOTION_BYTES, "Motion file is too large. The limit is 10 MB"),
}
"""Those of a job's form by their names."""


@dataclass(frozen=True)
class Form:
    """A form: its files, positioned at their starts, and the text of every other part, all by name.

    file_hash: of its files. filenames: what the client calls them.
    """

    files: Mapping[str, IO[bytes]]
    file_hash: bytes
    fields: Mapping[str, str]
    filenames: Mapping[str, str]

    @property
    def image(self) -> IO[bytes]:
        """A job's picture."""
        return self.files["image"]

    @property
    def motion(self) -> IO[bytes] | None:
        """A job's motion; None without one."""
        return self.files.get("motion")

    @property
    def digest(self) -> str:
        """A hash of the files and all fields, in any order."""
        fields = json.dumps(sorted(self.fields.items())).encode()
        return hashlib.sha256(self.file_hash + fields).hexdigest()


class _BoundedStream:
    """As much of aiohttp's StreamReader as MultipartReader uses, with every byte of the body counted.

    That includes what lies before and between the parts.
    """

    def __init__(self, content: StreamReader, upload: Upload, maximum: int = MAX_BODY_BYTES) -> None:
        self._content = content
        self._upload = upload
        self._maximum = self._left = maximum
        self.at_eof = content.at_eof

    async def read(self, size: int = -1) -> bytes:
        return self._spend(await self._content.read(size))

    async def readline(self, **options: Any) -> bytes:
        return self._spend(await self._content.readline(**options))

    def unread_data(self, data: bytes) -> None:
        self._left += len(data)
        self._content.unread_data(data)

    def _spend(self, data: bytes) -> bytes:
        self._left -= len(data)
        self._upload.received += len(data)
        if self._left < 0:
            raise file_too_large("Request body is too large", maximum=self._maximum)
        return data


def _check_head(request: web.Request, wanted: Mapping[str, FilePart]) -> None:
    if request.content_type != _FORM:
        raise ApiError(
            415,
            UNSUPPORTED_FORMAT,
            f"Request body must be {_FORM}",
            {"parameter": "Content-Type", "provided": request.content_type, "allowed": [_FORM]},
            headers={"Accept": _FORM},
            closes=True,
        )
    length = read_content_length(request)
    if length > _sum_bytes(wanted):
        name, file = next(iter(wanted.items()))
        raise file_too_large(file.too_large, parameter=name, provided=length, maximum=file.maximum)


def _malformed(reason: str) -> ApiError:
    return ApiError(400, INVALID_PARAMETERS, f"Malformed form. {reason}", {"parameter": "body"}, closes=True)


@contextmanager
def _parser_errors() -> Iterator[None]:
    """Turn what aiohttp raises on a malformed or truncated body into an ApiError 400."""
    try:
        yield
    except _PARSER_ERRORS as error:
        raise _malformed("The body is not a complete multipart/form-data document") from error


async def _read_chunks(part: BodyPartReader, limit: int, too_large: ApiError) -> AsyncIterator[bytes]:
    left = limit
    while True:
        with _parser_errors():
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            return
        left -= len(chunk)
        if left < 0:
            raise too_large
        yield chunk


async def _read_file(part: BodyPartReader, name: str, file: IO[bytes], wanted: FilePart) -> bytes:
    """Copy a part into a file; returns the hash of it. What goes to the disk is written in a thread."""
    too_large = file_too_large(wanted.too_large, parameter=name, maximum=wanted.maximum)
    digest, size = hashlib.sha256(), 0
    async for chunk in _read_chunks(part, wanted.maximum, too_large):
        digest.update(chunk)
        size += len(chunk)
        if size <= IMAGE_BYTES_IN_MEMORY:
            file.write(chunk)
        else:
            await asyncio.to_thread(file.write, chunk)
    await asyncio.to_thread(file.seek, 0)  # writes what is still buffered
    return digest.digest()


def _decode_text(data: bytes, charset: str) -> str:
    if codecs.lookup(charset).name not in _CHARSETS:
        raise LookupError(charset)
    return data.decode(charset)


async def _read_text(part: BodyPartReader, name: str) -> str:
    too_long = invalid_parameter(
        f"Invalid {name}. Must have at most {MAX_TEXT_BYTES} bytes", name, maximum=MAX_TEXT_BYTES
    )
    too_long.closes = True
    data = bytearray()
    async for chunk in _read_chunks(part, MAX_TEXT_BYTES, too_long):
        data += chunk
    try:
        return _decode_text(bytes(data), part.get_charset(default="utf-8"))
    except (ValueError, LookupError, RuntimeError) as error:
        raise invalid_parameter(f"Invalid {name}. Must be UTF-8 text", name) from error


def _read_name(part: BodyPartReader) -> str:
    """The field's name; bytes that are not UTF-8 become question marks."""
    with _parser_errors():
        name = part.name or ""
    return name[:100].encode(errors="replace").decode()


def _check_codings(part: BodyPartReader) -> None:
    """Refuse encoded parts: RFC 7578, section 4.7, has forms sent as they are."""
    for header in (hdrs.CONTENT_TRANSFER_ENCODING, hdrs.CONTENT_ENCODING):
        if part.headers.get(header, "").strip().lower() not in _CODINGS:
            raise _malformed(f"A part must have no {header}")


async def _next_part(reader: MultipartReader) -> BodyPartReader | None:
    with _parser_errors():
        part = await reader.next()
    if isinstance(part, MultipartReader):
        raise _malformed("A part must not be multipart itself")
    return part


async def _read_parts(
    request: web.Request, files: Mapping[str, IO[bytes]], upload: Upload, wanted: Mapping[str, FilePart]
) -> Form:
    with _parser_errors():
        bounded = _BoundedStream(request.content, upload, _sum_bytes(wanted))
        reader = MultipartReader(request.headers, cast(StreamReader, bounded))
    fields, hashes, filenames = dict[str, str](), dict[str, bytes](), dict[str, str]()
    for _ in range(MAX_PARTS):
        part = await _next_part(reader)
        if part is None:
            break
        _check_codings(part)
        name = _read_name(part)
        if name in fields or name in hashes:
            raise invalid_parameter(f"Field {name} was sent more than once", name)
        if name in files:
            with _parser_errors():
                filenames[name] = part.filename or ""
            hashes[name] = await _read_file(part, name, files[name], wanted[name])
        else:
            fields[name] = await _read_text(part, name)
    else:
        raise _malformed(f"It has more than {MAX_PARTS} parts")
    for name, file in wanted.items():
        if file.missing and name not in hashes:
            raise invalid_parameter(file.missing, name, provided=None)
    digest = b"".join(hashes[name] for name in wanted if name in hashes)
    return Form({name: files[name] for name in hashes}, digest, fields, filenames)


def _sum_bytes(wanted: Mapping[str, FilePart]) -> int:
    """Bytes of a body at most: of its files, and of all other parts together."""
    return sum(file.maximum for file in wanted.values()) + MEBIBYTE


def _open_temporary() -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(max_size=IMAGE_BYTES_IN_MEMORY)


@asynccontextmanager
async def read_form(
    request: web.Request, slots: UploadSlots, wanted: Mapping[str, FilePart] = FILES
) -> AsyncIterator[Form]:
    """The whole form of a request; its files, those of `wanted`, are open while the block runs.

    Part types are ignored. Raises ApiError: 415 for another media type, 413 beyond the limits of the files or
    of the body, 408 if it arrives too slowly, 503 if too many others are being read or the disk of temporary
    files is full, else 400.
    """
    _check_head(request, wanted)
    with ExitStack() as stack:
        files = {name: cast(IO[bytes], stack.enter_context(_open_temporary())) for name in wanted}
        try:
            form = await slots.run(lambda upload: _read_parts(request, files, upload, wanted))
        except OSError as error:
            raise disk_full("The disk of temporary files cannot be written") from error
        yield form
