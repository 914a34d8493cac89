"""POST /character/rig and /character/animate: jobs whose mesh is the client's own."""

import json

import aiohttp
import pytest
from character3d.pipeline.conventions import MESH_SUFFIXES
from character3d.pipeline.formats import mesh_files
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.mesh_jobs import ANIMATE_PATH, OF_PICTURES, RIG_PATH
from character3d.server_routes.parameters import FIELDS, parse_parameters

from .forms import MEBIBYTE, refused

MESH, BVH = b"glTF and more", b"HIERARCHY\nROOT Hips\n{\n"


@pytest.fixture
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def make_form(mesh=MESH, filename="my mesh.GLB", motion=None, **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    if mesh is not None:
        form.add_field("mesh", mesh, filename=filename)
    if motion is not None:
        form.add_field("motion", motion, filename="walk.bvh")
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def start(client, path, form, **headers):
    async with client.post(path, data=form, headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        assert answer.headers["Location"].startswith("/job/") and "RateLimit" in answer.headers
        return await answer.json()


async def read_character(client, job):
    (file,) = (file for file in job["downloads"] if file["result"] == "rigged_character")
    async with client.get(file["url"]) as answer:
        return file["name"], json.loads(await answer.read())


async def test_a_mesh_is_rigged(client):
    accepted = await start(client, RIG_PATH, make_form(animation="walk", character_format="glb"))
    assert accepted["warnings"] == [] and accepted["parameters"]["enable_rigging"] is True
    assert accepted["parameters"]["pose_type"] == "No"
    job = await client.finish(accepted["job_id"])
    assert job["status"] == "completed"
    assert [stage["name"] for stage in job["stages"]] == ["preprocessing", "rigging"]
    assert (job["results"]["raw_mesh"], job["results"]["textured_mesh"]) == (None, None)
    name, saved = await read_character(client, job)
    assert name.endswith(".glb") and "rigged" in name and saved["character"] == "character walk"


async def test_a_motion_is_put_onto_it(client):
    form = make_form(motion=BVH, root_motion="in place", animated_preview="true")
    accepted = await start(client, ANIMATE_PATH, form)
    job = await client.finish(accepted["job_id"])
    assert len(job["results"]["preview_images"]) == 1
    _, saved = await read_character(client, job)
    assert saved["character"] == f"character none motion in place {len(BVH)}"


async def test_what_a_mesh_does_not_use_is_said(client):
    accepted = await start(client, RIG_PATH, make_form(seed="3", enable_rigging="false", colour="red"))
    assert accepted["warnings"] == [
        "colour: unknown field, ignored",
        "enable_rigging: not used for a mesh",
        "seed: not used for a mesh",
    ]
    assert (await client.finish(accepted["job_id"]))["results"]["rigged_character"]


async def test_bad_forms_are_refused(client):
    async with client.post(RIG_PATH, data=make_form(None, motion=BVH)) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "mesh")
    async with client.post(RIG_PATH, data=make_form(filename="mesh.exe")) as answer:
        details = await refused(answer, 415, "UNSUPPORTED_FORMAT", "mesh")
        assert (details["provided"], details["allowed"]) == (".exe", list(MESH_SUFFIXES))
    async with client.post(ANIMATE_PATH, data=make_form(motion=b"MZ")) as answer:
        await refused(answer, 415, "UNSUPPORTED_FORMAT", "motion")
    async with client.post(ANIMATE_PATH, data=make_form()) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "motion")
    async with client.post(RIG_PATH, data=make_form(animation="fly")) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "animation")


async def test_a_mesh_that_is_too_large_is_refused(client):
    async with client.post(RIG_PATH, data=make_form(bytes(65 * MEBIBYTE))) as answer:
        details = await refused(answer, 413, "FILE_TOO_LARGE", "mesh")
    assert details["maximum"] == 64 * MEBIBYTE


async def test_the_same_key_and_mesh_are_the_same_job(client):
    key = {"Idempotency-Key": "one mesh"}
    first = await start(client, RIG_PATH, make_form(), **key)
    assert (await start(client, RIG_PATH, make_form(), **key))["job_id"] == first["job_id"]
    async with client.post(RIG_PATH, data=make_form(b"another"), headers=key) as answer:
        await refused(answer, 422, "INVALID_PARAMETERS")
    await client.finish(first["job_id"])


async def test_there_are_no_views_to_paint_over(client, png):
    accepted = await start(client, RIG_PATH, make_form())
    await client.finish(accepted["job_id"])
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("left", png(), filename="left.png")
    path = f"/generate_character/jobs/{accepted['job_id']}/views"
    async with client.post(path, data=form) as answer:
        details = await refused(answer, 400, "INVALID_PARAMETERS", "job_id")
    assert details["provided"] == accepted["job_id"]


def test_there_is_a_reader_for_every_suffix():
    assert tuple(mesh_files._READERS) == MESH_SUFFIXES


@pytest.mark.parametrize("motion", ["", "character3d/job.bvh"])
def test_the_graph_of_a_mesh_is_the_rigs_part_of_the_other(motion):
    template, values = load_template(), {**parse_parameters({}, []).values, "animated_preview": True}
    whole = build_graph(template, "job", {"image": "a.tif"}, values, motion)
    graph = build_graph(template, "job", {"mesh": "character3d/job_mesh.glb"}, values, motion)
    assert graph.stages == ("preprocessing", "rigging")
    (load,) = (node for node in graph.prompt.values() if node["class_type"] == "C3DLoadMesh")
    assert load["inputs"]["mesh_file"] == "character3d/job_mesh.glb"
    of_pictures = {key for key, stage in whole.node_stages.items() if key in template and stage != "rigging"}
    assert of_pictures and not graph.prompt.keys() & of_pictures
    used = {name for name in FIELDS if name in graph.field_stages}
    assert used and not used & OF_PICTURES
