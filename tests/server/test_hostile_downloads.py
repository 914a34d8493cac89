"""Names and ids that ask for files of others: all 404, and nothing else is opened on the disk."""

import asyncio
import os
import sys
import threading
import unicodedata

import aiohttp
import pytest
from character3d.server_routes.files import JobFile, measure_files, open_file, open_with_facts
from yarl import URL

from .forms import MEBIBYTE, record_opened, refused

SECRET = b"nobody may read this"


@pytest.fixture
async def finished(client):
    """The status of a job that has ended."""
    return await client.finish((await client.start_job())["job_id"])


@pytest.fixture
def outside(comfyui):
    """A file that no job wrote, beside the output folder."""
    path = comfyui.base / "secret.txt"
    path.write_bytes(SECRET)
    yield path
    path.unlink()


def path_of(comfyui, body, key="raw_mesh"):
    return comfyui.base / "output" / body["results"][key].removeprefix("/output/")


def hostile_names(name):
    return [
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f",
        "%252e%252e%252fetc%252fpasswd",
        "..%5c..%5cwindows%5cwin.ini",
        "....//....//etc/passwd",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "C:%5cx",
        "%5c%5chost%5cshare",
        f"{name}%00.png",
        f"{name}%0d%0aSet-Cookie:x",
        "%C0%AE%C0%AE/%C0%AE%C0%AE/etc/passwd",
        "%2e",
        "%2e%2e",
        "",
        "x" * 5000,
        "CON.glb",
        f"{name}:stream",
        f"{name}::$DATA",
        name.upper(),
        f"{name}.",
        f"{name}%20",
        f"3D%2f{name}",
        f"3D/{name}",
        "%ff%fe",
        "%ed%a0%80",
        "character3d-quickstart.log",
        "jobs.sqlite",
        "..%2f..%2fuser%2fcharacter3d%2fjobs.sqlite",
    ]


async def test_only_the_jobs_own_files_are_given(client, other_client, comfyui, finished):
    theirs = await other_client.finish((await other_client.start_job())["job_id"])
    own = sorted(item["name"] for item in finished["downloads"])
    others = [
        f"{finished['job_id']}.tif",
        theirs["downloads"][0]["name"],
        *(path.name for path in (comfyui.base / "user" / "character3d").iterdir()),
    ]
    expected = None
    async with record_opened(client) as opened:
        for hostile in (*hostile_names(own[0]), *others):
            url = URL(f"/job/{finished['job_id']}/download/{hostile}", encoded=True)
            async with client.get(url) as answer:
                details = await refused(answer, 404, "INVALID_PARAMETERS", "filename")
                assert "Set-Cookie" not in answer.headers
            assert details.pop("provided") is not None and details["allowed"] == own
            expected = expected or details
            assert details == expected, "all unknown names look alike"
    assert opened() == []


async def test_the_other_unicode_form_of_a_name_is_another_name(client, comfyui, finished):
    """A name is compared as it is: nothing is looked up on a disk that folds case or form."""
    async with record_opened(client) as opened:
        for form in ("NFC", "NFD"):
            name = unicodedata.normalize(form, "ä.glb")
            async with client.get(f"/job/{finished['job_id']}/download/{name}") as answer:
                await refused(answer, 404, "INVALID_PARAMETERS", "filename")
    assert opened() == []


async def test_an_own_file_is_the_only_one_opened(client, comfyui, finished):
    own = path_of(comfyui, finished)
    url = f"/job/{finished['job_id']}/download/{own.name}"
    async with record_opened(client) as opened, client.get(url) as answer:
        assert answer.status == 200 and await answer.read() == own.read_bytes()
    way = own.relative_to(comfyui.base / "output").parts
    assert opened() in ([str(comfyui.base / "output"), *way], [str(own)])


