"""What POST /character/check answers, without the networks of others."""

import importlib
import io
import json
import threading

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import PictureError
from character3d.pipeline.figure import LANDMARKS
from character3d.tests.small_networks import draw_picture
from PIL import Image

READ = {"figure": -1, "views": "auto", "mesh_input_size": 1024, "outline_size": 128}


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
    found, preview = check(picture, READ)
    json.dumps(found)
    assert (found["width"], found["height"], found["method"]) == (620, 300, "mask")
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
        check(np.zeros((64, 64, 4), np.float32), READ)


@pytest.fixture
def counted(check, monkeypatch):
    """How often a picture was read, by whichever of the two asked."""
    calls, readings = [], importlib.import_module("character3d.nodes.kept_readings").KeptReadings()
    for name in ("check_picture", "preprocessing"):
        module = importlib.import_module(f"character3d.nodes.{name}")
        monkeypatch.setattr(module, "READINGS", readings)
        read = module.read_front
        monkeypatch.setattr(module, "read_front", lambda *a, read=read: (calls.append(a), read(*a))[1])
    return calls


def run_job(picture):
    node = importlib.import_module("character3d.nodes.preprocessing").PreprocessPicture
    image, opaque = torch.from_numpy(picture)[None], torch.ones(1, 64, 64)
    return node.execute(image, 256, 32, "auto", mask=opaque).result


def test_the_job_that_follows_takes_what_the_check_has_read(check, counted):
    picture = draw_picture(2, 128)
    check(picture, {**READ, "mesh_input_size": 256, "outline_size": 32})
    image, mask, figure, _ = run_job(picture)
    assert len(counted) == 1
    again = run_job(picture)  # taken once, it is kept no longer
    assert len(counted) == 2
    assert torch.equal(image, again[0]) and torch.equal(mask, again[1])
    np.testing.assert_array_equal(figure.landmarks, again[2].landmarks)


def test_a_reading_is_known_by_all_that_changes_it(comfyui_modules):
    reading = importlib.import_module("character3d.nodes.read_picture")
    picture = draw_picture(3, 64)
    front = reading.FrontPicture(picture)
    mask = np.tri(64, dtype=np.float32)
    others = [{"figure": 0}, {"views": "front"}, {"size": 512}, {"outline": 9}, {"method": "grabcut"}]
    others += [{"mask": mask}, {"mask": 1 - mask}, {"picture": picture[::-1]}]
    fronts = [front, *(front._replace(**other) for other in others)]
    asked = [((), "cpu"), ((reading.u2net,), "cpu"), ((reading.u2net,), "cuda")]
    keys = [one.identify(*how) for one in fronts for how in asked]
    assert len(set(keys)) == len(keys)
    # A mask that hides nothing is ignored.
    same = front._replace(picture=picture.copy(), mask=np.ones((9, 9), np.float32))
    assert same.identify((), "cpu") == front.identify((), "cuda")


def test_a_job_waits_for_the_check_that_is_reading(comfyui_modules):
    kept = importlib.import_module("character3d.nodes.kept_readings").KeptReadings()
    began, go_on, steps = threading.Event(), threading.Event(), []

    def read():
        began.set()
        assert go_on.wait(20)
        return "reading"

    def step(fraction):
        steps.append(fraction)
        go_on.set()

    reader = threading.Thread(target=kept.make, args=("a", read))
    reader.start()
    assert began.wait(20)
    assert kept.take("a", step) == "reading" and steps
    assert kept.take("a", step) is None
    reader.join()


def test_few_readings_are_kept_and_no_failures(comfyui_modules):
    kept = importlib.import_module("character3d.nodes.kept_readings").KeptReadings(most=2)
    for key in "abc":
        assert kept.make(key, key.upper) == kept.make(key, lambda: 1 / 0) == key.upper()
    assert [kept.take(key, lambda _: None) for key in "abc"] == [None, "B", "C"]
    with pytest.raises(ZeroDivisionError):
        kept.make("d", lambda: 1 / 0)
    assert kept.take("d", lambda _: None) is None
