"""Presets through the studio in a headless Chromium: from the drop to files that other programs read."""

import zipfile

import numpy as np
import pytest
from character3d.pipeline.formats import read_mesh
from character3d.pipeline.presets import PRESETS
from character3d.tests.pipeline.test_roblox import R15
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader

from .conftest import Client
from .test_studio import (
    ELF,
    READY,
    browser,
    drop,
    is_drawn,
    open_studio,
    start,
    wait_for_options,
)

__all__ = ["browser"]


def make_by_preset(browser, url, folder, preset):
    """Make a character as a person would, and open the archive; the path of the character's file."""
    with open_studio(browser, url, accept_downloads=True) as page:
        wait_for_options(page)
        page.evaluate("() => document.querySelectorAll('details').forEach(group => group.open = true)")
        page.select_option("#option-animation", "walk")
        page.select_option("#option-preset", preset)
        drop(page, ELF)
        status = Client(url).wait(start(page))
        assert status["parameters"]["preset"] == preset
        page.wait_for_selector(READY)
        assert is_drawn(page)
        with page.expect_download() as found:
            page.get_by_role("button", name="All in one archive").click()
        found.value.save_as(folder / "all.zip")
    with zipfile.ZipFile(folder / "all.zip") as archive:
        assert sorted(archive.namelist()) == sorted(file["name"] for file in status["downloads"])
        archive.extractall(folder)
    return folder / next(f["name"] for f in status["downloads"] if f["result"] == "rigged_character")


def read(reader, path, **asked):
    ask = write_ask(path.with_suffix(".ask.json"), **asked)
    return run_reader(reader, path.with_suffix(".report.json"), path, ask)


@pytest.mark.nightly
def test_web(browser, comfyui, tmp_path):
    require_reader("three")
    path = make_by_preset(browser, comfyui.url, tmp_path, "web")
    assert path.suffix == ".glb" and path.stat().st_size <= PRESETS["web"].max_bytes
    assert read_mesh(path).surface.material.texels.shape[:2] == (1024, 1024)
    report = read("three", path, times=(0.0, 0.4))
    assert report["warnings"] == [] and len(report["joints"]) == 25
    still, later = np.array(report["clips"]["walk"])
    assert 0.02 < np.abs(later - still).max() < 1  # meters
    issues = run_reader("gltf-validator", tmp_path / "issues.json", path)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues


@pytest.mark.nightly
def test_roblox(browser, comfyui, tmp_path):
    require_reader("ufbx")
    path = make_by_preset(browser, comfyui.url, tmp_path, "roblox")
    report = read("ufbx", path)
    assert {name: joint["parent"] for name, joint in report["joints"].items()} == R15
    assert 1_000 < len(report["positions"]) <= PRESETS["roblox"].max_triangles
    assert max(report["texture"]["size"]) <= PRESETS["roblox"].texture_size
    assert all(len(corner) <= 4 for corner in report["weights"])


@pytest.mark.nightly
def test_vrm(browser, comfyui, tmp_path):
    require_reader("three-vrm")
    path = make_by_preset(browser, comfyui.url, tmp_path, "vrm")
    report = read("three-vrm", path)
    assert report["warnings"] == [] and report["meta"]["metaVersion"] == "1"
    assert {"hips", "head", "leftHand", "rightFoot"} <= report["human_bones"].keys()
