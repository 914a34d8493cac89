"""Request bodies that are too big, too slow, packed, broken or odd: none is a 500, none stays in memory."""

import asyncio
import gzip
import zlib
from contextlib import suppress

import aiohttp
import psutil
import pytest

from .conftest import open_client
from .forms import BOUNDARY, END, MEBIBYTE, encode_part, peak_memory, post_raw, pretend, refused

FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


def open_files(comfyui):
    """Paths of the regular files that the server has open, temporary ones among them."""
    return {file.path for file in psutil.Process(comfyui.process.pid).open_files()}


async def accepted(client, body, content_type=FORM, **headers):
    """Post a form that is taken, cancel its job, and return the acceptance."""
    async with await post_raw(client, body, content_type, **headers) as answer:
        assert answer.status == 202, await answer.text()
        acceptance = await answer.json()
    await client.post(f"/job/{acceptance['job_id']}/cancel")
    await client.events(acceptance["job_id"])
    return acceptance


class Endless:
    """A body that goes on to 100 MiB; `sent` says how far it came."""

    def __init__(self, start, piece):
        self.start, self.piece, self.sent = start, piece, 0

    async def pieces(self):
        piece = self.start
        while self.sent < 100 * MEBIBYTE:
            yield piece
            self.sent += len(piece)
            piece = self.piece
            await asyncio.sleep(0)  # lets this side see the answer while it sends


async def test_length_is_refused_before_the_body_is_sent(comfyui):
    url = comfyui.url.removeprefix("http://").split(":")
    head = (
        f"POST /generate_character HTTP/1.1\r\nHost: {':'.join(url)}\r\nContent-Type: {FORM}\r\n"
        f"Content-Length: {51 * MEBIBYTE + 1}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(url[0], int(url[1]), local_addr=("127.240.1.1", 0))
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.readuntil(b"}}"), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ") and b"FILE_TOO_LARGE" in answer
    assert b"Connection: close" in answer


IMAGE_HEAD = encode_part("image", b"", '; filename="x.png"')[:-2]


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (IMAGE_HEAD, bytes(65536)),
        (encode_part("prompt", b"")[:-2], b"x" * 65536),
        (b"", b"what comes before the first boundary\r\n" * 1500),
        (IMAGE_HEAD[:-2], b"X-Header: 1\r\n" * 5000),
        (IMAGE_HEAD[:-4], b"x" * 65536),
        (b"", encode_part("", b"") * 1000),
        (
            encode_part("image", b"", "\r\nContent-Transfer-Encoding: base64")[:-2],
            b" " * 65536,
        ),
    ],
    ids=["image", "text", "preamble", "headers", "one header", "parts", "base64"],
)
async def test_endless_bodies_are_cut_with_memory_flat(client, comfyui, start, piece):
    body = Endless(start, piece)
    # Where the server closes while we send, that is what we see instead of the answer.
    with peak_memory(comfyui.process.pid) as peak, suppress(aiohttp.ClientConnectionError):
        answer = await post_raw(client, body.pieces())
        assert answer.status in (400, 413)
        assert (await answer.json())["error_code"] in ("INVALID_PARAMETERS", "FILE_TOO_LARGE")
    assert peak() < 24 * MEBIBYTE
    assert body.sent < 60 * MEBIBYTE  # what lies in the buffers of both sides included


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_whole_body_that_unpacks_to_much_more(client, comfyui, coding):
    pack = gzip.compress if coding == "gzip" else zlib.compress
    body = pack(IMAGE_HEAD + bytes(200 * MEBIBYTE), 9)
    assert len(body) < MEBIBYTE
    with peak_memory(comfyui.process.pid) as peak:
        answer = await post_raw(client, body, **{"Content-Encoding": coding})
        await refused(answer, 413, "FILE_TOO_LARGE", "image")
    assert peak() < 24 * MEBIBYTE


@pytest.mark.parametrize("header", ["Content-Encoding: gzip", "Content-Transfer-Encoding: base64"])
async def test_a_part_in_a_coding(client, png, header):
    packed = encode_part("image", gzip.compress(bytes(MEBIBYTE)), f'; filename="x.png"\r\n{header}')
    details = await refused(await post_raw(client, packed + END), 400, "INVALID_PARAMETERS", "body")
    assert details == {"parameter": "body"}
    plain = encode_part("image", png(), '; filename="x.png"\r\nContent-Transfer-Encoding: binary')
    await accepted(client, plain + END)


async def test_a_text_of_sixty_megabytes(client):
    body = encode_part("prompt", b"x" * (60 * MEBIBYTE)) + END
    with suppress(aiohttp.ClientConnectionError):  # closed while we sent, which is meant
        await refused(await post_raw(client, body), 413, "FILE_TOO_LARGE")


async def test_ten_thousand_parts(client):
    many = b"".join(encode_part(f"field{number}", b"") for number in range(10_000))
    await refused(await post_raw(client, many + END), 400, "INVALID_PARAMETERS", "body")


async def test_boundaries(client, png):
    await refused(
        await post_raw(client, b"", f"multipart/form-data; boundary={'b' * 200}"), 400, "INVALID_PARAMETERS"
    )
    for wrong in ("", '""', "ä", "\udcff"):
        answer = await post_raw(client, b"--\r\n", f"multipart/form-data; boundary={wrong}")
        await refused(answer, 400, "INVALID_PARAMETERS", "body")
    longest = "b" * 70  # RFC 2046, section 5.1.1
    body = (encode_part("image", png()) + END).replace(BOUNDARY.encode(), longest.encode())
    await accepted(client, body, f"multipart/form-data; boundary={longest}")


