"""The whole path in a real ComfyUI: a picture in, meshes, a rigged character and previews out."""

import io
import json
import shutil
import struct
import subprocess
import uuid

import numpy as np
import pytest
from PIL import Image

STAGES = ["preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"]


def read_glb(data):
    """The JSON chunk of a GLB whose lengths are right (glTF 2.0, section 4.4)."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    return json.loads(data[20 : 20 + size])


def count_vertices(gltf):
    primitives = [primitive for mesh in gltf["meshes"] for primitive in mesh["primitives"]]
    return sum(gltf["accessors"][primitive["attributes"]["POSITION"]]["count"] for primitive in primitives)


def test_acceptance(elf_job):
    assert elf_job.acceptance["status"] == "accepted"
    assert str(uuid.UUID(elf_job.job_id)) == elf_job.job_id
    assert elf_job.acceptance["message"] == "Character generation started"
    assert elf_job.acceptance["estimated_time"].endswith(" seconds")


def test_progress_never_falls_and_shows_every_stage(elf_job):
    progress = [answer["progress"] for answer in elf_job.answers]
    assert progress == sorted(progress) and progress[-1] == 100
    assert all(value < 100 for value in progress[:-1])
    assert len(set(progress)) > 5
    for answer in elf_job.answers:
        assert [stage["name"] for stage in answer["stages"]] == STAGES
        ranks = [("completed", "processing", "pending").index(stage["status"]) for stage in answer["stages"]]
        assert ranks == sorted(ranks) and ranks.count(1) <= 1


def test_every_stage_says_which_method_ran(elf_job):
    final = elf_job.answers[-1]
    assert all(stage["status"] == "completed" for stage in final["stages"])
    assert all(stage["method"] and stage["seconds"] >= 0 for stage in final["stages"])
    assert "dreamshaper" in " ".join(final["warnings"])


def test_raw_and_textured_mesh(elf_job):
    results = elf_job.answers[-1]["results"]
    raw = read_glb(elf_job.client.read_result(elf_job.job_id, results["raw_mesh"]))
    textured = read_glb(elf_job.client.read_result(elf_job.job_id, results["textured_mesh"]))
    assert count_vertices(raw) > 5_000
    assert count_vertices(textured) > 5_000
    primitive = textured["meshes"][0]["primitives"][0]
    assert "TEXCOORD_0" in primitive["attributes"]
    material = textured["materials"][primitive["material"]]
    assert "baseColorTexture" in material["pbrMetallicRoughness"]


def test_rigged_character(elf_job):
    ufbx = pytest.importorskip("ufbx")
    data = elf_job.client.read_result(elf_job.job_id, elf_job.answers[-1]["results"]["rigged_character"])
    assert data.startswith(b"Kaydara FBX Binary  \x00")
    scene = ufbx.load_memory(data)
    names = {node.name.split(":")[-1] for node in scene.nodes}
    assert {"Hips", "Spine", "Neck", "Head", "LeftArm", "RightForeArm", "LeftUpLeg", "RightFoot"} <= names
    assert len(scene.skin_deformers) == 1
    assert scene.textures and scene.textures[0].content


def test_previews(elf_job):
    previews = elf_job.answers[-1]["results"]["preview_images"]
    assert len(previews) == 2
    for path in previews:
        picture = Image.open(io.BytesIO(elf_job.client.read_result(elf_job.job_id, path)))
        assert picture.format == "PNG" and min(picture.size) >= 512
        pixels = np.asarray(picture.convert("RGB"), float)
        assert pixels.std(axis=(0, 1)).min() > 10


def test_results_lie_where_their_paths_say(elf_job, comfyui):
    results = elf_job.answers[-1]["results"]
    paths = [results[name] for name in ("raw_mesh", "textured_mesh", "rigged_character")]
    for path in [*paths, *results["preview_images"]]:
        file = comfyui.base / path.removeprefix("/")
        assert file.read_bytes() == elf_job.client.read_result(elf_job.job_id, path)
        url = f"{comfyui.url}/job/{elf_job.job_id}/download/{file.name}"
        with elf_job.client.opener.open(url) as answer:
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
            assert answer.read() == file.read_bytes()


def test_nothing_is_left_of_the_upload(elf_job, comfyui):
    names = {path.name for path in (comfyui.base / "input").rglob("*") if path.is_file()}
    assert names == {"elf.glb", "elf.png", "kid.png", "wanderer.png"}


def test_a_second_job_writes_files_of_its_own(elf_job, elf, client):
    acceptance = client.generate(elf, seed=42)
    final = client.watch(acceptance["job_id"])[-1]
    assert final["status"] == "completed"
    first, second = elf_job.answers[-1]["results"], final["results"]
    assert first["textured_mesh"] != second["textured_mesh"]
    assert elf_job.client.read_result(elf_job.job_id, first["raw_mesh"]) == client.read_result(
        acceptance["job_id"], second["raw_mesh"]
    )


def test_a_job_asks_for_its_format_clips_and_a_moving_preview(elf, client):
    asked = {"character_format": "glb", "bone_names": "unity", "animation": "all", "bind_pose": "T-pose"}
    acceptance = client.generate(elf, seed=42, animated_preview="true", **asked)
    final = client.watch(acceptance["job_id"])[-1]
    assert final["status"] == "completed", final
    gltf = read_glb(client.read_result(acceptance["job_id"], final["results"]["rigged_character"]))
    names = [gltf["nodes"][joint]["name"] for joint in gltf["skins"][0]["joints"]]
    assert {"Hips", "LeftUpperArm", "RightLowerLeg"} <= set(names)
    assert {clip["name"] for clip in gltf["animations"]} == {"idle", "walk", "wave", "t_pose"}
    low, high = np.array(bounds_of(gltf))
    assert (high - low)[0] > 0.75 * (high - low)[1]  # the arms are spread
    moving = final["results"]["preview_images"][-1]
    picture = Image.open(io.BytesIO(client.read_result(acceptance["job_id"], moving)))
    assert picture.format == "WEBP" and picture.n_frames >= 12


def bounds_of(gltf):
    accessor = gltf["accessors"][gltf["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    return accessor["min"], accessor["max"]


# -- the commands of the wire contract, as printed there -------------------------------------------

PRINTED = """\
curl -X POST http://localhost:8188/generate_character \\
  -F "image=@input.jpg" \\
  -F "prompt=anime character with detailed clothing" \\
  -F "image_size=768" \\
  -F "steps=15" \\
  -F "seed=42"
