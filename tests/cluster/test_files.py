"""Files of a cluster in a folder and on a server that speaks S3: the same promises."""

import hashlib
import io

import pytest

pytest.importorskip("fsspec", reason="fsspec is not installed")

from character3d.cluster.files import ClusterFiles

JOB = "11111111-1111-4111-8111-111111111111"
OTHER = "33333333-3333-4333-8333-333333333333"
PICTURES = {"image": b"front", "image_left": b"left" * 1000}


def read_uploads(files, job_id, folder):
    return {name: path.read_bytes() for name, path in files.fetch_uploads(job_id, folder).items()}


@pytest.fixture(params=["file", "s3"])
def files(request, tmp_path):
    if request.param == "file":
        return ClusterFiles(f"file://{tmp_path}")
    return ClusterFiles(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def test_what_was_sent_comes_back(files, tmp_path):
    files.keep_uploads(JOB, {name: io.BytesIO(data) for name, data in PICTURES.items()})
    assert read_uploads(files, JOB, tmp_path) == PICTURES


def test_what_was_sent_for_a_job_is_sent_for_another_too(files, tmp_path):
    files.keep_uploads(JOB, {name: io.BytesIO(data) for name, data in PICTURES.items()})
    files.copy_uploads(JOB, OTHER)
    files.keep_uploads(OTHER, {"front": io.BytesIO(b"painted"), "mesh.glb": io.BytesIO(b"glTF")})
    files.remove(JOB)
    assert read_uploads(files, OTHER, tmp_path) == {**PICTURES, "front": b"painted", "mesh": b"glTF"}
    assert files.list_uploads(OTHER) == {"front": 7, "image": 5, "image_left": 4000, "mesh.glb": 4}
    assert files.list_uploads(JOB) == {}


def test_results_of_attempts_are_apart_and_can_be_sought(files, tmp_path):
    for attempt in (1, 2):
        path = tmp_path / "mesh.glb"
        path.write_bytes(bytes([attempt]) * 100_000)
        files.keep_result(JOB, attempt, path, "mesh.glb")
    with files.open_result(JOB, 1, "mesh.glb") as file:
        file.seek(99_990)
        assert file.read(100) == b"\1" * 10
    with files.open_result(JOB, 2, "mesh.glb") as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(b"\2" * 100_000).digest()
    files.keep_result(JOB, 2, path, "pictures/mesh.glb")
    assert files.open_result(JOB, 2, "pictures/mesh.glb").read(2) == b"\2\2"
    with pytest.raises(FileNotFoundError):
        files.open_result(JOB, 3, "mesh.glb").read()


def test_a_manifest_is_written_once(files):
    assert files.read_manifest(JOB) is None
    assert files.publish(JOB, {"attempt": 1}) == {"attempt": 1}
    assert files.publish(JOB, {"attempt": 2}) == {"attempt": 1} == files.read_manifest(JOB)


def test_a_job_is_removed_with_all_its_files(files, tmp_path):
    files.keep_uploads(JOB, {"image": io.BytesIO(b"front")})
    files.publish(JOB, {"attempt": 1})
    files.remove(JOB)
    files.remove(JOB)
    assert files.read_manifest(JOB) is None
    with pytest.raises(FileNotFoundError):
        read_uploads(files, JOB, tmp_path)
