"""Painted views of a completed job: a new job bakes them, with the pictures and parameters of the first."""

import aiohttp
import pytest

from .conftest import lay_base_folder, make_png, open_client, run_stub_server
from .forms import MEBIBYTE, refused
from .test_restart import kill, slow_down, wait_for


def make_form(files, **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    for name, data in files.items():
        form.add_field(name, data, filename="painted.png")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


def post(client, job_id, files, headers=None, **fields):
    path = f"/generate_character/jobs/{job_id}/views"
    return client.post(path, data=make_form(files, **fields), headers=headers)


async def edit(client, job_id, files, headers=None):
    async with post(client, job_id, files, headers) as answer:
        assert answer.status == 202, await answer.text()
        accepted = await answer.json()
    return await client.finish(accepted["job_id"])


def view(side=512):
    return make_png((side, side))


@pytest.fixture
async def ended(client):
    return await client.finish((await client.start_job(image_size=512, seed=7, prompt="a knight"))["job_id"])


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


async def test_the_views_of_a_job_are_a_download(client, ended):
    (views,) = (file for file in ended["downloads"] if file["result"] == "views")
    assert views["media_type"] == "application/zip" and "views" not in ended["results"]
    async with client.get(views["url"]) as answer:
        assert (await answer.read()).startswith(b"PK")


async def test_painted_views_are_baked_in_a_new_job(client, ended):
    body = await edit(client, ended["job_id"], {"front": view(), "bottom": view()})
    assert body["status"] == "completed" and body["job_id"] != ended["job_id"]
    assert body["parameters"] == ended["parameters"]
    assert "texture_baking: painted front 512, bottom 512" in body["warnings"]
    assert len(body["downloads"]) == len(ended["downloads"])
    assert [stage["name"] for stage in body["stages"]] == [stage["name"] for stage in ended["stages"]]
    assert await client.status(ended["job_id"]) == ended


async def test_painted_views_may_come_with_the_picture(client):
    files = {"image": make_png(), "front": view(), "texture": make_png((64, 64))}
    async with client.post("/generate_character", data=make_form(files, image_size="512")) as answer:
        assert answer.status == 202, await answer.text()
        first = await client.finish((await answer.json())["job_id"])
    assert {"texture_baking: painted front 512", "texture_baking: texture 64"} <= set(first["warnings"])
    second = await edit(client, first["job_id"], {"left": view()})
    assert "texture_baking: painted front 512, left 512" in second["warnings"]
    form = make_form({"image": make_png(), "front": view(64)}, image_size="512")
    async with client.post("/generate_character", data=form) as answer:
        assert answer.status == 400 and (await answer.json())["details"]["parameter"] == "front"


async def test_edits_add_up(client, ended):
    first = await edit(client, ended["job_id"], {"front": view()})
    second = await edit(client, first["job_id"], {"left": view(), "texture": make_png((64, 64))})
    assert "texture_baking: painted front 512, left 512" in second["warnings"]
    assert "texture_baking: texture 64" in second["warnings"]


async def test_all_pictures_of_the_first_job_are_there_again(client):
    form = make_form({"image_sheet": make_png((64, 16)), "image_back": make_png((30, 16))}, image_size="512")
    async with client.post("/generate_character", data=form) as answer:
        first = await client.finish((await answer.json())["job_id"])
    body = await edit(client, first["job_id"], {"top": view()})
    assert "preprocessing: front 16, left 16, back 30" in body["warnings"]


async def test_both_jobs_of_the_same_pictures_may_run_at_once(client, ended, control):
    control(seconds={"C3DRigCharacter": 0.5})
    jobs = []
    for name in ("left", "right"):
        async with post(client, ended["job_id"], {name: view()}) as answer:
            jobs.append((await answer.json())["job_id"])
    bodies = [await client.finish(job_id) for job_id in jobs]
    assert [body["status"] for body in bodies] == ["completed", "completed"]


async def test_what_is_no_such_request(client, ended, png):
    job_id = ended["job_id"]
    async with post(client, job_id, {}, seed="5") as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "views")
        assert details["allowed"] == ["front", "left", "back", "right", "top", "bottom", "texture"]
    async with post(client, job_id, {"left": view(256)}) as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "left")
        assert (details["provided"], details["expected"]) == ([256, 256], 512)
    async with post(client, job_id, {"texture": make_png((64, 32))}) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "texture")
    async with post(client, job_id, {"back": b"GIF89a"}) as answer:
        await refused(answer, 415, "UNSUPPORTED_FORMAT", "back")
    async with post(client, job_id, {"back": bytes(10 * MEBIBYTE + 1)}) as answer:
        await refused(answer, 413, "FILE_TOO_LARGE", "back")
    async with post(client, "9c1f0d52-0000-4000-8000-000000000000", {"left": view()}) as answer:
        await refused(answer, 404, "JOB_NOT_FOUND")