"""


@pytest.fixture
def run_shell(comfyui, tmp_path):
    """Run a command of the contract in an empty folder, with only the port exchanged."""
    if not shutil.which("curl") or not shutil.which("sh"):
        pytest.skip("no curl here")

    def run(command):
        command = command.replace("localhost:8188", "localhost:" + comfyui.url.rsplit(":", 1)[1])
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder = tmp_path
    return run


def test_printed_commands(run_shell, elf, client):
    Image.open(io.BytesIO(elf)).convert("RGB").save(run_shell.folder / "input.jpg", quality=92)
    acceptance = json.loads(run_shell(PRINTED))
    assert acceptance["status"] == "accepted"
    base = "curl -s http://localhost:8188"
    assert (
        json.loads(run_shell(f"{base}/job/{acceptance['job_id']}/status"))["job_id"] == acceptance["job_id"]
    )
    final = client.watch(acceptance["job_id"])[-1]
    assert final["status"] == "completed", final.get("error_details")
    assert any("steps" in warning for warning in final["warnings"])
    name = final["results"]["textured_mesh"].rsplit("/", 1)[-1]
    run_shell(f"curl -sOJ http://localhost:8188/job/{acceptance['job_id']}/download/{name}")
    read_glb((run_shell.folder / name).read_bytes())
    models = json.loads(run_shell(f"{base}/models"))
    assert set(models) == {"diffusion_models", "3d_models"}
