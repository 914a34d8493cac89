"""Numbers in queries and headers: their length is bounded before their value, wherever one is read."""

import asyncio

import pytest
from character3d.server_routes.errors import ApiError
from character3d.server_routes.numbers import parse_whole_number

from .test_refusals import refused

LONG = ["00000000150000000", "1" + "0" * 4400, "9" * 5000, "0" * 5000 + "1"]
NOT_PLAIN = ["", " ", "-1", "+1", "1.0", "1e1", "0x1", "1_0", "٣", "１", "²", "nan", "1 ", "1\u0000"]


@pytest.mark.parametrize("text", [*LONG, *NOT_PLAIN, "0", "101", "999"])
def test_refused(text):
    with pytest.raises(ApiError) as error:
        parse_whole_number(text, "limit", "Must be whole", minimum=1, maximum=100)
    assert (error.value.status, error.value.details["parameter"]) == (400, "limit")
    assert len(error.value.details["provided"]) <= 100


@pytest.mark.parametrize("text", ["1", "7", "07", "007", "100"])
def test_accepted(text):
    assert parse_whole_number(text, "limit", "", minimum=1, maximum=100) == int(text)


@pytest.mark.parametrize("text", LONG, ids=lambda text: f"{text[:12]} {len(text)}")
async def test_long_numbers_are_refused_in_queries_and_headers(client, text):
    async with client.get("/generate_character/jobs", params={"limit": text}) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "limit")
    job_id = (await client.start_job())["job_id"]
    await client.finish(job_id)
    async with client.get(f"/job/{job_id}/events", params={"since": text}) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "Last-Event-ID")
    async with client.get(f"/job/{job_id}/events", headers={"Last-Event-ID": text}) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "Last-Event-ID")
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    async with client.get(f"/ws/{job_id}", params={"since": text}, headers=headers) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "since")
    item = (await client.status(job_id))["downloads"][0]
    for span in (f"bytes={text}-", f"bytes=0-{text}", f"bytes=-{text}"):
        async with client.get(item["url"], headers={"Range": span}) as answer:
            assert answer.status in (200, 206, 416)
            assert answer.status == 416 or len(await answer.read()) == item["size"]


@pytest.mark.parametrize("length", ["1" + "0" * 4400, "0" * 5000 + "1", "-1", "x", "99999999999999999999"])
async def test_a_content_length_that_is_no_number_is_refused(comfyui, length):
    host, port = comfyui.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /generate_character HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), 60)
    assert line.split()[1] in (b"400", b"413"), line
    writer.close()
