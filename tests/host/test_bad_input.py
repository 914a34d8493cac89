"""What people send by mistake or on purpose: each gets the contract's error, and nothing is left behind."""

import json
import struct
import urllib.error
import zlib

import numpy as np
import pytest
from character3d.client import ServiceError
from PIL import Image


def list_files(base):
    folders = (base / name for name in ("input", "output", "temp", "user"))
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(comfyui, client, request):
    """The server lives after the test, and a refused request has left no file."""
    before = list_files(comfyui.base)
    yield
    client.read("/system_stats")
    queue = client.get_json("/queue")
    assert queue["queue_pending"] == [] and queue["queue_running"] == []
    if "makes_files" not in request.keywords:
        assert list_files(comfyui.base) == before


@pytest.fixture
def encode_png(tmp_path):
    def encode(pixels):
        path = tmp_path / "picture.png"
        Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
        return path.read_bytes()

    return encode


def chunk(kind, data):
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def one_color_png(side):
    """A PNG of side x side white pixels, one bit each, in some kilobytes."""
    row = b"\0" + b"\xff" * ((side + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack("!IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refuse(call, status, code, parameter=None):
    """The error that a call gets, which must be this one."""
    with pytest.raises(ServiceError) as raised:
        call()
    error = raised.value
    assert (error.status, error.error_code) == (status, code), error
    assert error.message and error.details
    if parameter:
        assert error.details["parameter"] == parameter
    return error


def test_no_image(client):
    form = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na knight\r\n--b--\r\n'
    with pytest.raises(urllib.error.HTTPError) as raised:
        client.read("/generate_character", form, **{"Content-Type": "multipart/form-data; boundary=b"})
    body = json.load(raised.value)
    assert (raised.value.code, body["status"], body["error_code"]) == (400, "error", "INVALID_PARAMETERS")
    assert body["message"] and body["details"]["parameter"] == "image"


def test_text_named_png(client):
    refuse(lambda: client.generate(b"this is no picture\n" * 99), 415, "UNSUPPORTED_FORMAT")


def test_a_picture_of_too_many_pixels(client):
    picture = one_color_png(13_000)
    assert len(picture) < 100_000
    refuse(lambda: client.generate(picture), 413, "FILE_TOO_LARGE")


def test_a_file_of_too_many_bytes(client, elf):
    refuse(lambda: client.generate(elf + bytes(11 * 2**20 - len(elf))), 413, "FILE_TOO_LARGE")


def test_image_size_is_answered_as_the_contract_prints_it(client, elf):
    error = refuse(lambda: client.generate(elf, image_size=999), 400, "INVALID_PARAMETERS")
    assert error.message == "Invalid image size. Must be 512, 768, or 1024"
    assert error.details == {"parameter": "image_size", "provided": 999, "allowed": [512, 768, 1024]}


def test_steps_that_are_no_number(client, elf):
    refuse(lambda: client.generate(elf, steps="abc"), 400, "INVALID_PARAMETERS", "steps")


def test_unknown_pose_type(client, elf):
    error = refuse(lambda: client.generate(elf, pose_type="lotus"), 400, "INVALID_PARAMETERS", "pose_type")
    assert set(error.details["allowed"]) == {"大-pose", "T-pose", "A-pose", "No"}


def test_model_that_is_not_installed(client, elf):
    error = refuse(
        lambda: client.generate(elf, model_name="dreamshaper.safetensors"),
        400,
        "INVALID_PARAMETERS",
        "model_name",
    )
    assert error.details["allowed"] == client.models()["diffusion_models"]


def test_fully_transparent_picture(client, encode_png):
    picture = encode_png(np.zeros((256, 256, 4)))
    refuse(lambda: client.generate(picture), 400, "INVALID_PARAMETERS", "image")


def test_unknown_job(client):
    refuse(lambda: client.status("00000000-0000-4000-8000-000000000000"), 404, "JOB_NOT_FOUND")


@pytest.mark.makes_files
@pytest.mark.nightly
def test_landscape_without_a_person(client, landscape):
    """A character with a skeleton by proportions, and warnings that say so."""
    acceptance = client.generate(landscape, image_size=512)
    final = client.watch(acceptance["job_id"])[-1]
    assert final["status"] == "completed", final
    assert [warning for warning in final["warnings"] if "no human form was found" in warning] != []
    for name in ("raw_mesh", "textured_mesh"):
        assert client.read_result(acceptance["job_id"], final["results"][name]).startswith(b"glTF")
    assert [warning for warning in final["warnings"] if warning.startswith("preprocessing: ")] != []
