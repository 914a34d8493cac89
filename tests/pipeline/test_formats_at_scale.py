"""The elf, rigged by the pipeline, in every format: each reader agrees to 1e-5 on every vertex."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import VrmMeta, write_fbx, write_glb, write_vrm
from character3d.pipeline.mesh.normals import vertex_normals
from character3d.pipeline.types import Material, TexturedMesh
from character3d.tests.humanoids import rig_elf
from character3d.tests.readers.compare import (
    assert_joints_agree,
    assert_meshes_agree,
    assert_weights_agree,
    largest_difference,
    limit,
    write_ask,
)
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip, pose_by_hand
from scipy.spatial.transform import Rotation

POSE = {
    "mixamorig:LeftArm": Rotation.from_rotvec((0.9, -0.4, 0.3)).as_matrix(),
    "mixamorig:RightForeArm": Rotation.from_rotvec((0.2, 0.1, 1.2)).as_matrix(),
    "mixamorig:RightUpLeg": Rotation.from_rotvec((-0.8, 0.1, 0)).as_matrix(),
    "mixamorig:Spine1": Rotation.from_rotvec((0.1, 0.4, 0)).as_matrix(),
}
STEPS = {
    "mixamorig:LeftUpLeg": (0.6, 0, 0),
    "mixamorig:RightUpLeg": (-0.6, 0, 0),
    "mixamorig:LeftArm": (0.2, 0.1, 0.7),
    "mixamorig:RightForeArm": (0, 0, 1.1),
    "mixamorig:Head": (0.1, 0.5, 0),
}
TIMES = [0.0, 7 / 30, 19 / 30]
LIMITS = {"blender": {"normals": 3e-3}}
"""Where faces meet at sharp angles; half of all are within 2e-5, 99 in 100 within 1e-4."""
PAIRS = [(".fbx", reader) for reader in ("ufbx", "blender", "assimp", "three")]
PAIRS += [(".glb", reader) for reader in ("blender", "assimp", "three")]


@pytest.fixture(scope="module")
def elf():
    """The rigged elf with normals, a clip, an opaque texture and cylindrical uvs."""
    rigged = rig_elf()
    skeleton, mesh = rigged.skeleton, rigged.textured.mesh
    x, y, z = mesh.positions.T
    uvs = np.stack((np.arctan2(x, z) / (2 * np.pi) + 0.5, 1 - y / y.max()), axis=1)
    mesh = replace(mesh, uvs=uvs, normals=vertex_normals(mesh))
    texture = np.random.default_rng(5).random((256, 256, 4))
    texture[..., 3] = 1
    clip = make_clip(skeleton, "walk", np.linspace(0, 1, 31), STEPS, sway=(0, 0.05, 0.4))
    return replace(rigged, textured=TexturedMesh(mesh, Material(texture)), clips=(clip,))


@pytest.fixture(scope="module")
def folder(elf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elf")
    write_fbx(folder / "elf.fbx", elf)
    write_glb(folder / "elf.glb", elf)
    write_ask(folder / "ask.json", POSE, TIMES)
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize(("suffix", "reader"), PAIRS, ids=[reader + suffix for suffix, reader in PAIRS])
def test_reader_agrees_on_every_vertex(elf, folder, suffix, reader):
    require_reader(reader)
    model, mesh = folder / f"elf{suffix}", elf.textured.mesh
    report = run_reader(reader, folder / f"{reader}{suffix}.json", model, folder / "ask.json")
    assert len(mesh.positions) > 5000
    assert_joints_agree(report["joints"], elf.skeleton, reader)
    assert_meshes_agree(report, mesh, reader, **LIMITS.get(reader, {}))
    assert_weights_agree(report["weights"], elf, reader)
    posed = pose_by_hand(elf, POSE)
    assert np.abs(posed - mesh.positions).max() > 0.2
    assert largest_difference(report["posed"], posed[mesh.faces]) < limit(reader, "posed")
    for time, points in zip(TIMES, report["clips"]["walk"], strict=True):
        expected = follow_clip_by_hand(elf, elf.clips[0], time)[mesh.faces]
        assert largest_difference(points, expected) < limit(reader, "posed"), time


def test_validator_has_no_complaint(folder):
    report = run_reader("gltf-validator", folder / "report.json", folder / "elf.glb")
    assert report["issues"]["messages"] == []


def test_vrm_refuses_the_pose_of_the_picture(elf, tmp_path):
    with pytest.raises(FormatError, match=r"T-pose; leftUpperArm is \d+ degrees off"):
        write_vrm(tmp_path / "elf.vrm", elf, VrmMeta("Elf", ("One",)))
