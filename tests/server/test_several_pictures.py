"""Pictures of the sides, and sheets: they reach the preprocessing, and are refused as the front is."""

import hashlib
import json

import aiohttp
import pytest
from character3d.server_routes import upload

from .forms import MEBIBYTE, refused

SIDES = ("left", "right", "back", "top")
PARTS = (*(f"image_{side}" for side in SIDES), "image_sheet")


def make_form(files, **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    for name, data in files.items():
        form.add_field(name, data, filename="input.png")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def start(client, files, headers=None, **fields):
    async with client.post("/generate_character", data=make_form(files, **fields), headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return await answer.json()


def post(client, files, **fields):
    return client.post("/generate_character", data=make_form(files, **fields))


def told(body):
    return [warning for warning in body["warnings"] if warning.startswith("preprocessing: ")]


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


@pytest.mark.of_comfyui("it looks into ComfyUI's folders")
async def test_pictures_are_there_while_their_job_runs(client, png, control, inputs_left):
    control(seconds={"C3DRigCharacter": 0.5})
    files = {"image": png()} | {f"image_{side}": png((17 + k, 9)) for k, side in enumerate(SIDES)}
    job_id = (await start(client, files))["job_id"]
    kept = [f"{job_id}{end}.tif" for end in ("", *(f"_{side}" for side in SIDES))]
    assert inputs_left() == sorted(kept)
    await client.finish(job_id)


async def test_each_picture_reaches_its_side(client, png):
    files = {"image": png()} | {f"image_{side}": png((17 + k, 9)) for k, side in enumerate(SIDES)}
    body = await client.finish((await start(client, files))["job_id"])
    assert body["status"] == "completed"
    assert told(body) == ["preprocessing: front 16, left 17, right 18, back 19, top 20"]


async def test_one_picture_is_answered_as_ever(client, png):
    body = await client.finish((await client.start_job())["job_id"])
    assert told(body) == [] and body["status"] == "completed"


async def test_a_sheet_is_split(client, png):
    body = await client.finish((await start(client, {"image_sheet": png((64, 16))}, figure="2"))["job_id"])
    assert body["status"] == "completed"
    assert told(body) == [
        "preprocessing: view 4 was left out, figure 2",
        "preprocessing: front 16, left 16, back 16",
    ]


async def test_a_picture_comes_before_the_view_on_the_sheet(client, png):
    files = {"image_sheet": png((64, 16)), "image_back": png((30, 16))}
    body = await client.finish((await start(client, files))["job_id"])
    assert told(body)[-1] == "preprocessing: front 16, left 16, back 30"


async def test_only_the_front_of_a_sheet(client, png):
    files = {"image_sheet": png((64, 16)), "image_left": png((30, 16))}
    body = await client.finish((await start(client, files, views="front"))["job_id"])
    assert told(body) == ["preprocessing: front 64, left 30"]


async def test_exactly_one_of_image_and_sheet(client, png):
    async with post(client, {"image": png(), "image_sheet": png()}) as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "image_sheet")
        assert details["provided"] == ["image", "image_sheet"]
        assert (await answer.json())["message"] == "Send either image or image_sheet, not both"
    async with post(client, {"image_left": png()}) as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "image")
        assert (await answer.json())["message"] == "Missing image. Send a PNG or JPEG file"


@pytest.mark.parametrize("name", PARTS)
async def test_the_part_at_fault_is_named(client, png, name):
    front = {} if name == "image_sheet" else {"image": png()}
    words = name.replace("_", " ")
    for data, status, code, message in (
        (b"GIF89a", 415, "UNSUPPORTED_FORMAT", f"{words.capitalize()} format not supported. Send a PNG"),
        (png()[:-30], 400, "INVALID_PARAMETERS", f"Invalid {words}: "),
        (png(color=(0, 0, 0, 0)), 400, "INVALID_PARAMETERS", f"Invalid {words}. It is fully transparent"),
        (
            bytes(10 * MEBIBYTE + 1),
            413,
            "FILE_TOO_LARGE",
            f"{words.capitalize()} file is too large. The limit is 10 MB",
        ),
    ):
        async with post(client, {**front, name: data}) as answer:
            await refused(answer, status, code, name)
            assert (await answer.json())["message"].startswith(message)


async def test_all_pictures_together_have_a_limit(client, png):
    files = {f"image_{side}": bytes(10 * MEBIBYTE) for side in SIDES} | {"image": png()}
    async with post(client, files) as answer:
        details = await refused(answer, 413, "FILE_TOO_LARGE", "image")
        assert details["maximum"] == 40 * MEBIBYTE
        assert (await answer.json())["message"] == "Pictures are too large together. The limit is 40 MB"


def test_a_form_without_further_pictures_has_the_digest_of_earlier_releases():
    hashes = {"image": b"i" * 32, "motion": b"m" * 32}
    form = upload.Form({}, upload._join_hashes(upload.FILES, hashes), {"seed": "5", "prompt": "a"}, {})
    fields = json.dumps([("prompt", "a"), ("seed", "5")]).encode()
    assert form.digest == hashlib.sha256(b"i" * 32 + b"m" * 32 + fields).hexdigest()


async def test_other_views_are_refused(client, png):
    async with post(client, {"image": png()}, views="side") as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "views")
    assert details["allowed"] == ["auto", "front"]


async def test_another_side_is_another_request(client, png):
    key, front, side = {"Idempotency-Key": "the same pictures"}, png(), png((30, 20))
    first = await start(client, {"image": front, "image_left": side}, headers=key)
    again = await start(client, {"image_left": side, "image": front}, headers=key)
    assert again["job_id"] == first["job_id"]
    form = make_form({"image": front, "image_right": side})
    async with client.post("/generate_character", data=form, headers=key) as answer:
        assert answer.status == 422
    await client.finish(first["job_id"])


async def test_a_check_reads_a_sheet(client, png):
    async with client.post("/character/check", data=make_form({"image_sheet": png((64, 16))})) as answer:
        assert (answer.status, (await answer.json())["width"]) == (200, 64)
    async with client.post("/character/check", data=make_form({"image_sheet": b"GIF89a"})) as answer:
        await refused(answer, 415, "UNSUPPORTED_FORMAT", "image_sheet")
