"""Make-It-Animatable through ComfyUI against its own code, on identical random weights and inputs in float32.

tests/golden/make_it_animatable.npz holds what the reference (jasongzy/Make-It-Animatable at d60cc7e, its
app.py and, for rest poses, its app_blender.py in Blender 4.5; torch 2.13.0 on the CPU) answered for
small_make_it_animatable.draw_file(file, 12). Points, metres, with normals: draw_points(1, 2048) to the coarse
model, draw_points(2, 2048) to the others, draw_points(3, 402) the vertices,
whose normals are the first of the points.
joints_coarse, joints   both ends of bones, in the model's frame
joints_mesh, ends_mesh  those of joints, metres
points_model, normals_model, verts_model, hands   what the models were given, in their frame
turns                   each joint's turn to the T-pose
weights_N, refined_N    skin weights without (0) and with (1) normals, and after its post-processing
excluded                which joints a vertex loses, by its strongest joint
ignored_P               the joints that pose_type P leaves alone
rest_joints_P, rest_verts_P   joints and vertices after *Reset to Rest*, metres
"""

from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.rigging.skin.skinning import keep_strongest
from character3d.pipeline.types import Mesh
from character3d.tests import small_make_it_animatable as small

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "golden" / "make_it_animatable.npz")
CLOSE = 5e-5
POSES = {"T-pose": "T", "大-pose": "big", "A-pose": "A", "No": "No"}


def draw_points(seed, count):
    """Points (metres) in the size of a body, and unit normals."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, 3)) * (0.3, 0.45, 0.15) + (0.1, 0.9, -0.2)
    normals = rng.standard_normal((count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return points.astype(np.float32), normals.astype(np.float32)


def check(ours, name):
    golden = GOLDEN[name]
    assert tuple(ours.shape) == golden.shape
    assert np.abs(np.asarray(ours, np.float64) - golden).max() <= CLOSE


def locate(mia):
    """The frame of the golden file's prediction."""
    points = draw_points(2, 2048)[0]
    frame, hands = mia.generate.look_at_body(draw_points(1, 2048), mia.loading.load_models())
    check(hands, "hands")
    return mia.frame.fit_scale(frame, frame.to_model(points))


def predict(mia):
    """What the models answer for the very points that the reference gave its own."""
    seen = GOLDEN["verts_model"], GOLDEN["normals_model"][:402]
    samples = GOLDEN["points_model"], GOLDEN["normals_model"]
    return mia.generate.predict_rig(samples, seen, mia.loading.load_models())


@pytest.fixture
def files(rig_models):
    small.save_files(rig_models, 12)
    return rig_models


def test_first_look_and_frame(make_it_animatable, files):
    mia = make_it_animatable
    points, normals = draw_points(1, 2048)
    first = mia.frame.fit_bounds(points)
    cloud = mia.generate._to_cloud((first.to_model(points), normals), 0)
    coarse = mia.loading.load_model("joints_coarse")
    check(mia.generate._run_joints(coarse, cloud, lambda fraction: None), "joints_coarse")
    frame, (fine, normals) = locate(mia), draw_points(2, 2048)
    check(frame.to_model(fine), "points_model")
    check(frame.to_model(draw_points(3, 402)[0]), "verts_model")
    check(normals @ frame.rotation.T, "normals_model")
    check(frame.to_mesh(GOLDEN["joints"][:, :3]), "joints_mesh")
    check(frame.to_mesh(GOLDEN["joints"][:, 3:]), "ends_mesh")


@pytest.mark.parametrize("normals", [0, 1])
def test_joints_turns_and_weights(make_it_animatable, files, normals):
    mia = make_it_animatable
    if not normals:
        (files / "bw_normal.pth").unlink()
    predicted = predict(mia)
    check(predicted.joints, "joints")
    check(predicted.turns, "turns")
    check(predicted.weights, f"weights_{normals}")


@pytest.mark.parametrize("normals", [0, 1])
def test_post_processing(make_it_animatable, normals):
    mia, golden = make_it_animatable, GOLDEN[f"refined_{normals}"]
    above = GOLDEN["verts_model"][:, 1] >= GOLDEN["joints"][mia.joints.NAMES.index("Head"), 4]
    assert 0 < above.sum() < len(above)
    refined = mia.skin.refine_weights(GOLDEN[f"weights_{normals}"], above)
    joints, weights = keep_strongest(refined, np.arange(refined.shape[1]), smallest=0.0)
    dense = np.zeros_like(golden)
    np.add.at(dense, (np.arange(len(joints))[:, None], joints), weights)
    # Theirs are cut to four and left so; Blender divides by their sum.
    np.testing.assert_allclose(dense, golden / golden.sum(axis=1, keepdims=True), rtol=0, atol=CLOSE)


def test_what_excludes_what(make_it_animatable):
    np.testing.assert_array_equal(make_it_animatable.joints.mark_excluded(), GOLDEN["excluded"])


@pytest.mark.parametrize("pose_type", POSES)
def test_pose_type_means_what_it_means_there(make_it_animatable, files, pose_type):
    """The joints that move, and where joints and vertices are once the rest pose is the T-pose."""
    mia, pose = make_it_animatable, POSES[pose_type]
    moving = np.isin(mia.joints.NAMES, mia.rest.MOVING[pose_type])
    np.testing.assert_array_equal(moving, ~GOLDEN[f"ignored_{pose}"])
    frame = locate(mia)
    predicted = mia.generate.Prediction(*(GOLDEN[name] for name in ("joints", "turns", "weights_0")))
    skeleton = build_skeleton(mia.generate._collect_places(frame, predicted.joints))
    skin = mia.generate._bind(predicted, GOLDEN["verts_model"], skeleton)
    turned = frame.rotation.T @ predicted.turns @ frame.rotation
    mesh = Mesh(draw_points(3, 402)[0], np.arange(402).reshape(-1, 3))
    moved, rest = mia.rest.reset_to_rest(
        mesh, skeleton, skin, mia.rest.list_turns(turned, skeleton, pose_type)
    )
    lift = mesh.positions[:, 1].min() - GOLDEN[f"rest_verts_{pose}"][:, 1].min()
    places = rest.positions[[rest.index(PREFIX + name) for name in mia.joints.NAMES]]
    check(places - (0, lift, 0), f"rest_joints_{pose}")
    check(moved.positions - (0, lift, 0), f"rest_verts_{pose}")
    assert (np.abs(moved.positions - mesh.positions).max() > 0.1) == bool(moving.any())
