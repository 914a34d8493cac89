"""Files that are said to be whole without being decoded, held against what decoding says of them."""

import io
import random

import numpy as np
import pytest
from character3d.pipeline.decode import is_picture_whole, load_picture
from character3d.pipeline.errors import PictureError
from PIL import Image

MUTATIONS = 120


def encode(kind, mode="RGB", **options):
    grain = np.random.default_rng(4).normal(0, 20, (80, 96, 3))
    pixels = np.linspace(0, 255, grain.size).reshape(grain.shape) + grain
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


FILES = {
    "JPEG": encode("JPEG", quality=90),
    "JPEG without subsampling": encode("JPEG", quality=95, subsampling=0, optimize=True),
    "JPEG with restarts": encode("JPEG", restart_marker_blocks=4),
    "gray JPEG": encode("JPEG", "L"),
    "CMYK JPEG": encode("JPEG", "CMYK"),
    "MPO": encode("MPO", save_all=True, append_images=[Image.new("RGB", (96, 80))]),
    "PNG": encode("PNG"),
    "PNG with alpha": encode("PNG", "RGBA"),
    "PNG with a palette": encode("PNG", "P"),
}


def damage(data, dice):
    """A file that is cut short, lacks a piece, or has other bits, one byte, zeros, or a piece twice."""
    data, at, size = bytearray(data), dice.randrange(len(data)), dice.randrange(1, 64)
    match dice.randrange(6):
        case 0:
            del data[at:]
        case 1:
            del data[at : at + size]
        case 2:
            data[at] ^= 1 << dice.randrange(8)
        case 3:
            data[dice.randrange(700)] = dice.randrange(256)
        case 4:
            data[at : at + size] = bytes(size)
        case 5:
            data[at : at + size] = data[size : 2 * size]
    return bytes(data)


def succeeds(read, data):
    try:
        return bool(read(io.BytesIO(data)))
    except PictureError:
        return False


@pytest.mark.parametrize("name", FILES)
def test_what_is_said_to_be_whole_can_be_decoded(name):
    dice = random.Random(name)
    assert succeeds(is_picture_whole, FILES[name]) and succeeds(load_picture, FILES[name])
    damaged = [damage(FILES[name], dice) for _ in range(MUTATIONS)]
    refused = [data for data in damaged if not succeeds(load_picture, data)]
    assert len(refused) > MUTATIONS // 10
    assert not [data for data in refused if succeeds(is_picture_whole, data)]


def test_a_progressive_jpeg_is_not_said_to_be_whole():
    assert not succeeds(is_picture_whole, encode("JPEG", progressive=True))


def test_sizes_are_checked():
    for size in ((7, 20), (8000, 8000)):
        buffer = io.BytesIO()
        Image.new("1", size).save(buffer, "PNG")
        with pytest.raises(PictureError, match="pixels"):
            is_picture_whole(buffer)