async def test_jobs_without_results(client, control):
    control(seconds={"C3DPreprocessPicture": 5})
    job_id = (await client.start_job())["job_id"]
    async with post(client, job_id, {"left": view()}) as answer:
        assert (await refused(answer, 400, "INVALID_PARAMETERS", "job_id"))["job_status"] == "processing"
    async with client.post(f"/job/{job_id}/cancel"):
        pass
    await client.finish(job_id)
    async with post(client, job_id, {"left": view()}) as answer:
        assert (await refused(answer, 400, "INVALID_PARAMETERS", "job_id"))["job_status"] == "failed"


async def test_the_same_key_is_the_same_edit(client, ended):
    key, painted = {"Idempotency-Key": "painted"}, view()
    first = await edit(client, ended["job_id"], {"left": painted}, key)
    async with post(client, ended["job_id"], {"left": painted}, key) as answer:
        assert (await answer.json())["job_id"] == first["job_id"]
        assert answer.headers["Idempotency-Replayed"] == "true"
    async with post(client, first["job_id"], {"left": painted}, key) as answer:
        assert answer.status == 422


async def test_what_was_sent_is_kept_as_long_as_the_job(client, comfyui, ended):
    folder = comfyui.base / "user" / "character3d" / "uploads"
    assert [path.name for path in (folder / ended["job_id"]).iterdir()] == ["image"]
    painted = await edit(client, ended["job_id"], {"left": view()})
    async with client.delete(f"/job/{ended['job_id']}") as answer:
        assert answer.status == 200
    assert not (folder / ended["job_id"]).exists()
    again = await edit(client, painted["job_id"], {"right": view()})
    assert "texture_baking: painted left 512, right 512" in again["warnings"]


@pytest.mark.nightly
async def test_painted_views_survive_kill_9(comfyui_folder, tmp_path):
    lay_base_folder(tmp_path)
    with run_stub_server(comfyui_folder, tmp_path) as server:
        async with open_client(server.url) as client:
            ended = await client.finish((await client.start_job(image_size=512))["job_id"])
            slow_down(tmp_path, C3DRigCharacter=30)
            async with post(client, ended["job_id"], {"left": view()}) as answer:
                job_id = (await answer.json())["job_id"]
            await wait_for(client, job_id, lambda body: body["attempts"])
            kill(server)
    slow_down(tmp_path)
    stray = tmp_path / "user" / "character3d" / "uploads" / "stray"
    stray.mkdir()
    with run_stub_server(comfyui_folder, tmp_path) as server:
        async with open_client(server.url) as client:
            body = await client.finish(job_id)
            assert "texture_baking: painted left 512" in body["warnings"] and body["attempts"] == 2
            assert not stray.exists() and not [p for p in (tmp_path / "input").rglob("*") if p.is_file()]
            assert (await edit(client, ended["job_id"], {"top": view()}))["status"] == "completed"
