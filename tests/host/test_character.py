"""The whole path in a real ComfyUI: a picture in, meshes, a rigged character and previews out."""

import io
import itertools
import json
import shutil
import struct
import subprocess
import uuid

import numpy as np
import pytest
import trimesh
from character3d.pipeline.conventions import CLIPS
from PIL import Image, ImageDraw

from .conftest import SMALL

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
    assert final["warnings"] == []  # a good picture, and no model was asked for


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


def test_quality_report(elf_job):
    (entry,) = (item for item in elf_job.answers[-1]["downloads"] if item["result"] == "report")
    report = json.loads(elf_job.client.read_result(elf_job.job_id, f"/output/{entry['name']}"))
    assert report["warnings"] == [] and report["figure"]["kind"] == "front"
    assert report["shape"]["silhouette_iou"] > 0.93 and report["shape"]["triangles"] > 5_000
    assert report["rig"]["is_humanoid"] and 1 < report["rig"]["stretch"] < 3
    assert report["texture"]["unseen_share"] < 0.25 and report["texture"]["seam_error"] < 0.04


def draw_silhouette(mesh, size, azimuth=25, elevation=8, margin=0.16):
    """Which pixels the mesh covers from the angles of the previews (degrees), framed as they are."""
    azimuth, elevation = np.radians((azimuth, elevation))
    right = np.array((np.cos(azimuth), 0, -np.sin(azimuth)))
    ahead = np.array((np.sin(azimuth), 0, np.cos(azimuth)))
    up = np.cos(elevation) * np.array((0, 1, 0)) - np.sin(elevation) * ahead
    points = np.stack((mesh.vertices @ right, mesh.vertices @ -up), -1)
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - (low + high) / 2) * size / ((high - low).max() * (1 + margin)) + size / 2
    picture = Image.new("1", (size, size))
    draw = ImageDraw.Draw(picture)
    for triangle in points[mesh.faces]:
        draw.polygon([tuple(point) for point in triangle], fill=1)
    return np.asarray(picture)


def mean_colors(pixels, mask, bands=12):
    """The mean color in each of as many horizontal bands of the figure: (bands, 3)."""
    rows = np.flatnonzero(mask.any(axis=1))
    edges = np.linspace(rows[0], rows[-1] + 1, bands + 1).astype(int)
    return np.array([pixels[a:b][mask[a:b]].mean(axis=0) for a, b in itertools.pairwise(edges)])


def find_hues(colors):
    return colors - colors.mean(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def previews(elf_job):
    """The pixels (768, 768, 3) of the clay and the textured preview, and the silhouette of the mesh."""
    results = elf_job.answers[-1]["results"]
    files = [elf_job.client.read_result(elf_job.job_id, path) for path in results["preview_images"]]
    pictures = [Image.open(io.BytesIO(file)) for file in files]
    assert [(picture.format, picture.size) for picture in pictures] == [("PNG", (768, 768))] * 2
    clay, textured = (np.asarray(picture.convert("RGB"), float) for picture in pictures)
    glb = io.BytesIO(elf_job.client.read_result(elf_job.job_id, results["raw_mesh"]))
    return clay, textured, draw_silhouette(trimesh.load_mesh(glb, file_type="glb"), 768)


def test_previews_show_the_outline_of_the_mesh(previews):
    """One is clay, the other textured: they differ where the mesh is, and have the same backdrop."""
    clay, textured, silhouette = previews
    figure = np.abs(clay - textured).max(axis=-1) > 2
    assert (figure & silhouette).sum() / (figure | silhouette).sum() > 0.97  # 0.88 from the other side
    assert np.ptp(clay[silhouette], axis=-1).mean() < 10 < 25 < np.ptp(textured[silhouette], axis=-1).mean()


def test_the_textured_preview_has_the_colors_of_the_picture(previews, elf):
    _, textured, silhouette = previews
    picture = np.asarray(Image.open(io.BytesIO(elf)).convert("RGB"), float)
    figure = np.abs(picture - np.median(picture[:8], axis=(0, 1))).max(axis=-1) > 40
    wanted, found = mean_colors(picture, figure), mean_colors(textured, silhouette)
    assert np.abs(found - wanted).mean() < 14
    hues = find_hues(wanted).ravel()
    assert np.corrcoef(hues, find_hues(found).ravel())[0, 1] > 0.95
    assert np.corrcoef(hues, find_hues(found[::-1]).ravel())[0, 1] < 0.5  # upside down


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
    of_other_tests = {"chair.glb", "figure.glb"}
    names = {path.name for path in (comfyui.base / "input").rglob("*") if path.is_file()} - of_other_tests
    assert names == {"elf.glb", "elf.png", "elf_back.png", "elf_left.png", "kid.png", "wanderer.png"}


@pytest.mark.nightly
def test_a_second_job_makes_the_same_mesh_in_files_of_its_own(elf_job, elf):
    job_id = elf_job.client.generate(elf, seed=42, character_format="glb")["job_id"]
    read, first, second = elf_job.client.read_result, elf_job.answers[-1], elf_job.client.watch(job_id)[-1]
    assert second["status"] == "completed", second
    for name in ("raw_mesh", "textured_mesh"):
        assert first["results"][name] != second["results"][name]
        assert read(elf_job.job_id, first["results"][name]) == read(job_id, second["results"][name])


def test_a_job_asks_for_its_format_clips_and_a_moving_preview(client, elf):
    asked = {"character_format": "glb", "bone_names": "unity", "animation": "all", "bind_pose": "T-pose"}
    job_id = client.generate(elf, **SMALL, animated_preview="true", **asked)["job_id"]
    final = client.watch(job_id)[-1]
    assert final["status"] == "completed", final
    gltf = read_glb(client.read_result(job_id, final["results"]["rigged_character"]))
    names = [gltf["nodes"][joint]["name"] for joint in gltf["skins"][0]["joints"]]
    assert {"Hips", "LeftUpperArm", "RightLowerLeg"} <= set(names)
    assert {clip["name"] for clip in gltf["animations"]} == set(CLIPS)
    low, high = np.array(bounds_of(gltf))
    assert (high - low)[0] > 0.75 * (high - low)[1]  # the arms are spread
    picture = Image.open(io.BytesIO(client.read_result(job_id, final["results"]["preview_images"][-1])))
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


@pytest.mark.nightly
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
