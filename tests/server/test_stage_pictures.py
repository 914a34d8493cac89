"""What the stages show while a job runs, and landmarks that a person moved."""

import json

import pytest
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.parameters import parse_parameters

from .conftest import make_png
from .forms import refused
from .test_edit_views import make_form

MOVED = json.dumps({"unit": "pixels", "neck": [8, 4]})


async def test_pictures_come_as_they_are_made(client):
    job_id = (await client.start_job())["job_id"]
    events, _ = await client.events(job_id, since=0)
    seen = [event["data"] for event in events if event["type"] == "progress_update"]
    first = next(body for body in seen if body.get("pictures"))
    assert first["pictures"][0]["shows"] == "cut_out"
    assert first["current_stage"] in ("preprocessing", "mesh_generation")
    shown = (await client.status(job_id))["pictures"]
    assert {picture["shows"] for picture in shown} == {"cut_out", "figure", "views"}
    for picture in shown:
        async with client.get(picture["url"]) as answer:
            assert answer.status == 200 and (await answer.read()).startswith(b"\x89PNG")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.png", "..%2f..%2fdatabase"])
async def test_only_what_was_shown_is_found(client, name):
    job_id = (await client.start_job())["job_id"]
    await client.finish(job_id)
    async with client.get(f"/job/{job_id}/pictures/{name}") as answer:
        await refused(answer, 404, "INVALID_PARAMETERS", "filename")


def test_moved_landmarks_reach_the_node_that_moves_them():
    values = parse_parameters({"corrections": MOVED}, ()).values
    prompt = build_graph(load_template(), "id", {"image": "a.png"}, values).prompt
    (inputs,) = (node["inputs"] for node in prompt.values() if node["class_type"] == "C3DEditFigure")
    assert inputs["corrections"] == MOVED


@pytest.mark.parametrize("corrections", ["{neck", '{"nose": [1, 2]}', '{"unit": "pixels", "neck": [1]}'])
async def test_corrections_that_are_none_are_refused(client, corrections):
    async with await client.generate(corrections=corrections) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "corrections")


async def test_corrections_of_a_sheet_are_refused(client):
    form = make_form({"image_sheet": make_png()}, corrections=MOVED)
    async with client.post("/generate_character", data=form) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "corrections")