async def test_a_file_that_becomes_shorter_while_it_is_sent(client, comfyui, finished):
    """The client sees that bytes are missing; no other bytes are sent in their place."""
    own = path_of(comfyui, finished)
    data = bytes(range(256)) * (64 * MEBIBYTE // 256)
    own.write_bytes(data)
    got = bytearray()
    async with client.get(f"/job/{finished['job_id']}/download/{own.name}") as answer:
        got += await answer.content.read(1000)
        os.truncate(own, 1)
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in answer.content.iter_any():
                got += piece
    assert len(got) < len(data) and data.startswith(got)


async def test_clients_that_leave_in_the_middle_are_no_defect(client, comfyui, finished):
    own = path_of(comfyui, finished)
    own.write_bytes(bytes(32 * MEBIBYTE))
    for _ in range(3):
        answer = await client.get(f"/job/{finished['job_id']}/download/{own.name}")
        await answer.content.read(1000)
        answer.connection.transport.abort()
        answer.close()
    assert (await client.status(finished["job_id"]))["status"] == "completed"


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hard link"])
async def test_planted_links(client, comfyui, finished, outside, link):
    own = path_of(comfyui, finished)
    own.unlink()
    link(outside, own)
    for method in ("GET", "HEAD"):
        async with client.request(method, f"/job/{finished['job_id']}/download/{own.name}") as answer:
            assert answer.status == 404 and SECRET not in await answer.read()


async def test_a_hard_link_that_keeps_a_result_does_no_harm(client, comfyui, finished, tmp_path):
    own = path_of(comfyui, finished)
    os.link(own, own.with_suffix(".backup"))
    os.utime(own, ns=(1, 1))  # whatever the times are, the bytes count
    async with client.get(f"/job/{finished['job_id']}/download/{own.name}") as answer:
        assert answer.status == 200 and await answer.read() == own.read_bytes()
    own.with_suffix(".backup").unlink()


async def test_a_folder_that_became_a_link(client, comfyui, finished, outside):
    own = path_of(comfyui, finished)
    folder = own.parent
    away = folder.with_name("moved")
    folder.rename(away)
    try:
        folder.symlink_to(away, target_is_directory=True)
        async with client.get(f"/job/{finished['job_id']}/download/{own.name}") as answer:
            await refused(answer, 404, "INVALID_PARAMETERS", "filename")
    finally:
        folder.unlink()
        away.rename(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
async def test_a_planted_pipe_keeps_nobody_waiting(client, comfyui, finished):
    own = path_of(comfyui, finished)
    own.unlink()
    os.mkfifo(own)
    async with asyncio.timeout(5), client.get(f"/job/{finished['job_id']}/download/{own.name}") as answer:
        await refused(answer, 404, "INVALID_PARAMETERS", "filename")
    own.unlink()


class Flipper(threading.Thread):
    """Makes a path the own file and a link to another, by turns, as fast as it can."""

    def __init__(self, path, target, data):
        super().__init__(daemon=True)
        self.path, self.target, self.data = path, target, data
        self.done, self.flips = threading.Event(), 0

    def run(self):
        link, file = self.path.with_suffix(".link"), self.path.with_suffix(".file")
        while not self.done.is_set():
            link.symlink_to(self.target)
            os.replace(link, self.path)
            file.write_bytes(self.data)
            os.replace(file, self.path)
            self.flips += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


async def test_a_file_that_turns_into_a_link_and_back(client, comfyui, finished, outside):
    own = path_of(comfyui, finished)
    data, seen = own.read_bytes(), set()
    with Flipper(own, outside, data) as flipper:
        for _ in range(300):
            async with client.get(f"/job/{finished['job_id']}/download/{own.name}") as answer:
                sent = await answer.read()
                assert SECRET not in sent
                assert answer.status == 404 or sent == data
                seen.add(answer.status)
    assert flipper.flips > 100 and seen <= {200, 404}


@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="links need a privilege here")
def test_a_folder_that_turns_into_a_link_between_check_and_open(tmp_path):
    """The walk is made by descriptors: the moment before each os.open, the folder is swapped."""
    output, outside = tmp_path / "output", tmp_path / "outside"
    for folder, data in ((output / "3D", b"own"), (outside, SECRET)):
        folder.mkdir(parents=True)
        (folder / "a.glb").write_bytes(data)
    swapping = [True]

    def swap(event, arguments):
        if event == "open" and swapping and arguments[0] in ("3D", "a.glb"):
            swapping.pop()
            (output / "3D").rename(output / "away")
            (output / "3D").symlink_to(outside)

    sys.addaudithook(swap)
    assert open_file(output, JobFile("k", "s", "3D/a.glb")) is None
    assert not swapping


def test_what_is_hashed_is_what_is_open(tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(b"first")
    file = JobFile("k", "s", "a.glb")
    facts = measure_files(tmp_path, [file])[file]
    stream, again = open_with_facts(tmp_path, file, facts)
    with stream:
        (tmp_path / "new").write_bytes(b"other")
        os.replace(tmp_path / "new", path)
        stream.seek(0)
        assert again == facts and stream.read() == b"first"
    os.link(path, tmp_path / "second name")
    assert open_with_facts(tmp_path, file, facts) is None
    assert measure_files(tmp_path, [file]) == {}
    (tmp_path / "second name").unlink()
    stream, changed = open_with_facts(tmp_path, file, facts)
    stream.close()
    assert changed.sha256 != facts.sha256


@pytest.mark.parametrize(
    "job_id",
    [
        "00000000-0000-4000-8000-000000000000",
        "..%2f..%2f",
        "%2e%2e%2f",
        "%7B00000000-0000-4000-8000-000000000000%7D",
        "x" * 7000,
        "'%20OR%201=1--",
        "%00",
        "%ff",
        "%ed%a0%80",
        "%0d%0aSet-Cookie:x",
    ],
)
async def test_unknown_jobs(client, job_id):
    async with record_opened(client) as opened:
        for method, path in [
            ("GET", "/status"),
            ("GET", "/download/a.glb"),
            ("GET", "/events"),
            ("POST", "/cancel"),
            ("DELETE", ""),
        ]:
            async with client.request(method, URL(f"/job/{job_id}{path}", encoded=True)) as answer:
                details = await refused(answer, 404, "JOB_NOT_FOUND")
                assert set(details) == {"job_id"} and len(details["job_id"]) <= 64
    assert opened() == []


async def test_other_spellings_of_a_known_id(client, finished):
    job_id = finished["job_id"]
    for spelling in (job_id.upper(), f"%7B{job_id}%7D", job_id.replace("-", ""), f"urn:uuid:{job_id}"):
        if spelling != job_id:
            url = URL(f"/job/{spelling}/status", encoded=True)
            async with client.get(url) as answer:
                await refused(answer, 404, "JOB_NOT_FOUND")
