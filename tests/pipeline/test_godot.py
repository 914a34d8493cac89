"""The preset for Godot, read by Godot 3 itself without a window."""

import re
from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import VrmMeta, encode_character, rename_character
from character3d.pipeline.presets import PRESETS
from character3d.tests.readers.compare import assert_joints_agree, largest_difference, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip
from character3d.tests.readers.sample_humanoid import make_humanoid

BARE = make_humanoid()
TURNS = {"mixamorig:LeftArm": (0.4, 0.2, -1.0), "mixamorig:RightLeg": (0.9, 0, 0)}
CLIP = make_clip(BARE.skeleton, "wave", np.linspace(0, 1, 31), TURNS)
TIMES = (0.0, 0.4, 0.8)
"""Godot's importer samples clips 15 times a second."""


def write_with_underscores(name):
    """As Godot 3 writes the names of all bones (String::camelcase_to_underscore)."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


@pytest.mark.nightly
def test_godot_plays_the_file_of_its_preset(tmp_path):
    require_reader("godot")
    renamed = rename_character(replace(BARE, clips=(CLIP,)), "godot")
    (tmp_path / "a.glb").write_bytes(
        encode_character(renamed, PRESETS["godot"], "a", VrmMeta("A", ("B",))).data
    )
    ask = write_ask(tmp_path / "ask.json", times=TIMES)
    report = run_reader("godot", tmp_path / "report.json", tmp_path / "a.glb", ask)
    names = tuple(write_with_underscores(name) for name in renamed.skeleton.names)
    assert_joints_agree(report["joints"], replace(renamed.skeleton, names=names), "godot")
    mesh = renamed.textured.mesh
    assert report["surfaces"] == 1 and report["texture"]["size"] == list(
        renamed.textured.material.texels.shape[1::-1]
    )
    assert largest_difference(report["positions"], mesh.positions[mesh.faces]) < 1e-5
    assert largest_difference(report["uvs"], mesh.uvs[mesh.faces]) < 1e-3
    for time, points in zip(TIMES, report["clips"]["wave"], strict=True):
        expected = follow_clip_by_hand(renamed, renamed.clips[0], time)[mesh.faces]
        assert largest_difference(points, expected) < 1e-3, time
