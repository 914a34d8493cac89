"""The learned rigging method: its files, what it draws from a mesh, and what it makes of it."""

import importlib
import pickle

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError, RigError, WeightsError
from character3d.pipeline.types import Mesh, SkinWeights
from character3d.pipeline.weights import load_catalogue
from character3d.tests import small_make_it_animatable as small
from safetensors.torch import save_file
from scipy.spatial import cKDTree

KINDS = [file.removesuffix(".pth") for file in small.FILES]
PUBLISHED_BYTES = {
    "joints_coarse.pth": 424_706_373,
    "joints.pth": 525_833_771,
    "pose.pth": 525_848_433,
    "bw.pth": 424_693_698,
}
"""Sizes on Hugging Face (jasongzy/Make-It-Animatable at eb12b71, output/best/new)."""


@pytest.fixture
def files(rig_models):
    small.save_files(rig_models, 12)
    return rig_models


@pytest.fixture
def body():
    """A ball for a head and boxes for the rest, 1.7 m, its UV-like seam given as doubled vertices."""
    parts = [trimesh.creation.box((0.4, 0.6, 0.2)), trimesh.creation.icosphere(3, 0.14)]
    parts += [trimesh.creation.box((0.6, 0.1, 0.1)) for _ in "lr"]
    parts += [trimesh.creation.box((0.15, 0.8, 0.15)) for _ in "lr"]
    places = [(0, 1.1, 0), (0, 1.56, 0), (0.5, 1.3, 0), (-0.5, 1.3, 0), (0.12, 0.4, 0), (-0.12, 0.4, 0)]
    for part, place in zip(parts, places, strict=True):
        part.apply_translation(place)
    whole = trimesh.util.concatenate(parts)
    corners = np.asarray(whole.vertices)[whole.faces].reshape(-1, 3)
    return Mesh(corners, np.arange(len(corners)).reshape(-1, 3))


@pytest.fixture
def rig_mesh(make_it_animatable, files):
    """rig_mesh with the models on disk."""
    models = make_it_animatable.loading.load_models()
    return lambda mesh, **options: make_it_animatable.generate.rig_mesh(mesh, models, **options)


def test_every_file_loads_whole(make_it_animatable, files):
    for file, kind in zip(small.FILES, KINDS, strict=True):
        model = make_it_animatable.loading.load_model(kind).model
        given = small.draw_file(file, 12)
        ignored = {"base.point_embed.basis", "base.to_outputs.weight", "base.to_outputs.bias"}
        assert len(model.state_dict()) == len(given) - len(ignored)
        total = sum(float(value.double().sum()) for name, value in given.items() if name not in ignored)
        assert sum(float(value.double().sum()) for value in model.state_dict().values()) == pytest.approx(
            total
        )


@pytest.mark.parametrize("file", small.FILES)
def test_the_published_layout(make_it_animatable, file):
    """Every tensor of the full size has its place and shape, and the published file has room for no other."""
    keys = small.list_keys(file, **small.PUBLISHED)
    weights = {name: torch.empty(shape, device="meta") for name, shape in keys.items()}
    with torch.device("meta"):
        renamed = make_it_animatable.loading._rename_keys(weights)
        model = make_it_animatable.model.PointModel(renamed)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    left = {name: tuple(value.shape) for name, value in renamed.items() if name not in shapes}
    assert left == {
        "base.point_embed.basis": (3, 24),
        "base.to_outputs.weight": (1, 512),
        "base.to_outputs.bias": (1,),
    }
    assert all(tuple(renamed[name].shape) == shape for name, shape in shapes.items())
    if file in PUBLISHED_BYTES:
        tensors = sum(value.numel() for value in weights.values()) * 4
        per_tensor = (PUBLISHED_BYTES[file] - tensors) / len(weights)
        assert 100 < per_tensor < 400  # names, alignment and the pickle itself
        size = next(m["gigabytes"] for m in load_catalogue()["rig_models"] if m["file"] == file)
        assert size == round(PUBLISHED_BYTES[file] / 1e9, 2)


