"""A motion beside the picture: it is put onto the character, and refused as pictures are."""

import json

import aiohttp
import pytest

from .forms import MEBIBYTE, refused

BVH = b"HIERARCHY\nROOT Hips\n{\n"


def make_form(png, motion, **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("image", png(), filename="input.png")
    form.add_field("motion", motion, filename="walk.anything")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def start(client, form, **headers):
    async with client.post("/generate_character", data=form, headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        return await answer.json()


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


@pytest.mark.parametrize(
    "data", [BVH, b"\xef\xbb\xbf\n " + BVH, b"glTF1234", b"Kaydara FBX Binary", b"PK\x03\x04"]
)
async def test_a_motion_reaches_the_character(client, png, data):
    accepted = await start(client, make_form(png, data, root_motion="in place"))
    assert (
        accepted["parameters"]["root_motion"] == "in place" and accepted["parameters"]["animation"] == "none"
    )
    assert not [warning for warning in accepted["warnings"] if "motion" in warning]
    await client.events(accepted["job_id"])
    body = await client.status(accepted["job_id"])
    assert body["status"] == "completed"
    (file,) = (item for item in body["downloads"] if item["result"] == "rigged_character")
    async with client.get(file["url"]) as answer:
        saved = json.loads(await answer.read())
    assert saved["character"] == f"character none motion in place {len(data)}"


async def test_other_formats_are_refused(client, png):
    async with client.post("/generate_character", data=make_form(png, b"MZ\x90")) as answer:
        details = await refused(answer, 415, "UNSUPPORTED_FORMAT", "motion")
    assert details["allowed"] == ["BVH", "FBX", "GLB", "VRMA", "NPZ"]


async def test_a_motion_that_is_too_large_is_refused(client, png):
    form = make_form(png, BVH + bytes(10 * MEBIBYTE))
    async with client.post("/generate_character", data=form) as answer:
        details = await refused(answer, 413, "FILE_TOO_LARGE", "motion")
    assert details["maximum"] == 10 * MEBIBYTE


async def test_a_motion_as_text_and_twice_are_refused(client, png):
    form = make_form(png, BVH)
    form.add_field("motion", BVH, filename="b.bvh")
    async with client.post("/generate_character", data=form) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "motion")


async def test_a_motion_without_a_rig_is_ignored_with_a_warning(client, png):
    accepted = await start(client, make_form(png, BVH, enable_rigging="false"))
    assert "motion: ignored, since enable_rigging is false" in accepted["warnings"]
    await client.events(accepted["job_id"])
    assert (await client.status(accepted["job_id"]))["status"] == "completed"


async def test_another_motion_is_another_request(client, png):
    key = {"Idempotency-Key": "the same motion"}
    first = await start(client, make_form(png, BVH), **key)
    assert (await start(client, make_form(png, BVH), **key))["job_id"] == first["job_id"]
    async with client.post("/generate_character", data=make_form(png, BVH + b" "), headers=key) as answer:
        assert answer.status == 422
    await client.events(first["job_id"])
