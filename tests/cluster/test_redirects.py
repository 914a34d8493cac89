"""Downloads by redirect to signed URLs of S3, and what goes through the front door all the same."""

import asyncio
import dataclasses
import hashlib
import json
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

pytest.importorskip("psycopg", reason="psycopg is not installed")

from character3d.client import Client
from character3d.cluster.files import ClusterFiles
from character3d.cluster.front_door import make_app
from character3d.cluster.ledger import Ledger
from character3d.cluster.service import ClusterService
from character3d.server_routes.access import Access
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.postgres_engine import PostgresEngine

DATA = bytes(index % 251 for index in range(300_000))
NAME = "大-pose 1.glb"
FACTS = {"size": len(DATA), "modified": 0, "sha256": hashlib.sha256(DATA).hexdigest()}
FILE = {"key": "raw_mesh", "stage": "", "relative": NAME, **FACTS}
STATUS = json.dumps({"status": "processing", "downloads": [{"name": NAME, "sha256": FACTS["sha256"]}]})
JOB = "11111111-1111-4111-8111-111111111111"


def store_job(url, files, folder):
    """A live job that has written one file."""
    path = folder / "a.glb"
    path.write_bytes(DATA)
    files.keep_result(JOB, 1, path, NAME)
    database = JobDatabase(PostgresEngine(url))
    ledger = Ledger(database.engine)
    row = Row(JOB, "127.0.0.1", 1.0, None, "queued", {"attempts": 1, "files": [FILE]}, STATUS)
    assert ledger.accept(row, None) is None
    ledger.record(dataclasses.replace(row, state="processing"), ledger.claim(JOB, "a", False))
    database.close()


@pytest.fixture
async def door(postgres, s3, tmp_path):
    url, files = postgres.new_schema(), ClusterFiles(f"{s3}/{tmp_path.name}")
    service = ClusterService(url, files, lambda *message: None, redirects=True)
    server = TestServer(make_app(service, None, None, Access()), host="127.0.0.1")
    await server.start_server()
    await asyncio.to_thread(store_job, url, files, tmp_path)
    address = str(server.make_url("/"))
    async with aiohttp.ClientSession(address) as session:
        yield SimpleNamespace(get=session.get, head=session.head, address=address, files=files)
    await server.close()


PATH = f"/job/{JOB}/download/{NAME}"


async def test_a_client_is_sent_to_the_bucket(door):
    async with door.get(PATH, allow_redirects=False) as answer:
        assert answer.status == 302 and answer.headers["ETag"] == f'"{FACTS["sha256"]}"'
        assert "X-Amz-Signature" in answer.headers["Location"] or "Signature" in answer.headers["Location"]
    async with door.get(PATH) as answer:
        assert answer.url.host == "127.0.0.1" and answer.url.path.startswith("/bucket/")
        assert (answer.status, await answer.read()) == (200, DATA)
        assert answer.content_disposition.filename == NAME
        assert answer.content_type == "application/octet-stream"


async def test_ranges_are_kept(door):
    async with door.get(PATH, headers={"Range": "bytes=100-199"}) as answer:
        assert "/bucket/" in answer.url.path
        assert (answer.status, await answer.read()) == (206, DATA[100:200])
    async with door.get(PATH, headers={"Range": f"bytes={len(DATA)}-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


@pytest.mark.parametrize("headers", [{"If-Range": '"old"', "Range": "bytes=5-"}, {"Range": "junk=1"}])
async def test_ranges_that_are_to_be_ignored_are_ignored(door, headers):
    async with door.get(PATH, headers=headers) as answer:
        assert answer.url.path.startswith("/job/")
        assert (answer.status, await answer.read()) == (200, DATA)


async def test_conditions_are_answered_by_the_door(door):
    tag = f'"{FACTS["sha256"]}"'
    async with door.get(PATH, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with door.get(PATH, headers={"If-Match": '"other"'}) as answer:
        assert answer.status == 412


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin"])
async def test_scripts_of_pages_are_not_sent_elsewhere(door, mode):
    async with door.get(PATH, headers={"Sec-Fetch-Mode": mode}) as answer:
        assert answer.url.path.startswith("/job/") and await answer.read() == DATA


async def test_the_head_of_a_file_is_the_doors(door):
    async with door.head(PATH, allow_redirects=True) as answer:
        assert answer.url.path.startswith("/job/")
        assert (answer.status, answer.content_length) == (200, len(DATA))


async def test_a_file_that_is_gone_is_not_found(door):
    await asyncio.to_thread(door.files.remove, JOB)
    async with door.get(PATH) as answer:
        assert answer.status == 404


async def test_the_client_follows(door, tmp_path):
    path = await asyncio.to_thread(Client(door.address).download, JOB, NAME, tmp_path / "here")
    assert path.read_bytes() == DATA


def test_a_folder_signs_nothing(tmp_path):
    files = ClusterFiles(f"file://{tmp_path}")
    (tmp_path / "a").write_bytes(b"a")
    files.keep_result(JOB, 1, tmp_path / "a", "a")
    assert files.sign_result(JOB, 1, "a") is None
