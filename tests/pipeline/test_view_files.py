"""Views as files: what is written is read again, and what is wrong with files is said by name."""

import io
import json

import numpy as np
import pytest
from character3d.pipeline.cameras import build_six_view_rig
from character3d.pipeline.conventions import VIEW_NAMES
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats.view_files import pack_files, read_views, unpack_files, write_views
from character3d.pipeline.types import ViewImages
from PIL import Image

from .figures import make_body

SIDE = 32


@pytest.fixture(scope="module")
def images():
    rng, rig = np.random.default_rng(1), build_six_view_rig(make_body()[0])
    color = rng.integers(0, 256, (6, SIDE, SIDE, 3)) / 255
    return ViewImages(rig, color, rng.integers(0, 256, (6, SIDE, SIDE)) / 255)


def test_views_come_back_as_they_were(images):
    read = read_views(unpack_files(pack_files(write_views(images))))
    assert np.abs(read.color - images.color).max() < 1e-6 and np.abs(read.mask - images.mask).max() < 1e-6
    assert read.rig == images.rig
    assert [camera.name for camera in read.rig.cameras] == list(VIEW_NAMES)


def test_the_same_views_are_the_same_bytes(images):
    assert pack_files(write_views(images)) == pack_files(write_views(images))


def test_what_is_in_the_files(images):
    files = write_views(images, has_sheet=True)
    names = [f"{name}{kind}.png" for name in VIEW_NAMES for kind in ("", "_mask")]
    assert set(files) == {"cameras.json", "sheet.png", *names}
    described = json.loads(files["cameras.json"])
    assert (described["version"], described["size"]) == (1, SIDE)
    assert described["views"][1]["azimuth"] == pytest.approx(np.pi / 2)
    with Image.open(io.BytesIO(files["sheet.png"])) as sheet:
        assert sheet.size == (3 * SIDE, 2 * SIDE)
        left = np.asarray(sheet)[:SIDE, SIDE : 2 * SIDE]
    assert np.abs(left / 255 - images.color[1]).max() < 0.01


def test_files_in_a_folder_of_a_zip_are_found(images):
    files = {f"views/{name}": data for name, data in write_views(images).items()}
    assert read_views(unpack_files(pack_files(files))).rig == images.rig


def encode(size, kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"left.png": None}, "names left.png, which is not there"),
        ({"back_mask.png": None}, "names back_mask.png"),
        ({"cameras.json": None}, "expected cameras.json"),
        ({"top.png": encode((16, 32))}, "top.png has 16 x 32 pixels; expected 32 x 32"),
        ({"top.png": encode((32, 32), "JPEG")}, "top.png is not a PNG"),
        ({"front.png": b"\x89PNG\r\n\x1a\nx"}, "front.png is not a PNG"),
        ({"cameras.json": b"{"}, "cameras.json cannot be read"),
        ({"cameras.json": b'{"version": 2, "size": 32, "views": []}'}, "version 2; expected 1"),
        ({"cameras.json": b'{"version": 1, "size": 32, "views": []}'}, "no views"),
        ({"cameras.json": b'{"version": 1, "size": 32, "views": [{}]}'}, "a view that cannot be read"),
    ],
)
def test_what_is_wrong_is_named(images, change, said):
    files = {name: data for name, data in (write_views(images) | change).items() if data is not None}
    with pytest.raises(FormatError, match=said):
        read_views(files)


def test_no_zip():
    with pytest.raises(FormatError, match="expected a zip of views"):
        unpack_files(b"PK\x03\x04 and no more")
