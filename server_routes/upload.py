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
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple, cast

from aiohttp import BodyPartReader, ClientError, MultipartReader, StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from ..pipeline.conventions import SIDE_NAMES, VIEW_NAMES
from .errors import (
    INVALID_PARAMETERS,
    UNSUPPORTED_FORMAT,
    ApiError,
    disk_full,
    file_too_large,
    invalid_parameter,
)
from .numbers import read_content_length
from .parameters import label
from .upload_slots import Upload, UploadSlots

MEBIBYTE = 2**20
MAX_IMAGE_BYTES = 10 * MEBIBYTE
MAX_PICTURES_BYTES = 40 * MEBIBYTE
"""Of all pictures of a form together."""

MAX_MOTION_BYTES = 10 * MEBIBYTE
MAX_BODY_BYTES = MAX_PICTURES_BYTES + MAX_MOTION_BYTES + MEBIBYTE
MAX_TEXT_BYTES = 64 * 1024
MAX_PARTS = 64
IMAGE_BYTES_IN_MEMORY = 256 * 1024

_CHUNK = 256 * 1024
"""As much as an event loop receives at once."""

_BLOCK = MEBIBYTE
"""A thread for every chunk would take as long as all the rest."""

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
    """A part that is a file.

    maximum: bytes. too_large: what is said of more. missing: of none, or "". instead: the part that may be
    sent in its place, and not beside it. is_picture: counts to MAX_PICTURES_BYTES.
    """

    maximum: int
    too_large: str
    missing: str = ""
    instead: str = ""
    is_picture: bool = False


def _picture_part(name: str, missing: str = "", instead: str = "") -> FilePart:
    too_large = f"{label(name).capitalize()} file is too large. The limit is 10 MB"
    return FilePart(MAX_IMAGE_BYTES, too_large, missing, instead, is_picture=True)


SHEET = "image_sheet"
"""The picture that shows several views of the character, in place of one of its front."""

SIDE_PICTURES: Mapping[str, str] = {f"image_{side}": side for side in SIDE_NAMES}
"""Name of a further picture -> the side of the character that it shows."""

MESH = "mesh"
"""The file of a job that has no picture."""

TEXTURE = "texture"
EDITS: Mapping[str, FilePart] = {name: _picture_part(name) for name in (*VIEW_NAMES, TEXTURE)}
"""Painted views, and a painted texture, in place of those that are made."""

FILES: Mapping[str, FilePart] = {
    "image": _picture_part("image", "Missing image. Send a PNG or JPEG file", SHEET),
    **{name: _picture_part(name) for name in (*SIDE_PICTURES, SHEET)},
    "motion": FilePart(MAX_MOTION_BYTES, "Motion file is too large. The limit is 10 MB"),
    **EDITS,
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
    def pictures(self) -> Mapping[str, IO[bytes]]:
        """All pictures of a job by their names, the front or the sheet first."""
        names = ("image", SHEET, *SIDE_PICTURES)
        return {name: self.files[name] for name in names if name in self.files}

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


def pictures_too_large(name: str) -> ApiError:
    """The error of a picture that is too large beside the others."""
    message = f"Pictures are too large together. The limit is {MAX_PICTURES_BYTES // MEBIBYTE} MB"
    return file_too_large(message, parameter=name, maximum=MAX_PICTURES_BYTES)


def _limit_file(name: str, wanted: FilePart, pictures: int) -> tuple[int, ApiError]:
    """Bytes that a file may have, and the error of more. pictures: bytes of those read before."""
    left = MAX_PICTURES_BYTES - pictures
    if wanted.is_picture and left < wanted.maximum:
        return left, pictures_too_large(name)
    return wanted.maximum, file_too_large(wanted.too_large, parameter=name, maximum=wanted.maximum)


async def _read_file(
    part: BodyPartReader, file: IO[bytes], limit: int, too_large: ApiError
) -> tuple[bytes, int]:
    """Copy a part into a file; returns its hash and size. Blocks are hashed and written in threads."""
    digest, size, block = hashlib.sha256(), 0, list[bytes]()

    def keep(block: list[bytes]) -> None:
        data = b"".join(block)
        digest.update(data)
        file.write(data)

    async for chunk in _read_chunks(part, limit, too_large):
        size += len(chunk)
        block.append(chunk)
        if size // _BLOCK > (size - len(chunk)) // _BLOCK:
            await asyncio.to_thread(keep, block)
            block = []
    await asyncio.to_thread(keep, block)
    await asyncio.to_thread(file.seek, 0)  # writes what is still buffered
    return digest.digest(), size


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
    pictures = 0
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
            hashes[name], size = await _read_file(
                part, files[name], *_limit_file(name, wanted[name], pictures)
            )
            pictures += size if wanted[name].is_picture else 0
        else:
            fields[name] = await _read_text(part, name)
    else:
        raise _malformed(f"It has more than {MAX_PARTS} parts")
    _check_presence(wanted, hashes)
    return Form({name: files[name] for name in hashes}, _join_hashes(wanted, hashes), fields, filenames)


def _check_presence(wanted: Mapping[str, FilePart], sent: Collection[str]) -> None:
    for name, file in wanted.items():
        if file.missing and name not in sent and file.instead not in sent:
            raise invalid_parameter(file.missing, name, provided=None)
        if name in sent and file.instead in sent:
            message = f"Send either {name} or {file.instead}, not both"
            raise invalid_parameter(message, file.instead, provided=[name, file.instead])


def _join_hashes(wanted: Mapping[str, FilePart], hashes: Mapping[str, bytes]) -> bytes:
    """Those of all files. A further picture's is told from another's by its name; the front's has none."""
    return b"".join(
        (name.encode() if wanted[name].is_picture and name != "image" else b"") + hashes[name]
        for name in wanted
        if name in hashes
    )


def _sum_bytes(wanted: Mapping[str, FilePart]) -> int:
    """Bytes of a body at most: of its files, and of all other parts together."""
    pictures = sum(file.maximum for file in wanted.values() if file.is_picture)
    others = sum(file.maximum for file in wanted.values() if not file.is_picture)
    return min(pictures, MAX_PICTURES_BYTES) + others + MEBIBYTE


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
