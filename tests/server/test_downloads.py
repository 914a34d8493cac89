"""Downloads by RFC 9110: entity tags, conditions, ranges, and files that change."""

import asyncio
import hashlib
import re

import pytest


@pytest.fixture
async def finished(client, comfyui):
    """URL, bytes on disk, path and entity tag of one job's raw mesh."""
    body = await client.finish((await client.start_job())["job_id"])
    (raw,) = (item for item in body["downloads"] if item["result"] == "raw_mesh")
    path = comfyui.base / "output" / body["results"]["raw_mesh"].removeprefix("/output/")
    data = b"".join(bytes((index % 251,)) for index in range(300_000))
    path.write_bytes(data)
    return raw["url"], data, path, f'"{hashlib.sha256(data).hexdigest()}"'


async def fetch(client, url, method="GET", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, url, headers=named) as answer:
        return answer, await answer.read()


async def test_results_are_listed_with_the_hash_of_what_is_sent(client):
    body = await client.finish((await client.start_job())["job_id"])
    for item in body["downloads"]:
        answer, data = await fetch(client, item["url"])
        assert answer.status == 200 and len(data) == item["size"]
        assert hashlib.sha256(data).hexdigest() == item["sha256"]
        assert answer.headers["ETag"] == f'"{item["sha256"]}"'


async def test_whole_file_and_head(client, finished):
    url, data, _, tag = finished
    answer, sent = await fetch(client, url)
    assert answer.status == 200 and sent == data and answer.headers["Accept-Ranges"] == "bytes"
    head, nothing = await fetch(client, url, "HEAD", Range="bytes=0-9")
    assert head.status == 200 and nothing == b""
    for name in ("Content-Length", "Content-Type", "Content-Disposition", "ETag"):
        assert head.headers[name] == answer.headers[name]
    assert head.headers["Content-Length"] == str(len(data)) and answer.headers["ETag"] == tag


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=299990-", 299_990, 300_000),
        ("bytes=299990-999999999", 299_990, 300_000),
        ("bytes=-5", 299_995, 300_000),
        ("bytes=-999999999", 0, 300_000),
        ("BYTES=1-2", 1, 3),
    ],
)
async def test_one_range(client, finished, wanted, start, stop):
    url, data, _, _ = finished
    answer, sent = await fetch(client, url, Range=wanted)
    assert answer.status == 206 and sent == data[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize(
    "wanted", ["bytes=5-2", "bytes=0-1,5-6", "junk=1", "bytes=a-b", "bytes=-", "bytes", "bytes=٣-٤"]
)
async def test_ranges_to_be_ignored(client, finished, wanted):
    url, data, _, _ = finished
    answer, sent = await fetch(client, url, Range=wanted)
    assert answer.status == 200 and sent == data


@pytest.mark.parametrize("wanted", ["bytes=300000-", "bytes=999999999-999999999", "bytes=-0"])
async def test_ranges_beyond_the_end(client, finished, wanted):
    url, data, _, _ = finished
    answer, sent = await fetch(client, url, Range=wanted)
    assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(data)}"
    assert b"INVALID_PARAMETERS" in sent


async def test_conditions(client, finished):
    url, data, _, tag = finished
    for held in (tag, f'W/{tag}, "x"', "*"):
        answer, sent = await fetch(client, url, If_None_Match=held)
        assert answer.status == 304 and sent == b"" and answer.headers["ETag"] == tag
    assert (await fetch(client, url, If_None_Match='"x"'))[0].status == 200
    for wanted, status in ((tag, 200), ("*", 200), ('"x"', 412), (f"W/{tag}", 412)):
        assert (await fetch(client, url, If_Match=wanted))[0].status == status
    for held, status, length in ((tag, 206, 10), ('"x"', 200, len(data)), (f"W/{tag}", 200, len(data))):
        answer, sent = await fetch(client, url, Range="bytes=0-9", If_Range=held)
        assert (answer.status, len(sent)) == (status, length)
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert (await fetch(client, url, Range="bytes=0-9", If_Range=date))[0].status == 200


async def test_a_download_that_was_cut_goes_on_where_it_was(client, finished):
    url, data, path, _ = finished
    first, part = await fetch(client, url, Range="bytes=0-99999")
    rest, tail = await fetch(client, url, Range="bytes=100000-", If_Range=first.headers["ETag"])
    assert rest.status == 206 and part + tail == data
    path.write_bytes(data[::-1])
    again, whole = await fetch(client, url, Range="bytes=100000-", If_Range=first.headers["ETag"])
    assert again.status == 200 and whole == data[::-1] and again.headers["ETag"] != first.headers["ETag"]


async def test_files_of_finished_stages_while_later_ones_run(client, control):
    control(seconds={"C3DGenerateViews": 2.0})
    job_id = (await client.start_job())["job_id"]
    while not (body := await client.status(job_id))["downloads"]:
        assert body["status"] == "processing"
        await asyncio.sleep(0.01)
    answer, sent = await fetch(client, body["downloads"][0]["url"])
    assert answer.status == 200 and re.fullmatch(r'"[0-9a-f]{64}"', answer.headers["ETag"]) and sent
    await client.finish(job_id)
