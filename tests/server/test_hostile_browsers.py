"""What pages of other origins make a browser send, with ComfyUI's own guard on and off."""

import aiohttp
import pytest

from .conftest import make_png, open_client
from .forms import END, encode_part, post_raw, refused

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def unguarded(serve):
    """A ComfyUI that lets every origin read, and has users."""
    return serve("--enable-cors-header", "*", "--multi-user")


@pytest.fixture(params=["guarded", "unguarded"])
def server(request, comfyui):
    return comfyui if request.param == "guarded" else request.getfixturevalue("unguarded")


@pytest.fixture
async def visitor(server):
    async with open_client(server.url) as client:
        yield client


async def post_picture(client, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await post_raw(client, encode_part("image", make_png()) + END, **named)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://abc"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8188", "Origin": "http://evil.example:8188"},
        {"Host": "evil.example", "Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "[::1"},
        {"Host": "0x7f.1"},
    ],
    ids=str,
)
async def test_foreign_pages_start_no_job(server, visitor, headers, inputs_left):
    async with await post_picture(visitor, **headers) as answer:
        assert answer.status == 403, await answer.text()
        assert (await refused(answer, 403, "INVALID_PARAMETERS"))["parameter"] in ("Origin", "Host")
    assert not list((server.base / "input").rglob("*.png"))


async def test_an_origin_that_is_no_url(visitor):
    """ComfyUI's own guard would fail at it."""
    async with await post_picture(visitor, Origin="http://[::1") as answer:
        await refused(answer, 403, "INVALID_PARAMETERS", "Origin")


async def test_own_pages_and_programs_do(server, visitor):
    port = server.url.rpartition(":")[2]
    for headers in (
        {"Origin": server.url, "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"},
        {"Host": f"LOCALHOST.:{port}"},
        {"Host": f"[::1]:{port}"},
    ):
        async with await post_picture(visitor, **headers) as answer:
            assert answer.status == 202, (headers, await answer.text())
            await visitor.finish((await answer.json())["job_id"])


async def test_a_name_that_was_made_to_point_here_reads_nothing(visitor):
    """Such a page is of one origin with the server, to its browser: it sends no Origin when it reads."""
    body = await visitor.finish((await visitor.start_job())["job_id"])
    name = body["downloads"][0]["name"]
    for path in ("/status", f"/download/{name}", "/events"):
        url = f"/job/{body['job_id']}{path}"
        async with visitor.get(url, headers={"Host": "evil.example:8188"}) as answer:
            await refused(answer, 403, "INVALID_PARAMETERS", "Host")
    async with visitor.get("/generate_character/jobs", headers={"Host": "evil.example"}) as answer:
        await refused(answer, 403, "INVALID_PARAMETERS", "Host")


@pytest.mark.parametrize("origin", [EVIL, "null"])
async def test_preflight_allows_nothing_that_is_then_done(visitor, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with visitor.request("OPTIONS", "/generate_character", headers=headers) as answer:
        await refused(answer, 403, "INVALID_PARAMETERS", "Origin")
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    async with await post_picture(visitor, Origin=origin) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example"},
    ],
    ids=str,
)
async def test_foreign_pages_open_no_socket(visitor, headers):
    job_id = (await visitor.start_job())["job_id"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await visitor.ws_connect(f"/ws/{job_id}", headers=headers)
    assert caught.value.status == 403
    await visitor.finish(job_id)


async def test_users_that_nobody_knows(unguarded):
    """ComfyUI's own reader of this header raises KeyError; it is an identity for the limits alone."""
    async with open_client(unguarded.url) as client:
        for name in ("unknown", "__system", "../../x", "x" * 5000, "default", ""):
            job = await client.start_job(headers={"comfy-user": name})
            await client.finish(job["job_id"])
        async with client.post("/users", json={"username": "known"}) as answer:
            user = await answer.json()
        own = await client.start_job(headers={"comfy-user": user})
        await client.finish(own["job_id"])
        async with client.get("/generate_character/jobs", headers={"comfy-user": user}) as answer:
            assert [job["job_id"] for job in (await answer.json())["jobs"]] == [own["job_id"]]
        async with client.get("/generate_character/jobs", headers={"comfy-user": "unknown"}) as answer:
            listed = [job["job_id"] for job in (await answer.json())["jobs"]]
        assert len(listed) == 6 and own["job_id"] not in listed


async def test_users_where_there_are_none(client):
    job = await client.start_job(headers={"comfy-user": "unknown"})
    await client.finish(job["job_id"])