def test_files_in_a_folder_and_as_safetensors(make_it_animatable, rig_models):
    folder = rig_models / "output" / "best" / "new"
    small.save_files(folder, 12, small.FILES[:3])
    assert not make_it_animatable.loading.is_installed()
    tensors = {name: value.contiguous() for name, value in small.draw_file("bw.pth", 12).items()}
    save_file(tensors, str(folder / "bw.safetensors"))
    assert make_it_animatable.loading.is_installed()
    assert set(make_it_animatable.loading.list_installed_files()) == set(KINDS) - {"bw_normal"}
    loaded = make_it_animatable.loading.load_model("bw").model
    assert torch.equal(loaded.bw_head.weight, tensors["bw_head.weight"])


def test_a_missing_file_quotes_the_catalogue(make_it_animatable, rig_models):
    small.save_files(rig_models, 12, ["joints.pth"])
    with pytest.raises(WeightsError) as caught:
        make_it_animatable.loading.load_model("joints_coarse")
    text = str(caught.value)
    assert text.startswith("joints_coarse.pth is not in models/make_it_animatable; found joints.pth. Nothing")
    for model in load_catalogue()["rig_models"]:
        assert model["file"] in text and model["source"] in text
    assert "Apache License 2.0" in text


def test_damaged_files_are_named(make_it_animatable, files):
    load = make_it_animatable.loading.load_model
    whole = (files / "pose.pth").read_bytes()
    (files / "pose.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=r"pose\.pth cannot be read"):
        load("pose")
    weights = small.draw_file("bw.pth", 12)
    del weights["base.layers.1.0.fn.to_out.bias"]
    torch.save({"model": weights}, files / "bw.pth")
    with pytest.raises(WeightsError, match=r"bw\.pth is damaged: .*base\.layers\.1\.0\.fn\.to_out\.bias"):
        load("bw")
    weights = small.draw_file("bw.pth", 12)
    weights["bw_head.weight"] = torch.zeros(40, 64)
    torch.save({"model": weights}, files / "bw.pth")
    with pytest.raises(WeightsError, match=r"bw\.pth is damaged: .*bw_head\.weight.*40"):
        load("bw")
    weights = small.draw_file("joints.pth", 12)
    weights["joints_embed"] = torch.zeros(1, 59, 64)
    torch.save({"model": weights}, files / "joints.pth")
    with pytest.raises(
        WeightsError, match=r"joints\.pth: joints_embed has shape \(1, 59, 64\); expected \(1, 52"
    ):
        load("joints")


def test_another_models_file_is_named(make_it_animatable, files):
    (files / "joints_coarse.pth").write_bytes((files / "joints.pth").read_bytes())
    with pytest.raises(
        WeightsError, match=r"not a Make-It-Animatable joints_coarse file: expected .*joints_head\.w"
    ):
        make_it_animatable.loading.load_model("joints_coarse")
    torch.save({}, files / "bw.pth")
    with pytest.raises(WeightsError, match=r"not a Make-It-Animatable bw file: .*found none"):
        make_it_animatable.loading.load_model("bw")


def test_a_pickle_with_code_is_not_run(make_it_animatable, files, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (files / "bw.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, files / "joints.pth")
    for kind in ("bw", "joints"):
        with pytest.raises(WeightsError, match=rf"{kind}\.pth cannot be read"):
            make_it_animatable.loading.load_model(kind)
    assert not (tmp_path / "ran").exists()


def test_a_replaced_file_is_read_anew(make_it_animatable, files):
    load = make_it_animatable.loading.load_model
    first = load("bw")
    assert load("bw") is first
    torch.save({"model": small.draw_file("bw.pth", 13), "epoch": 3}, files / "bw.pth")
    assert not torch.equal(load("bw").model.bw_head.weight, first.model.bw_head.weight)


def test_the_rig_of_a_mesh(make_it_animatable, rig_mesh, body):
    ticks = []
    rig = rig_mesh(body, pose_type="No", progress=ticks.append)
    assert ticks == sorted(ticks) and ticks[0] == 0 and ticks[-1] == 1 and len(ticks) > 20
    assert len(rig.skeleton.names) == 52 + 3 + 10 == len(set(rig.skeleton.names))
    assert rig.skeleton.roles["leftLittleDistal"] and np.isfinite(rig.skeleton.rest).all()
    np.testing.assert_allclose(rig.skin.weights.sum(axis=1), 1, atol=1e-6)
    ends = [rig.skeleton.index(f"mixamorig:{end}") for end in make_it_animatable.joints.ENDS.values()]
    assert not np.isin(rig.skin.joints[rig.skin.weights > 0], ends).any()
    assert len(rig.turns) == 51
    for turn in rig.turns.values():
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-5)
    _, copies = np.unique(body.positions, axis=0, return_inverse=True)
    first = np.unique(copies, return_index=True)[1][copies.reshape(-1)]
    assert np.array_equal(rig.skin.joints, rig.skin.joints[first])
    assert np.array_equal(rig.skin.weights, rig.skin.weights[first])


@pytest.mark.nightly
def test_the_same_mesh_gets_the_same_rig(rig_mesh, body):
    one, two = (rig_mesh(body) for _ in range(2))
    assert np.array_equal(one.skeleton.rest, two.skeleton.rest)
    assert np.array_equal(one.skin.weights, two.skin.weights) and not one.turns


@pytest.mark.nightly
def test_a_larger_mesh_gets_a_larger_rig(rig_mesh, body):
    """Four times as large, which rounds alike."""
    larger = Mesh(body.positions * 4, body.faces)
    one, two = (rig_mesh(mesh) for mesh in (body, larger))
    np.testing.assert_allclose(two.skeleton.positions, one.skeleton.positions * 4, rtol=1e-6)
    assert np.array_equal(one.skin.joints, two.skin.joints)


def test_the_t_pose_becomes_the_rest_pose(make_it_animatable, rig_mesh, body):
    """A mesh that follows one joint turns with it, normals and children too, and stays on the ground."""
    rig = rig_mesh(body)
    joint = rig.skeleton.index("mixamorig:LeftArm")
    rows = np.zeros((len(body.positions), 4))
    skin = SkinWeights(rows + joint, rows + np.eye(4)[0])
    normals = np.random.default_rng(3).normal(size=body.positions.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    mesh = Mesh(body.positions, body.faces, normals)
    own = np.array([(0, 0, 1), (1, 0, 0), (0, 1, 0)], float)
    turns = {"mixamorig:LeftArm": own}
    moved, rest = make_it_animatable.rest.reset_to_rest(mesh, rig.skeleton, skin, turns)
    frame = rig.skeleton.rest[joint].astype(np.float64)
    turn, centre = frame[:3, :3] @ own @ frame[:3, :3].T, frame[:3, 3]
    expected = (mesh.positions - centre) @ turn.T + centre
    lift = np.array((0, mesh.positions[:, 1].min() - expected[:, 1].min(), 0))
    np.testing.assert_allclose(moved.positions, expected + lift, atol=1e-4)
    np.testing.assert_allclose(moved.normals, normals @ turn.T, atol=1e-4)
    assert moved.positions[:, 1].min() == pytest.approx(mesh.positions[:, 1].min(), abs=1e-5)
    below = [name for name in rest.names if name.startswith(("mixamorig:LeftArm", "mixamorig:LeftForeArm",
             "mixamorig:LeftHand"))]  # fmt: skip
    for name in rest.names:
        place = rig.skeleton.positions[rig.skeleton.index(name)]
        place = (place - centre) @ turn.T + centre if name in below else place
        np.testing.assert_allclose(rest.positions[rest.index(name)], place + lift, atol=1e-4)


def test_cancelling_between_layers(rig_mesh, body):
    class Stop(Exception):
        pass

    def progress(fraction):
        if fraction > 0.4:
            raise Stop

    with pytest.raises(Stop):
        rig_mesh(body, progress=progress)


def test_a_mesh_without_surface_and_an_unknown_pose(rig_mesh):
    line = Mesh(np.array([(0, 0, 0), (0, 1, 0), (0, 2, 0)], float), np.array([(0, 1, 2)]))
    with pytest.raises(MeshError, match="no surface: 1 faces of 0 square metres"):
        rig_mesh(line)
    with pytest.raises(ValueError, match="expected one of 大-pose, T-pose, A-pose, No, got 'B-pose'"):
        rig_mesh(line, pose_type="B-pose")


def test_hips_and_legs_on_one_line_have_no_forward(make_it_animatable):
    frame = make_it_animatable.frame
    first = frame.fit_bounds(np.eye(3, dtype=np.float32))
    with pytest.raises(RigError, match="Hips and both upper legs on one line"):
        frame.face_forward(first, np.zeros((52, 3), np.float32))


def test_the_frame_and_its_inverse(make_it_animatable):
    frame, names = make_it_animatable.frame, make_it_animatable.joints.NAMES
    rng = np.random.default_rng(0)
    points, joints = rng.normal(size=(50, 3)), rng.normal(size=(52, 3))
    turned = frame.face_forward(frame.fit_bounds(points), joints)
    np.testing.assert_allclose(turned.to_mesh(turned.to_model(points)), points, atol=1e-6)
    at = frame.fit_bounds(points).to_mesh(joints)
    hips, left, right = (
        turned.to_model(at)[names.index(name)] for name in ("Hips", "LeftUpLeg", "RightUpLeg")
    )
    np.testing.assert_allclose(hips, 0, atol=1e-6)
    np.testing.assert_allclose((left - right)[1:], 0, atol=1e-6)
    forward = np.cross(right, left)
    assert (left - right)[0] > 0 and forward[2] == pytest.approx(np.linalg.norm(forward))


def test_farthest_points(make_it_animatable):
    """By the definition, with distances from scipy's tree."""
    points = torch.from_numpy(np.random.default_rng(2).normal(size=(400, 3)))
    picked = make_it_animatable.model.pick_farthest(points, 40).numpy()
    assert picked[0] == 0 and len(set(picked)) == 40
    for number in range(1, 40):
        away, _ = cKDTree(points[picked[:number]]).query(points)
        assert away.argmax() == picked[number]


def test_points_around_the_hands(make_it_animatable, body):
    surface = trimesh.Trimesh(body.positions, body.faces, process=False)
    hands, rng = np.array([(0.75, 1.3, 0), (-0.75, 1.3, 0)]), np.random.default_rng(0)
    positions, normals = make_it_animatable.points.sample_body_and_hands(surface, hands, rng)
    assert positions.shape == normals.shape == (32_768, 3)
    half = 0.15 * 0.5 * (body.positions.max() - body.positions.min())
    for quarter, hand in zip(np.split(positions, 4)[2:], hands, strict=True):
        assert np.abs(quarter - hand).max() <= half + 1e-6
    body_half = positions[:16_384]
    assert (np.abs(body_half[:, 0]) < 0.4).mean() > 0.5
    dense, _ = trimesh.sample.sample_surface(surface, 400_000, seed=1)
    assert cKDTree(dense).query(positions)[0].max() < 0.02
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_a_hand_that_is_nowhere_near_the_mesh(make_it_animatable, body):
    surface = trimesh.Trimesh(body.positions, body.faces, process=False)
    hands = np.array([(5.0, 5, 5), (-0.75, 1.3, 0)])
    positions, _ = make_it_animatable.points.sample_body_and_hands(surface, hands, np.random.default_rng(0))
    assert len(positions) == 32_768
    assert (np.abs(positions[16_384:24_576] - hands[1]).max(axis=1) < 0.2).all()
    assert np.abs(positions[24_576:, 1].mean() - positions[:16_384, 1].mean()) < 0.02


def test_comfyui_moves_the_models(make_it_animatable, rig_mesh, monkeypatch, body):
    """Each model goes through ComfyUI's own loading, one after the other."""
    management = importlib.import_module("comfy.model_management")
    seen, load = [], management.load_models_gpu
    monkeypatch.setattr(
        management,
        "load_models_gpu",
        lambda models, **options: (seen.append((models[0].model, options)), load(models, **options)),
    )
    rig_mesh(body)
    models = [make_it_animatable.loading.load_model(kind).model for kind in KINDS]
    assert [model for model, _ in seen] == models
    assert all(options["memory_required"] >= 1 << 30 for _, options in seen)


def test_offloaded_in_parts(make_it_animatable, files):
    """ComfyUI's low memory mode leaves some layers away from the device; the answer stays."""
    patcher = make_it_animatable.loading.load_model("joints")
    cloud = make_it_animatable.model.PointCloud(*torch.rand(2, 1024, 3), 512)
    whole = patcher.model.predict_joints(patcher.model.encode(cloud))
    patcher.load(patcher.load_device, lowvram_model_memory=1)
    assert patcher.model.model_lowvram and patcher.model.model_loaded_weight_memory == 0
    assert torch.equal(patcher.model.predict_joints(patcher.model.encode(cloud)), whole)
    patcher.unpatch_model()
