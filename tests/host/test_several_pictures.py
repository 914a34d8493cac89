"""A character from pictures of three sides, and one of its views painted over, in a real ComfyUI."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.cameras import frame_camera
from character3d.pipeline.formats.mesh_files import read_mesh
from character3d.pipeline.preview import render_preview
from character3d.pipeline.rasterize import rasterize_view
from character3d.pipeline.types import Mesh
from PIL import Image

from ..humanoids import ELF
from .conftest import SMALL, Client, encode
from .test_character import read_glb

pytestmark = pytest.mark.nightly

AZIMUTHS = {"front": 0.0, "left": np.pi / 2, "back": np.pi}
RED = (230, 20, 20)


@pytest.fixture(scope="module")
def pictures():
    """The elf from three sides, on nothing."""
    elf = read_mesh(ELF).surface
    shots = {
        name: render_preview(elf, size=512, azimuth=turn, elevation=0.0, transparent=True)
        for name, turn in AZIMUTHS.items()
    }
    return {name: np.uint8(255 * np.clip(shot, 0, 1)) for name, shot in shots.items()}


@pytest.fixture(scope="module")
def job(comfyui, pictures):
    client = Client(comfyui.url)
    files = {name: encode(picture) for name, picture in pictures.items()}
    front = files.pop("front")
    job_id = client.generate(front, **files, character_format="glb", **SMALL)["job_id"]
    answer = client.watch(job_id)[-1]
    assert answer["status"] == "completed", answer
    return SimpleNamespace(client=client, id=job_id, answer=answer)


def read_file(client, job_id, result):
    """The bytes of a download, by the result that it is."""
    downloads = {item["result"]: item["url"] for item in client.status(job_id)["downloads"]}
    return client.read_result(job_id, downloads[result])


def read_mesh_file(client, job_id, result):
    return trimesh.load(io.BytesIO(read_file(client, job_id, result)), file_type="glb").to_geometry()


def view(mesh, azimuth):
    """The silhouette of a mesh, cut to its box and 256 rows tall."""
    camera = frame_camera(mesh, azimuth, 0.0, 0.02)
    positions, faces = torch.tensor(mesh.positions), torch.tensor(mesh.faces)
    return crop(rasterize_view(camera, positions, faces, 512).mask.numpy())


def crop(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    cut = Image.fromarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    return np.asarray(cut.resize((max(1, round(256 * cut.width / cut.height)), 256)))


def overlap(one, two):
    """IoU of two silhouettes of one height, at the best shift."""
    wide = max(one.shape[1], two.shape[1])
    fixed = np.pad(one, ((0, 0), (wide, 2 * wide - one.shape[1])))
    shifted = (np.pad(two, ((0, 0), (start, 3 * wide - start - two.shape[1]))) for start in range(2 * wide))
    return max((fixed & item).sum() / (fixed | item).sum() for item in shifted)


def test_the_shape_has_the_outlines_of_front_and_side(job, pictures):
    assert not [note for note in job.answer.get("warnings", []) if "left out" in note]
    loaded = read_mesh_file(job.client, job.id, "textured_mesh")
    mesh = Mesh(loaded.vertices.astype(np.float32), loaded.faces.astype(np.int32))
    for name in ("front", "left"):
        truth = crop(pictures[name][..., 3] >= 128)
        assert overlap(view(mesh, AZIMUTHS[name]), truth) > 0.9, name


def test_a_painted_view_is_baked_on_the_same_mesh_and_skeleton(job):
    with zipfile.ZipFile(io.BytesIO(read_file(job.client, job.id, "views"))) as archive:
        back = np.array(Image.open(archive.open("back.png")).convert("RGB"))
        seen = np.asarray(Image.open(archive.open("back_mask.png")).convert("L")) >= 128
    rows = np.flatnonzero(seen.any(axis=1))
    spot = slice(rows[0] + int(0.35 * np.ptp(rows)), rows[0] + int(0.45 * np.ptp(rows)))
    back[spot][seen[spot]] = RED
    edited = job.client.edit_views(job.id, {"back": encode(back)})["job_id"]
    answer = job.client.watch(edited)[-1]
    assert answer["status"] == "completed", answer
    before, after = (read_mesh_file(job.client, item, "textured_mesh") for item in (job.id, edited))
    assert (before.vertices == after.vertices).all() and (before.faces == after.faces).all()
    old, new = (
        np.asarray(item.visual.material.baseColorTexture.convert("RGB"), int) for item in (before, after)
    )
    changed = np.abs(old - new).max(axis=2) > 40
    assert 0.002 < changed.mean() < 0.2
    assert np.median(np.abs(new[changed] - RED)) < 25
    one, two = (read_glb(read_file(job.client, item, "rigged_character")) for item in (job.id, edited))
    assert one["nodes"] == two["nodes"] and one["skins"] == two["skins"]