async def test_pieces_of_a_picture_that_is_no_file(client, png):
    """What counts is the bytes: a part is the picture by its name alone."""
    await refused(
        await post_raw(client, encode_part("image", b"i am a text") + END), 415, "UNSUPPORTED_FORMAT"
    )
    await accepted(client, encode_part("image", png()) + END)


@pytest.mark.parametrize(
    "filename",
    [
        '; filename="../../x.png"',
        '; filename="x.png\\0.html"',
        '; filename="x.png\0.html"',
        f'; filename="{"x" * 1000}.png"',
        '; filename="\u202egnp.exe"',
        "; filename*=UTF-8''%2e%2e%2fx.png",
        "; filename*=no-such-charset''x.png",
        '; filename="x.png"\r\nContent-Type: text/html',
        '; filename="x.png"\r\nContent-Type: image/png; charset=no-such-charset',
    ],
    ids=["path", "escaped nul", "nul", "long", "bidi", "extended", "charset", "html", "type"],
)
async def test_file_names_and_types_mean_nothing(client, comfyui, png, filename):
    disposition = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"{filename}\r\n\r\n'
    body = disposition.encode() + png() + b"\r\n" + END
    async with await post_raw(client, body) as answer:
        text = await answer.text()
        assert answer.status in ((400,) if "\0" in filename else (202,)), text
        assert "gnp.exe" not in text and "x.png" not in text
        if answer.status == 202:
            job_id = (await answer.json())["job_id"]
            await client.post(f"/job/{job_id}/cancel")
            await client.events(job_id)
    assert not list(comfyui.base.rglob("*x.png*")) and not list(comfyui.base.rglob("*gnp*"))


@pytest.mark.parametrize(
    ("charset", "data", "prompt"),
    [
        ("gbk", "大人".encode("gbk"), "大人"),
        ("latin-1", b"caf\xe9", "café"),
        ("zlib", zlib.compress(b"x" * 1000), None),
        ("utf-7", b"+2AA-", None),
        ("unicode_escape", rb"\ud800", None),
        ("punycode", b"x" * 60_000, None),
        ("idna", b"x" * 60_000, None),
        ("no-such-charset", b"x", None),
        ("../../x", b"x", None),
    ],
)
async def test_charsets(client, png, charset, data, prompt):
    image = encode_part("image", png())
    text = encode_part("prompt", data, f'\r\nContent-Type: text/plain; charset="{charset}"')
    if prompt is None:
        await refused(await post_raw(client, image + text + END), 400, "INVALID_PARAMETERS", "prompt")
    else:
        assert (await accepted(client, image + text + END))["parameters"]["prompt"] == prompt


async def test_charset_of_the_whole_form(client, png):
    """aiohttp loses its place after a first field _charset_: such a form is refused, not misread."""
    fields = encode_part("_charset_", b"gbk") + encode_part("prompt", "大人".encode("gbk"))
    answer = await post_raw(client, fields + encode_part("image", png()) + END)
    await refused(answer, 400, "INVALID_PARAMETERS", "body")


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\xed\xa0\x80", b"x\0y", b"", b"x" * 5000, b"__proto__"])
async def test_names_of_fields(client, png, name):
    disposition = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n1\r\n'
    body = disposition % (BOUNDARY.encode(), name) + encode_part("image", png()) + END
    async with await post_raw(client, body) as answer:
        text = await answer.text()
        assert answer.status in (202, 400), text
        text.encode()
        assert "\\ud" not in text, "a lone surrogate is no Unicode"
        if answer.status == 202:
            job_id = (await answer.json())["job_id"]
            await client.post(f"/job/{job_id}/cancel")
            await client.events(job_id)


async def test_other_media_types(client):
    for wrong in ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"):
        answer = await post_raw(client, b"{}", wrong)
        assert answer.headers["Accept"] == "multipart/form-data"
        await refused(answer, 415, "UNSUPPORTED_FORMAT", "Content-Type")


async def test_one_byte_at_a_time_for_ever(client):
    """The rest of a head that never ends is for ComfyUI's own server; a body is for us."""
    await pretend(client, read_seconds=0.5)

    async def trickle():
        for byte in IMAGE_HEAD + bytes(1000):
            yield bytes([byte])
            await asyncio.sleep(0.05)

    try:
        answer = await post_raw(client, trickle())
        assert answer.headers["Connection"] == "close"
        details = await refused(answer, 408, "INVALID_PARAMETERS")
        assert details == {}
    finally:
        await pretend(client)
    await client.finish((await client.start_job())["job_id"])  # the slot is free again


async def test_nothing_is_left_of_uploads_that_broke_off(client, comfyui, png):
    picture = png()
    await accepted(client, encode_part("image", picture) + END)
    before = open_files(comfyui)

    async def half():
        yield IMAGE_HEAD + picture + bytes(5 * MEBIBYTE)
        await asyncio.sleep(30)

    for _ in range(4):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(post_raw(client, half()), 0.5)
    for _ in range(100):
        if open_files(comfyui) <= before:
            break
        await asyncio.sleep(0.05)
    assert open_files(comfyui) <= before


async def test_ten_uploads_of_ten_megabytes_at_once(comfyui, png):
    """At most 64 MiB above idle."""
    picture = png((256, 256))
    biggest = picture + bytes(10 * MEBIBYTE - len(picture))

    async def upload():
        async with open_client(comfyui.url) as client:
            await accepted(client, encode_part("image", biggest) + END)

    for _ in range(2):
        await upload()  # what the first one loads stays loaded
    with peak_memory(comfyui.process.pid) as peak:
        await asyncio.gather(*(upload() for _ in range(10)))
    assert peak() <= 64 * MEBIBYTE
