"""What POST /character/check answers, without the networks of others."""

import importlib
import io
import json

import numpy as np
import pytest
from character3d.pipeline.errors import PictureError
from character3d.pipeline.figure import LANDMARKS
from character3d.tests.small_networks import draw_picture
from PIL import Image


@pytest.fixture
def check(comfyui_modules, monkeypatch):
    module = importlib.import_module("character3d.nodes.check_picture")
    reading = importlib.import_module("character3d.nodes.read_picture")
    for network in (reading.birefnet, reading.isnet, reading.u2net, reading.blazeface, reading.blazepose):
        monkeypatch.setattr(network, "is_installed", lambda: False)
    return module.check_picture


def test_lengths_are_in_pixels_of_the_picture(check):
    """The figure fills the right half of a wide picture, cut out by its alpha."""
    figure = draw_picture(1, 300)
    picture = np.zeros((300, 620, 4), np.float32)
    picture[:, 320:, :3] = figure
    plain = draw_picture(1, 300, noise=0)
    picture[:, 320:, 3] = np.abs(plain - plain[:, :1]).sum(axis=2) > 0.02
    found, preview = check(picture)
    json.dumps(found)
    assert (found["width"], found["height"], found["method"]) == (620, 300, "alpha")
    assert found["source"] == "outline" and found["landmarks"].keys() == set(LANDMARKS)
    left, top, right, bottom = found["box"]
    np.testing.assert_allclose((left, top, right, bottom), (385, 30, 555, 289), atol=12)
    for name, (x, y) in {"head": (470, 60), "neck": (470, 92), "left_wrist": (540, 140)}.items():
        point = found["landmarks"][name]
        assert abs(point["x"] - x) < 30 and abs(point["y"] - y) < 30, name
    assert found["head_box"][1] < 45 and 0.99 < sum(found["parts"].values()) < 1.01
    assert Image.open(io.BytesIO(preview)).size == (768, 768)


def test_a_picture_without_a_subject_is_refused(check):
    with pytest.raises(PictureError):
        check(np.zeros((64, 64, 4), np.float32))
