"""Where releases of ComfyUI come from, and what their environments add to the tests' own."""

import io
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from character3d.launcher import core_environment, cores
from character3d.launcher.core_environment import CoreEnvironment, prepare_first_core
from character3d.launcher.cores import (
    CORES,
    NEWEST,
    NEWEST_FRONTEND,
    OLDEST,
    PACKAGED,
    CoreNotFound,
    fetch_core,
    find_core,
)
from character3d.launcher.environment import COMFYUI_REQUIREMENTS, Environment
from character3d.launcher.installation import REPOSITORY
from character3d.launcher.terminal import QuickstartError
from character3d.tests.loopback import serve_answers


def write_core(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comfyui_version.py").write_text(f'"""Generated."""\n__version__ = "{version}"\n')
    return folder


@pytest.fixture
def mirror(tmp_path):
    """A git repository with the tags of two releases."""
    work = tmp_path / "work"
    for version in (OLDEST.version, NEWEST.version):
        write_core(work, version)
        for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", version]):
            named = ["-c", "user.name=a", "-c", "user.email=a@b"]
            subprocess.run(["git", *named, *arguments], cwd=work, check=True)
        subprocess.run(["git", "tag", f"v{version}"], cwd=work, check=True)
    bare = tmp_path / "mirror.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", work, bare], check=True)
    return bare


def fetch(core, tmp_path):
    return fetch_core(core, tmp_path / "cache" / core.version, tmp_path / "log")


def read_version(tree):
    return (tree / "comfyui_version.py").read_text().split('"')[-2]


def test_the_table_agrees_with_quickstart_and_with_the_registry():
    assert f"comfyui-frontend-package=={PACKAGED.frontend}" in COMFYUI_REQUIREMENTS
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-comfyui = ">={OLDEST.version}"' in project


@pytest.mark.parametrize("core", CORES)
def test_releases_are_found_by_version(core):
    assert find_core(core.version) is core


def test_the_releases_of_the_table_have_names_and_others_are_refused():
    assert tuple(map(find_core, ("oldest", "packaged", "newest"))) == CORES
    assert find_core("newest-frontend") is NEWEST_FRONTEND
    with pytest.raises(QuickstartError, match=r"no ComfyUI 9\.9 .*newest.*0\.3\.75"):
        find_core("9.9")


@pytest.mark.parametrize("core", [OLDEST, NEWEST])
def test_a_release_is_cloned_once_by_its_tag(core, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_SOURCE", str(mirror))
    assert read_version(fetch(core, tmp_path)) == core.version
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "gone"))
    assert read_version(fetch(core, tmp_path)) == core.version


def test_a_folder_is_used_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_SOURCE", str(write_core(tmp_path / "ComfyUI", OLDEST.version)))
    assert fetch(OLDEST, tmp_path) == tmp_path / "ComfyUI"
    with pytest.raises(CoreNotFound, match=f"ComfyUI {NEWEST.version} cannot be had from"):
        fetch(NEWEST, tmp_path)


def test_what_a_source_does_not_have_is_said(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_SOURCE", str(mirror))
    with pytest.raises(CoreNotFound, match=f"it has no tag v{PACKAGED.version}"):
        fetch(PACKAGED, tmp_path)


def test_a_source_that_is_not_there_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "gone.git"))
    with pytest.raises(CoreNotFound, match=r"gone\.git: git cannot reach it"):
        fetch(NEWEST, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_source_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("COMFYUI_SOURCE", f"http://127.0.0.1:{silent.getsockname()[1]}/ComfyUI.git")
        started = time.monotonic()
        with pytest.raises(CoreNotFound, match="no answer within"):
            fetch(NEWEST, tmp_path)
        assert time.monotonic() - started < 10


def test_without_git_the_archive_of_the_tag_is_unpacked(tmp_path, monkeypatch):
    archive, asked = io.BytesIO(), []
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("ComfyUI-0/comfyui_version.py", f'__version__ = "{NEWEST.version}"\n')

    def answer(request):
        asked.append(request.path)
        return (200, {}, archive.getvalue())

    monkeypatch.setattr(cores.shutil, "which", lambda name: None)
    with serve_answers(answer) as url:
        monkeypatch.setenv("COMFYUI_SOURCE", f"{url}/Comfy-Org/ComfyUI.git")
        assert read_version(fetch(NEWEST, tmp_path)) == NEWEST.version
    assert asked == [f"/Comfy-Org/ComfyUI/archive/refs/tags/v{NEWEST.version}.zip"]
    monkeypatch.setenv("COMFYUI_SOURCE", str(tmp_path / "mirror.git"))
    with pytest.raises(CoreNotFound, match="git is not installed"):
        fetch(OLDEST, tmp_path)


def test_only_what_the_packages_do_not_meet_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARACTER3D_CACHE", str(tmp_path))
    environment = CoreEnvironment(NEWEST, Environment())
    environment.python = Path(sys.executable)
    lines = (
        "torch",
        "",
        "# not essential:",
        "numpy>=1.25.0",
        "numpy>=99",
        "comfyui-embedded-docs==1",
        "no-such-package",
    )
    assert environment.list_missing("\n".join(lines)) == ["numpy>=99", "no-such-package"]


def test_a_release_with_another_frontend_has_an_environment_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARACTER3D_CACHE", str(tmp_path))
    own, other = (CoreEnvironment(core, Environment()) for core in (NEWEST, NEWEST_FRONTEND))
    assert own.folder != other.folder and own.log != other.log


def test_the_first_release_that_can_be_had_is_tested(monkeypatch, capsys):
    def prepare(core):
        if core != PACKAGED:
            raise CoreNotFound("no answer")
        return core

    monkeypatch.setattr(core_environment, "prepare_core", prepare)
    assert prepare_first_core([NEWEST, PACKAGED, OLDEST]) == PACKAGED
    assert f"NOT TESTED on ComfyUI {NEWEST.version}" in capsys.readouterr().out
    with pytest.raises(CoreNotFound):
        prepare_first_core([NEWEST, OLDEST])
    assert prepare_first_core([NEWEST], may_lack=True) is None
