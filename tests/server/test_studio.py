"""How the studio page is served."""

import gzip
from pathlib import Path

import pytest
from character3d.launcher.installation import REPOSITORY

from .conftest import new_key, open_client
from .forms import refused

STUDIO = REPOSITORY / "studio"
FILES = ["app.js", "style.css", "icon.svg", "vendor/three/LICENSE"]


async def test_the_page_is_served_with_its_policy(client):
    async with client.get("/character") as answer:
        assert answer.status == 200 and answer.content_type == "text/html"
        assert await answer.read() == (STUDIO / "index.html").read_bytes()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_slash_leads_to_the_page(client, prefix):
    async with client.get(f"{prefix}/character/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "../character")
    async with client.get(f"{prefix}/character/") as answer:
        assert answer.status == 200 and answer.url.path == f"{prefix}/character"


@pytest.mark.parametrize("name", FILES)
async def test_files_are_packed_and_known_again(client, name):
    path = f"/character/studio/{name}"
    async with client.get(path, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as answer:
        body = await answer.read()
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-cache"
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
    assert is_packed == (Path(name).suffix != "")
    assert (gzip.decompress(body) if is_packed else body) == (STUDIO / name).read_bytes()
    async with client.get(path, headers={"If-None-Match": answer.headers["ETag"]}) as again:
        assert (again.status, await again.read()) == (304, b"")
    async with client.head(path) as head:
        assert head.status == 200 and head.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2f__init__.py", "%2e%2e%2fLICENSE", "words", "vendor%2f..%2fapp.js"]
)
async def test_nothing_else_is_served(client, name):
    async with client.get(f"/character/studio/{name}") as answer:
        await refused(answer, 404, "INVALID_PARAMETERS", "file")


async def test_the_page_needs_no_key_to_ask_for_one(keyed):
    new_key()
    async with open_client(keyed.url) as client:
        for path in ("/character", "/character/studio/app.js"):
            async with client.get(path) as answer:
                assert answer.status == 200
        async with client.get("/generate_character/jobs") as answer:
            assert answer.status == 401
