"""Limbs before and behind the trunk: their depth is read in a picture of the side, and the shape has it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import frame_camera
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.mesh_generation import inflate_silhouette
from character3d.pipeline.preprocessing.side_depth import measure_depths
from character3d.pipeline.rasterize import rasterize_view
from character3d.pipeline.rigging import fit_skeleton
from character3d.pipeline.types import FramedPicture

from .figures import join_parts, make_capsule

SIZE = 384
JOINTS = {
    "crown": (0, 1.7, 0),
    "head": (0, 1.58, 0),
    "neck": (0, 1.42, 0),
    "pelvis": (0, 0.92, 0),
    "left_shoulder": (0.17, 1.34, 0),
    "left_elbow": (0.36, 1.14, -0.02),
    "left_wrist": (0.5, 1.05, 0.2),
    "left_hand": (0.56, 1.02, 0.32),
    "right_shoulder": (-0.17, 1.34, 0),
    "right_elbow": (-0.36, 1.14, 0),
    "right_wrist": (-0.54, 0.95, 0.02),
    "right_hand": (-0.62, 0.87, 0.03),
    "left_hip": (0.09, 0.9, 0),
    "left_knee": (0.11, 0.5, 0.12),
    "left_ankle": (0.12, 0.1, 0.2),
    "left_toe": (0.13, 0.05, 0.36),
    "right_hip": (-0.09, 0.9, 0),
    "right_knee": (-0.11, 0.5, -0.12),
    "right_ankle": (-0.12, 0.1, -0.28),
    "right_toe": (-0.13, 0.05, -0.12),
}
RADII = {"shoulder": 0.045, "elbow": 0.04, "wrist": 0.035, "hip": 0.075, "knee": 0.055, "ankle": 0.04}
LIMBS = {"arm": ("shoulder", "elbow", "wrist", "hand"), "leg": ("hip", "knee", "ankle", "toe")}


def make_walker():
    parts = [
        make_capsule((0, 0.92, 0), (0, 1.28, 0), 0.13, 0.75),
        make_capsule((-0.12, 1.34, 0), (0.12, 1.34, 0), 0.06),
        make_capsule((0, 1.34, 0), (0, 1.5, 0), 0.05),
        make_capsule((0, 1.57, 0), (0, 1.6, 0), 0.1),
    ]
    for side in ("left", "right"):
        for chain in LIMBS.values():
            for start, end in pairwise(chain):
                ends = (JOINTS[f"{side}_{name}"] for name in (start, end))
                parts.append(make_capsule(*ends, RADII[start]))
    return join_parts(parts)


def look(mesh, azimuth, name):
    """The framed picture from one side, and where the joints are in it."""
    camera = frame_camera(mesh, azimuth, 0.0, 0.1)
    raster = rasterize_view(camera, torch.tensor(mesh.positions), torch.tensor(mesh.faces).long(), SIZE)
    rgba = np.full((SIZE, SIZE, 4), 0.5, np.float32)
    rgba[..., 3] = raster.mask.numpy()
    picture = FramedPicture(rgba)
    aside = np.array((np.cos(azimuth), 0, -np.sin(azimuth)))
    ahead = np.array((np.sin(azimuth), 0, np.cos(azimuth)))
    target, scale = np.array(camera.target), 0.5 / camera.half_extent
    places = np.array([JOINTS[name] for name in LANDMARKS]) - target
    landmarks = np.stack(
        (0.5 + scale * places @ aside, 0.5 - scale * places[:, 1], scale * places @ ahead), 1
    )
    box = tuple(value / SIZE for value in picture.box)
    parts = find_parts(raster, mesh) if name == "front" else np.zeros((SIZE, SIZE), np.uint8)
    figure = Figure(
        name,
        landmarks,
        np.full(len(LANDMARKS), 0.9),
        box,
        box,
        parts,
        yaw=np.degrees(-azimuth),
        source="blazepose",
    )
    return picture, figure


def find_parts(raster, mesh):
    """PARTS by the nearest bone in x and y."""
    bones, names = [], []
    for side in ("left", "right"):
        for kind, chain in LIMBS.items():
            for step in np.linspace(0, 1, 12):
                for start, end in pairwise(chain):
                    one, two = (np.array(JOINTS[f"{side}_{name}"]) for name in (start, end))
                    bones.append(one + step * (two - one))
                    names.append(PARTS.index(f"{side}_{kind}"))
    for level in np.linspace(0.95, 1.4, 12):
        bones += [np.array((aside, level, 0)) for aside in (-0.1, 0.0, 0.1)]
        names += [PARTS.index("torso")] * 3
    bones.append(np.array((0, 1.6, 0)))
    names.append(PARTS.index("head"))
    corners = mesh.positions[mesh.faces[raster.face_index[raster.mask].numpy()]].mean(axis=1)
    apart = np.linalg.norm(corners[:, None, :2] - np.array(bones)[None, :, :2], axis=2)
    parts = np.zeros((SIZE, SIZE), np.uint8)
    parts[raster.mask.numpy()] = np.array(names)[apart.argmin(axis=1)]
    return parts


@pytest.fixture(scope="module")
def walker():
    mesh = make_walker()
    return mesh, *look(mesh, 0.0, "front"), *look(mesh, np.pi / 2, "side")


def guess(figure):
    """As read from the front alone."""
    return replace(figure, landmarks=figure.landmarks * (1, 1, 0))


def test_depths_of_a_side_are_those_of_the_joints(walker):
    _, _, front, _, side = walker
    found = measure_depths(guess(front), [side])
    pelvis = front["pelvis"][2]
    assert np.abs(found.landmarks[:, 2] - (front.landmarks[:, 2] - pelvis)).max() < 0.01
    assert (found.depth_confidence == np.float32(0.9)).all()
    assert (found.landmarks[:, :2] == front.landmarks[:, :2]).all()


def test_a_joint_at_another_height_is_not_that_joint(walker):
    _, _, front, _, side = walker
    number = LANDMARKS.index("left_wrist")
    landmarks = side.landmarks.copy()
    landmarks[number, 1] += 0.1
    found = measure_depths(guess(front), [replace(side, landmarks=landmarks)])
    assert found.depth_confidence[number] == 0 and found.landmarks[number, 2] == 0
    assert np.count_nonzero(found.depth_confidence == 0) == 1


@pytest.mark.parametrize("change", [{"source": "outline"}, {"kind": "front"}], ids=["outline", "front"])
def test_what_is_no_reading_of_a_side_measures_nothing(walker, change):
    _, _, front, _, side = walker
    assert not measure_depths(front, [replace(side, **change)]).depth_confidence.any()


def test_limbs_lie_where_the_side_shows_them(walker):
    truth, picture, front, left, side = walker
    figure = measure_depths(guess(front), [side])
    mesh = inflate_silhouette(picture, figure=figure, sides={"left": left})
    scale = np.ptp(truth.positions[:, 1]) / np.ptp(mesh.positions[:, 1])
    offset = [(item.max(axis=0) + item.min(axis=0)) / 2 for item in (truth.positions, mesh.positions)]
    points = (mesh.positions - offset[1]) * scale + offset[0]
    for upper, lower in (
        ("left_knee", "left_ankle"),
        ("right_knee", "right_ankle"),
        ("left_elbow", "left_wrist"),
    ):
        x, y, z = np.mean([JOINTS[upper], JOINTS[lower]], axis=0)
        near = np.linalg.norm(points[:, :2] - (x, y), axis=1) < 0.05
        assert near.any() and np.abs(points[near, 2] - z).max() < 0.16, lower
        assert abs(np.median(points[near, 2]) - z) < 0.06, lower
    # What the side shows of arm and legs is not in the middle as well.
    belly = (np.abs(points[:, 0]) < 0.12) & (np.abs(points[:, 1] - 1.07) < 0.1)
    assert points[belly, 2].max() < 0.16
    between = (np.abs(points[:, 0]) < 0.03) & (points[:, 1] < 0.5)
    assert not between.any()
    fitted = fit_skeleton(mesh, figure=figure).skeleton
    for joint, name in (("LeftFoot", "left_ankle"), ("RightFoot", "right_ankle"), ("LeftHand", "left_wrist")):
        place = fitted.positions[fitted.index(f"mixamorig:{joint}")]
        place = (place - offset[1]) * scale + offset[0]
        assert np.linalg.norm(place - JOINTS[name]) < 0.07, name
