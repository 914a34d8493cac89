"""What people send by mistake or on purpose: each gets the contract's error, and nothing is left behind."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image


def list_files(base):
    folders = (base / name for name in ("input", "output", "temp", "user"))
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(comfyui, client, request):
    """The server lives after the test, and a refused request has left no file."""
    before = list_files(comfyui.base)
    yield
    assert client.request("GET", "/system_stats")[0] == 200
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


def one_colour_png(side):
    """A PNG of side x side white pixels, one bit each, in some kilobytes."""
    row = b"\0" + b"\xff" * ((side + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack("!IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def assert_refused(answer, status, code, parameter=None):
    got, body = answer
    assert (got, body["status"], body["error_code"]) == (status, "error", code), body
    assert body["message"] and isinstance(body["details"], dict)
    if parameter:
        assert body["details"]["parameter"] == parameter
    return body


def test_no_image(client):
    assert_refused(client.post_form(prompt="a knight"), 400, "INVALID_PARAMETERS", "image")


def test_text_named_png(client):
    assert_refused(client.post_form(b"this is no picture\n" * 99, "picture.png"), 415, "UNSUPPORTED_FORMAT")


def test_a_picture_of_too_many_pixels(client):
    picture = one_colour_png(13_000)
    assert len(picture) < 100_000
    assert_refused(client.post_form(picture), 413, "FILE_TOO_LARGE")


def test_a_file_of_too_many_bytes(client, elf):
    assert_refused(client.post_form(elf + bytes(11 * 2**20 - len(elf))), 413, "FILE_TOO_LARGE")


def test_image_size_is_answered_as_the_contract_prints_it(client, elf):
    body = assert_refused(client.post_form(elf, image_size=999), 400, "INVALID_PARAMETERS")
    assert body["message"] == "Invalid image size. Must be 512, 768, or 1024"
    assert body["details"]["parameter"] == "image_size"
    assert body["details"]["provided"] == 999
    assert body["details"]["allowed"] == [512, 768, 1024]


def test_steps_that_are_no_number(client, elf):
    assert_refused(client.post_form(elf, steps="abc"), 400, "INVALID_PARAMETERS", "steps")


def test_unknown_pose_type(client, elf):
    body = assert_refused(client.post_form(elf, pose_type="lotus"), 400, "INVALID_PARAMETERS", "pose_type")
    assert set(body["details"]["allowed"]) == {"大-pose", "T-pose", "A-pose", "No"}


def test_model_that_is_not_installed(client, elf):
    answer = client.post_form(elf, model_name="dreamshaper.safetensors")
    body = assert_refused(answer, 400, "INVALID_PARAMETERS", "model_name")
    assert body["details"]["allowed"] == client.get_json("/models")["diffusion_models"]


def test_fully_transparent_picture(client, encode_png):
    picture = encode_png(np.zeros((256, 256, 4)))
    assert_refused(client.post_form(picture), 400, "INVALID_PARAMETERS", "image")


def test_unknown_job(client):
    status, _, body = client.request("GET", "/job/00000000-0000-4000-8000-000000000000/status")
    assert status == 404 and b"JOB_NOT_FOUND" in body


@pytest.mark.makes_files
def test_landscape_without_a_person(client, landscape):
    """A mesh and a warning; it cannot be rigged, and the answer says why."""
    status, acceptance = client.post_form(landscape, "photo.jpg", image_size=512)
    assert status == 202, acceptance
    final = client.watch(acceptance["job_id"])[-1]
    assert (final["status"], final["failed_stage"]) == ("failed", "rigging"), final
    assert "no standing humanoid" in final["error_details"]
    for name in ("raw_mesh", "textured_mesh"):
        assert client.download(acceptance["job_id"], final["results"][name]).startswith(b"glTF")
    assert [warning for warning in final["warnings"] if warning.startswith("preprocessing: ")] != []
